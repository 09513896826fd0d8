"""Trades of venues that list them by time: no gap, no repetition, and where reading goes on."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.dialects import DIALECTS
from activities.venues.gateway import VenueUnavailableError
from tests.contract.dialect_venues.roster import VENUES
from tests.contract.dialect_venues.scripted import Answer, Order, Trade, now_ms, served

AtVenue = tuple[Any, CcxtGateway]

DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)


def many_trades(count: int, *, newest_ms: int, apart_ms: int) -> list[Trade]:
    """Oldest first; several share one millisecond where `apart_ms` is 0."""
    return [
        Trade(f"{n:04d}", "312", newest_ms - (count - 1 - n) * apart_ms, quantity="0.00001")
        for n in range(count)
    ]


async def test_trades_are_read_over_all_pages_in_the_order_of_time(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    venue.trades = many_trades(230, newest_ms=now_ms() - 5_000, apart_ms=1_000)
    since = str(venue.trades[10].at_ms)
    got = await gateway.trades_after(venue.symbol, since)
    assert [trade.fill.trade_id for trade in got] == [f"{n:04d}" for n in range(10, 230)]
    assert {trade.fill.quantity for trade in got} == {Decimal("0.00001")}


async def test_more_trades_of_one_millisecond_than_a_page_holds_are_all_read(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    venue.trades = many_trades(230, newest_ms=now_ms() - 5_000, apart_ms=0)
    got = await gateway.trades_after(venue.symbol, str(venue.trades[0].at_ms))
    assert {trade.fill.trade_id for trade in got} == {f"{n:04d}" for n in range(230)}
    assert len(got) == 230


async def test_reading_goes_on_from_the_last_trade_and_repeats_only_its_millisecond(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    venue.trades = many_trades(5, newest_ms=now_ms() - 5_000, apart_ms=1_000)
    first = await gateway.trades_after(venue.symbol, None)
    assert len(first) == 5
    venue.trades.append(Trade("late", "312", first[-1].fill.traded_at_ms))
    venue.trades.append(Trade("new", "312", first[-1].fill.traded_at_ms + 1))
    again = await gateway.trades_after(venue.symbol, first[-1].cursor)
    assert [trade.fill.trade_id for trade in again] == ["0004", "late", "new"]


async def test_behind_the_newest_trade_nothing_old_is_read_again(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    assert await gateway.last_trade_id(venue.symbol) is None
    venue.trades = many_trades(3, newest_ms=now_ms() - 20 * DAY_MS, apart_ms=1_000)
    cursor = await gateway.last_trade_id(venue.symbol)
    assert cursor == str(venue.trades[-1].at_ms + 1)
    assert await gateway.trades_after(venue.symbol, cursor) == []
    venue.trades.append(Trade("new", "312", now_ms() - 1_000))
    (got,) = await gateway.trades_after(venue.symbol, cursor)
    assert got.fill.trade_id == "new"


async def test_a_broken_page_makes_the_whole_reading_fail(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    venue.trades = many_trades(3, newest_ms=now_ms() - 5_000, apart_ms=1_000)
    await gateway.trades_after(venue.symbol, None)
    method, path = venue.paths()[-1].split(" ")
    venue.scripted[method, path] = Answer(200, {"code": "0", "retCode": 0, "error": []})
    with pytest.raises(VenueUnavailableError):
        await gateway.trades_after(venue.symbol, None)


async def test_all_trades_of_an_order_are_read_even_beyond_a_page() -> None:
    for name in VENUES:
        venue = VENUES[name]()
        venue.trades = many_trades(130, newest_ms=now_ms() - 5_000, apart_ms=0)
        venue.orders.append(Order("312", "by-hand", "filled", filled="0.0013", size="0.0013"))
        async with served(venue) as gateway:
            order = await gateway.read_order(venue.symbol, "312")
        assert order.report.is_settled, name
        assert len(order.report.fills) == 130, name


@pytest.mark.parametrize("name", sorted(n for n in VENUES if not DIALECTS[n].stream_topics))
async def test_without_stream_topics_the_stream_is_open_and_silent(name: str) -> None:
    venue = VENUES[name]()
    async with served(venue) as gateway, gateway.stream() as events:
        reading = asyncio.ensure_future(anext(events))
        await asyncio.wait([reading], timeout=0.05)
        assert not reading.done()
        reading.cancel()
    assert venue.seen == []
