"""Public trades of venues that tell only the newest ones, a fixed number of them.

One page is the whole answer. It proves that nothing is missing only if it reaches back beyond the
moment that was asked for. It must not know any venue.
"""

from collections.abc import Sequence
from typing import Any

from activities.venues.dialects.listing import Params
from activities.venues.dialects.prices_row import PublicTrades, TradesMissingError
from workflows.domain.prices import PublicTrade


def newest_trades(limit: int, number: str | None = None) -> PublicTrades:
    """The last `limit` trades of a market; `number` names their id where ccxt does not read it."""

    async def fetch(client: Any, symbol: str, since_ms: int, page: Params) -> list[Any]:
        del since_ms, page
        trades: list[Any] = await client.fetch_trades(symbol, None, limit)
        if number is not None:
            return [{**trade, "id": str(trade["info"][number])} for trade in trades]
        return trades

    return PublicTrades(fetch=fetch, next_page=_reaches_back)


def _reaches_back(page: Sequence[PublicTrade], since_ms: int) -> Params | None:
    if min((trade.at_ms for trade in page), default=since_ms) >= since_ms:
        raise TradesMissingError
    return None
