"""Whoever follows a symbol's prices: each trigger fires once, is told, and outlives every loss."""

import asyncio
from typing import Any

import pytest
from temporalio.service import RPCStatusCode

from activities import price_feed, price_follower
from activities.ledger.watch_store import WatchStore
from tests.integration.ledger_world import World
from tests.integration.price_market import CANDLE_MS, Desk, now_ms, until
from workflows.domain.triggers import Flag, OnBlind, TriggerSource
from workflows.ports import FollowedPrices, WatchStatus

SHORTLY_MS = 600


@pytest.fixture
def desk(ledger: World) -> Desk:
    return Desk(ledger, WatchStore(ledger.engine))


async def fired(desk: Desk, *watch_ids: str) -> None:
    await until(lambda: set(watch_ids) <= set(desk.owners.fired))


async def extreme_is(desk: Desk, watch_id: str, price: int) -> None:
    async def is_stored() -> bool:
        return (await desk.state(watch_id)).extreme == price

    await until(is_stored)


async def test_a_price_that_reaches_a_trigger_fires_it_once_and_its_owner_is_told(
    desk: Desk,
) -> None:
    reached, other = await desk.arm(price="95"), await desk.arm(price="90")
    async with desk.following():
        desk.market.move("96", "95", "94", "93")
        await fired(desk, reached)
        await until(lambda: _nobody_is_untold(desk))
    view = await desk.read(reached)
    assert (view.status, view.fired) == (WatchStatus.FIRED, desk.owners.fired[reached])
    assert view.fired is not None
    assert (view.fired.price, view.fired.flags) == (95, ())
    assert [owner for owner, _ in desk.owners.told] == ["order-1"]
    assert (await desk.read(other)).status is WatchStatus.ARMED


async def test_a_trigger_that_is_armed_while_prices_are_followed_hears_the_next_one(
    desk: Desk,
) -> None:
    async with desk.following():
        first = await desk.arm(price="95")
        desk.market.move("94")
        await fired(desk, first)
        second = await desk.arm(price="94.5")  # through already, and no price comes
        await fired(desk, second)


async def test_a_disarmed_trigger_stays_silent(desk: Desk) -> None:
    disarmed, other = await desk.arm(), await desk.arm()
    async with desk.following():
        await desk.store.disarm(disarmed)
        desk.market.move("94")
        await fired(desk, other)
    assert (await desk.read(disarmed)).status is WatchStatus.DISARMED
    assert disarmed not in desk.owners.fired


async def test_a_price_that_was_through_for_a_moment_while_nobody_watched_fires_late(
    desk: Desk,
) -> None:
    watch = await desk.arm(price="95")
    async with desk.following():
        desk.market.move("99")
    desk.market.move("94", "99")
    async with desk.following():
        await fired(desk, watch)
    assert desk.owners.fired[watch].price == 94
    assert desk.owners.fired[watch].flags == (Flag.GAP, Flag.LATE)


