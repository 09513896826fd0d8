"""Where prices come from: a seeded synthetic process, or the replay of recorded trades.

Rule: a feed is a pure source of moves. The synthetic one depends on its seed, its venue's name and
the number of steps only; the replay on its rows and the time that passed, and both are off by the
venue's own offset (see `price_paths`). Floats end here; every price and quantity that leaves is a
Decimal on the symbol's tick and lot.
"""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Protocol

from activities.venues.simulator.orders import Side
from activities.venues.simulator.price_paths import FairPath, OffsetPath
from activities.venues.simulator.specs import SymbolSpec

MAX_ROWS = 2_000_000
MAX_MOVES_PER_STEP = 2_000  # what a fast replay has due beyond that waits for the next step
_FLOW_CHANCE = 0.5  # of a market order in one step
_FLOW_MEDIAN_QUOTE = 1_500  # median value of a market order, in quote
_FLOW_MAX_QUOTE = 25_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The price (quote per base) is now `fair`; `quantity` (base, may be 0) trades on `side`."""

    fair: Decimal
    side: Side
    quantity: Decimal


class PriceFeed(Protocol):
    """A source of moves for one symbol."""

    @property
    def start(self) -> Decimal:
        """The price before the first move."""

    def advance(self, elapsed_s: float) -> Iterator[Move]:
        """The moves of one step that took `elapsed_s` seconds."""


class SyntheticPrices:
    """The fair value that all venues of a seed share, and this venue's offset; a move per step."""

    def __init__(self, spec: SymbolSpec, seed: int, venue: str) -> None:
        self._spec = spec
        # Reproducible by design: this makes a market, not a secret.
        self._random = random.Random(f"{seed}:{spec.name}:{venue}:flow")  # noqa: S311
        self._fair = FairPath(seed, spec.name)
        self._offset = OffsetPath(seed, spec.name, venue)

    @property
    def start(self) -> Decimal:
        """The anchor."""
        return self._spec.anchor

    def advance(self, elapsed_s: float) -> Iterator[Move]:  # noqa: ARG002 (steps, not seconds)
        """Exactly one move, whatever time passed: the path is the seed's alone."""
        distance = self._fair.step() + self._offset.step()
        fair = self._spec.anchor * (1 + Decimal(repr(distance)))
        side = Side.BUY if self._random.random() < 0.5 else Side.SELL
        trades = self._random.random() < _FLOW_CHANCE
        value = min(_FLOW_MEDIAN_QUOTE * self._random.lognormvariate(0.0, 1.0), _FLOW_MAX_QUOTE)
        quantity = round_to(Decimal(repr(value)) / fair, self._spec.lot)
        yield Move(
            fair=round_to(fair, self._spec.tick),
            side=side,
            quantity=quantity if trades else Decimal(0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrade:
    """A row of a trades file; `at_us` is its time in microseconds since the epoch."""

    at_us: int
    side: Side
    price: Decimal
    quantity: Decimal


class ReplayPrices:
    """Recorded trades at `speed` times their pace; after the last the first comes again.

    With an `offset` their prices are those of a venue of its own.
    """

    def __init__(
        self,
        spec: SymbolSpec,
        rows: Sequence[RecordedTrade],
        speed: float,
        offset: OffsetPath | None = None,
    ) -> None:
        self._spec, self._rows, self._speed, self._offset = spec, rows, speed, offset
        self._next = 0
        self._clock_us = float(rows[0].at_us)

    @property
    def start(self) -> Decimal:
        """The first recorded price."""
        return round_to(self._rows[0].price, self._spec.tick)

    def advance(self, elapsed_s: float) -> Iterator[Move]:
        """The trades that fell due, oldest first, at most MAX_MOVES_PER_STEP of them."""
        self._clock_us += elapsed_s * 1e6 * self._speed
        offset = 0.0 if self._offset is None else self._offset.step()
        factor = 1 + Decimal(repr(offset))
        for _ in range(MAX_MOVES_PER_STEP):
            if self._next == len(self._rows):
                self._next, self._clock_us = 0, float(self._rows[0].at_us)
                return
            row = self._rows[self._next]
            if row.at_us > self._clock_us:
                return
            self._next += 1
            yield Move(
                fair=round_to(row.price * factor, self._spec.tick),
                side=row.side,
                quantity=round_to(row.quantity, self._spec.lot),
            )


def read_trades(path: Path) -> dict[str, list[RecordedTrade]]:
    """Trades by venue symbol (`BTCUSDT`), in the order of the file.

    Needs the columns symbol, timestamp (microseconds), side, price and amount. Raises ValueError
    that names the line of the first bad row.
    """
    found: dict[str, list[RecordedTrade]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            if number > MAX_ROWS:
                raise ValueError(f"{path.name} has more than {MAX_ROWS} rows")
            try:
                trade = _recorded(row)
            except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation) as error:
                raise ValueError(f"{path.name} line {number} is not a trade") from error
            found.setdefault(row["symbol"], []).append(trade)
    if not found:
        raise ValueError(f"{path.name} has no trades")
    return found


def _recorded(row: dict[str, str]) -> RecordedTrade:
    price, quantity = Decimal(row["price"]), Decimal(row["amount"])
    if not (price.is_finite() and quantity.is_finite() and price > 0 and quantity > 0):
        raise ValueError("price and amount must be positive")
    return RecordedTrade(
        at_us=int(row["timestamp"]),
        side=Side(row["side"].upper()),
        price=price,
        quantity=quantity,
    )


def round_to(value: Decimal, step: Decimal) -> Decimal:
    """`value` on the nearest multiple of `step`."""
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step
