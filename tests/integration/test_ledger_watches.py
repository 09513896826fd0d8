"""Price watches: armed once, ended once, and never worse than they were."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.notifications import Notifications
from activities.ledger.results import UnknownOrderError
from tests.integration.ledger_world import ACCOUNT, EXCHANGE, SYMBOL, World, an_intent
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildType, Side
from workflows.domain.triggers import (
    Direction,
    Fired,
    Flag,
    TriggerSource,
    TriggerSpec,
    TriggerState,
)
from workflows.messages import OrderSnapshot
from workflows.ports import ArmWatch, WatchStatus

HEARD_WITHIN_S = 5
FIRED = Fired(price=Decimal("94.5"), at_ms=1_700_000_000_123, flags=(Flag.GAP,))


def a_spec(side: Side = Side.SELL, **changes: Any) -> TriggerSpec:
    fields: dict[str, Any] = {
        "side": side,
        "direction": Direction.DOWN if side is Side.SELL else Direction.UP,
        "source": TriggerSource.BID_ASK,
        "trailing_delta_bps": 100,
    }
    return TriggerSpec(**{**fields, **changes})


def a_watch(watch_id: str = "order-1/0", **changes: Any) -> ArmWatch:
    fields: dict[str, Any] = {
        "watch_id": watch_id,
        "order_id": watch_id.partition("/")[0],
        "venue": EXCHANGE,
        "account": ACCOUNT,
        "symbol": SYMBOL,
        "spec": a_spec(),
    }
    return ArmWatch(**{**fields, **changes})


async def armed(ledger: World, watch_id: str = "order-1/0", **changes: Any) -> ArmWatch:
    """A watch of an order of its own."""
    watch = a_watch(watch_id, **changes)
    await ledger.open(watch.order_id)
    assert (await ledger.watches.arm(watch)).status is WatchStatus.ARMED
    return watch


async def save(ledger: World, states: dict[str, TriggerState], seen: int | None = None) -> None:
    await ledger.watches.save_watch_states(
        states, venue=EXCHANGE, symbol=SYMBOL, seen_until_ms=seen
    )


def following(extreme: str, **changes: Any) -> TriggerState:
    return TriggerState(is_active=True, extreme=Decimal(extreme), **changes)


async def test_an_armed_watch_is_read_back_exactly_as_it_was_asked_for(ledger: World) -> None:
    spec = a_spec(activation_price=Decimal("100.10"), confirm_n=3, confirm_ms=250)
    state = following("101.000000000000000001", confirmed=2, confirmed_since_ms=17)
    watch = await armed(ledger, spec=spec, state=state)
    (stored,) = await ledger.watches.armed_watches(EXCHANGE, SYMBOL)
    assert (stored.watch_id, stored.order_id) == (watch.watch_id, watch.order_id)
    assert stored.spec == spec
    assert stored.state == state
    now_ms = await ledger.value("SELECT floor(extract(epoch FROM now()) * 1000)")
    assert 0 <= now_ms - stored.armed_at_ms < 60_000
    assert await ledger.watches.armed_watches(EXCHANGE, "ETH/USDT") == []


async def test_arming_again_answers_the_watch_as_it_stands(ledger: World) -> None:
    watch = await armed(ledger)
    await save(ledger, {watch.watch_id: following("110")})
    assert (await ledger.watches.arm(watch)).state.extreme == 110
    assert await ledger.watches.fire_watch(watch.watch_id, FIRED)
    again = await ledger.watches.arm(watch)
    assert (again.status, again.fired) == (WatchStatus.FIRED, FIRED)


async def test_nothing_is_armed_for_an_order_that_ended_or_is_not_there(ledger: World) -> None:
    await ledger.open("order-1")
    await _end(ledger, "order-1")
    assert (await ledger.watches.arm(a_watch())).status is WatchStatus.DISARMED
    assert await ledger.watches.armed_watches(EXCHANGE, SYMBOL) == []
    with pytest.raises(UnknownOrderError):
        await ledger.watches.arm(a_watch("nobody/0"))
    assert (await ledger.watches.read("nobody/0")).status is WatchStatus.DISARMED


async def test_the_end_of_an_order_disarms_its_watches_and_no_others(ledger: World) -> None:
    await armed(ledger, "order-1/0")
    await armed(ledger, "order-2/0")
    snapshot = OrderSnapshot(order_id="order-1", status=OrderStatus.WORKING)
    await ledger.store.save_order(snapshot, OrderStatus.WORKING)
    assert (await ledger.watches.read("order-1/0")).status is WatchStatus.ARMED
    await _end(ledger, "order-1")
    assert (await ledger.watches.read("order-1/0")).status is WatchStatus.DISARMED
    assert (await ledger.watches.read("order-2/0")).status is WatchStatus.ARMED


async def test_an_armed_order_waits_for_its_price_until_it_trades(ledger: World) -> None:
    watch = await armed(ledger)
    assert await _status(ledger) is OrderStatus.WAITING_PRICE
    await ledger.reserve(an_intent("order-1"))  # an order that rests beside the watch
    assert await _status(ledger) is OrderStatus.WAITING_PRICE
    await ledger.watches.fire_watch(watch.watch_id, FIRED)
    await ledger.reserve(an_intent("order-1", 1))
    assert await _status(ledger) is OrderStatus.WORKING


async def test_an_order_whose_trigger_is_at_the_venue_waits_for_its_price_too(
    ledger: World,
) -> None:
    await ledger.open("order-1")
    stop: dict[str, Any] = {"side": Side.SELL, "child_type": ChildType.STOP_LOSS, "price": None}
    native = an_intent("order-1", trigger_price=Decimal(45_000), **stop)
    await ledger.reserve(native)
    assert await _status(ledger) is OrderStatus.WAITING_PRICE


async def test_a_watch_is_never_armed_beside_the_end_of_its_order(ledger: World) -> None:
    for number in range(8):
        await ledger.open(f"order-{number}")
        watch = a_watch(f"order-{number}/0")
        await asyncio.gather(ledger.watches.arm(watch), _end(ledger, watch.order_id))
        assert (await ledger.watches.read(watch.watch_id)).status is WatchStatus.DISARMED


async def test_a_watch_fires_once_whoever_and_how_many_try(ledger: World) -> None:
    names = [f"order-{number}/0" for number in range(20)]
    for name in names:
        await armed(ledger, name)
    forwards, backwards = ([(name, FIRED) for name in each] for each in (names, names[::-1]))
    answers = await asyncio.gather(
        *(ledger.watches.fire_watches(each) for each in (forwards, backwards) * 3)
    )
    won = [
        name
        for fired, each in zip((names, names[::-1]) * 3, answers, strict=True)
        for name, done in zip(fired, each, strict=True)
        if done
    ]
    assert sorted(won) == sorted(names)


async def test_of_firing_and_disarming_one_wins_and_the_other_hears_of_it(ledger: World) -> None:
    for number in range(8):
        watch = await armed(ledger, f"order-{number}/0")
        fired, view = await asyncio.gather(
            ledger.watches.fire_watch(watch.watch_id, FIRED),
            ledger.watches.disarm(watch.watch_id),
        )
        assert view.status is (WatchStatus.FIRED if fired else WatchStatus.DISARMED)
        assert view.fired == (FIRED if fired else None)
        assert await ledger.watches.fire_watch(watch.watch_id, FIRED) is False


@pytest.mark.parametrize(("side", "best"), [(Side.SELL, "120"), (Side.BUY, "90")])
async def test_an_extreme_never_becomes_worse(ledger: World, side: Side, best: str) -> None:
    watch = await armed(ledger, spec=a_spec(side))
    for extreme in ("100", best, "110"):
        await save(ledger, {watch.watch_id: following(extreme, confirmed=1)})
    await save(ledger, {watch.watch_id: TriggerState()})
    view = await ledger.watches.read(watch.watch_id)
    assert view.state == TriggerState(is_active=True, extreme=Decimal(best))


async def test_what_ended_follows_no_further(ledger: World) -> None:
    watch, other = await armed(ledger), await armed(ledger, "order-2/0")
    await ledger.watches.disarm(watch.watch_id)
    await save(ledger, {watch.watch_id: following("120"), other.watch_id: following("130")})
    assert (await ledger.watches.read(watch.watch_id)).state == TriggerState()
    assert (await ledger.watches.read(other.watch_id)).state == following("130")


async def test_states_and_the_time_seen_are_kept_together_and_time_never_goes_back(
    ledger: World,
) -> None:
    watch = await armed(ledger)
    assert await ledger.watches.seen_until(EXCHANGE, SYMBOL) is None
    await save(ledger, {watch.watch_id: following("120")}, seen=1_700_000_000_000)
    await save(ledger, {}, seen=1_600_000_000_000)
    assert await ledger.watches.seen_until(EXCHANGE, SYMBOL) == 1_700_000_000_000
    assert await ledger.watches.seen_until(EXCHANGE, "ETH/USDT") is None


async def test_a_fired_watch_is_untold_until_its_owner_was_told(ledger: World) -> None:
    for name in ("order-1/0", "order-2/0", "order-3/0"):
        await armed(ledger, name)
    await ledger.watches.fire_watches([("order-1/0", FIRED), ("order-2/0", FIRED)])
    untold = await ledger.watches.untold_watches(EXCHANGE, SYMBOL)
    assert [(each.order_id, each.fired) for each in untold] == [
        ("order-1", FIRED),
        ("order-2", FIRED),
    ]
    await ledger.watches.watch_told(["order-1/0", "order-3/0"])
    (left,) = await ledger.watches.untold_watches(EXCHANGE, SYMBOL)
    assert left.watch_id == "order-2/0"


async def test_blindness_is_shown_until_the_price_is_known_again(ledger: World) -> None:
    watch = await armed(ledger)
    await ledger.watches.set_blind([watch.watch_id, "nobody/0"], is_blind=True)
    assert (await ledger.watches.read(watch.watch_id)).is_blind
    await ledger.watches.set_blind([watch.watch_id], is_blind=False)
    assert not (await ledger.watches.read(watch.watch_id)).is_blind


async def test_arming_and_disarming_are_heard_at_once_and_other_symbols_are_not(
    ledger: World,
) -> None:
    for order in ("order-1", "order-2"):
        await ledger.open(order)
    async with ledger.watches.watch_changes(EXCHANGE, SYMBOL) as changes:
        await ledger.watches.arm(a_watch("order-2/0", symbol="ETH/USDT"))
        await ledger.watches.arm(a_watch("order-1/0"))
        await _heard(changes)
        await ledger.watches.fire_watch("order-2/0", FIRED)
        await ledger.watches.disarm("order-1/0")
        await _heard(changes)
        assert not changes.is_lost
    async with ledger.watches.watch_changes(EXCHANGE, "SOL/USDT") as changes:
        await ledger.open("order-4")
        await ledger.watches.arm(a_watch("order-4/0"))
        async with ledger.watches.watch_changes(EXCHANGE, SYMBOL) as others:
            await ledger.watches.disarm("order-4/0")
            await _heard(others)
        assert not changes.happened.is_set()


async def test_the_loss_of_the_connection_is_heard_too(ledger: World) -> None:
    async with ledger.watches.watch_changes(EXCHANGE, SYMBOL) as changes:
        listeners = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        for row in await ledger.rows(listeners):
            await ledger.value("SELECT pg_terminate_backend($1)", row["pid"])
        await _heard(changes)
        assert changes.is_lost


async def test_listening_takes_no_connection_from_the_pool(ledger: World) -> None:
    async with ledger.watches.watch_changes(EXCHANGE, SYMBOL):
        assert ledger.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a queue's own


async def _heard(changes: Notifications) -> None:
    await asyncio.wait_for(changes.happened.wait(), HEARD_WITHIN_S)
    changes.happened.clear()


async def _status(ledger: World) -> OrderStatus:
    order = await ledger.views.order("order-1")
    assert order is not None
    return order.status


async def _end(ledger: World, order_id: str) -> None:
    snapshot = OrderSnapshot(order_id=order_id, status=OrderStatus.CANCELLED)
    await ledger.store.save_order(snapshot, OrderStatus.CANCELLED)
