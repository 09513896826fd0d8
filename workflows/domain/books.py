"""Order books as data, and what it costs to walk them.

A walk is exact: sums of price times quantity, never an average of prices. Quantities are base
units, prices and values quote units.
"""

from dataclasses import dataclass
from decimal import Decimal

from workflows.domain.exact import exact
from workflows.domain.orders import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One price level of a book."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The best levels of one symbol, best first, and when they were read (ms since 1970)."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    read_at_ms: int

    def against(self, side: Side) -> tuple[Level, ...]:
        """The levels that an order of `side` trades with."""
        return self.asks if side is Side.BUY else self.bids


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What taking a quantity from a book comes to: its value, and the last price touched."""

    quantity: Decimal
    value: Decimal
    edge: Decimal


def walk(levels: tuple[Level, ...], quantity: Decimal) -> Walk | None:
    """Take `quantity` > 0 from the levels, best first; None when they do not hold that much."""
    with exact():
        left, value = quantity, Decimal(0)
        for level in levels:
            taken = min(left, level.quantity)
            value += taken * level.price
            left -= taken
            if left <= 0:
                return Walk(quantity=quantity, value=value, edge=level.price)
    return None


def depth_within(levels: tuple[Level, ...], side: Side, limit: Decimal) -> Decimal:
    """Base units that an order of `side` with this limit price could take from the levels."""
    with exact():
        return sum(
            (level.quantity for level in levels if (limit - level.price) * side.sign >= 0),
            Decimal(0),
        )
