"""What the HTTP API answers about arbitrages, rebalancings, and the legs of both."""

import json
from decimal import Decimal
from typing import Any

import pytest

from starters.api.app import create_app
from starters.api.bodies import id_of_key
from starters.errors import (
    ExecutionEnded,
    ExecutionFailed,
    ExecutionNotFound,
    OutcomeUnknown,
    Unavailable,
)
from tests.unit.access_fakes import KEY_NAME
from tests.unit.execution_samples import (
    ARBITRAGE_PLAN,
    REBALANCE_PLAN,
    arbitrage,
    rebalance,
    stored,
)
from tests.unit.starters_fakes import JSON, FakeConnections, call, settings_of, snapshot
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus

ARBITRAGES, REBALANCES = "/api/v1/arbitrage", "/api/v1/rebalance"
BODIES = {
    ARBITRAGES: json.dumps(ARBITRAGE_PLAN).encode(),
    REBALANCES: json.dumps(REBALANCE_PLAN).encode(),
}
both = pytest.mark.parametrize("path", [ARBITRAGES, REBALANCES])
RUNNING, ENDED = ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED


def sample(path: str, status: ExecutionStatus = RUNNING, **changes: Any) -> Any:
    """What the path tells of, under the id `e-1`."""
    return (arbitrage if path == ARBITRAGES else rebalance)(status, "e-1", **changes)


@both
async def test_an_accepted_plan_is_answered_with_its_id_and_links(path: str) -> None:
    connections = FakeConnections()
    answer = await call(connections, "POST", path, content=BODIES[path])
    told = answer.json()
    assert answer.status_code == 201
    assert told["execution_id"] == connections.asked[0].id
    assert answer.headers["x-execution-id"] == told["execution_id"]
    assert answer.headers["location"] == told["links"]["self"]
    assert told["links"]["temporal_ui"].endswith(f"/workflows/{told['execution_id']}")
    assert "retry-after" not in answer.headers


async def test_both_legs_are_told_with_exact_amounts_as_text() -> None:
    told = (await call(FakeConnections(), "POST", ARBITRAGES, content=BODIES[ARBITRAGES])).json()
    buy, sell = told["orders"]
    assert (buy["leg"], buy["filled_amount"], buy["avg_price"]) == ("buy", "0.1", "50000")
    assert (sell["leg"], sell["status"], told["actual_profit"]) == ("sell", "working", "12.5")


async def test_a_preview_answers_the_plan_with_200_and_asks_for_nothing_but_a_plan() -> None:
    connections = FakeConnections(rebalance(ENDED, preview=True))
    body = json.dumps(REBALANCE_PLAN | {"preview": True}).encode()
    answer = await call(connections, "POST", REBALANCES, content=body)
    assert (answer.status_code, answer.json()["preview"]) == (200, True)
    assert [plan.preview for plan in connections.asked] == [True]


@both
async def test_a_key_names_the_execution_and_must_agree_with_the_plans_own_id(path: str) -> None:
    ids = []
    for key in ("key/1", "key/1", "key/2"):
        connections = FakeConnections()
        headers = JSON | {"Idempotency-Key": key}
        await call(connections, "POST", path, content=BODIES[path], headers=headers)
        ids.append(connections.asked[0].id)
    assert ids[0] == ids[1] == id_of_key("key/1", KEY_NAME)
    assert ids[2] != ids[0]
    own = json.dumps(json.loads(BODIES[path]) | {"id": "mine-1"}).encode()
    headers = JSON | {"Idempotency-Key": "another"}
    answer = await call(FakeConnections(), "POST", path, content=own, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "id")


@both
@pytest.mark.parametrize(
    ("code", "status", "field"),
    [
        (DenialCode.UNKNOWN_ENUM, 422, "exchange"),
        (DenialCode.UNKNOWN_SYMBOL, 422, "symbol"),
        (DenialCode.OUT_OF_RANGE, 422, "amount"),
        (DenialCode.MIN_NOTIONAL, 422, "amount"),
        (DenialCode.MISSING_PRICE, 422, "targets"),
        (DenialCode.BELOW_MIN_PROFIT, 422, None),
        (DenialCode.INSUFFICIENT_DEPTH, 422, None),
        (DenialCode.INSUFFICIENT_FUNDS, 422, None),
        (DenialCode.STALE_BOOK, 422, None),
        (DenialCode.BOOK_SKEW, 422, None),
        (DenialCode.SLIPPAGE, 422, None),
        (DenialCode.PAIR_BUSY, 409, None),
        (DenialCode.IDEMPOTENCY_CONFLICT, 409, None),
        (DenialCode.TRADING_HALTED, 409, None),
        (DenialCode.RECONCILING, 503, None),
        (DenialCode.NOT_ACCEPTED_IN_TIME, 503, None),
    ],
)
async def test_a_denied_plan_has_the_status_of_its_code_and_names_its_field(
    path: str, code: DenialCode, status: int, field: str | None
) -> None:
    denied = sample(path, ExecutionStatus.DENIED, code=code, field=field, error="asked=2 limit=1")
    answer = await call(FakeConnections(denied), "POST", path, content=BODIES[path])
    assert answer.status_code == status
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert answer.json()["message"] == "asked=2 limit=1"
    assert answer.headers["x-execution-id"]
    assert ("retry-after" in answer.headers) == (status == 503)