async def test_without_trades_of_that_time_candles_tell_and_say_so(desk: Desk) -> None:
    watch = await desk.arm(trailing_delta_bps=1_000)
    desk.market.keeps_trades = False
    async with desk.following():
        desk.market.move("100")
        await extreme_is(desk, watch, 100)
    await until(lambda: desk.market.trades[-1].at_ms // CANDLE_MS != now_ms() // CANDLE_MS)
    desk.market.move("110", "98", "105")
    async with desk.following():
        await fired(desk, watch)
    found = desk.owners.fired[watch]
    assert (found.price, found.extreme) == (98, 110)
    assert found.flags == (Flag.LATE, Flag.CANDLE)


async def test_a_trailing_trigger_goes_on_from_its_extreme_and_never_meets_older_prices(
    desk: Desk,
) -> None:
    watch = await desk.arm(trailing_delta_bps=1_000)
    async with desk.following():
        desk.market.move("100", "112", "101")  # 100 would fire it, after 112
        await extreme_is(desk, watch, 112)
    async with desk.following():
        desk.market.move("102")
        await asyncio.sleep(0.3)
        assert desk.owners.told == []
        desk.market.move("100.8")
        await fired(desk, watch)
    assert desk.owners.fired[watch].extreme == 112


async def test_two_followers_of_one_symbol_fire_once(desk: Desk) -> None:
    watches = [await desk.arm(price=str(90 + number)) for number in range(5)]
    async with desk.following(), desk.following():
        desk.market.move("100", "80")
        await fired(desk, *watches)
        desk.market.move("79")
    assert sorted(told.watch_id for _, told in desk.owners.told) == sorted(watches)


async def test_an_owner_that_cannot_be_told_is_told_later(desk: Desk) -> None:
    watch = await desk.arm()
    desk.owners.refusal = RPCStatusCode.UNAVAILABLE
    async with desk.following():
        desk.market.move("94")
        await until(lambda: desk.untold())
    desk.owners.refusal = None
    async with desk.following():
        await fired(desk, watch)
        await until(lambda: _nobody_is_untold(desk))
    assert len(desk.owners.told) == 1


async def _nobody_is_untold(desk: Desk) -> bool:
    return await desk.untold() == []


async def test_an_owner_that_is_no_more_keeps_nobody_waiting_and_a_human_is_told(
    desk: Desk,
) -> None:
    await desk.arm()
    desk.owners.refusal = RPCStatusCode.NOT_FOUND
    async with desk.following():
        desk.market.move("94")

        async def is_marked() -> bool:
            query = "SELECT count(*) FROM price_watches WHERE told_at IS NOT NULL"
            return bool(await desk.ledger.value(query))

        await until(is_marked)
    assert await desk.ledger.alarms() == ["TRIGGER_WITHOUT_OWNER"]


async def test_a_lost_stream_is_entered_again_and_what_it_missed_is_read(desk: Desk) -> None:
    watch = await desk.arm(price="95")
    async with desk.following():
        desk.market.move("99")
        desk.market.is_silent = True
        desk.market.cut()
        desk.market.move("94", "99")
        desk.market.is_silent = False
        await fired(desk, watch)
    assert Flag.LATE in desk.owners.fired[watch].flags


async def test_a_stream_that_is_silent_while_the_price_moves_is_found_out(desk: Desk) -> None:
    watch = await desk.arm(trailing_delta_bps=1_000)
    async with desk.following():
        desk.market.move("100")
        await extreme_is(desk, watch, 100)
        desk.market.is_silent = True
        desk.market.move("91", "120", "109")  # nothing fires: 91 came before 120
        await extreme_is(desk, watch, 120)
        assert desk.owners.told == []
        desk.market.move("107")
        await fired(desk, watch)
    assert desk.owners.fired[watch].extreme == 120


async def test_a_stream_that_tells_old_news_is_not_believed(desk: Desk) -> None:
    watch = await desk.arm(price="95", stale_after_ms=SHORTLY_MS)
    async with desk.following():
        desk.market.move("99")
        desk.market.late_ms = 2 * SHORTLY_MS
        desk.market.move("94")
        await fired(desk, watch)
    assert Flag.LATE in desk.owners.fired[watch].flags


async def test_without_any_stream_the_path_is_asked_again_and_again(desk: Desk) -> None:
    watch = await desk.arm(price="95")
    desk.market.refuses_streams = True
    async with desk.following():
        desk.market.move("99")
        await until(lambda: desk.market.asked > 3)
        desk.market.move("94", "99")
        await fired(desk, watch)


async def test_a_path_that_the_venue_never_tells_is_given_up_with_an_alarm(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_feed, "GIVE_UP_AFTER_S", 0.5)
    watch = await desk.arm(trailing_delta_bps=1_000)
    desk.market.has_a_past = False
    async with desk.following():
        desk.market.move("100")

        async def is_said() -> bool:
            return await desk.ledger.alarms() == ["PRICE_PATH_LOST"]

        await until(is_said)
        desk.market.move("101")
        await extreme_is(desk, watch, 101)


async def test_a_quiet_market_is_not_a_stale_feed(desk: Desk) -> None:
    watch = await desk.arm(stale_after_ms=2 * SHORTLY_MS)
    async with desk.following():
        desk.market.move("99")
        await asyncio.sleep(4 * SHORTLY_MS / 1_000)
        assert not (await desk.read(watch)).is_blind
    assert await desk.ledger.alarms() == []


async def test_blindness_is_said_once_and_only_who_asked_for_it_exits(desk: Desk) -> None:
    holds = await desk.arm(stale_after_ms=SHORTLY_MS)
    exits = await desk.arm(stale_after_ms=SHORTLY_MS, on_blind=OnBlind.EXIT)
    async with desk.following():
        desk.market.move("99")
        await until(lambda: desk.market.asked > 1)
        desk.market.is_away = True
        desk.market.cut()
        await fired(desk, exits)
        await until(lambda: _is_blind(desk, holds))
        desk.market.is_away = False

        async def sees_again() -> bool:
            return not await _is_blind(desk, holds)

        await until(sees_again)

        async def is_told() -> bool:
            return await desk.ledger.alarms() == []

        await until(is_told)
    assert (desk.owners.fired[exits].price, desk.owners.fired[exits].flags) == (99, (Flag.BLIND,))
    (closed,) = await desk.ledger.views.alarms(include_acknowledged=True)
    assert (closed.code, closed.acknowledged_by) == ("PRICE_FEED_STALE", "engine")
    assert holds not in desk.owners.fired


async def _is_blind(desk: Desk, watch_id: str) -> bool:
    return (await desk.read(watch_id)).is_blind


async def test_who_looks_at_a_price_that_the_venue_does_not_tell_is_blind(desk: Desk) -> None:
    watch = await desk.arm(source=TriggerSource.MARK, stale_after_ms=SHORTLY_MS)
    async with desk.following():
        desk.market.move("94")
        await until(lambda: _is_blind(desk, watch))
    assert desk.owners.told == []


async def test_nobody_follows_when_nobody_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_follower, "IDLE_AFTER_S", 0.3)
    watch = await desk.arm()
    async with desk.following() as turn:
        await asyncio.sleep(0.5)
        assert not turn.done()
        await desk.store.disarm(watch)
        ended: Any = await asyncio.wait_for(turn, timeout=20)
    assert ended == FollowedPrices(is_idle=True)
