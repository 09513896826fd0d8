"""What every gateway's private stream must do, against the paper exchange."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from activities.venues.ccxt_gateway import open_gateway
from activities.venues.gateway import (
    StreamEvent,
    StreamOrder,
    StreamTrade,
    VenueUnavailableError,
)
from activities.venues.simulator.server import running
from tests.contract.gateway_venue import (
    SYMBOL,
    VENUES,
    Venue,
    access,
    paper_config,
    resting_inside_the_spread,
    trade_at,
    venue_at,
)
from workflows.domain.reports import ExecutionReport, VenueStatus

DEADLINE_S = 10


pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


@pytest.fixture(params=VENUES)
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(request.param, tmp_path) as venue:
        yield venue


async def collect(
    events: AsyncIterator[StreamEvent], enough: Callable[[list[StreamEvent]], bool]
) -> list[StreamEvent]:
    seen: list[StreamEvent] = []
    async with asyncio.timeout(DEADLINE_S):
        while not enough(seen):
            seen.append(await anext(events))
    return seen


def filled(seen: list[StreamEvent]) -> bool:
    orders = [e.order.report for e in seen if isinstance(e, StreamOrder)]
    trades = [e for e in seen if isinstance(e, StreamTrade)]
    return bool(trades) and any(report.status is VenueStatus.FILLED for report in orders)


async def test_the_stream_tells_an_order_and_its_fills_made_right_after_entering(
    venue: Venue,
) -> None:
    async with venue.gateway.stream() as events:
        intent = venue.market(quantity=Decimal("0.0500"))
        report = await venue.submit(intent)
        seen = await collect(events, lambda seen: fills_of(seen) == set(ids_of(report)))
    trades = [event.trade for event in seen if isinstance(event, StreamTrade)]
    assert {trade.venue_order_id for trade in trades} == {report.venue_order_id}
    by_id = {fill.trade_id: fill for fill in report.fills}
    for trade in trades:
        fill = by_id[trade.fill.trade_id]
        assert (trade.fill.price, trade.fill.quantity) == (fill.price, fill.quantity)
        assert (trade.fill.fee, trade.fill.fee_asset) == (fill.fee, fill.fee_asset)


def ids_of(report: ExecutionReport) -> list[str]:
    return [fill.trade_id for fill in report.fills]


def fills_of(seen: list[StreamEvent]) -> set[str]:
    return {event.trade.fill.trade_id for event in seen if isinstance(event, StreamTrade)}


async def test_the_stream_tells_a_fill_of_a_resting_order_and_a_cancel(venue: Venue) -> None:
    intent, _ = await resting_inside_the_spread(venue, Decimal("0.0100"))
    assert intent.price is not None
    cancelled = await venue.submit(venue.intent())
    async with venue.gateway.stream() as events:
        await trade_at(venue, intent.price, Decimal("0.0100"))
        seen = await collect(events, filled)
        await venue.gateway.cancel(SYMBOL, cancelled.venue_order_id)
        seen += await collect(events, lambda seen: any(is_cancel(event) for event in seen))
    orders = [event.order for event in seen if isinstance(event, StreamOrder)]
    assert orders[0].report.client_order_id == intent.client_order_id
    assert orders[-1].report.client_order_id == cancelled.client_order_id


def is_cancel(event: StreamEvent) -> bool:
    return isinstance(event, StreamOrder) and event.order.report.status is VenueStatus.CANCELLED


async def test_every_burst_event_reaches_the_reader(venue: Venue) -> None:
    async with venue.gateway.stream() as events:
        intents = [venue.market() for _ in range(40)]
        now_ms = await venue.gateway.venue_time_ms()
        answers = await asyncio.gather(
            *(venue.gateway.submit(intent, signed_at_ms=now_ms) for intent in intents)
        )
        expected = {trade_id for report in answers for trade_id in ids_of(report)}
        await collect(events, lambda seen: fills_of(seen) == expected)


async def test_streams_of_two_accounts_do_not_mix(venue: Venue) -> None:
    async with venue.other.stream() as theirs, venue.gateway.stream() as ours:
        await venue.submit(venue.market())
        await collect(ours, filled)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await anext(theirs)


async def test_a_lost_connection_raises_from_the_iterator(tmp_path: Path) -> None:
    server = running(paper_config("binance", tmp_path))
    exchange = await server.__aenter__()
    gateway = open_gateway(access("binance", "main", exchange.base_url))
    try:
        async with gateway.stream() as events:
            await server.__aexit__(None, None, None)
            with pytest.raises(VenueUnavailableError, match="stream lost"):
                await collect(events, lambda _: False)
        with pytest.raises(VenueUnavailableError):
            async with gateway.stream():
                pytest.fail("entered without an exchange")
        with pytest.raises(VenueUnavailableError):
            await gateway.quote(SYMBOL)
    finally:
        await gateway.close()