@both
@pytest.mark.parametrize("is_away", [True, False])
async def test_a_503_names_the_execution_and_when_its_fate_is_decided(
    path: str, is_away: bool
) -> None:
    connections = FakeConnections(OutcomeUnknown("e-1", "arbitrage"), is_temporal_away=is_away)
    body = json.dumps(json.loads(BODIES[path]) | {"id": "e-1"}).encode()
    answer = await call(connections, "POST", path, content=body)
    assert answer.status_code == 503
    assert answer.json()["code"] == ("UNAVAILABLE" if is_away else "OUTCOME_UNKNOWN")
    assert answer.headers["x-execution-id"] == "e-1"
    assert "e-1" in answer.json()["message"]
    assert int(answer.headers["retry-after"]) >= settings_of().accept_timeout


# --- reading --------------------------------------------------------------------------------------


@both
async def test_what_has_ended_is_told_by_the_ledger_also_while_temporal_is_away(path: str) -> None:
    connections = FakeConnections(executions=[stored(sample(path, ENDED))], is_temporal_away=True)
    answer = await call(connections, "GET", f"{path}/e-1")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


@both
async def test_what_runs_is_told_by_its_workflow_and_by_the_ledger_while_that_is_away(
    path: str,
) -> None:
    plan = json.loads(BODIES[path])
    rows = [stored(sample(path), plan=plan)]
    newest = sample(path, ExecutionStatus.CANCELLING)
    asked = await call(FakeConnections(newest, executions=rows), "GET", f"{path}/e-1")
    assert asked.json()["status"] == "cancelling"
    for connections in (
        FakeConnections(executions=rows, is_temporal_away=True),
        FakeConnections(ExecutionFailed("e-1", "terminated"), executions=rows),
    ):
        answer = await call(connections, "GET", f"{path}/e-1")
        assert (answer.status_code, answer.json()["status"]) == (200, "running")


async def test_the_ledger_tells_plan_and_legs_of_an_arbitrage_that_cannot_be_asked() -> None:
    child = snapshot("e-1:buy", status=OrderStatus.FILLED, filled_quantity=Decimal("0.1"))
    connections = FakeConnections(
        executions=[stored(sample(ARBITRAGES), plan=ARBITRAGE_PLAN)],
        orders=[child, snapshot("another-order")],
        is_temporal_away=True,
    )
    told = (await call(connections, "GET", f"{ARBITRAGES}/e-1")).json()
    assert (told["buy_exchange"], told["amount"], told["symbol"]) == ("binance", "0.1", "BTC/USDT")
    assert [(each["leg"], each["filled_amount"]) for each in told["orders"]] == [("buy", "0.1")]


@both
async def test_what_the_ledger_does_not_know_is_asked_of_temporal_and_else_unknown(
    path: str,
) -> None:
    begun = await call(FakeConnections(sample(path, ExecutionStatus.PENDING)), "GET", f"{path}/e-1")
    assert (begun.status_code, begun.json()["status"]) == (200, "pending")
    absent = await call(FakeConnections(), "GET", f"{path}/e-1")
    assert (absent.status_code, absent.json()["code"], absent.json()["field"]) == (
        404,
        "NOT_FOUND",
        "execution_id",
    )


@both
async def test_an_id_of_another_kind_is_not_found(path: str) -> None:
    other = REBALANCES if path == ARBITRAGES else ARBITRAGES
    connections = FakeConnections(executions=[stored(sample(other, ENDED))])
    assert (await call(connections, "GET", f"{path}/e-1")).status_code == 404


@both
async def test_without_the_ledger_what_temporal_does_not_know_is_no_404(path: str) -> None:
    known = FakeConnections(sample(path), is_ledger_away=True)
    assert (await call(known, "GET", f"{path}/e-1")).status_code == 200
    unknown = FakeConnections(ExecutionNotFound("e-1"), is_ledger_away=True)
    answer = await call(unknown, "GET", f"{path}/e-1")
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


async def test_a_refusal_under_the_same_id_does_not_hide_the_execution() -> None:
    refusal = sample(
        ARBITRAGES, ExecutionStatus.DENIED, code=DenialCode.IDEMPOTENCY_CONFLICT, orders=()
    )
    rows = [stored(sample(ARBITRAGES), plan=ARBITRAGE_PLAN)]
    answer = await call(FakeConnections(refusal, executions=rows), "GET", f"{ARBITRAGES}/e-1")
    assert answer.json()["status"] == "running"


