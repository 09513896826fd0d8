"""Matching: what an incoming order takes from the book.

Rule: best price first, then first come first served, always at the resting order's price. Pure: the
same book and the same order give the same fills. Knows nothing of accounts, fees or clocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.orders import ZERO, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One resting order's part in a match; `price` in quote per base, `quantity` in base."""

    maker_order_id: int
    maker_owner: str
    price: Decimal
    quantity: Decimal


def crosses(book: OrderBook, side: Side, price: Decimal) -> bool:
    """Whether an order of `side` at `price` would trade at once."""
    best = book.best(side.opposite)
    return best is not None and _acceptable(side, best, price)


def preview(
    book: OrderBook, side: Side, quantity: Decimal, limit: Decimal | None = None
) -> Iterator[Fill]:
    """The fills that `sweep` would make, without making them."""
    wanted = quantity
    for resting, offered in book.offers(side.opposite):
        if not wanted or (limit is not None and not _acceptable(side, resting.price, limit)):
            return
        taken = min(wanted, offered)
        wanted -= taken
        yield Fill(
            maker_order_id=resting.order_id,
            maker_owner=resting.owner,
            price=resting.price,
            quantity=taken,
        )


def sweep(
    book: OrderBook, side: Side, quantity: Decimal, limit: Decimal | None = None
) -> list[Fill]:
    """Take up to `quantity` (base) from the book at `limit` or better (None: at any price)."""
    fills = list(preview(book, side, quantity, limit))
    for fill in fills:
        book.reduce(fill.maker_order_id, fill.quantity)
    return fills


def affordable(book: OrderBook, side: Side, budget: Decimal, lot: Decimal) -> tuple[Decimal, bool]:
    """Base quantity (whole lots) that trades for at most `budget` of quote.

    The flag tells that the book ended before the budget was spent.
    """
    total, left = ZERO, budget
    for resting, offered in book.offers(side.opposite):
        lots = (left / resting.price / lot).to_integral_value(ROUND_DOWN)
        taken = min(offered, lots * lot)
        total += taken
        left -= taken * resting.price
        if taken < offered:
            return total, False
    return total, left > 0


def _acceptable(side: Side, offered: Decimal, limit: Decimal) -> bool:
    return offered <= limit if side is Side.BUY else offered >= limit
