"""The public tape of one symbol: recent trades, candles and the statistics that tickers show.

Rule: it covers the time since the process started (at most the last trades and seconds it keeps);
it is public information, never journaled, and does not survive a restart. Knows nothing of
accounts.
"""

import itertools
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from activities.venues.simulator.candles import CandleHistory
from activities.venues.simulator.orders import ZERO, Side

KEPT_TRADES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """A trade as everybody sees it; `taker_side` is the side that took liquidity."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    taker_side: Side
    ts_ms: int


@dataclass(slots=True)
class Tape:
    """Prices in quote per base, `volume` in base, `quote_volume` in quote."""

    last: Decimal
    opened_ms: int = 0
    first_id: int = -1
    open: Decimal = ZERO
    high: Decimal = ZERO
    low: Decimal = ZERO
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    count: int = 0
    recent: deque[PublicTrade] = field(default_factory=lambda: deque(maxlen=KEPT_TRADES))
    candles: CandleHistory = field(default_factory=CandleHistory)

    def record(self, trade: PublicTrade) -> None:
        """Add one trade."""
        price = trade.price
        if not self.count:
            self.opened_ms, self.first_id = trade.ts_ms, trade.trade_id
            self.open = self.low = price
        self.last = price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += trade.quantity
        self.quote_volume += price * trade.quantity
        self.count += 1
        self.recent.append(trade)
        self.candles.trade(trade.ts_ms, price, trade.quantity, trade.taker_side)

    def latest(self, most: int) -> list[PublicTrade]:
        """The latest trades, oldest first."""
        return list(itertools.islice(reversed(self.recent), most))[::-1]
