"""OKX's public prices: trades by number, newest first, and one stream of touch, trades and marks.

A mark or an index price is not told of every market: the stream is live without them. It must not
know other venues.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ccxt

from activities.venues.ccxt_fields import (
    UnreadableAnswerError,
    mapping,
    milliseconds,
    positive,
)
from activities.venues.dialects.listing import Params
from activities.venues.dialects.prices_row import PriceStream, PublicTrades
from workflows.domain.prices import PublicTrade
from workflows.domain.triggers import Tick

PAGE_SIZE = 100
_TOPICS = frozenset({"bbo-tbt", "trades"})
_MARKS = ("mark-price", "index-tickers")


async def _fetch(client: Any, symbol: str, since_ms: int, page: Params) -> list[Any]:
    del since_ms
    asked = {"method": "publicGetMarketHistoryTrades", "type": "1", **page}
    trades: list[Any] = await client.fetch_trades(symbol, None, PAGE_SIZE, asked)
    return trades


def _next_page(page: Sequence[PublicTrade], since_ms: int) -> Params | None:
    if len(page) < PAGE_SIZE or min(trade.at_ms for trade in page) < since_ms:
        return None
    return {"after": str(min(int(trade.trade_id) for trade in page))}


def _is_list(answer: object) -> bool:
    if not isinstance(answer, dict) or answer.get("code") != "0":
        return False
    return isinstance(answer.get("data"), list)


async def other_prices(client: Any, symbol: str) -> Mapping[str, Any]:
    """The mark price and the index, where the venue has them."""
    asked = {"instId": client.market_id(symbol)}
    told: dict[str, Any] = {}
    with suppress(ccxt.BaseError, LookupError):
        answer = await client.public_get_public_mark_price({"instType": "MARGIN", **asked})
        told["mark"] = answer["data"][0]["markPx"]
    with suppress(ccxt.BaseError, LookupError):
        answer = await client.public_get_market_index_tickers(asked)
        told["index"] = answer["data"][0]["idxPx"]
    return told


def _url(client: Any) -> str:
    return str(client.get_url("bbo-tbt", "public"))


def _subscribe(market_id: str) -> Mapping[str, Any]:
    channels = [*sorted(_TOPICS), *_MARKS]
    return {
        "op": "subscribe",
        "args": [{"channel": channel, "instId": market_id} for channel in channels],
    }


def _agreed(message: Any) -> str | None:
    if not isinstance(message, dict) or message.get("event") != "subscribe":
        return None
    return str(mapping(message.get("arg")).get("channel"))


def _read(message: Any, now_ms: int) -> Sequence[Tick]:
    del now_ms
    fields = mapping(message)
    rows = fields.get("data")
    if not isinstance(rows, list):
        return []
    channel = mapping(fields.get("arg")).get("channel")
    return [_tick(channel, mapping(row)) for row in rows]


def _tick(channel: Any, row: Mapping[str, Any]) -> Tick:
    at_ms = milliseconds(row.get("ts"))
    match channel:
        case "trades":
            return Tick(at_ms=at_ms, last=positive(row, "px"))
        case "mark-price":
            return Tick(at_ms=at_ms, mark=positive(row, "markPx"))
        case "index-tickers":
            return Tick(at_ms=at_ms, index=positive(row, "idxPx"))
        case "bbo-tbt":
            bid, ask = (row.get(side) or [[None]] for side in ("bids", "asks"))
            return Tick(at_ms=at_ms, bid=_price(bid), ask=_price(ask))
    raise UnreadableAnswerError(f"prices of a channel {channel}")


def _price(levels: Any) -> Any:
    """The best price of a side, or None when nobody is on it."""
    price = levels[0][0]
    return None if price is None else positive({"price": price}, "price")


PUBLIC_TRADES = PublicTrades(fetch=_fetch, next_page=_next_page, is_told=_is_list)
PRICE_STREAM = PriceStream(
    url=_url,
    subscribe=_subscribe,
    topics=_TOPICS,
    agreed=_agreed,
    read=_read,
)
