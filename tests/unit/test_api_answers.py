"""What the HTTP API answers when the engine answers: statuses, ids, links, headers."""

import json
from dataclasses import dataclass
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from starters.api.app import create_app
from starters.api.bodies import id_of_key
from starters.client import AlreadyTerminal, OutcomeUnknown
from tests.unit.access_fakes import KEY_NAME
from tests.unit.starters_fakes import (
    JSON,
    FakeConnections,
    call,
    denied,
    settings_of,
    snapshot,
    twap_snapshot,
)
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.messages import OrderRequest, validate_order

ORDER = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": 0.1,
}
BODY = json.dumps(ORDER).encode()


async def test_an_accepted_order_is_answered_with_its_id_links_and_decimals_as_text() -> None:
    connections = FakeConnections()
    answer = await call(connections, "POST", "/api/v1/orders", content=BODY)
    order = answer.json()
    assert answer.status_code == 201
    assert order["order_id"] == connections.asked[0].order_id
    assert answer.headers["x-order-id"] == order["order_id"]
    assert answer.headers["location"] == order["links"]["self"]
    assert order["links"]["temporal_ui"].endswith(f"/workflows/{order['order_id']}")
    assert (order["quantity"], order["average_price"]) == ("0.1", "50000")
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("number", "exact"), [("0.1", "0.1"), ("1", "1"), ("2e-1", "0.2"), ('"0.10"', "0.1")]
)
async def test_a_number_is_read_exactly(number: str, exact: str) -> None:
    connections = FakeConnections()
    text = json.dumps({**ORDER, "quantity": "Q"}).replace('"Q"', number)
    answer = await call(connections, "POST", "/api/v1/orders", content=text.encode())
    assert answer.status_code == 201
    assert connections.asked[0].quantity == Decimal(exact)


async def test_the_same_key_names_the_same_order_and_another_key_another() -> None:
    ids = []
    for key in ("key/1 ".strip(), "key/1", "key/2"):
        connections = FakeConnections()
        headers = JSON | {"Idempotency-Key": key}
        await call(connections, "POST", "/api/v1/orders", content=BODY, headers=headers)
        ids.append(connections.asked[0].order_id)
    assert ids[0] == ids[1] == id_of_key("key/1", KEY_NAME)
    assert ids[2] != ids[0]


async def test_the_callers_own_id_is_kept_and_must_agree_with_a_key() -> None:
    body = json.dumps(ORDER | {"order_id": "mine-1"}).encode()
    connections = FakeConnections()
    for key in ("mine-1", None):
        headers = JSON | ({"Idempotency-Key": key} if key else {})
        answer = await call(connections, "POST", "/api/v1/orders", content=body, headers=headers)
        assert (answer.status_code, answer.headers["x-order-id"]) == (201, "mine-1")
    headers = JSON | {"Idempotency-Key": "another"}
    answer = await call(connections, "POST", "/api/v1/orders", content=body, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "order_id")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (DenialCode.RISK_MAX_NOTIONAL, 422),
        (DenialCode.UNKNOWN_SYMBOL, 422),
        (DenialCode.IDEMPOTENCY_CONFLICT, 409),
        (DenialCode.TRADING_HALTED, 409),
        (DenialCode.RECONCILING, 503),
        (DenialCode.NOT_ACCEPTED_IN_TIME, 503),
    ],
)
async def test_a_denied_order_has_the_status_of_its_code(code: DenialCode, status: int) -> None:
    connections = FakeConnections(denied(code, "quantity"))
    answer = await call(connections, "POST", "/api/v1/orders", content=BODY)
    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert answer.json()["field"] == "quantity"
    assert answer.headers["x-order-id"]
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_503_names_the_order_and_when_its_fate_is_decided(is_away: bool) -> None:
    connections = FakeConnections(OutcomeUnknown("mine-1"), is_temporal_away=is_away)
    body = json.dumps(ORDER | {"order_id": "mine-1"}).encode()
    answer = await call(connections, "POST", "/api/v1/orders", content=body)
    assert answer.status_code == 503
    assert answer.json()["code"] == ("UNAVAILABLE" if is_away else "OUTCOME_UNKNOWN")
    assert answer.headers["x-order-id"] == "mine-1"
    assert "mine-1" in answer.json()["message"]
    assert int(answer.headers["retry-after"]) >= settings_of().accept_timeout


async def test_an_order_is_read_from_the_ledger_else_from_its_workflow_else_it_is_unknown() -> None:
    stored = FakeConnections(orders=[snapshot("a")])
    begun = FakeConnections(snapshot("b", status=OrderStatus.PENDING))
    for connections, order_id, status in ((stored, "a", "working"), (begun, "b", "pending")):
        answer = await call(connections, "GET", f"/api/v1/orders/{order_id}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    absent = await call(FakeConnections(), "GET", "/api/v1/orders/c")
    assert (absent.status_code, absent.json()["code"]) == (404, "NOT_FOUND")


async def test_pages_follow_each_other_by_their_cursor() -> None:
    connections = FakeConnections(orders=[snapshot(name) for name in "abc"])
    first = (await call(connections, "GET", "/api/v1/orders?limit=2&symbol=BTC-USDT")).json()
    second = (
        await call(connections, "GET", f"/api/v1/orders?limit=2&cursor={first['next_cursor']}")
    ).json()
    found = [order["order_id"] for order in first["orders"] + second["orders"]]
    assert (found, second["next_cursor"]) == (["a", "b", "c"], None)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (snapshot(status=OrderStatus.CANCELLED), 200),
        (snapshot(status=OrderStatus.FILLED), 200),  # the fill won the race
        (snapshot(status=OrderStatus.CANCELLING), 202),
        (AlreadyTerminal(snapshot(status=OrderStatus.CANCELLED)), 200),  # cancelled before
        (AlreadyTerminal(snapshot(status=OrderStatus.FILLED)), 409),
    ],
)
async def test_a_cancel_answers_final_under_way_or_too_late(outcome: object, status: int) -> None:
    connections = FakeConnections(outcome)
    answer = await call(connections, "POST", "/api/v1/orders/a/cancel?reason=why%20not")
    assert answer.status_code == status
    assert connections.asked == [("a", "why not")]
    if status == 409:
        assert answer.json()["code"] == "ALREADY_TERMINAL"
        assert "filled" in answer.json()["message"]


