"""Steering in the ledger: recorded once, checked for what it adds, and never forgotten wrongly."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from activities.ledger.results import TradingState, UnknownOrderError
from tests.integration.ledger_world import (
    EXCHANGE,
    REFERENCE,
    World,
    an_intent,
    an_order,
)
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.ports import RecordAction
from workflows.steering_messages import ActionKind

PAUSE, RESUME, AMEND = ActionKind.PAUSE, ActionKind.RESUME, ActionKind.AMEND


def an_action(index: int, kind: ActionKind = PAUSE, **changes: Any) -> RecordAction:
    fields: dict[str, Any] = {
        "order_id": "order-1",
        "index": index,
        "kind": kind,
        "by": "ann",
        "reason": "lunch",
        "detail": "",
    }
    return RecordAction(**{**fields, **changes})


def an_amendment(index: int, request: OrderRequest, **changes: Any) -> RecordAction:
    fields: dict[str, Any] = {
        "request": request,
        "detail": f"quantity -> {request.quantity}",
        "reference_price": REFERENCE,
    }
    return an_action(index, AMEND, **{**fields, **changes})


async def record(ledger: World, *actions: RecordAction) -> list[DenialCode | None]:
    answers = [await ledger.steering.record_action(action) for action in actions]
    return [None if each.denied is None else each.denied.code for each in answers]


async def shown(ledger: World, order_id: str = "order-1") -> OrderSnapshot:
    order = await ledger.views.order(order_id)
    assert order is not None
    return order


async def rows(ledger: World) -> int:
    return int(await ledger.value("SELECT count(*) FROM order_actions"))


async def test_an_action_is_recorded_once_with_who_and_why_and_when(ledger: World) -> None:
    await ledger.open("order-1")
    answers = await asyncio.gather(*(ledger.steering.record_action(an_action(0)) for _ in range(4)))
    assert await rows(ledger) == 1
    (action,) = (await shown(ledger)).actions
    assert {answer.at for answer in answers} == {action.at}
    assert (action.index, action.kind, action.requested_by) == (0, PAUSE, "ann")
    assert (action.reason, action.detail) == ("lunch", "")
    assert action.at.endswith("+00:00")


async def test_a_pause_and_its_resume_are_the_status_of_the_order(ledger: World) -> None:
    await ledger.open("order-1")
    await record(ledger, an_action(0))
    assert (await shown(ledger)).status is OrderStatus.PAUSED
    assert (await shown(ledger)).reason == "lunch"
    await record(ledger, an_amendment(1, an_order(quantity=Decimal(4)), reason="less"))
    assert (await shown(ledger)).status is OrderStatus.PAUSED
    assert (await shown(ledger)).reason == "lunch"
    await record(ledger, an_action(2, RESUME))
    assert (await shown(ledger)).status is OrderStatus.WORKING
    assert (await shown(ledger)).reason == ""


async def test_an_amended_order_is_shown_as_it_is_now_and_kept_as_it_was(ledger: World) -> None:
    request = await ledger.open("order-1", price=Decimal(50_000))
    amended = an_order(quantity=Decimal("7.5"), price=Decimal("50100.5"))
    assert await record(ledger, an_amendment(0, amended)) == [None]
    order = await shown(ledger)
    assert (order.quantity, order.price) == (amended.quantity, amended.price)
    assert order.remaining_quantity == amended.quantity
    (row,) = await ledger.rows("SELECT body_hash, request ->> 'quantity' AS q FROM parent_orders")
    assert (row["body_hash"], row["q"]) == (request.body_hash(), "5")


async def test_a_running_order_is_told_by_its_fills_and_not_by_what_its_workflow_said_once(
    ledger: World,
) -> None:
    await ledger.open("order-1")
    told = OrderSnapshot(
        order_id="order-1",
        status=OrderStatus.WAITING_PRICE,
        quantity=Decimal(5),
        remaining_quantity=Decimal(3),
        reason="the market is beyond the limit price",
    )
    await ledger.store.save_order(told, OrderStatus.WAITING_PRICE)
    await record(ledger, an_amendment(0, an_order(quantity=Decimal(8))))
    order = await shown(ledger)
    assert (order.status, order.reason) == (OrderStatus.WAITING_PRICE, told.reason)
    assert (order.quantity, order.remaining_quantity) == (Decimal(8), Decimal(8))


async def test_an_amendment_beyond_the_limits_is_recorded_as_denied_and_changes_nothing(
    ledger: World,
) -> None:
    await ledger.open("order-1")
    huge = an_amendment(0, an_order(quantity=Decimal(11)))  # 550,000 where 500,000 may be held
    assert await record(ledger, huge, huge) == [DenialCode.RISK_MAX_POSITION] * 2
    assert await rows(ledger) == 1
    order = await shown(ledger)
    assert order.quantity == 5
    assert order.actions[0].detail.endswith("(RISK_MAX_POSITION)")


async def test_what_an_amendment_adds_counts_on_top_of_what_is_under_way(ledger: World) -> None:
    await ledger.hold("1.9")
    await ledger.open("order-1")
    await ledger.reserve(an_intent("order-1"))
    # 1.9 held and 1 under way: 7.1 more fit, of which the order has 8.1 in all
    assert await record(
        ledger,
        an_amendment(0, an_order(quantity=Decimal("8.2"))),
        an_amendment(1, an_order(quantity=Decimal("8.1"))),
    ) == [DenialCode.RISK_MAX_POSITION, None]


async def test_a_price_through_the_market_is_denied_to_an_amendment_too(ledger: World) -> None:
    await ledger.open("order-1", price=Decimal(50_000))
    far = an_order(price=REFERENCE * 2)
    stale = an_order(price=Decimal(49_000))
    assert await record(
        ledger,
        an_amendment(0, far),
        an_amendment(1, stale, reference_price=None),
        an_amendment(2, stale),
    ) == [DenialCode.RISK_PRICE_COLLAR, DenialCode.RISK_STALE_REF, None]


async def test_a_halt_stops_what_grows_and_lets_shrink(ledger: World) -> None:
    await ledger.open("order-1")
    await ledger.store.set_trading_state("global", TradingState.HALTED, "test")
    assert await record(
        ledger,
        an_amendment(0, an_order(quantity=Decimal(6))),
        an_amendment(1, an_order(quantity=Decimal(4))),
        an_action(2),
    ) == [DenialCode.TRADING_HALTED, None, None]


async def test_an_account_that_nobody_vouches_for_lets_no_order_grow(ledger: World) -> None:
    await ledger.open("order-1")
    await ledger.store.set_readiness(EXCHANGE, "main", False, Decimal(0), "test")
    larger = an_amendment(0, an_order(quantity=Decimal(6)))
    assert await record(ledger, larger) == [DenialCode.RECONCILING]


async def test_an_action_that_a_lost_task_took_gives_way_to_the_one_that_was_taken(
    ledger: World,
) -> None:
    await ledger.open("order-1")
    await record(ledger, an_amendment(0, an_order(quantity=Decimal(8))), an_action(1))
    # the workflow was set back, and another update came first
    await record(ledger, an_amendment(0, an_order(quantity=Decimal(6))))
    order = await shown(ledger)
    assert (order.quantity, order.status) == (Decimal(6), OrderStatus.WORKING)
    assert [action.index for action in order.actions] == [0]
    await record(ledger, an_action(1))  # as before the set-back, and yet anew
    assert [action.index for action in (await shown(ledger)).actions] == [0, 1]
    assert (await shown(ledger)).status is OrderStatus.PAUSED
    assert await rows(ledger) == 4


async def test_an_amendment_that_gave_way_leaves_the_order_as_it_was(ledger: World) -> None:
    await ledger.open("order-1", price=Decimal(50_000))
    changed = an_order(quantity=Decimal(8), price=Decimal(50_100))
    await record(ledger, an_amendment(0, changed), an_action(0))
    order = await shown(ledger)
    assert (order.quantity, order.price) == (Decimal(5), Decimal(50_000))
    assert await ledger.value("SELECT amended_request FROM parent_orders") is None
    await record(ledger, an_amendment(0, an_order(quantity=Decimal(99))))  # denied, in its place
    assert (await shown(ledger)).status is OrderStatus.WORKING


async def test_a_late_repetition_does_not_undo_what_came_after_it(ledger: World) -> None:
    await ledger.open("order-1")
    first, second = (an_amendment(n, an_order(quantity=Decimal(6 + n))) for n in range(2))
    await record(ledger, first, second, first)
    assert (await shown(ledger)).quantity == 7
    assert await rows(ledger) == 2


async def test_a_finished_or_unknown_order_is_not_steered(ledger: World) -> None:
    with pytest.raises(UnknownOrderError):
        await record(ledger, an_action(0))
    await ledger.open("order-1")
    end = OrderSnapshot(order_id="order-1", status=OrderStatus.CANCELLED, quantity=Decimal(5))
    await ledger.store.save_order(end, OrderStatus.CANCELLED)
    larger = an_amendment(0, an_order(quantity=Decimal(6)))
    assert await record(ledger, larger) == [DenialCode.ALREADY_TERMINAL]
    order = await shown(ledger)
    assert (order.status, order.quantity) == (OrderStatus.CANCELLED, Decimal(5))


async def test_the_audit_trail_cannot_be_changed(ledger: World) -> None:
    await ledger.open("order-1")
    await record(ledger, an_action(0))
    for change in ("UPDATE order_actions SET requested_by = 'bob'", "DELETE FROM order_actions"):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await ledger.rows(change)


async def test_a_check_answers_what_acceptance_would_and_writes_nothing(ledger: World) -> None:
    huge = an_order(quantity=Decimal(11))
    assert await ledger.steering.check_order(an_order(), REFERENCE) is None
    checked = await ledger.steering.check_order(huge, REFERENCE)
    await ledger.store.open_parent("order-1", "chain", huge)
    assert checked == await ledger.store.accept_parent("order-1", huge, REFERENCE)
    assert checked is not None
    assert await ledger.value("SELECT count(*) FROM risk_checks") == 1
    await ledger.store.set_readiness(EXCHANGE, "main", False, Decimal(0), "test")
    again = await ledger.steering.check_order(an_order(), REFERENCE)
    assert again is not None
    assert again.code is DenialCode.RECONCILING
