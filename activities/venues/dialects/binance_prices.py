"""Binance's public prices: aggregated trades by number, and one stream of touch and trades.

An aggregated trade is what one taker order traded at one price, so the path of prices is whole.
It must not know other venues.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from activities.venues.ccxt_fields import mapping, milliseconds, positive
from activities.venues.dialects.listing import Params
from activities.venues.dialects.prices_row import PriceStream, PublicTrades
from workflows.domain.prices import PublicTrade
from workflows.domain.triggers import Tick

PAGE_SIZE = 1000
_REQUEST_ID = 1
_AGREED = "all"


async def _fetch(client: Any, symbol: str, since_ms: int, page: Params) -> list[Any]:
    # not ccxt's `since`: it would add an end, one hour later
    asked = dict(page) or {"startTime": str(since_ms)}
    trades: list[Any] = await client.fetch_trades(symbol, None, PAGE_SIZE, asked)
    return trades


def _next_page(page: Sequence[PublicTrade], since_ms: int) -> Params | None:
    del since_ms
    if len(page) < PAGE_SIZE:
        return None
    return {"fromId": str(max(int(trade.trade_id) for trade in page) + 1)}


def _is_list(answer: object) -> bool:
    return isinstance(answer, list)


def _url(client: Any) -> str:
    return str(client.urls["api"]["ws"]["spot"])


def _subscribe(market_id: str) -> Mapping[str, Any]:
    name = market_id.lower()
    topics = [f"{name}@bookTicker", f"{name}@trade"]
    return {"method": "SUBSCRIBE", "params": topics, "id": _REQUEST_ID}


def _agreed(message: Any) -> str | None:
    is_answer = isinstance(message, dict) and "result" in message
    is_ours = is_answer and str(message.get("id")) == str(_REQUEST_ID)
    return _AGREED if is_ours and message["result"] is None else None


def _read(message: Any, now_ms: int) -> Sequence[Tick]:
    fields = mapping(message)
    if fields.get("e") == "trade":
        return [Tick(at_ms=milliseconds(fields.get("T")), last=positive(fields, "p"))]
    if "e" not in fields and "b" in fields and "a" in fields:  # a touch, which has no time
        return [Tick(at_ms=now_ms, bid=positive(fields, "b"), ask=positive(fields, "a"))]
    return []


PUBLIC_TRADES = PublicTrades(fetch=_fetch, next_page=_next_page, is_told=_is_list)
PRICE_STREAM = PriceStream(
    url=_url,
    subscribe=_subscribe,
    topics=frozenset({_AGREED}),
    agreed=_agreed,
    read=_read,
)
