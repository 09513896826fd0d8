"""Matching: what an incoming order takes from the book.

Rule: best price first, then first come first served, always at the resting order's price. Pure: the
same book and the same order give the same fills. Knows nothing of accounts, fees or clocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.orders import ZERO, SelfTradeMode, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One resting order's part in a match; `price` in quote per base, `quantity` in base."""

    maker_order_id: int
    maker_owner: str
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A resting order that the incoming one must not trade with: both are of one account."""

    maker_order_id: int
    price: Decimal
    remaining: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Whose order comes in, and what it wants instead of a trade with its own account."""

    owner: str
    mode: SelfTradeMode

    def stops(self, owner: str) -> bool:
        """Whether no trade may be made with an order of `owner`."""
        return self.mode is not SelfTradeMode.NONE and owner == self.owner


UNGUARDED = Guard(owner="", mode=SelfTradeMode.NONE)


def crosses(book: OrderBook, side: Side, price: Decimal) -> bool:
    """Whether an order of `side` at `price` would trade at once."""
    best = book.best(side.opposite)
    return best is not None and _acceptable(side, best, price)


def preview(
    book: OrderBook,
    side: Side,
    quantity: Decimal,
    limit: Decimal | None = None,
    guard: Guard = UNGUARDED,
) -> Iterator[Fill]:
    """The fills that `take` would make, without making them."""
    for step in _walk(book, side, quantity, limit, guard):
        if isinstance(step, Fill):
            yield step


def take(
    book: OrderBook,
    side: Side,
    quantity: Decimal,
    limit: Decimal | None,
    guard: Guard,
) -> list[Fill | Clash]:
    """Take up to `quantity` (base) from the book at `limit` or better (None: at any price).

    A clash is told in its turn; the order that it names is left in the book.
    """
    steps = list(_walk(book, side, quantity, limit, guard))
    for step in steps:
        if isinstance(step, Fill):
            book.reduce(step.maker_order_id, step.quantity)
    return steps


def sweep(
    book: OrderBook, side: Side, quantity: Decimal, limit: Decimal | None = None
) -> list[Fill]:
    """As `take`, by somebody who may trade with everybody."""
    steps = take(book, side, quantity, limit, UNGUARDED)
    return [step for step in steps if isinstance(step, Fill)]


def affordable(
    book: OrderBook, side: Side, budget: Decimal, lot: Decimal, guard: Guard = UNGUARDED
) -> tuple[Decimal, bool]:
    """Base quantity (whole lots) that trades for at most `budget` of quote.

    The flag tells that the book ended before the budget was spent.
    """
    total, left = ZERO, budget
    for resting, offered in book.offers(side.opposite):
        if guard.stops(resting.owner):
            if guard.mode.ends_taker:
                break
            continue
        lots = (left / resting.price / lot).to_integral_value(ROUND_DOWN)
        taken = min(offered, lots * lot)
        total += taken
        left -= taken * resting.price
        if taken < offered:
            return total, False
    return total, left > 0


def _walk(
    book: OrderBook, side: Side, quantity: Decimal, limit: Decimal | None, guard: Guard
) -> Iterator[Fill | Clash]:
    """What an order meets in its turn. A clash that ends the order is the last step."""
    wanted = quantity
    passed: set[int] = set()  # an iceberg comes once for each of its parts
    for resting, offered in book.offers(side.opposite):
        if not wanted or (limit is not None and not _acceptable(side, resting.price, limit)):
            return
        if guard.stops(resting.owner):
            if resting.order_id not in passed:
                passed.add(resting.order_id)
                yield Clash(
                    maker_order_id=resting.order_id,
                    price=resting.price,
                    remaining=resting.remaining,
                )
            if guard.mode.ends_taker:
                return
            continue
        taken = min(wanted, offered)
        wanted -= taken
        yield Fill(
            maker_order_id=resting.order_id,
            maker_owner=resting.owner,
            price=resting.price,
            quantity=taken,
        )


def _acceptable(side: Side, offered: Decimal, limit: Decimal) -> bool:
    return offered <= limit if side is Side.BUY else offered >= limit
