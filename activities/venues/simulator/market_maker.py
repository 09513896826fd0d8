"""A market maker: a ladder of quotes on both sides of the price, refilled as it is eaten.

Rule: quotes sit on a fixed grid of prices and stay where they are while the price moves within the
grid, so that orders queue behind them; a level that was eaten comes back only after some steps, so
that a large order leaves a mark. Seeded; knows nothing of accounts or time.
"""

import random
from decimal import Decimal

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.orders import Side
from activities.venues.simulator.price_feeds import round_to
from activities.venues.simulator.specs import SymbolSpec

LEVELS = 60  # per side
_GRIDS_PER_PRICE = 50_000  # a grid step is 0.2 basis points of the price
_TOUCH_VALUE_QUOTE = 5_000  # mean value quoted at the best price, in quote
_GROWTH_PER_LEVEL = Decimal("0.15")  # deeper levels are larger
_REFILL_CHANCE = 0.3  # per step and eaten level


class MarketMaker:
    """Quotes one symbol around a price that it is told."""

    def __init__(self, spec: SymbolSpec, reference: Decimal, seed: str) -> None:
        self._spec = spec
        self._grid = max(round_to(reference / _GRIDS_PER_PRICE, spec.tick), spec.tick)
        self._touch_quantity = _TOUCH_VALUE_QUOTE / reference
        # Reproducible by design: this makes a market, not a secret.
        self._random = random.Random(f"{seed}:{spec.name}:maker")  # noqa: S311
        self._quotes: dict[Side, dict[Decimal, int]] = {side: {} for side in Side}
        self._wanted: dict[Side, set[Decimal]] = {side: set() for side in Side}

    def best(self, side: Side, fair: Decimal) -> Decimal:
        """The price of the first level of `side`: the grid's neighbours of `fair`."""
        below = fair // self._grid * self._grid
        return below if side is Side.BUY else below + self._grid

    def requote(self, engine: Engine, fair: Decimal, now_ms: int) -> None:
        """Move the ladder to `fair`. Quotes that cross an account's order trade with it."""
        ladders = {side: self._ladder(side, self.best(side, fair)) for side in Side}
        for side in Side:
            self._withdraw(engine, side, ladders[side])
        for side in Side:
            self._refill(engine, side, ladders[side], now_ms)

    def surround(self, engine: Engine, price: Decimal, tick: Decimal, now_ms: int) -> None:
        """Quote one `tick` on either side of `price` and outwards from there, all levels at once.

        The side that trades with nobody comes first: who is set off by the trades of the other
        finds it.
        """
        best_bid = engine.books[self._spec.name].best(Side.BUY)
        falls = best_bid is not None and best_bid > price
        quiet = Side.BUY if falls else Side.SELL
        ladders = {
            Side.BUY: self._ladder(Side.BUY, price - tick),
            Side.SELL: self._ladder(Side.SELL, price + tick),
        }
        for side in Side:
            self._withdraw(engine, side, ladders[side])
            self._wanted[side] = set()
        for side in (quiet, quiet.opposite):
            self._refill(engine, side, ladders[side], now_ms)

    def _ladder(self, side: Side, first: Decimal) -> list[Decimal]:
        step = -self._grid if side is Side.BUY else self._grid
        return [first + step * level for level in range(LEVELS)]

    def _withdraw(self, engine: Engine, side: Side, ladder: list[Decimal]) -> None:
        quotes, stay = self._quotes[side], set(ladder)
        for price in [price for price in quotes if price not in stay]:
            engine.withdraw(self._spec.name, quotes.pop(price))

    def _refill(self, engine: Engine, side: Side, ladder: list[Decimal], now_ms: int) -> None:
        quotes, book = self._quotes[side], engine.books[self._spec.name]
        before = self._wanted[side]
        for level, price in enumerate(ladder):
            if price <= 0 or (price in quotes and quotes[price] in book):
                continue
            # A level that the ladder has just reached is quoted at once, an eaten one later.
            if price in before and self._random.random() >= _REFILL_CHANCE:
                continue
            quantity = self._quantity(level)
            quotes[price] = engine.quote(self._spec.name, side, price, quantity, now_ms)
        self._wanted[side] = set(ladder)

    def _quantity(self, level: int) -> Decimal:
        share = Decimal(repr(self._random.uniform(0.5, 1.5)))
        size = self._touch_quantity * (1 + level * _GROWTH_PER_LEVEL) * share
        return max(round_to(size, self._spec.lot), self._spec.lot)
