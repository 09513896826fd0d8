"""An alarm whose condition has ended is closed by the engine; what a human must see stays open."""

from decimal import Decimal

from activities.ledger.alarm_store import AlarmStore
from activities.ledger.book_store import BookStore, FeeRate
from activities.ledger.loss_store import Loss, LossStore
from activities.ledger.results import TradingState
from activities.ledger.risk_store import RiskStore
from activities.ledger.state_store import StateStore
from activities.ledger.store_states import Setting
from activities.ledger.sync_store import Observer, SyncStore
from activities.ledger.view_models import AlarmView
from tests.integration.execution_world import an_end, begun, claim, the_end
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SYMBOL,
    World,
    a_fill,
    a_report,
    an_order,
)
from tests.integration.test_ledger_watches import a_watch
from workflows.domain.alarms import AlarmCode
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reconciliation import Difference, DifferenceKind
from workflows.domain.reports import VenueStatus
from workflows.domain.scopes import Scope, parse_scope
from workflows.messages import OrderSnapshot
from workflows.ports import RecordAction
from workflows.steering_messages import ActionKind

PLACE = f"{EXCHANGE}/{ACCOUNT}"


async def closed(ledger: World) -> set[tuple[str, str]]:
    """Those that the engine closed, and why."""
    shown = await ledger.views.alarms(include_acknowledged=True)
    return {(each.code, each.note) for each in shown if each.acknowledged_by == "engine"}


async def test_an_order_that_was_unknown_closes_its_alarm_when_the_exchange_shows_it(
    ledger: World,
) -> None:
    intent = await ledger.sent()
    name = intent.client_order_id
    await ledger.store.record_unknown(name, 1, "no answer")
    for code in (AlarmCode.UNKNOWN_ORDER, AlarmCode.VERDICT_NOT_FOLLOWED, AlarmCode.FILLS_MISSING):
        await ledger.store.raise_alarm(code, name, "since a while")
    await ledger.store.raise_alarm(AlarmCode.UNKNOWN_ORDER, "another", "since a while")
    await ledger.book(intent, a_report(VenueStatus.OPEN, "0"))
    assert await closed(ledger) == {("UNKNOWN_ORDER", "resolved")}
    assert await ledger.alarms() == ["FILLS_MISSING", "UNKNOWN_ORDER", "VERDICT_NOT_FOLLOWED"]
    await ledger.book(intent, a_report(VenueStatus.FILLED, "1"))
    assert "FILLS_MISSING" in await ledger.alarms()
    await ledger.book(intent, a_report(VenueStatus.FILLED, "1", a_fill("t1", "1")))
    assert await ledger.alarms() == ["UNKNOWN_ORDER", "VERDICT_NOT_FOLLOWED"]


async def test_an_order_that_never_was_closes_its_alarm(ledger: World) -> None:
    absent, refused = await ledger.sent("order-1"), await ledger.sent("order-2")
    for intent in (absent, refused):
        name = intent.client_order_id
        await ledger.store.record_unknown(name, 1, "no answer")
        await ledger.store.raise_alarm(AlarmCode.UNKNOWN_ORDER, name, "since a while")
    await ledger.store.prove_absent(absent.client_order_id, 1)
    assert await ledger.alarms() == ["UNKNOWN_ORDER"]
    await ledger.store.record_rejection(refused.client_order_id, 1, "REFUSED", "by the venue")
    assert await ledger.alarms() == []
    # one that comes while the answer is already known is closed by whoever looks next
    await ledger.store.raise_alarm(AlarmCode.UNKNOWN_ORDER, refused.client_order_id, "late")
    await ledger.store.close_attempt(refused.client_order_id, 1)
    assert await ledger.alarms() == []


