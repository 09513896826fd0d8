"""What a lost workflow left: taken over once, ended with what is true; operators' verdicts."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from activities.ledger.loss_store import Loss, LossStore
from activities.ledger.lost_store import LostStore
from activities.ledger.results import TradingState
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import VenueStatus
from workflows.ports import LostOrder, ReadSwitch, RecordAction, RecordVerdict
from workflows.steering_messages import ActionKind, Verdict

NOW = Decimal(0)
LOST = LostOrder(order_id="order-1", how="terminated")


def store_of(ledger: World) -> LostStore:
    return LostStore(ledger.engine)


def verdict(intent: ChildIntent, which: Verdict, order: str | None = None) -> RecordVerdict:
    return RecordVerdict(
        client_order_id=intent.client_order_id,
        attempt=1,
        verdict=which,
        venue_order_id=order,
        reason="looked at the page",
        by="ann",
    )


async def test_what_was_never_sent_is_given_up_when_an_order_is_taken_over(ledger: World) -> None:
    intent = await ledger.reserved()
    _, request, children = await store_of(ledger).take_over(LOST)
    assert request is not None
    assert children == ()
    assert await ledger.child_status(intent) == ChildStatus.NOT_SENT
    assert (await ledger.reservation(intent))[0] == "released"
    assert await ledger.store.claim(intent.client_order_id, 1, SIGNED_AT_MS) is not None
    assert await ledger.alarms() == ["ORDER_ADOPTED"]


async def test_what_was_sent_is_handed_over_with_its_attempt(ledger: World) -> None:
    intent = await ledger.sent()
    for _ in range(2):
        _, _, (child,) = await store_of(ledger).take_over(LOST)
        assert (child.intent, child.attempt, child.status) == (intent, 1, ChildStatus.SENDING)
    assert (await ledger.reservation(intent))[0] == "open"
    assert await ledger.alarms() == ["ORDER_ADOPTED"]


async def test_an_order_ends_with_what_was_filled_of_it(ledger: World) -> None:
    intent = await ledger.sent()
    half = intent.quantity / 2
    fill = a_fill("1", f"{half:f}")
    report = a_report(VenueStatus.CANCELLED, f"{half:f}", fill)
    await ledger.ack(intent, report)
    await store_of(ledger).take_over(LOST)
    for _ in range(2):
        await store_of(ledger).end_lost(LOST)
    [end] = await ledger.rows("SELECT status, filled_quantity, reason FROM parent_orders")
    assert (end["status"], end["filled_quantity"]) == ("cancelled", half)
    assert "terminated" in end["reason"]
    assert await store_of(ledger).take_over(LOST) == (
        await ledger.value("SELECT epoch FROM ledger_meta"),
        None,
        (),
    )


async def test_only_orders_without_an_end_may_be_lost(ledger: World) -> None:
    await ledger.reserved()
    await ledger.open("order-2")
    store = store_of(ledger)
    assert await store.open_orders(older_than_s=NOW) == ["order-1", "order-2"]
    assert await store.open_orders(older_than_s=Decimal(3600)) == []
    await store.take_over(LOST)
    await store.end_lost(LOST)
    assert await store.open_orders(older_than_s=NOW) == ["order-2"]


async def test_the_newest_verdict_on_an_attempt_counts_and_each_is_audited(ledger: World) -> None:
    intent = await ledger.sent()
    store = store_of(ledger)
    first = await store.record_verdict(verdict(intent, Verdict.ADOPT, "77"))
    assert isinstance(first, datetime)
    assert await store.record_verdict(verdict(intent, Verdict.ADOPT, "77")) == first
    assert await store.verdict_on(intent.client_order_id, 1) == (Verdict.ADOPT, "77")
    for order in ("78", None):
        corrected = verdict(intent, Verdict.ADOPT if order else Verdict.ABSENT, order)
        assert isinstance(await store.record_verdict(corrected), datetime)
    assert await store.verdict_on(intent.client_order_id, 1) == (Verdict.ABSENT, None)
    assert await ledger.value("SELECT count(*) FROM audit WHERE action = 'resolve_child'") == 3


async def test_verdicts_stand_among_the_actions_of_their_order_in_the_order_of_time(
    ledger: World,
) -> None:
    intent = await ledger.sent()
    store = store_of(ledger)
    pause = RecordAction(
        order_id=intent.order_id, index=0, kind=ActionKind.PAUSE, by="bob", reason="", detail=""
    )
    await store.record_verdict(verdict(intent, Verdict.ADOPT, "77"))
    await ledger.steering.record_action(pause)
    await store.record_verdict(verdict(intent, Verdict.ABSENT))
    shown = await ledger.views.order(intent.order_id)
    assert shown is not None
    assert [(each.index, each.kind, each.requested_by, each.detail) for each in shown.actions] == [
        (0, ActionKind.RESOLVE, "ann", "child 0 adopt 77"),
        (1, ActionKind.PAUSE, "bob", ""),
        (2, ActionKind.RESOLVE, "ann", "child 0 absent"),
    ]
    assert shown.actions[0].reason == "looked at the page"


async def test_an_order_that_is_another_child_cannot_be_adopted(ledger: World) -> None:
    known = await ledger.sent()
    await ledger.ack(known, a_report(VenueStatus.OPEN, "0"))
    unknown = await ledger.sent("order-2")
    order = await ledger.value("SELECT venue_order_id FROM child_orders WHERE status = 'working'")
    denied = await store_of(ledger).record_verdict(verdict(unknown, Verdict.ADOPT, str(order)))
    assert isinstance(denied, Denied)
    assert (denied.code, denied.field) == (DenialCode.NOT_UNKNOWN, "exchange_order_id")
    assert known.client_order_id in denied.detail


async def test_a_denied_order_that_was_lost_before_it_told_so_ends_denied(ledger: World) -> None:
    await ledger.open("order-1")
    await ledger.rows(
        "UPDATE parent_orders SET status = 'denied', code = 'RISK_MAX_QTY', reason = 'too much'"
    )
    store = store_of(ledger)
    await store.take_over(LOST)
    await store.end_lost(LOST)
    [end] = await ledger.rows("SELECT status, code, reason, finished_at FROM parent_orders")
    assert (end["status"], end["code"], end["reason"]) == ("denied", "RISK_MAX_QTY", "too much")
    assert await store.open_orders(older_than_s=NOW) == []


async def test_an_order_of_which_something_is_live_again_is_not_ended(ledger: World) -> None:
    intent = await ledger.sent()
    store = store_of(ledger)
    await store.end_lost(LOST)
    assert await store.open_orders(older_than_s=NOW) == ["order-1"]
    await ledger.ack(intent, a_report(VenueStatus.CANCELLED, "0"))
    await store.end_lost(LOST)
    assert await store.open_orders(older_than_s=NOW) == []


async def test_there_is_no_verdict_on_what_was_never_sent(ledger: World) -> None:
    intent = await ledger.reserved()
    store = store_of(ledger)
    denied = await store.record_verdict(verdict(intent, Verdict.ABSENT))
    assert isinstance(denied, Denied)
    assert denied.code is DenialCode.NOT_UNKNOWN
    assert await store.verdict_on(intent.client_order_id, 1) is None


async def test_the_kill_switch_is_told_as_new_orders_would_hear_it(ledger: World) -> None:
    of = ReadSwitch(strategy_id="s1", account=ACCOUNT, venue=EXCHANGE, symbol=an_intent().symbol)
    store = store_of(ledger)
    assert await store.read_switch(of) is None
    for state, code in (
        (TradingState.REDUCING, DenialCode.TRADING_REDUCING),
        (TradingState.HALTED, DenialCode.TRADING_HALTED),
    ):
        await ledger.store.set_trading_state(f"venue:{EXCHANGE}", state, "drill")
        denied = await store.read_switch(of)
        assert denied is not None
        assert denied.code is code


async def test_one_that_may_reduce_goes_on_while_the_others_are_stopped(ledger: World) -> None:
    buys = ReadSwitch(
        strategy_id="s1",
        account=ACCOUNT,
        venue=EXCHANGE,
        symbol=an_intent().symbol,
        side=Side.BUY,
    )
    sells = replace(buys, side=Side.SELL)
    store, losses = store_of(ledger), LossStore(ledger.engine)
    await ledger.hold("2")
    assert await store.read_switch(buys) is None
    loss = Loss(scope="strategy:s1", limit=Decimal(100), loss=Decimal(120))
    assert await losses.act_on(loss) is TradingState.REDUCING
    denied = await store.read_switch(buys)
    assert denied is not None
    assert denied.code is DenialCode.LOSS_LIMIT
    assert await store.read_switch(sells) is None
    assert await store.read_switch(replace(buys, reduce_only=True)) is None
    assert await losses.act_on(replace(loss, loss=Decimal(200))) is TradingState.HALTED
    for side in (buys, sells, replace(sells, reduce_only=True)):
        stopped = await store.read_switch(side)
        assert stopped is not None
        assert stopped.code is DenialCode.LOSS_LIMIT


async def test_a_switch_that_was_lifted_meanwhile_is_told_to_who_asks_since_before(
    ledger: World,
) -> None:
    now = await ledger.value("SELECT now()")
    store, scope = store_of(ledger), f"venue:{EXCHANGE}"
    of = ReadSwitch(strategy_id="s1", account=ACCOUNT, venue=EXCHANGE, symbol=an_intent().symbol)
    await ledger.store.set_trading_state(scope, TradingState.HALTED, "drill")
    await ledger.store.set_trading_state(scope, TradingState.ACTIVE, "over")
    assert await store.read_switch(of) is None
    denied = await store.read_switch(replace(of, since=now))
    assert denied is not None
    assert denied.code is DenialCode.TRADING_HALTED
    later = await ledger.value("SELECT clock_timestamp()")
    assert await store.read_switch(replace(of, since=later)) is None


async def test_a_verdict_of_absence_is_not_of_another_child_without_a_venue_order(
    ledger: World,
) -> None:
    intent, _ = await ledger.sent(), await ledger.sent("order-2")
    recorded = await store_of(ledger).record_verdict(verdict(intent, Verdict.ABSENT))
    assert isinstance(recorded, datetime)
