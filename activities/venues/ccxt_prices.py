"""What a venue tells everybody: touch, book, ticker, trades, candles and the price stream.

Moments are by the venue's clock; where it names none, by this machine's moved to the venue's. It
must not know orders or accounts.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from activities.venues import ccxt_market_reports as reports
from activities.venues.ccxt_link import CcxtLink
from activities.venues.ccxt_price_stream import price_stream
from activities.venues.ccxt_reports import now_ms
from activities.venues.dialects import TradesMissingError
from activities.venues.dialects.listing import Params
from activities.venues.gateway import VenueUnavailableError
from workflows.domain.books import Book
from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.triggers import Tick

MAX_TRADE_PAGES = 30
"""Beyond so many pages a gap is told by its candles."""
MAX_CANDLE_PAGES = 100
FEW_CANDLES = 10_000
"""Of a span with more candles than this, longer ones are read: their extremes are the same."""
POLL_EVERY_S = 1.0


class PublicPrices:
    """The public side of one venue, over one link."""

    def __init__(self, link: CcxtLink) -> None:
        self._link = link
        self._client = link.client
        self._dialect = link.dialect

    async def book(self, symbol: str, depth: int) -> Book:
        """See VenueGateway. `read_at_ms` is this machine's clock."""
        await self._link.market(symbol)
        sizes = self._dialect.book_sizes or (depth,)
        size = next((size for size in sizes if size >= depth), sizes[-1])

        async def ask() -> Book:
            book = await self._client.fetch_order_book(symbol, size)
            return reports.book(book, depth, now_ms())

        return await self._link.ask(ask)

    async def tick(self, symbol: str) -> Tick:
        """See VenueGateway."""
        await self._link.market(symbol)
        await self._link.clock_offset_ms()

        async def ask() -> Tick:
            told = await self._client.fetch_ticker(symbol)
            return reports.tick(told, self._link.venue_now_ms())

        async def ask_others() -> Mapping[str, Decimal | None]:
            return reports.other_prices(await self._dialect.other_prices(self._client, symbol))

        tick, others = await self._link.ask(ask), await self._link.ask(ask_others)
        return replace(tick, mark=others["mark"], index=others["index"])

    async def public_trades(self, symbol: str, since_ms: int) -> list[PublicTrade] | None:
        """See VenueGateway."""
        await self._link.market(symbol)
        found: dict[str, PublicTrade] = {}
        page: Params = {}
        for _ in range(MAX_TRADE_PAGES):
            try:
                got, following = await self._trade_page(symbol, since_ms, page)
            except TradesMissingError:
                return None
            found.update((trade.trade_id, trade) for trade in got if trade.at_ms >= since_ms)
            if following is None:
                return sorted(found.values(), key=lambda trade: (trade.at_ms, _order(trade)))
            page = following
        return None

    async def _trade_page(
        self, symbol: str, since_ms: int, page: Params
    ) -> tuple[list[PublicTrade], Params | None]:
        listing = self._dialect.public_trades

        async def ask() -> list[PublicTrade]:
            trades = await listing.fetch(self._client, symbol, since_ms, page)
            return [reports.public_trade(trade) for trade in trades]

        got = await self._link.ask(ask, expected=listing.is_told)
        return got, listing.next_page(got, since_ms)

    async def candles(self, symbol: str, since_ms: int, until_ms: int) -> list[Candle]:
        """See VenueGateway. Longer ones than the shortest where there would be FEW_CANDLES."""
        await self._link.market(symbol)
        await self._link.clock_offset_ms()
        lengths = self._dialect.candles.lengths
        span_ms = until_ms - since_ms
        fitting = (each for each in lengths if span_ms <= each[1] * FEW_CANDLES)
        name, length_ms = next(fitting, lengths[-1])
        opened_ms = since_ms - since_ms % length_ms
        self._need_reach(opened_ms, length_ms)
        found: dict[int, Candle] = {}
        for _ in range(MAX_CANDLE_PAGES):
            got = await self._candle_page(symbol, (name, length_ms), opened_ms)
            found.update((candle.opened_ms, candle) for candle in got)
            opened_ms += self._dialect.candles.page_size * length_ms
            if opened_ms > min(until_ms, self._link.venue_now_ms()):
                inside = (each for each in found.values() if each.opened_ms <= until_ms)
                return sorted(inside, key=lambda candle: candle.opened_ms)
        raise VenueUnavailableError(f"more than {MAX_CANDLE_PAGES} pages of candles")

    def _need_reach(self, opened_ms: int, length_ms: int) -> None:
        reach = self._dialect.candles.reach
        if reach is not None and opened_ms < self._link.venue_now_ms() - reach * length_ms:
            raise VenueUnavailableError(f"only the last {reach} candles are told")

    async def _candle_page(
        self, symbol: str, length: tuple[str, int], opened_ms: int
    ) -> list[Candle]:
        name, length_ms = length
        listing = self._dialect.candles
        until_ms = opened_ms + listing.page_size * length_ms

        async def ask() -> list[Candle]:
            rows = await self._client.fetch_ohlcv(symbol, name, opened_ms, listing.page_size)
            told = [reports.candle(row, length_ms) for row in rows]
            return [candle for candle in told if opened_ms <= candle.opened_ms < until_ms]

        return await self._link.ask(ask, expected=listing.is_told)

    @asynccontextmanager
    async def stream(self, symbol: str) -> AsyncIterator[AsyncIterator[Tick]]:
        """See VenueGateway.prices. It begins with a tick that was asked for."""
        dialect = self._dialect.price_stream
        if dialect is None:
            yield self._polled(symbol)
            return
        async with price_stream(self._link, dialect, symbol) as ticks:
            yield _after(await self.tick(symbol), ticks)

    async def _polled(self, symbol: str) -> AsyncIterator[Tick]:
        while True:
            yield await self.tick(symbol)
            await asyncio.sleep(POLL_EVERY_S)


async def _after(first: Tick, ticks: AsyncIterator[Tick]) -> AsyncIterator[Tick]:
    yield first
    async for tick in ticks:
        yield tick


def _order(trade: PublicTrade) -> tuple[int, str]:
    """Numbers as numbers: of one millisecond, the larger one came later."""
    return (int(trade.trade_id) if trade.trade_id.isdecimal() else 0), trade.trade_id
