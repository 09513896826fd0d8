"""Executions in the ledger: registered once, all legs or none, one pair at a time, ended once."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from activities.ledger.results import ClaimCode, ParentKind, TradingState, UnknownExecutionError
from tests.integration.execution_world import (
    LOCK,
    OTHER,
    a_leg,
    a_pair,
    accept,
    an_end,
    an_execution,
    begun,
    claim,
    fill,
    legs_request,
    ready,
    the_end,
)
from tests.integration.ledger_world import EXCHANGE, World, an_order
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import Side
from workflows.execution_messages import ArbitragePlan, ArbitrageSnapshot
from workflows.plans import parse_plan
from workflows.ports import OpenExecutionKind

FILLED, EXPIRED = "filled", "expired"


# --- open ---------------------------------------------------------------------------------------


async def test_an_execution_is_new_once_for_its_own_run_chain(ledger: World) -> None:
    opened = [await ledger.executions.open_execution(an_execution()) for _ in range(2)]
    assert [each.kind for each in opened] == [OpenExecutionKind.NEW] * 2
    assert await ledger.value("SELECT count(*) FROM executions") == 1


async def test_the_stored_plan_is_the_same_plan(ledger: World) -> None:
    await ledger.executions.open_execution(an_execution(amount=Decimal("0.1")))
    stored = await ledger.views.execution("arb-1")
    assert stored is not None
    plan = parse_plan(stored.plan.encode(), ArbitragePlan)
    assert isinstance(plan, ArbitragePlan)
    assert plan.body_hash() == an_execution(amount=Decimal("0.1")).body_hash


async def test_the_same_plan_after_its_end_gets_the_stored_end(ledger: World) -> None:
    await begun(ledger)
    end = the_end(actual_profit=Decimal("12.30"), status=ExecutionStatus.PARTIAL)
    await ledger.executions.save_execution(end)
    opened = await ledger.executions.open_execution(an_execution(run_chain="later"))
    assert opened.kind is OpenExecutionKind.FINISHED
    assert json.loads(opened.stored or "") == json.loads(end.snapshot)


async def test_another_plan_under_a_known_id_is_denied(ledger: World) -> None:
    await ledger.executions.open_execution(an_execution())
    other = an_execution(run_chain="later", amount=Decimal(2))
    opened = await ledger.executions.open_execution(other)
    assert opened.kind is OpenExecutionKind.DENIED
    # the refusal adopted nothing
    again = await ledger.executions.open_execution(an_execution())
    assert again.kind is OpenExecutionKind.NEW


async def test_another_kind_under_a_known_id_is_denied(ledger: World) -> None:
    await ledger.executions.open_execution(an_execution())
    other = replace(an_execution(run_chain="later"), kind=ExecutionKind.REBALANCE)
    opened = await ledger.executions.open_execution(other)
    assert opened.kind is OpenExecutionKind.DENIED


async def test_an_id_belongs_to_one_order_or_to_one_execution(ledger: World) -> None:
    await ledger.store.open_parent("order-1", "chain", an_order())
    opened = await ledger.executions.open_execution(an_execution("order-1"))
    assert opened.kind is OpenExecutionKind.DENIED
    assert opened.detail == "execution_id=order-1 is an order"

    await ledger.executions.open_execution(an_execution("arb-1"))
    order = await ledger.store.open_parent("arb-1", "chain", an_order())
    assert order.kind is ParentKind.CONFLICT
    assert order.detail == "order_id=arb-1 is an execution"


async def test_an_open_execution_is_adopted_by_another_run_chain_for_good(ledger: World) -> None:
    await ledger.executions.open_execution(an_execution())
    for _ in range(2):
        opened = await ledger.executions.open_execution(an_execution(run_chain="second"))
        assert opened.kind is OpenExecutionKind.ADOPTED
    # the chain that lost it never trades again, should it come back
    opened = await ledger.executions.open_execution(an_execution())
    assert opened.kind is OpenExecutionKind.ADOPTED


async def test_who_adopts_gets_every_leg_as_the_ledger_knows_it(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "0.4", fee="0.0004")
    opened = await ledger.executions.open_execution(an_execution(run_chain="second"))
    assert opened.epoch == await ledger.value("SELECT epoch FROM ledger_meta")
    first, second = opened.legs
    assert (first.order_id, second.order_id) == (buy.order_id, sell.order_id)
    assert (first.intent, second.intent) == (buy.first.intent, sell.first.intent)
    assert (first.request, second.request) == (buy.request, sell.request)
    assert (first.status, second.status) == (ChildStatus.EXPIRED, ChildStatus.READY)
    assert first.report is not None
    assert first.report.filled_quantity == Decimal("0.4")
    assert first.report.fees == {"BTC": Decimal("0.0004")}
    assert (second.report, second.attempt) == (None, 1)


# --- accept -------------------------------------------------------------------------------------


async def test_all_legs_are_registered_reserved_and_locked_in_one_step(ledger: World) -> None:
    buy, sell = await begun(ledger)
    for leg in (buy, sell):
        assert await ledger.reservation(leg.first.intent) == ("open", Decimal(1))
        assert await ledger.child_status(leg.first.intent) == "ready"
        shown = await ledger.views.order(leg.order_id)
        assert shown is not None
        assert shown.status == "working"
    assert await ledger.value("SELECT execution_id FROM execution_locks") == "arb-1"
    assert await ledger.value("SELECT status FROM executions") == "running"


async def test_the_same_legs_again_get_the_same_answer(ledger: World) -> None:
    pair = await begun(ledger)
    before = await ledger.value("SELECT count(*) FROM risk_checks")
    answers = await asyncio.gather(*(accept(ledger, *pair) for _ in range(4)))
    assert len(set(answers)) == 1
    epoch = await ledger.value("SELECT epoch FROM ledger_meta")
    assert [each.epoch for each in answers[0].reserved] == [epoch, epoch]
    assert await ledger.value("SELECT count(*) FROM risk_checks") == before
    assert await ledger.value("SELECT sum(quantity) FROM reservations") == 2


async def test_legs_with_other_figures_are_all_to_be_resolved(ledger: World) -> None:
    await begun(ledger)
    same, other = a_pair()[0], a_pair(quantity=Decimal("0.5"))[1]
    verdict = await accept(ledger, same, other)
    assert [each.resolve_attempt for each in verdict.reserved] == [1, 1]
    assert await ledger.value("SELECT sum(quantity) FROM reservations") == 2


async def test_legs_to_be_resolved_name_the_epoch_in_which_they_were_reserved(
    ledger: World,
) -> None:
    """So that one which was never claimed is proven absent at once, by that ledger alone."""
    before = await ledger.value("SELECT epoch FROM ledger_meta")
    await begun(ledger)
    await ledger.store.new_epoch()
    assert await ledger.value("SELECT epoch FROM ledger_meta") != before
    verdict = await accept(ledger, *a_pair(quantity=Decimal("0.5")))
    assert [each.epoch for each in verdict.reserved] == [before, before]
    assert [each.resolve_attempt for each in verdict.reserved] == [1, 1]


async def test_a_denied_leg_undoes_the_others_and_leaves_an_audit(ledger: World) -> None:
    await ready(ledger)
    await ledger.executions.open_execution(an_execution())
    buy = a_leg("arb-1", "buy", Side.BUY, EXCHANGE)
    sell = a_leg("arb-1", "sell", Side.SELL, OTHER, price=Decimal(48_000))
    verdict = await accept(ledger, buy, sell)
    assert verdict.denied is not None
    assert (verdict.denied.code, verdict.denied_leg) == (
        DenialCode.RISK_PRICE_COLLAR,
        sell.order_id,
    )
    for table in ("parent_orders", "child_orders", "reservations", "execution_locks", "attempts"):
        assert await ledger.rows(f"SELECT * FROM {table}") == []
    (row,) = await ledger.rows("SELECT * FROM risk_checks")
    assert (row["kind"], row["subject"]) == ("execution", "arb-1:buy arb-1:sell")
    assert (row["verdict"], row["code"]) == ("denied", "RISK_PRICE_COLLAR")
    assert await accept(ledger, buy, sell) == verdict


async def test_a_leg_that_was_approved_in_other_company_is_denied_with_other_figures(
    ledger: World,
) -> None:
    await begun(ledger)
    verdict = await accept(ledger, a_pair(quantity=Decimal("0.5"))[0])
    assert verdict.denied is not None
    assert (verdict.denied.code, verdict.denied_leg) == (
        DenialCode.IDEMPOTENCY_CONFLICT,
        "arb-1:buy",
    )
    assert await ledger.value("SELECT sum(quantity) FROM reservations") == 2


async def test_every_account_must_be_vouched_for(ledger: World) -> None:
    await ledger.executions.open_execution(an_execution())
    verdict = await accept(ledger, *a_pair())
    assert verdict.denied is not None
    assert verdict.denied.code is DenialCode.RECONCILING
    assert verdict.denied_leg == "arb-1:sell"


@pytest.mark.parametrize("scope", ["global", f"venue:{EXCHANGE}", f"venue:{OTHER}", "strategy:s1"])
async def test_a_halt_of_any_venue_stops_all_legs(ledger: World, scope: str) -> None:
    await ready(ledger)
    await ledger.store.set_trading_state(scope, TradingState.HALTED, "test")
    await ledger.executions.open_execution(an_execution())
    verdict = await accept(ledger, *a_pair())
    assert verdict.denied is not None
    assert verdict.denied.code is DenialCode.TRADING_HALTED
    assert await ledger.rows("SELECT * FROM reservations") == []


async def test_an_execution_that_was_never_opened_gets_no_legs(ledger: World) -> None:
    with pytest.raises(UnknownExecutionError):
        await accept(ledger, *a_pair())


async def test_an_execution_that_ended_gets_no_legs(ledger: World) -> None:
    await ready(ledger)
    await ledger.executions.open_execution(an_execution())
    await ledger.executions.save_execution(the_end(status=ExecutionStatus.FAILED))
    verdict = await accept(ledger, *a_pair())
    assert verdict.denied is not None
    assert verdict.denied.code is DenialCode.ALREADY_TERMINAL


# --- the pair's lock ----------------------------------------------------------------------------


async def test_one_execution_at_a_time_holds_a_pair(ledger: World) -> None:
    await begun(ledger)
    await ledger.executions.open_execution(an_execution("arb-2"))
    verdict = await accept(ledger, *a_pair("arb-2"), execution_id="arb-2")
    assert verdict.denied is not None
    assert verdict.denied.code is DenialCode.PAIR_BUSY
    assert verdict.denied.detail == f"pair={LOCK} held_by=arb-1"
    assert verdict.denied_leg is None


async def test_the_holder_may_take_its_lock_again(ledger: World) -> None:
    await begun(ledger)
    more = a_leg("arb-1", "complete-1", Side.SELL, OTHER, quantity=Decimal("0.1"))
    assert (await accept(ledger, more)).denied is None


async def test_of_many_at_once_one_gets_the_pair_and_none_waits_for_another(ledger: World) -> None:
    await ready(ledger)
    ids = [f"arb-{number}" for number in range(8)]
    for name in ids:
        await ledger.executions.open_execution(an_execution(name))
    verdicts = await asyncio.gather(
        *(accept(ledger, *a_pair(name, quantity=Decimal("0.1")), execution_id=name) for name in ids)
    )
    codes = [each.denied.code if each.denied else None for each in verdicts]
    assert codes.count(None) == 1
    assert codes.count(DenialCode.PAIR_BUSY) == len(ids) - 1


async def test_legs_of_both_directions_at_once_do_not_wait_for_each_other(ledger: World) -> None:
    await ready(ledger)
    verdicts = []
    for turn in range(5):
        there, back = f"there-{turn}", f"back-{turn}"
        for name in (there, back):
            await ledger.executions.open_execution(an_execution(name))
        small = {"quantity": Decimal("0.01")}
        requests = [
            legs_request(*a_pair(there, **small), execution_id=there, locks=(there,)),
            legs_request(*reversed(a_pair(back, **small)), execution_id=back, locks=(back,)),
        ]
        verdicts += await asyncio.gather(*map(ledger.executions.accept_legs, requests))
    assert [each.denied for each in verdicts] == [None] * 10


async def test_the_end_releases_the_pair(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "1")
    await fill(ledger, sell, "1")
    ends = (an_end(buy, FILLED, "1"), an_end(sell, FILLED, "1"))
    await ledger.executions.save_execution(the_end(*ends))
    assert await ledger.rows("SELECT * FROM execution_locks") == []
    await ledger.executions.open_execution(an_execution("arb-2"))
    verdict = await accept(ledger, *a_pair("arb-2"), execution_id="arb-2")
    assert verdict.denied is None


# --- save ---------------------------------------------------------------------------------------


async def test_the_end_of_an_execution_is_the_end_of_its_legs(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "1")
    await fill(ledger, sell, "0")
    ends = (an_end(buy, FILLED, "1"), an_end(sell, EXPIRED))
    end = the_end(*ends, status=ExecutionStatus.RESIDUAL_HELD, error="nobody buys it")
    assert await ledger.executions.save_execution(end) is None
    rows = await ledger.rows("SELECT status, finished_at FROM parent_orders ORDER BY order_id")
    assert [row["status"] for row in rows] == [FILLED, EXPIRED]
    assert None not in [row["finished_at"] for row in rows]
    (row,) = await ledger.rows("SELECT status, reason, finished_at FROM executions")
    assert (row["status"], row["reason"]) == ("residual_held", "nobody buys it")
    assert row["finished_at"] is not None


async def test_an_end_is_final_and_told_to_whoever_ends_it_again(ledger: World) -> None:
    await begun(ledger)
    first = the_end(status=ExecutionStatus.FAILED)
    assert await ledger.executions.save_execution(first) is None
    stored = await ledger.executions.save_execution(the_end(status=ExecutionStatus.COMPLETED))
    assert stored is not None
    assert ArbitrageSnapshot.model_validate_json(stored).status is ExecutionStatus.FAILED
    assert await ledger.value("SELECT status FROM executions") == "failed"


async def test_a_state_on_the_way_keeps_the_pair(ledger: World) -> None:
    await begun(ledger)
    await ledger.executions.save_execution(the_end(status=ExecutionStatus.CANCELLING))
    assert await ledger.value("SELECT count(*) FROM execution_locks") == 1
    assert await ledger.executions.save_execution(the_end()) is None


async def test_the_end_releases_legs_that_the_workflow_forgot(ledger: World) -> None:
    """A task that was done again: its first try had reserved both legs, the second denied."""
    pair = await begun(ledger)
    denied = the_end(status=ExecutionStatus.DENIED, code=DenialCode.BELOW_MIN_PROFIT)
    await ledger.executions.save_execution(denied)
    for leg in pair:
        assert (await ledger.reservation(leg.first.intent))[0] == "released"
        refused = await claim(ledger, leg)
        assert refused is not None
        assert refused.code is ClaimCode.ATTEMPT_CLOSED
    assert await ledger.rows("SELECT * FROM parent_orders WHERE status <> 'cancelled'") == []
    assert await ledger.alarms() == []
    assert await ledger.value("SELECT code FROM executions") == "BELOW_MIN_PROFIT"


async def test_a_forgotten_leg_that_was_sent_is_left_open_and_alarmed(ledger: World) -> None:
    buy, _ = await begun(ledger)
    await claim(ledger, buy)
    await ledger.executions.save_execution(the_end(status=ExecutionStatus.FAILED))
    assert (await ledger.reservation(buy.first.intent))[0] == "open"
    (alarm,) = await ledger.views.alarms()
    assert (alarm.code, alarm.object) == ("LEG_LEFT_OPEN", buy.order_id)


async def test_the_end_of_an_unknown_execution_is_alarmed(ledger: World) -> None:
    assert await ledger.executions.save_execution(the_end()) is None
    assert await ledger.alarms() == ["UNKNOWN_EXECUTION"]


async def test_the_end_of_a_leg_that_was_denied_with_others_is_no_news(ledger: World) -> None:
    await ledger.executions.open_execution(an_execution())
    buy, _ = a_pair()
    await ledger.executions.save_execution(the_end(an_end(buy, "denied")))
    assert await ledger.alarms() == []
