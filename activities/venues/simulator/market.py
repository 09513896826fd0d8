"""The market: prices, the maker's liquidity and the flow of other traders, one step at a time.

Rule: a step first moves the maker to the new price and then lets the flow trade there, so a price
that passes through an account's resting order fills it. Symbols without recorded trades stay
synthetic. A frozen symbol moves by `trade` alone. Knows nothing of wall clocks: the caller says how
much time passed.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.market_maker import MarketMaker
from activities.venues.simulator.orders import Side
from activities.venues.simulator.price_feeds import (
    Move,
    PriceFeed,
    ReplayPrices,
    SyntheticPrices,
    read_trades,
)
from activities.venues.simulator.price_paths import OffsetPath
from activities.venues.simulator.specs import SymbolSpec

STEP_INTERVAL_S = 0.2


class Market:
    """Feeds and market makers of all symbols of one venue."""

    def __init__(
        self, specs: Mapping[str, SymbolSpec], feeds: Mapping[str, PriceFeed], seed: int, venue: str
    ) -> None:
        self._feeds = feeds
        self._makers = {
            name: MarketMaker(specs[name], feed.start, f"{seed}:{venue}")
            for name, feed in feeds.items()
        }
        self.frozen: set[str] = set()  # symbols (unified names) whose quotes stay as they are

    def open(self, engine: Engine, now_ms: int) -> None:
        """Quote every symbol for the first time."""
        for name, feed in self._feeds.items():
            engine.tapes[name].last = feed.start
            self._makers[name].requote(engine, feed.start, now_ms)

    def advance(self, engine: Engine, elapsed_s: float, now_ms: int) -> None:
        """One step of `elapsed_s` seconds for every symbol; none moves that is halted or frozen."""
        for name, feed in self._feeds.items():
            for move in feed.advance(elapsed_s):
                if name not in engine.halted and name not in self.frozen:
                    self._carry_out(engine, name, move, now_ms)

    def trade(
        self, engine: Engine, name: str, price: Decimal, quantity: Decimal, now_ms: int
    ) -> int:
        """The market trades `quantity` (base) at exactly this price; returns the trade's id.

        Its own quotes then stand one tick away on either side. Orders of accounts in between are
        in its way: those through the price trade first, at their own price, and those at the price
        before anybody else. Unless the symbol is frozen the next step moves the quotes back.
        """
        maker, tick = self._makers[name], engine.state.specs[name].tick
        maker.surround(engine, price, tick, now_ms)
        _clear_the_way(engine, name, price, now_ms)
        maker.surround(engine, price, tick, now_ms)  # what clearing the way has eaten
        side = _taker_at(engine, name, price)
        quote = engine.quote(name, side.opposite, price, quantity, now_ms)
        engine.flow(name, side, quantity, price, now_ms)
        engine.withdraw(name, quote)
        return engine.state.last_trade_id[name]

    def _carry_out(self, engine: Engine, name: str, move: Move, now_ms: int) -> None:
        maker = self._makers[name]
        maker.requote(engine, move.fair, now_ms)
        if move.quantity:
            # The flow pays up to the maker's best price: it meets the queue at the touch.
            limit = maker.best(move.side.opposite, move.fair)
            engine.flow(name, move.side, move.quantity, limit, now_ms)


def _clear_the_way(engine: Engine, name: str, price: Decimal, now_ms: int) -> None:
    """Trade with every order that is better than `price`: the market has passed through it."""
    book = engine.books[name]
    for side in Side:
        for best in iter(partial(book.best, side), None):
            if best == price or (best < price) is (side is Side.BUY):
                break
            _, quantity = book.depth(side, 1)[0]
            engine.flow(name, side.opposite, quantity, best, now_ms)


def _taker_at(engine: Engine, name: str, price: Decimal) -> Side:
    """The side that takes: an account's order at the price makes; else as the price moves."""
    book = engine.books[name]
    if price in (book.best(Side.BUY), book.best(Side.SELL)):
        return Side.SELL if price == book.best(Side.BUY) else Side.BUY
    return Side.BUY if price >= engine.tapes[name].last else Side.SELL


def build_feeds(
    specs: Sequence[SymbolSpec], seed: int, venue: str, replay: Path | None, speed: float
) -> dict[str, PriceFeed]:
    """A feed per symbol: recorded trades where the file has some, else synthetic prices.

    Venues of one seed share the fair value, and each has an offset of its own; the price of a
    file with one trade stands still. Raises ValueError or OSError if the file cannot be used.
    """
    recorded = read_trades(replay) if replay is not None else {}
    feeds: dict[str, PriceFeed] = {}
    for spec in specs:
        rows = recorded.get(spec.base + spec.quote)
        if rows:
            offset = OffsetPath(seed, spec.name, venue) if len(rows) > 1 else None
            feeds[spec.name] = ReplayPrices(spec, rows, speed, offset)
        else:
            feeds[spec.name] = SyntheticPrices(spec, seed, venue)
    return feeds
