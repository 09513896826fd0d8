"""One symbol's order book: price levels, each a queue in order of arrival.

Rule: price-time priority. A level is a dict of orders by id, because a dict keeps the order of
arrival and forgets a cancelled order in constant time. Knows nothing of accounts, fees or clocks.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.orders import Side


@dataclass(slots=True, kw_only=True)
class RestingOrder:
    """An order that waits in the book; `remaining` in base."""

    order_id: int
    owner: str
    side: Side
    price: Decimal
    remaining: Decimal


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
        assert order.remaining >= 0, "a resting order was filled beyond its quantity"
        self.revision += 1
        if not order.remaining:
            self.remove(order_id)

    def best(self, side: Side) -> Decimal | None:
        """Best price of the resting orders of `side`; None if there is none."""
        return self._sides[side].best()

    def best_first(self, side: Side) -> Iterator[RestingOrder]:
        """Resting orders of `side` in the order in which they would trade."""
        for _, level in self._sides[side].levels():
            yield from level.values()

    def depth(self, side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
        """At most `limit` (price, base quantity) levels of `side`, best first."""
        found: list[tuple[Decimal, Decimal]] = []
        for price, level in self._sides[side].levels():
            if len(found) == limit:
                break
            found.append((price, sum((order.remaining for order in level.values()), Decimal(0))))
        return found
