"""The account's trades of a symbol from a cursor on, without gap or repetition.

Where trade ids are numbers, pages are asked for by number: two trades can share a millisecond.
Elsewhere a span of time is read page by page; the cursor is then a time in ms, whose trades come
again with the next reading rather than being lost. It must not know the gateway.
"""

from collections.abc import AsyncIterator

from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_link import CcxtLink
from activities.venues.dialects import TradesByNumber, TradesByTime
from activities.venues.dialects.listing import Params, answer_of_call
from activities.venues.gateway import VenueTrade, VenueUnavailableError
from workflows.domain.orders import Side

MAX_TRADE_PAGES = 1_000
LOOK_BACK_MS = 85 * 86_400_000
"""How far back trades are read by time; the shortest history of a venue is three months."""


async def trades_since(link: CcxtLink, symbol: str, cursor: str | None) -> list[VenueTrade]:
    """All trades after the cursor, oldest first; None: from the first, or as far back as is read.

    VenueUnavailableError, also beyond MAX_TRADE_PAGES.
    """
    listing = link.dialect.trades
    if isinstance(listing, TradesByNumber):
        first = 0 if cursor is None else listing.number(cursor) + 1
        return await _numbered(link, symbol, listing, first)
    now_ms = await link.estimated_venue_time_ms()
    since_ms = now_ms - LOOK_BACK_MS if cursor is None else int(cursor)
    found: dict[tuple[str, Side], VenueTrade] = {}
    while since_ms <= now_ms:
        until_ms = min(since_ms + listing.span_ms, now_ms)
        async for page in _pages(link, symbol, listing, since_ms, until_ms):
            found.update(page)
        since_ms = until_ms + 1
    return sorted(found.values(), key=lambda t: (t.fill.traded_at_ms, t.fill.trade_id))


async def newest_cursor(link: CcxtLink, symbol: str) -> str | None:
    """The cursor behind the newest trade, or None without trades. VenueUnavailableError."""
    listing = link.dialect.trades
    if isinstance(listing, TradesByNumber):
        newest = await _newest_number(link, symbol, listing)
        return None if newest is None else str(newest)
    until_ms = await link.estimated_venue_time_ms()
    oldest_ms = until_ms - LOOK_BACK_MS
    while until_ms > oldest_ms:
        since_ms = max(until_ms - listing.span_ms, oldest_ms)
        async for page in _pages(link, symbol, listing, since_ms, until_ms):
            if page:  # newest first
                return str(max(trade.fill.traded_at_ms for trade in page.values()) + 1)
        until_ms = since_ms - 1
    return None


async def _newest_number(link: CcxtLink, symbol: str, listing: TradesByNumber) -> int | None:
    fee_asset = str((await link.market(symbol))["quote"])

    async def ask() -> list[int]:
        trades = await link.client.fetch_my_trades(symbol, None, 1)
        told = [reports.venue_trade(trade, symbol, fee_asset) for trade in trades]
        return [listing.number(trade.cursor) for trade in told]

    return max(await link.ask_signed(ask, expected=link.dialect.is_list), default=None)


async def _numbered(
    link: CcxtLink, symbol: str, listing: TradesByNumber, first: int
) -> list[VenueTrade]:
    found: dict[tuple[int, Side], VenueTrade] = {}
    for _ in range(MAX_TRADE_PAGES):
        got = await _numbered_page(link, symbol, listing, first)
        new = {key: trade for key, trade in got.items() if key[0] >= first and key not in found}
        found.update(new)
        if not new or len(got) < listing.page_size:
            return [found[key] for key in sorted(found)]
        first = max(number for number, _ in new)  # the page may end between its two sides
    raise VenueUnavailableError(f"more than {MAX_TRADE_PAGES} pages of trades")


async def _numbered_page(
    link: CcxtLink, symbol: str, listing: TradesByNumber, first: int
) -> dict[tuple[int, Side], VenueTrade]:
    """By number and side: both sides of a trade with oneself bear one number."""
    fee_asset = str((await link.market(symbol))["quote"])

    async def ask() -> dict[tuple[int, Side], VenueTrade]:
        params = dict(listing.page(first))
        trades = await link.client.fetch_my_trades(symbol, None, listing.page_size, params)
        told = [
            reports.venue_trade(link.dialect.amend_trade(trade), symbol, fee_asset)
            for trade in trades
        ]
        return {(listing.number(trade.fill.trade_id), trade.side): trade for trade in told}

    return await link.ask_signed(ask, expected=link.dialect.is_list)


async def _pages(
    link: CcxtLink, symbol: str, listing: TradesByTime, since_ms: int, until_ms: int
) -> AsyncIterator[dict[tuple[str, Side], VenueTrade]]:
    """The pages of a span, each by trade id and side."""
    page: Params | None = {}
    for _ in range(MAX_TRADE_PAGES):
        if page is None:
            return
        got, page = await _timed_page(link, symbol, listing, (since_ms, until_ms), page)
        yield got
    raise VenueUnavailableError(f"more than {MAX_TRADE_PAGES} pages of trades")


async def _timed_page(
    link: CcxtLink, symbol: str, listing: TradesByTime, span: tuple[int, int], page: Params
) -> tuple[dict[tuple[str, Side], VenueTrade], Params | None]:
    fee_asset = str((await link.market(symbol))["quote"])

    async def ask() -> tuple[dict[tuple[str, Side], VenueTrade], Params | None]:
        trades = await listing.fetch(link.client, symbol, *span, page)
        told = [
            reports.venue_trade(
                link.dialect.amend_trade(trade), symbol, fee_asset, is_read_by_time=True
            )
            for trade in trades
        ]
        inside = [trade for trade in told if span[0] <= trade.fill.traded_at_ms <= span[1]]
        following = listing.next_page(answer_of_call(), page)
        return {(trade.fill.trade_id, trade.side): trade for trade in inside}, following

    return await link.ask_signed(ask, expected=link.dialect.is_list)
