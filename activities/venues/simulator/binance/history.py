"""Binance's public endpoints on what has traded: trades one by one, and klines.

Rule: reads only, from the tape. Every trade is an aggregate of its own here: the tape does not know
which trades one taker's order made. Times are milliseconds, both ends included.
"""

from collections.abc import Sequence
from typing import Any

from activities.venues.simulator.binance import errors, public_shapes, shapes
from activities.venues.simulator.binance.market_data import Symbols
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.candles import Span
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.tape import PublicTrade, Tape

_MINUTE_MS = 60_000
INTERVALS_MS = {
    "1s": 1_000,
    **{f"{minutes}m": minutes * _MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * 60 * _MINUTE_MS for hours in (1, 2, 4, 6, 8, 12)},
    "1d": 24 * 60 * _MINUTE_MS,
}


class History:
    """What the tapes of one exchange tell."""

    def __init__(self, exchange: PaperExchange, symbols: Symbols) -> None:
        self._exchange, self._symbols = exchange, symbols

    def trades(self, params: Params) -> list[Json]:
        """GET /trades: the latest, oldest first."""
        tape, limit = self._tape(params), params.limit(500, 1_000)
        params.finish()
        return [shapes.public_trade(trade) for trade in tape.latest(limit)]

    def historical_trades(self, params: Params) -> list[Json]:
        """GET /historicalTrades: from an id on, or the latest; oldest first."""
        tape, limit, first = self._tape(params), params.limit(500, 1_000), params.integer("fromId")
        params.finish()
        return [shapes.public_trade(trade) for trade in _from_id(tape, first, limit)]

    def aggregate_trades(self, params: Params) -> list[Json]:
        """GET /aggTrades: from an id or a time on, up to a time, or the latest; oldest first."""
        tape, limit, first = self._tape(params), params.limit(500, 1_000), params.integer("fromId")
        since_ms, until_ms = params.integer("startTime"), params.integer("endTime")
        params.finish()
        if first is not None and (since_ms, until_ms) != (None, None):
            raise errors.bad_combination()
        if (since_ms, until_ms) == (None, None):
            return [public_shapes.aggregate(trade) for trade in _from_id(tape, first, limit)]
        found = _between(tape, since_ms, until_ms)
        page = found[-limit:] if since_ms is None else found[:limit]
        return [public_shapes.aggregate(trade) for trade in page]

    def klines(self, params: Params) -> list[list[Any]]:
        """GET /klines: from a time on, up to a time, or the latest; oldest first."""
        tape, now_ms = self._tape(params), self._exchange.now_ms()
        length_ms = INTERVALS_MS.get(params.required("interval"))
        since_ms, until_ms = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(500, 1_000)
        params.finish()
        if length_ms is None:
            raise errors.bad_interval()
        span = Span(
            length_ms=length_ms,
            from_ms=since_ms or 0,
            until_ms=now_ms if until_ms is None else until_ms,
            limit=limit,
            oldest=since_ms is not None,
        )
        return [public_shapes.kline(candle, length_ms) for candle in tape.candles.of(span, now_ms)]

    def _tape(self, params: Params) -> Tape:
        return self._exchange.engine.tapes[self._symbols.one(params).name]


def _from_id(tape: Tape, first: int | None, limit: int) -> Sequence[PublicTrade]:
    if first is None:
        return tape.latest(limit)
    return [trade for trade in tape.recent if trade.trade_id >= first][:limit]


def _between(tape: Tape, since_ms: int | None, until_ms: int | None) -> Sequence[PublicTrade]:
    return [
        trade
        for trade in tape.recent
        if (since_ms is None or trade.ts_ms >= since_ms)
        and (until_ms is None or trade.ts_ms <= until_ms)
    ]
