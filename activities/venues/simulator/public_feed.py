"""What everybody may know of the market, told as it happens: trades, and changes of the touch.

Rule: after each commit, what changed in a symbol is told at once and in order: its trades, then
whether the best prices or the quantities there are others than before. Nothing is told when nothing
changed. Knows nothing of wire formats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.orders import Side
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.stream_seam import StreamEvent, StreamKind
from activities.venues.simulator.tape import PublicTrade

TRADE, TOUCH = "TRADE", "TOUCH"
_Level = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one commit changed in a symbol (unified name)."""

    symbol: str
    trades: tuple[PublicTrade, ...]
    is_touch_new: bool


@dataclass(slots=True)
class _Seen:
    """What of a symbol was told."""

    revision: int
    trades: int
    touch: list[list[_Level]]


class PublicFeed:
    """Tells one listener about all symbols of an exchange."""

    def __init__(self, exchange: PaperExchange, tell: Callable[[Change], None]) -> None:
        self._engine, self._tell = exchange.engine, tell
        self._seen = {
            name: _Seen(book.revision, self._engine.tapes[name].count, _touch(self._engine, name))
            for name, book in self._engine.books.items()
        }
        exchange.onlookers.append(self._look)

    def _look(self) -> None:
        for name, seen in self._seen.items():
            tape, revision = self._engine.tapes[name], self._engine.books[name].revision
            new = tape.count - seen.trades
            if not new and revision == seen.revision:
                continue
            touch = _touch(self._engine, name)
            is_touch_new = touch != seen.touch
            seen.revision, seen.trades, seen.touch = revision, tape.count, touch
            if new or is_touch_new:
                trades = tuple(tape.latest(new))
                self._tell(Change(symbol=name, trades=trades, is_touch_new=is_touch_new))


def public_event(kind: str, symbol: str) -> StreamEvent:
    """What the stream's seam is told of a message about a symbol."""
    return StreamEvent(stream=StreamKind.PUBLIC, kind=kind, symbol=symbol)


def _touch(engine: Engine, symbol: str) -> list[list[_Level]]:
    return [engine.books[symbol].depth(side, 1) for side in Side]