async def test_a_trade_whose_order_becomes_known_closes_its_alarm(ledger: World) -> None:
    intent = await ledger.sent()
    for trade in ("t1", "t2"):
        about = f"{PLACE}/{SYMBOL}/{trade}"
        await ledger.store.raise_alarm(AlarmCode.TRADE_WITHOUT_ORDER, about, "whose?")
    await ledger.book(intent, a_report(VenueStatus.OPEN, "0.5", a_fill("t1", "0.5")))
    (open_still,) = await ledger.views.alarms()
    assert open_still.object == f"{PLACE}/{SYMBOL}/t2"


async def test_an_account_that_is_read_again_closes_its_alarm(ledger: World) -> None:
    await ledger.store.raise_alarm(AlarmCode.ACCOUNT_NOT_FOLLOWED, PLACE, "away")
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, False, Decimal(0), "away")
    assert await ledger.alarms() == ["ACCOUNT_NOT_FOLLOWED"]
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(5), "followed")
    assert await closed(ledger) == {("ACCOUNT_NOT_FOLLOWED", "resolved")}


async def test_a_break_that_nobody_sees_any_more_closes_its_alarm(ledger: World) -> None:
    store = SyncStore(ledger.engine, alarm_after_s=Decimal(-1))
    kind = DifferenceKind.BALANCE
    found = Difference(
        kind=kind, object="BTC", ours=Decimal(1), theirs=Decimal(2), value=None, detail=""
    )
    for observer in Observer:
        await store.observe(observer, EXCHANGE, ACCOUNT, [found], looked_at=[kind])
    await store.escalate(EXCHANGE)
    await store.alarm_blind(EXCHANGE, ACCOUNT, "away")
    await store.observe(Observer.SYNC, EXCHANGE, ACCOUNT, [], looked_at=[kind])
    assert await ledger.alarms() == ["DROP_COPY_BLIND", "RECON_BREAK"]
    await store.observe(Observer.DROP_COPY, EXCHANGE, ACCOUNT, [], looked_at=[kind])
    assert await ledger.alarms() == []


async def test_a_guard_that_guards_again_closes_its_alarm(ledger: World) -> None:
    states, scope = StateStore(ledger.engine), _scope("global")
    guard = an_order(order_type="stop_loss", stop_price="49000", side="sell")
    for order_id in ("order-1", "order-2", "order-3"):
        await ledger.store.open_parent(order_id, "chain", guard)
    await ledger.watches.arm(a_watch("order-1/0"))
    await states.alarm_unprotected(scope, at_venue_too=True)
    for which, left in (("global", 3), (f"venue:{EXCHANGE}", 3)):
        await states.set(_scope(which), _setting(TradingState.HALTED))
        assert len(await ledger.alarms()) == left
    await states.set(_scope("global"), _setting(TradingState.ACTIVE))
    assert len(await ledger.alarms()) == 3  # its venue is halted still
    await states.set(_scope(f"venue:{EXCHANGE}"), _setting(TradingState.ACTIVE))
    assert await _objects(ledger) == ["order-2", "order-3"]
    resume = RecordAction(
        order_id="order-2", index=0, kind=ActionKind.RESUME, by="ann", reason="", detail=""
    )
    await ledger.steering.record_action(resume)
    assert await _objects(ledger) == ["order-3"]
    for code in (AlarmCode.STOP_EXHAUSTED, AlarmCode.OCO_LEG_LOST):
        await ledger.store.raise_alarm(code, "order-3", "look")
    ended = await ledger.views.order("order-3")
    assert ended is not None
    filled = ended.model_copy(update={"status": OrderStatus.FILLED})
    await ledger.store.save_order(OrderSnapshot.model_validate(filled), OrderStatus.FILLED)
    assert await ledger.alarms() == []


async def test_an_execution_that_ends_closes_what_its_legs_had_caused(ledger: World) -> None:
    await begun(ledger)
    for about in ("arb-1", "arb-2"):
        for code in (
            AlarmCode.NAKED_LEG,
            AlarmCode.RESIDUAL_BEYOND_BOUND,
            AlarmCode.COMPENSATION_DENIED,
        ):
            await ledger.store.raise_alarm(code, about, "1 BTC")
    await ledger.executions.save_execution(the_end(status=ExecutionStatus.FAILED))
    assert await _objects(ledger) == ["arb-2"] * 3