async def test_cancelling_an_unknown_order_is_404() -> None:
    from starters.client import OrderNotFound

    answer = await call(FakeConnections(OrderNotFound("x")), "POST", "/api/v1/orders/x/cancel")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_an_order_that_temporal_forgot_is_still_known_when_it_is_cancelled() -> None:
    from starters.client import OrderNotFound

    connections = FakeConnections(
        OrderNotFound("old"), orders=[snapshot("old", status=OrderStatus.FILLED)]
    )
    answer = await call(connections, "POST", "/api/v1/orders/old/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_TERMINAL")


async def test_twap_progress_shows_the_schedule_and_other_orders_have_none() -> None:
    answer = await call(FakeConnections(twap_snapshot()), "GET", "/api/v1/orders/t/twap-progress")
    report = answer.json()
    assert (report["slices_planned"], report["slices_sent"], report["percent"]) == (10, 3, "25")
    assert (report["filled_quantity"], report["average_price"]) == ("0.05", "50000")
    other = await call(FakeConnections(snapshot()), "GET", "/api/v1/orders/a/twap-progress")
    assert (other.status_code, other.json()["code"]) == (404, "NOT_A_TWAP")


async def test_twap_progress_falls_back_to_the_ledger_while_temporal_is_away() -> None:
    connections = FakeConnections(is_temporal_away=True, orders=[twap_snapshot("t")])
    answer = await call(connections, "GET", "/api/v1/orders/t/twap-progress")
    assert (answer.status_code, answer.json()["slices_done"]) == (200, 3)


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/orders/a", "/metrics"])
async def test_reads_answer_503_while_the_ledger_is_away(path: str) -> None:
    answer = await call(FakeConnections(is_ledger_away=True), "GET", path)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"]


async def test_a_callers_request_id_is_kept_and_a_harmful_one_is_not() -> None:
    kept = await call(FakeConnections(), "GET", "/health/live", headers={"X-Request-Id": "r-1"})
    made = await call(FakeConnections(), "GET", "/health/live", headers={"X-Request-Id": "a b\t"})
    assert kept.headers["x-request-id"] == "r-1"
    assert made.headers["x-request-id"] not in ("", "a b\t")


async def test_a_bug_answers_500_with_the_request_id_and_nothing_else() -> None:
    connections = FakeConnections(ZeroDivisionError("secret detail"))
    with capture_logs() as logged:
        answer = await call(connections, "POST", "/api/v1/orders", content=BODY)
    assert [line["log_level"] for line in logged if line.get("exc_info")] == ["error"]
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_openapi_documents_the_order_body_and_every_error_of_every_route() -> None:
    document = create_app(settings_of()).openapi()
    schemas = document["components"]["schemas"]
    post = document["paths"]["/api/v1/orders"]["post"]
    media = post["requestBody"]["content"]["application/json"]
    assert media["schema"]["$ref"].rsplit("/", 1)[1] in schemas
    assert set(media["examples"]) == set(OrderType)
    for example in media["examples"].values():
        assert isinstance(validate_order(example["value"]), OrderRequest)
    assert {"quantity", "twap_slices"} <= set(schemas["OrderRequest"]["properties"])
    assert "IDEMPOTENCY_CONFLICT" in post["responses"]["409"]["description"]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert "500" in route["responses"], (method, path)
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for reference in set(_references(document)):
        assert reference.removeprefix("#/components/schemas/") in schemas


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for value in node.values() for each in _references(value)]
    if isinstance(node, list):
        return [each for value in node for each in _references(value)]
    return []


@dataclass
class Row:
    exchange: str
    account: str
    ready: bool
    reason: str = ""


@pytest.mark.parametrize(
    ("connections", "status", "broken"),
    [
        (FakeConnections(rows={"readiness": [Row("binance", "main", True)]}), 200, None),
        (
            FakeConnections(rows={"readiness": [Row("binance", "main", False, "catching up")]}),
            503,
            "account:binance:main",
        ),
        (FakeConnections(rows={"readiness": []}), 503, "account:binance:main"),
        (FakeConnections(is_ledger_away=True), 503, "postgresql"),
        (
            FakeConnections(
                rows={"readiness": [Row("binance", "main", True)]}, is_temporal_away=True
            ),
            503,
            "temporal",
        ),
    ],
)
async def test_readiness_names_what_is_missing(
    connections: FakeConnections, status: int, broken: str | None
) -> None:
    for path in ("/health", "/health/ready"):
        answer = await call(connections, "GET", path)
        states = answer.json()["dependencies"]
        assert answer.status_code == status
        assert [name for name, state in states.items() if state["status"] != "ok"] == (
            [broken] if broken else []
        )
    assert (await call(connections, "GET", "/health/live")).status_code == 200
