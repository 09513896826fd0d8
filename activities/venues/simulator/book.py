"""One symbol's order book: price levels, each a queue in order of arrival.

Rule: price-time priority. A level is a dict of orders by id, because a dict keeps the order of
arrival and forgets a cancelled order in constant time. Of an iceberg only the shown part is seen
and has a place in the queue; when it is used up the next part queues at the end of its level.
Knows nothing of accounts, fees or clocks.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from activities.venues.simulator.orders import ZERO, Side


@dataclass(slots=True, kw_only=True)
class RestingOrder:
    """An order that waits in the book; quantities in base. `display` zero shows all of it.

    An iceberg shows a whole part when it comes into the book, after a restart too.
    """

    order_id: int
    owner: str
    side: Side
    price: Decimal
    remaining: Decimal
    display: Decimal = ZERO
    shown: Decimal = field(init=False)

    def __post_init__(self) -> None:
        self.show()

    def show(self) -> None:
        """Show the next part, or what is left."""
        self.shown = min(self.display or self.remaining, self.remaining)


class _BookSide:
    """Levels of one side, best price first to iterate."""

    def __init__(self, side: Side) -> None:
        self._descending = side is Side.BUY
        self._prices: list[Decimal] = []  # ascending
        self._levels: dict[Decimal, dict[int, RestingOrder]] = {}

    def add(self, order: RestingOrder) -> None:
        level = self._levels.get(order.price)
        if level is None:
            level = self._levels[order.price] = {}
            insort(self._prices, order.price)
        level[order.order_id] = order

    def requeue(self, order: RestingOrder) -> None:
        level = self._levels[order.price]
        level[order.order_id] = level.pop(order.order_id)

    def remove(self, order: RestingOrder) -> None:
        level = self._levels[order.price]
        del level[order.order_id]
        if not level:
            del self._levels[order.price]
            del self._prices[bisect_left(self._prices, order.price)]

    def best(self) -> Decimal | None:
        if not self._prices:
            return None
        return self._prices[-1] if self._descending else self._prices[0]

    def levels(self) -> Iterator[tuple[Decimal, dict[int, RestingOrder]]]:
        prices = reversed(self._prices) if self._descending else iter(self._prices)
        return ((price, self._levels[price]) for price in prices)


class OrderBook:
    """Resting orders of one symbol. Never crossed after a command has been carried out whole."""

    def __init__(self) -> None:
        self._sides = {side: _BookSide(side) for side in Side}
        self._by_id: dict[int, RestingOrder] = {}
        self.revision = 0  # grows with each change; a reader can tell two states apart

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._by_id

    def add(self, order: RestingOrder) -> None:
        """Queue `order` behind those already at its price."""
        self._by_id[order.order_id] = order
        self._sides[order.side].add(order)
        self.revision += 1

    def remove(self, order_id: int) -> RestingOrder | None:
        """Take an order out; None if it does not rest here."""
        order = self._by_id.pop(order_id, None)
        if order is not None:
            self._sides[order.side].remove(order)
            self.revision += 1
        return order

    def reduce(self, order_id: int, quantity: Decimal) -> None:
        """Take `quantity` (base) off an order; an order with nothing left leaves the book."""
        order = self._by_id[order_id]
        order.remaining -= quantity
        order.shown -= quantity
        assert order.remaining >= 0, "a resting order was filled beyond its quantity"
        self.revision += 1
        if not order.remaining:
            self.remove(order_id)
        elif order.shown <= 0:
            order.show()
            self._sides[order.side].requeue(order)

    def best(self, side: Side) -> Decimal | None:
        """Best price of the resting orders of `side`; None if there is none."""
        return self._sides[side].best()

    def offers(self, side: Side) -> Iterator[tuple[RestingOrder, Decimal]]:
        """Orders of `side` with the base quantity that each trades in one go, in their turn.

        An iceberg comes once for each of its parts.
        """
        for _, level in self._sides[side].levels():
            yield from _in_turn(level.values())

    def depth(self, side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
        """At most `limit` (price, shown base quantity) levels of `side`, best first."""
        found: list[tuple[Decimal, Decimal]] = []
        for price, level in self._sides[side].levels():
            if len(found) == limit:
                break
            found.append((price, sum((order.shown for order in level.values()), ZERO)))
        return found


def _in_turn(level: Iterable[RestingOrder]) -> Iterator[tuple[RestingOrder, Decimal]]:
    queue = deque((order, order.shown, order.remaining - order.shown) for order in level)
    while queue:
        order, shown, hidden = queue.popleft()
        yield order, shown
        if hidden:
            part = min(order.display, hidden)
            queue.append((order, part, hidden - part))
