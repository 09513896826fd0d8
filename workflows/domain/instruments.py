"""What a venue lets us trade: grid, minimums and the rounding that respects them.

What a user asks for is never moved: a quantity off the step or a price off the tick is refused.
Prices that we derive are rounded to the safe side.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from workflows.domain.exact import exact, is_multiple, times
from workflows.domain.orders import Side

_HALF = Decimal("0.5")


class Native(StrEnum):
    """What a venue can work by itself."""

    ICEBERG = "iceberg"
    STOP = "stop"
    """Stop-loss and take-profit, by the last trade, as market or limit orders."""
    TRAILING = "trailing"
    OCO = "oco"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingBounds:
    """Least and largest trailing delta that a venue takes, in bips."""

    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentPrice:
    """How far from its average price a venue takes limit prices: factors of that price."""

    buy_least: Decimal
    buy_most: Decimal
    sell_least: Decimal
    sell_most: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One symbol at one venue. Quantities in base units, notionals in quote units."""

    venue: str
    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal | None
    min_notional: Decimal
    is_trading: bool
    natives: tuple[Native, ...] = ()
    iceberg_parts: int | None = None
    """Most parts of a native iceberg, its shown one included."""
    has_mark_price: bool = False
    """The venue may tell a mark and an index price of this symbol."""
    trailing_above: TrailingBounds | None = None
    """Of triggers above the market: stops of buys, take-profits of sells."""
    trailing_below: TrailingBounds | None = None
    percent_price: PercentPrice | None = None
    """None where the venue names no such bounds."""

    @property
    def has_valid_rules(self) -> bool:
        """False when the venue published a grid that would divide by zero."""
        return self.tick > 0 and self.step > 0

    def is_on_step(self, quantity: Decimal) -> bool:
        """True when the venue would accept the quantity without rounding it."""
        return is_multiple(quantity, self.step)

    def is_on_tick(self, price: Decimal) -> bool:
        """True when the venue would accept the price without rounding it."""
        return is_multiple(price, self.tick)

    def round_price(self, price: Decimal, side: Side) -> Decimal:
        """`price` on the tick grid, never worse for the given side (buy down, sell up)."""
        return price_on_tick(Fraction(price), self.tick, side)


def price_on_tick(price: Fraction, tick: Decimal, side: Side) -> Decimal:
    """A price on the grid of `tick`, never worse for the given side (buy down, sell up)."""
    ticks = price / Fraction(tick)
    return times(tick, math.floor(ticks) if side is Side.BUY else math.ceil(ticks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The touch of one symbol, and when it was read by the reader's clock (ms since 1970)."""

    bid: Decimal
    ask: Decimal
    read_at_ms: int

    @property
    def mid(self) -> Decimal:
        """The middle of the touch, in quote units."""
        with exact():
            return (self.bid + self.ask) * _HALF

    def touch(self, side: Side) -> Decimal:
        """The price at which an order of `side` would trade now."""
        return self.ask if side is Side.BUY else self.bid
