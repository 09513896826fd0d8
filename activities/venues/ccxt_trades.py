"""Pages of the account's trades, joined into one list without gap or repetition.

Pages are asked for by trade number, never by time: two trades can share a millisecond. It must
not know which list of trades it pages through.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_link import CcxtLink
from activities.venues.gateway import VenueTrade, VenueUnavailableError

MAX_TRADE_PAGES = 1_000

FetchPage = Callable[[int, Mapping[str, str]], Awaitable[list[Any]]]
"""(page size, parameters) -> ccxt trades."""


async def trade_pages(
    link: CcxtLink, symbol: str, fetch: FetchPage, first: int | None
) -> list[VenueTrade]:
    """All trades from number `first` on, oldest first; None: from the venue's own first page.

    VenueUnavailableError, also beyond MAX_TRADE_PAGES.
    """
    found: dict[int, VenueTrade] = {}
    for _ in range(MAX_TRADE_PAGES):
        got = await _page(link, symbol, fetch, first)
        new = {number: trade for number, trade in got.items() if first is None or number >= first}
        found.update(new)
        if not new or len(got) < link.dialect.trade_page_size:
            return [found[number] for number in sorted(found)]
        first = max(new) + 1
    raise VenueUnavailableError(f"more than {MAX_TRADE_PAGES} pages of trades")


async def _page(
    link: CcxtLink, symbol: str, fetch: FetchPage, first: int | None
) -> dict[int, VenueTrade]:
    fee_asset = str((await link.market(symbol))["quote"])
    params = {} if first is None else link.dialect.trade_page(first)

    async def request() -> dict[int, VenueTrade]:
        trades = await fetch(link.dialect.trade_page_size, params)
        return {
            link.dialect.trade_number(str(trade["id"])): reports.venue_trade(
                trade, symbol, fee_asset
            )
            for trade in trades
        }

    return await link.ask_signed(request, expected=link.dialect.is_list)