async def test_a_leg_that_was_left_open_closes_its_alarm_with_its_end(ledger: World) -> None:
    buy, _ = await begun(ledger)
    await claim(ledger, buy)
    await ledger.executions.save_execution(the_end(status=ExecutionStatus.FAILED))
    assert await ledger.alarms() == ["LEG_LEFT_OPEN"]
    await ledger.store.save_order(an_end(buy, "cancelled"), OrderStatus.CANCELLED)
    assert await ledger.alarms() == []


async def test_the_last_fee_of_an_asset_that_is_valued_closes_its_alarm(ledger: World) -> None:
    books, intent = BookStore(ledger.engine), await ledger.sent()
    paid = [a_fill(name, "0.5", fee=Decimal("0.01"), fee_asset="BNB") for name in ("t1", "t2")]
    await ledger.book(intent, a_report(VenueStatus.FILLED, "1", *paid))
    about = f"{EXCHANGE}/{SYMBOL}/BNB"
    await ledger.store.raise_alarm(AlarmCode.FEE_NOT_VALUED, about, "since an hour")
    first, second = await books.fees_to_value(is_old=False)
    rate = FeeRate(rate=Decimal(600), source="BNB/USDT close")
    await books.save_fee_values({first.fill_id: rate})
    assert await _objects(ledger) == [about]
    await books.save_fee_values({second.fill_id: rate})
    assert await ledger.alarms() == []


async def test_what_a_switch_had_caused_is_closed_when_somebody_lifts_it(ledger: World) -> None:
    states, losses = StateStore(ledger.engine), LossStore(ledger.engine)
    of_account = f"account:{EXCHANGE}:{ACCOUNT}"
    await losses.act_on(Loss(scope=of_account, limit=Decimal(100), loss=Decimal(200)))
    await losses.act_on(Loss(scope="strategy:s1", limit=Decimal(100), loss=Decimal(200)))
    venue = _scope(f"venue:{EXCHANGE}")
    await states.alarm_incomplete(venue, "2 orders")
    assert await ledger.alarms() == ["HALT_INCOMPLETE", "LOSS_LIMIT", "LOSS_LIMIT"]
    await states.set(venue, _setting(TradingState.ACTIVE))
    assert await _objects(ledger) == ["strategy:s1"]


async def test_a_strategy_that_is_re_armed_closes_its_alarm(ledger: World) -> None:
    await ledger.open("order-1")
    await ledger.rows(
        "INSERT INTO alarms (code, object, detail) "
        "VALUES ('STRATEGY_DISABLED', 'strategy:s1', ''), ('STRATEGY_DISABLED', 'strategy:s2', '')"
    )
    assert await RiskStore(ledger.engine).rearm("s1", "ann", "looked at it") is None
    assert await _objects(ledger) == ["strategy:s2"]


async def test_what_the_engine_closed_before_anybody_heard_of_it_is_told_all_the_same(
    ledger: World,
) -> None:
    await ledger.store.raise_alarm(AlarmCode.ACCOUNT_NOT_FOLLOWED, PLACE, "away")
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(5), "followed")
    heard: list[AlarmView] = []
    for _ in range(2):
        await AlarmStore(ledger.engine).tell(heard.append, None)
    assert [each.code for each in heard] == ["ACCOUNT_NOT_FOLLOWED"]


async def _objects(ledger: World) -> list[str]:
    return sorted(each.object for each in await ledger.views.alarms())


def _scope(text: str) -> Scope:
    found = parse_scope(text)
    assert isinstance(found, Scope)
    return found


def _setting(state: TradingState) -> Setting:
    return Setting(state=state, reason="drill", by="ann")
