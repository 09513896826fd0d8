"""Steering, previews and reports of progress over HTTP, against stand-ins."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.watch_rows import StoredWatch
from starters.errors import (
    AlreadyTerminal,
    EffectPending,
    OrderFailed,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
)
from tests.unit.order_bodies import KINDS
from tests.unit.starters_fakes import (
    FakeConnections,
    call,
    iceberg_snapshot,
    snapshot,
    stop_snapshot,
    twap_snapshot,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.domain.triggers import Direction, TriggerSource, TriggerSpec, TriggerState
from workflows.messages import OrderSnapshot
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import ActionKind, AmendRequest

ORDERS = "/api/v1/orders"
PAUSED = snapshot(status=OrderStatus.PAUSED)
NO_BODY: dict[str, Any] = {}


def body(**fields: Any) -> dict[str, bytes]:
    return {"content": json.dumps(fields).encode()}


@pytest.mark.parametrize("action", [ActionKind.PAUSE, ActionKind.RESUME])
@pytest.mark.parametrize(
    ("sent", "by", "reason"),
    [
        (NO_BODY, "desk-2", ""),
        (body(), "desk-2", ""),
        (body(reason="news"), "desk-2", "news"),
        (body(requested_by="desk-2", reason="news"), "desk-2", "news"),
    ],
)
async def test_a_pause_or_resume_says_who_asks_and_answers_the_order(
    action: ActionKind, sent: dict[str, Any], by: str, reason: str
) -> None:
    connections = FakeConnections(PAUSED)
    answer = await call(connections, "POST", f"{ORDERS}/a/{action}", **sent)
    assert (answer.status_code, answer.json()["status"]) == (200, "paused")
    ((kind, order_id, request),) = connections.asked
    assert (kind, order_id) == (action, "a")
    assert (request.requested_by, request.reason) == (by, reason)


async def test_an_amendment_is_read_exactly_and_answers_the_order() -> None:
    connections = FakeConnections(snapshot())
    sent = b'{"price": 49900.10, "quantity": "2.5", "end_at": "2030-01-31T13:00:00+01:00"}'
    answer = await call(connections, "PATCH", f"{ORDERS}/a", content=sent)
    assert (answer.status_code, answer.json()["order_id"]) == (200, "a")
    ((kind, order_id, request),) = connections.asked
    assert (kind, order_id) == (ActionKind.AMEND, "a")
    assert request == AmendRequest(
        price=Decimal("49900.1"),
        quantity=Decimal("2.5"),
        end_at=datetime(2030, 1, 31, 12, tzinfo=UTC),
        requested_by="desk-2",
    )


STEERING = [
    ("POST", f"{ORDERS}/a/pause", NO_BODY),
    ("POST", f"{ORDERS}/a/resume", NO_BODY),
    ("PATCH", f"{ORDERS}/a", body(price=1)),
]


@pytest.mark.parametrize(("method", "path", "sent"), STEERING)
@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (EffectPending(snapshot()), 202, None),
        (OrderNotFound("a"), 404, "NOT_FOUND"),
        (AlreadyTerminal(snapshot(status=OrderStatus.FILLED)), 409, "ALREADY_TERMINAL"),
        (OrderFailed("a", "order a failed"), 409, "ALREADY_TERMINAL"),
        (OutcomeUnknown("a"), 503, "OUTCOME_UNKNOWN"),
        (
            Refused("a", Denied(code=DenialCode.NOT_STEERABLE, detail="it ends at once")),
            409,
            "NOT_STEERABLE",
        ),
        (
            Refused("a", Denied(code=DenialCode.PRECISION, detail="off the tick", field="price")),
            422,
            "PRECISION",
        ),
    ],
)
async def test_each_outcome_of_steering_has_its_status_and_code(
    method: str, path: str, sent: dict[str, Any], outcome: Exception, status: int, code: str | None
) -> None:
    answer = await call(FakeConnections(outcome), method, path, **sent)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    if isinstance(outcome, Refused):
        assert answer.json()["field"] == outcome.denied.field
        assert answer.json()["message"] == outcome.denied.detail
    if status == 503:
        assert answer.headers["retry-after"]


@pytest.mark.parametrize(("method", "path", "sent"), STEERING)
async def test_an_order_that_temporal_forgot_has_ended(
    method: str, path: str, sent: dict[str, Any]
) -> None:
    ended = snapshot("a", status=OrderStatus.FILLED)
    answer = await call(FakeConnections(OrderNotFound("a"), orders=[ended]), method, path, **sent)
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_TERMINAL")


async def test_a_leg_is_not_steered_on_its_own() -> None:
    connections = FakeConnections(orders=[snapshot("arb-1:buy")])
    answer = await call(connections, "POST", f"{ORDERS}/arb-1:buy/pause")
    assert (answer.status_code, answer.json()["code"]) == (409, "PART_OF_EXECUTION")
    assert connections.asked == []


@pytest.mark.parametrize(
    ("method", "path", "sent", "code", "field"),
    [
        ("PATCH", "a", {}, "MISSING_FIELD", None),
        ("PATCH", "a", {"reason": "none of the four"}, "MISSING_FIELD", None),
        ("PATCH", "a", {"price": 0}, "NOT_POSITIVE", "price"),
        ("PATCH", "a", {"quantity": "-1"}, "NOT_POSITIVE", "quantity"),
        ("PATCH", "a", {"quantity": "NaN"}, "INVALID_DECIMAL", "quantity"),
        ("PATCH", "a", {"end_at": "2030-01-31"}, "INVALID_TIME", "end_at"),
        ("PATCH", "a", {"max_participation": 1}, "OUT_OF_RANGE", "max_participation"),
        ("PATCH", "a", {"side": "sell"}, "UNKNOWN_FIELD", "side"),
        ("PATCH", "a", {"price": "1", "reason": "a\0"}, "ILLEGAL_CHARS", "reason"),
        ("POST", "a/pause", {"price": 1}, "UNKNOWN_FIELD", "price"),
        ("POST", "a/pause", {"requested_by": 7}, "INVALID_TYPE", "requested_by"),
        ("POST", "a/pause", {"requested_by": "desk-1"}, "FIELD_NOT_ALLOWED", "requested_by"),
        ("POST", "a/resume", {"reason": "x" * 501}, "TOO_LONG", "reason"),
    ],
)
async def test_bad_steering_is_refused_before_anything_is_asked(
    method: str, path: str, sent: dict[str, Any], code: str, field: str | None
) -> None:
    connections = FakeConnections(snapshot())
    answer = await call(connections, method, f"{ORDERS}/{path}", **body(**sent))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert connections.asked == []


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"reason":"a"}', {}, 415),
        (b'{"reason":"a"}', {"Content-Type": "text/plain"}, 415),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"reason":"a","reason":"b"}', {"Content-Type": "application/json"}, 400),
        (b" " * 70_000, {"Content-Type": "application/json"}, 413),
    ],
)
async def test_a_body_of_a_pause_is_as_strict_as_an_orders(
    content: bytes, headers: dict[str, str], status: int
) -> None:
    connections = FakeConnections(PAUSED)
    path = f"{ORDERS}/a/pause"
    answer = await call(connections, "POST", path, content=content, headers=headers)
    assert answer.status_code == status
    assert connections.asked == []


# --- preview --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_preview_answers_the_verdict_and_starts_nothing(accepted: bool) -> None:
    code = None if accepted else DenialCode.RISK_MAX_NOTIONAL
    connections = FakeConnections(OrderPreview(accepted=accepted, code=code))
    answer = await call(connections, "POST", f"{ORDERS}/preview", **body(**KINDS["twap"]))
    assert (answer.status_code, answer.json()["accepted"]) == (200, accepted)
    assert answer.json()["code"] == code
    (asked,) = connections.asked
    assert asked.order_type == "twap"
    assert "x-order-id" not in answer.headers


async def test_a_preview_of_what_is_no_order_is_refused_as_the_order_would_be() -> None:
    connections = FakeConnections()
    sent = body(**KINDS["oco"] | {"oco_limit_price": "48000"})
    answer = await call(connections, "POST", f"{ORDERS}/preview", **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "OCO_PRICES")
    assert connections.asked == []


async def test_a_preview_while_temporal_is_away_is_503() -> None:
    away = FakeConnections(is_temporal_away=True)
    answer = await call(away, "POST", f"{ORDERS}/preview", **body(**KINDS["market"]))
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


# --- progress -------------------------------------------------------------------------------------

REPORTS = {
    "twap-progress": (twap_snapshot("x"), "NOT_A_TWAP", ("slices_done", 3)),
    "iceberg-progress": (iceberg_snapshot("x"), "NOT_AN_ICEBERG", ("current_tip", "0.008")),
    "stop-progress": (stop_snapshot("x"), "NOT_A_STOP", ("extreme", "50508")),
}


@pytest.mark.parametrize("route", REPORTS)
async def test_a_report_tells_of_its_own_type_and_of_no_other(route: str) -> None:
    for kind, (told, _code, (name, value)) in REPORTS.items():
        answer = await call(FakeConnections(told), "GET", f"{ORDERS}/x/{route}")
        if kind == route:
            assert answer.status_code == 200
            assert (answer.json()[name], answer.json()["order_id"]) == (value, "x")
            assert answer.json()["filled_quantity"] == "0.05"
        else:
            assert (answer.status_code, answer.json()["code"]) == (404, REPORTS[route][1])


@pytest.mark.parametrize("route", REPORTS)
async def test_a_report_comes_from_the_ledger_while_temporal_is_away(route: str) -> None:
    connections = FakeConnections(is_temporal_away=True, orders=[REPORTS[route][0]])
    assert (await call(connections, "GET", f"{ORDERS}/x/{route}")).status_code == 200


async def test_a_cancelled_stop_says_that_nothing_protects_the_position_any_more() -> None:
    told = stop_snapshot(is_protected=False, phase="disarmed").model_copy(
        update={"status": OrderStatus.CANCELLED, "reason": "user_request"}
    )
    answer = await call(FakeConnections(told), "POST", f"{ORDERS}/s/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["stop"]["is_protected"] is False
    assert answer.json()["filled_quantity"] == "0.05"


# --- one truth ------------------------------------------------------------------------------------


def stored(status: OrderStatus) -> OrderSnapshot:
    return snapshot("a", status=status, filled_quantity=Decimal("0.01"))


@pytest.mark.parametrize(
    ("in_ledger", "told", "shown"),
    [
        (stored(OrderStatus.WORKING), snapshot(status=OrderStatus.WAITING_PRICE), "waiting_price"),
        (stored(OrderStatus.ACCEPTED), PAUSED, "paused"),
        (stored(OrderStatus.WORKING), snapshot(status=OrderStatus.FILLED), "filled"),
        (stored(OrderStatus.FILLED), snapshot(status=OrderStatus.SETTLING), "filled"),
        (None, snapshot(status=OrderStatus.PENDING), "pending"),
        (stored(OrderStatus.PAUSED), OrderNotFound("a"), "paused"),
        (stored(OrderStatus.WORKING), OrderFailed("a", "order a failed"), "working"),
        (
            stored(OrderStatus.WORKING),
            snapshot(status=OrderStatus.DENIED, code=DenialCode.IDEMPOTENCY_CONFLICT),
            "working",
        ),
    ],
)
async def test_a_running_order_is_as_its_workflow_tells_and_an_ended_one_as_the_ledger(
    in_ledger: OrderSnapshot | None, told: OrderSnapshot | Exception, shown: str
) -> None:
    connections = FakeConnections(told, orders=[in_ledger] if in_ledger else [])
    answer = await call(connections, "GET", f"{ORDERS}/a")
    assert (answer.status_code, answer.json()["status"]) == (200, shown)


async def test_a_running_order_is_read_from_the_ledger_while_temporal_is_away() -> None:
    connections = FakeConnections(is_temporal_away=True, orders=[stored(OrderStatus.PAUSED)])
    answer = await call(connections, "GET", f"{ORDERS}/a")
    assert (answer.status_code, answer.json()["status"]) == (200, "paused")


async def test_a_page_tells_of_running_orders_what_their_workflows_tell() -> None:
    rows = [stored(OrderStatus.ACCEPTED), snapshot("b", status=OrderStatus.FILLED)]
    told = snapshot("a", status=OrderStatus.WAITING_PRICE)
    answer = await call(FakeConnections(told, orders=rows), "GET", ORDERS)
    shown = [(each["order_id"], each["status"]) for each in answer.json()["orders"]]
    assert shown == [("a", "waiting_price"), ("b", "filled")]


@pytest.mark.parametrize(
    ("status", "found"),
    [("waiting_price", ["a"]), ("accepted", []), ("working", []), ("filled", ["b"])],
)
async def test_a_page_of_one_state_goes_by_what_the_workflows_tell(
    status: str, found: list[str]
) -> None:
    rows = [stored(OrderStatus.ACCEPTED), snapshot("b", status=OrderStatus.FILLED)]
    told = snapshot("a", status=OrderStatus.WAITING_PRICE)
    answer = await call(FakeConnections(told, orders=rows), "GET", f"{ORDERS}?status={status}")
    assert [each["order_id"] for each in answer.json()["orders"]] == found


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_page_is_told_by_the_ledger_where_no_workflow_answers(is_away: bool) -> None:
    rows = [stored(OrderStatus.PAUSED), snapshot("arb-1:buy")]
    connections = FakeConnections(OrderNotFound("a"), orders=rows, is_temporal_away=is_away)
    answer = await call(connections, "GET", ORDERS)
    shown = [(each["order_id"], each["status"]) for each in answer.json()["orders"]]
    assert shown == [("a", "paused"), ("arb-1:buy", "working")]


async def test_an_armed_trigger_is_told_as_its_follower_stored_it() -> None:
    spec = TriggerSpec(
        side=Side.SELL,
        direction=Direction.DOWN,
        source=TriggerSource.BID_ASK,
        trailing_delta_bps=100,
    )
    watch = StoredWatch(
        watch_id="s/0",
        order_id="s",
        account="main",
        spec=spec,
        state=TriggerState(is_active=True, extreme=Decimal(60_000)),
        armed_at_ms=1_577_836_800_000,
        is_blind=True,
    )
    for path in ("s", "s/stop-progress"):
        connections = FakeConnections(stop_snapshot(), rows={"armed_watch": watch})
        told = (await call(connections, "GET", f"{ORDERS}/{path}")).json()
        stop = told.get("stop", told)
        assert (stop["extreme"], stop["trigger_price"]) == ("60000", "59400")
        assert stop["armed_at"] == "2020-01-01T00:00:00Z"
        assert (stop["is_blind"], stop["is_protected"]) == (True, False)
