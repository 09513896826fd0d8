"""The candles of one symbol, of any length, made of what traded in each second.

Rule: only seconds in which something traded are kept, at most KEPT_SECONDS of them; a period in
which nothing traded stands at the price before it. What is no longer known whole is not told.
Knows nothing of dialects.
"""

from collections import deque
from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.orders import ZERO, Side

SECOND_MS = 1_000
KEPT_SECONDS = 6 * 3_600


@dataclass(slots=True, kw_only=True)
class Candle:
    """Prices in quote per base, `volume` in base; what takers bought counts in `bought` too."""

    opened_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    bought: Decimal = ZERO
    quote_bought: Decimal = ZERO
    count: int = 0

    @classmethod
    def flat(cls, opened_ms: int, price: Decimal) -> "Candle":
        """A period that has not traded yet."""
        return cls(opened_ms=opened_ms, open=price, high=price, low=price, close=price)

    def trade(self, price: Decimal, quantity: Decimal, taker_side: Side) -> None:
        """Add one trade."""
        worth = price * quantity
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += quantity
        self.quote_volume += worth
        self.count += 1
        if taker_side is Side.BUY:
            self.bought += quantity
            self.quote_bought += worth

    def absorb(self, later: "Candle") -> None:
        """Add a shorter period that lies behind all that is in here."""
        self.open = self.open if self.count else later.open
        self.high = max(self.high, later.high) if self.count else later.high
        self.low = min(self.low, later.low) if self.count else later.low
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.bought += later.bought
        self.quote_bought += later.quote_bought
        self.count += later.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Candles of `length_ms` that opened within [from_ms, until_ms], at most `limit` of them.

    Those that opened first if `oldest`, else those that opened last.
    """

    length_ms: int
    from_ms: int
    until_ms: int
    limit: int
    oldest: bool = False


class CandleHistory:
    """The seconds of one symbol."""

    def __init__(self) -> None:
        self._seconds: deque[Candle] = deque()
        self._whole_from_ms = 0  # trades before that were forgotten

    def trade(self, ts_ms: int, price: Decimal, quantity: Decimal, taker_side: Side) -> None:
        """Add one trade; a clock that was set back forgets the seconds ahead of it."""
        opened_ms = _begin(ts_ms, SECOND_MS)
        while self._seconds and self._seconds[-1].opened_ms > opened_ms:
            self._seconds.pop()
        if not self._seconds or self._seconds[-1].opened_ms < opened_ms:
            self._seconds.append(Candle.flat(opened_ms, price))
        self._seconds[-1].trade(price, quantity, taker_side)
        if len(self._seconds) > KEPT_SECONDS:
            self._whole_from_ms = self._seconds.popleft().opened_ms + SECOND_MS

    def of(self, span: Span, now_ms: int) -> list[Candle]:
        """The candles of a span, oldest first, up to the one that is open now."""
        opened = self._openings(span, now_ms)
        if not opened:
            return []
        end_ms = opened[-1] + span.length_ms
        found: dict[int, list[Candle]] = {}
        close: Decimal | None = None
        for second in reversed(self._seconds):
            if second.opened_ms < opened[0]:
                close = second.close
                break
            if second.opened_ms < end_ms:
                found.setdefault(_begin(second.opened_ms, span.length_ms), []).append(second)
        candles: list[Candle] = []
        for opened_ms in opened:
            seconds = found.get(opened_ms, [])
            before = close if close is not None else seconds[-1].open
            candle = Candle.flat(opened_ms, before)
            for second in reversed(seconds):
                candle.absorb(second)
            candles.append(candle)
            close = candle.close
        return candles

    def _openings(self, span: Span, now_ms: int) -> range:
        """When the candles of a span open; the first has a trade, or stands behind one."""
        length = span.length_ms
        if not self._seconds:
            return range(0)
        first = _begin(self._seconds[0].opened_ms, length)
        if first < self._whole_from_ms:
            first += length
        first = max(first, -_begin(-span.from_ms, length))
        last = min(_begin(span.until_ms, length), _begin(now_ms, length))
        opened = range(first, last + 1, length)
        return opened[: span.limit] if span.oldest else opened[-span.limit :]


def _begin(ts_ms: int, length_ms: int) -> int:
    return ts_ms // length_ms * length_ms