async def test_pages_of_arbitrages_follow_each_other_and_hold_no_rebalancings() -> None:
    rows = [stored(arbitrage(ENDED, name)) for name in "abc"]
    connections = FakeConnections(executions=[stored(rebalance(ENDED)), *rows])
    first = (await call(connections, "GET", f"{ARBITRAGES}?limit=2")).json()
    following = f"{ARBITRAGES}?limit=2&cursor={first['next_cursor']}&status=completed"
    second = (await call(connections, "GET", following)).json()
    found = [each["execution_id"] for each in first["arbitrages"] + second["arbitrages"]]
    assert (found, second["next_cursor"]) == (["a", "b", "c"], None)
    held = (await call(connections, "GET", f"{ARBITRAGES}?status=residual_held")).json()
    assert held["arbitrages"] == []


# --- cancelling -----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (ExecutionStatus.CANCELLED, 200),
        (ExecutionStatus.UNWOUND, 200),  # what had filled was compensated
        (ExecutionStatus.CANCELLING, 202),
    ],
)
async def test_a_cancel_answers_final_or_under_way(
    path: str, end: ExecutionStatus, status: int
) -> None:
    connections = FakeConnections(sample(path, end))
    answer = await call(connections, "POST", f"{path}/e-1/cancel?reason=why%20not")
    assert (answer.status_code, answer.json()["status"]) == (status, end)
    assert connections.asked == [("e-1", "why not")]


@both
@pytest.mark.parametrize(
    ("end", "status"), [(ExecutionStatus.CANCELLED, 200), (ExecutionStatus.COMPLETED, 409)]
)
async def test_cancelling_twice_is_no_error_and_cancelling_what_ended_is_too_late(
    path: str, end: ExecutionStatus, status: int
) -> None:
    ended = sample(path, end)
    for refusal in (ExecutionEnded(ended), ExecutionNotFound("e-1")):  # forgotten by Temporal
        connections = FakeConnections(refusal, executions=[stored(ended)])
        answer = await call(connections, "POST", f"{path}/e-1/cancel")
        assert answer.status_code == status
        if status == 409:
            assert answer.json()["code"] == "ALREADY_TERMINAL"
            assert "completed" in answer.json()["message"]


@both
@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (ExecutionNotFound("e-1"), 404, "NOT_FOUND"),
        (ExecutionFailed("e-1", "terminated"), 404, "NOT_FOUND"),
        (Unavailable("Temporal gives no answer"), 503, "UNAVAILABLE"),
    ],
)
async def test_a_cancel_of_what_nobody_knows_says_so(
    path: str, refusal: Exception, status: int, code: str
) -> None:
    answer = await call(FakeConnections(refusal), "POST", f"{path}/e-1/cancel")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_cancel_while_the_lost_workflow_is_taken_up_again_says_to_try_again() -> None:
    rows = [stored(sample(ARBITRAGES), plan=ARBITRAGE_PLAN)]
    connections = FakeConnections(ExecutionFailed("e-1", "terminated"), executions=rows)
    answer = await call(connections, "POST", f"{ARBITRAGES}/e-1/cancel")
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"]


# --- legs as orders -------------------------------------------------------------------------------


async def test_a_leg_is_read_as_an_order_whose_history_is_its_executions() -> None:
    connections = FakeConnections(orders=[snapshot("arb-1:buy")])
    answer = await call(connections, "GET", "/api/v1/orders/arb-1:buy")
    assert (answer.status_code, answer.json()["order_id"]) == (200, "arb-1:buy")
    assert answer.json()["links"]["temporal_ui"].endswith("/workflows/arb-1")


async def test_a_leg_is_not_cancelled_alone_and_the_answer_names_its_execution() -> None:
    connections = FakeConnections(orders=[snapshot("arb-1:buy")])
    answer = await call(connections, "POST", "/api/v1/orders/arb-1:buy/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "PART_OF_EXECUTION")
    assert "execution arb-1" in answer.json()["message"]
    assert connections.asked == []
    absent = await call(connections, "POST", "/api/v1/orders/arb-1:sell/cancel")
    assert (absent.status_code, absent.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("order_id", ["arb-1:", ":buy", "arb-1:buy:again", "arb-1:b%20uy"])
async def test_an_id_with_a_colon_must_be_a_legs(order_id: str) -> None:
    answer = await call(FakeConnections(), "GET", f"/api/v1/orders/{order_id}")
    assert (answer.status_code, answer.json()["code"]) == (422, "ILLEGAL_CHARS")


async def test_no_order_can_be_started_under_a_legs_id() -> None:
    body = {"order_id": "arb-1:buy", "strategy_id": "s1", "exchange": "binance"}
    body |= {"symbol": "BTC/USDT", "side": "buy", "order_type": "market", "quantity": "0.1"}
    connections = FakeConnections()
    answer = await call(connections, "POST", "/api/v1/orders", content=json.dumps(body).encode())
    assert (answer.status_code, answer.json()["field"]) == (422, "order_id")
    assert connections.asked == []


def test_openapi_documents_the_plans_with_every_field_and_an_example() -> None:
    document = create_app(settings_of()).openapi()
    for path, model in ((ARBITRAGES, "ArbitragePlan"), (REBALANCES, "RebalancePlan")):
        media = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert media["schema"]["$ref"].endswith(model)
        properties = document["components"]["schemas"][model]["properties"]
        for example in media["examples"].values():
            assert set(example["value"]) <= set(properties)
