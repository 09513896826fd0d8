"""Turns ccxt's dictionaries about a market into the engine's terms, believing nothing.

Rules, books, tickers, trades and candles. ccxt runs with `number = str`, so the digits are the
venue's own. It must not know how the answers were fetched, nor anything of an account.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from activities.venues.ccxt_fields import (
    UnreadableAnswerError,
    decimal_or_none,
    mapping,
    milliseconds,
    number,
    positive,
    positive_or_none,
    text,
)
from workflows.domain.books import Book, Level
from workflows.domain.instruments import Instrument
from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.triggers import Tick

_CANDLE = ("opened", "open", "high", "low", "close", "volume")


def instrument(venue: str, market: Any) -> Instrument:
    """The trading rules of a ccxt spot market. A broken grid becomes 0 (`has_valid_rules`)."""
    fields = mapping(market)
    precision = mapping(fields.get("precision"))
    limits = mapping(fields.get("limits"))
    amount = mapping(limits.get("amount"))
    return Instrument(
        venue=venue,
        symbol=text(fields, "symbol"),
        base=text(fields, "base"),
        quote=text(fields, "quote"),
        tick=_rule(precision, "price"),
        step=_rule(precision, "amount"),
        min_quantity=_rule(amount, "min"),
        max_quantity=positive_or_none(amount, "max"),
        min_notional=_rule(mapping(limits.get("cost")), "min"),
        is_trading=fields.get("active") is True,
    )


def book(answer: Any, depth: int, read_at_ms: int) -> Book:
    """The best `depth` levels of a ccxt order book; an empty, broken or crossed one is unreadable.

    ccxt sorts the levels as text when numbers are text, so they are sorted again.
    """
    fields = mapping(answer)
    bids, asks = _levels(fields.get("bids")), _levels(fields.get("asks"))
    if not bids or not asks:
        raise UnreadableAnswerError("empty order book")
    bids.sort(key=lambda level: -level.price)
    asks.sort(key=lambda level: level.price)
    bid, ask = bids[0].price, asks[0].price
    if bid >= ask:
        raise UnreadableAnswerError(f"crossed order book: bid {bid}, ask {ask}")
    return Book(bids=tuple(bids[:depth]), asks=tuple(asks[:depth]), read_at_ms=read_at_ms)


def tick(answer: Any, at_ms: int) -> Tick:
    """The prices of a ccxt ticker; one without any is unreadable."""
    fields = mapping(answer)
    told = Tick(
        at_ms=at_ms,
        bid=positive_or_none(fields, "bid"),
        ask=positive_or_none(fields, "ask"),
        last=positive_or_none(fields, "last"),
    )
    if told.bid is None and told.ask is None and told.last is None:
        raise UnreadableAnswerError("a ticker without a price")
    return told


def other_prices(answer: Any) -> dict[str, Decimal | None]:
    """Mark and index price, where they are told."""
    fields = mapping(answer)
    return {name: positive_or_none(fields, name) for name in ("mark", "index")}


def public_trade(trade: Any) -> PublicTrade:
    """One ccxt trade of anybody."""
    fields = mapping(trade)
    return PublicTrade(
        trade_id=text(fields, "id"),
        price=positive(fields, "price"),
        quantity=positive(fields, "amount"),
        at_ms=milliseconds(fields.get("timestamp")),
    )


def candle(row: Any, length_ms: int) -> Candle:
    """One ccxt candle: its opening time, open, high, low, close and volume."""
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) < len(_CANDLE):
        raise UnreadableAnswerError("unreadable candle")
    fields = dict(zip(_CANDLE, row, strict=False))
    told = Candle(
        opened_ms=milliseconds(fields["opened"]),
        length_ms=length_ms,
        open=positive(fields, "open"),
        high=positive(fields, "high"),
        low=positive(fields, "low"),
        close=positive(fields, "close"),
        volume=number(fields, "volume", at_least=Decimal(0)),
    )
    if not told.low <= min(told.open, told.close) <= max(told.open, told.close) <= told.high:
        raise UnreadableAnswerError("a candle that contradicts itself")
    return told


def _rule(fields: Mapping[str, Any], name: str) -> Decimal:
    return positive_or_none(fields, name) or Decimal(0)


def _levels(levels: Any) -> list[Level]:
    if not isinstance(levels, Sequence) or isinstance(levels, str):
        raise UnreadableAnswerError("no order book side")
    return [_level(level) for level in levels]


def _level(level: Any) -> Level:
    if isinstance(level, Sequence) and not isinstance(level, str) and len(level) >= 2:
        price, quantity = decimal_or_none(level[0]), decimal_or_none(level[1])
        if price is not None and quantity is not None and price > 0 and quantity > 0:
            return Level(price=price, quantity=quantity)
    raise UnreadableAnswerError("unreadable price level")
