"""OKX's public endpoints on what has traded: trades one by one, and candles.

Rule: reads only, from the tape; always the newest first. Of a page, `after` is what it must be
older than and `before` what it must be newer than, neither of them included.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from activities.venues.simulator.candles import Span
from activities.venues.simulator.okx import errors, public_shapes, shapes
from activities.venues.simulator.okx.market_data import Instruments
from activities.venues.simulator.okx.params import Params
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.tape import PublicTrade

MAX_TRADES, MAX_CANDLES = 500, 300
_MINUTE_MS = 60_000
# Longer bars begin at midnight in Hong Kong unless their name says otherwise; these do not exist.
BARS_MS = {
    "1s": 1_000,
    **{f"{minutes}m": minutes * _MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}H": hours * 60 * _MINUTE_MS for hours in (1, 2, 4)},
    **{f"{hours}Hutc": hours * 60 * _MINUTE_MS for hours in (6, 12)},
    "1Dutc": 24 * 60 * _MINUTE_MS,
}


class _By(StrEnum):
    """What a page of trades is counted by."""

    ID = "1"
    TIME = "2"


class History:
    """What the tapes of one exchange tell."""

    def __init__(self, exchange: PaperExchange, instruments: Instruments) -> None:
        self._exchange, self._instruments = exchange, instruments

    def trades(self, params: Params) -> list[Json]:
        """GET /market/trades: the latest."""
        spec, limit = self._instruments.one(params), params.limit(largest=MAX_TRADES)
        params.finish()
        return _page(spec, reversed(self._exchange.engine.tapes[spec.name].recent), limit)

    def older_trades(self, params: Params) -> list[Json]:
        """GET /market/history-trades: by id, or backwards by time."""
        spec, limit = self._instruments.one(params), params.limit()
        by = params.choice("type", _By) or _By.ID
        after, before = params.integer("after"), params.integer("before")
        params.finish()
        if by is _By.TIME and before is not None:
            raise errors.bad_parameter("before")
        found = (
            trade
            for trade in reversed(self._exchange.engine.tapes[spec.name].recent)
            for place in [trade.trade_id if by is _By.ID else trade.ts_ms]
            if (after is None or place < after) and (before is None or place > before)
        )
        return _page(spec, found, limit)

    def candles(self, params: Params) -> list[list[str]]:
        """GET /market/candles: with the one that is open now."""
        return self._candles(params, only_complete=False)

    def complete_candles(self, params: Params) -> list[list[str]]:
        """GET /market/history-candles."""
        return self._candles(params, only_complete=True)

    def _candles(self, params: Params, *, only_complete: bool) -> list[list[str]]:
        spec, limit = self._instruments.one(params), params.limit(largest=MAX_CANDLES)
        length_ms = BARS_MS.get(params.text("bar") or "1m")
        after, before = params.integer("after"), params.integer("before")
        params.finish()
        if length_ms is None:
            raise errors.bad_parameter("bar")
        now_ms = self._exchange.now_ms()
        until_ms = now_ms - length_ms if only_complete else now_ms
        span = Span(
            length_ms=length_ms,
            from_ms=0 if before is None else before + 1,
            until_ms=until_ms if after is None else min(after - 1, until_ms),
            limit=limit,
        )
        found = self._exchange.engine.tapes[spec.name].candles.of(span, now_ms)
        return [
            public_shapes.candle(each, is_complete=each.opened_ms + length_ms <= now_ms)
            for each in reversed(found)
        ]


def _page(spec: SymbolSpec, trades: Iterable[PublicTrade], limit: int) -> list[Json]:
    return [shapes.public_trade(spec, trade) for trade in islice(trades, limit)]
