"""The trading rules of each symbol at each paper venue, and the amounts an account starts with.

Rule: two venues never share their rules by accident; a name that has no table of its own trades by
the first venue's. Knows nothing of orders, books or wire formats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

AMOUNT_STEP = Decimal("0.00000001")  # balances, fees and quote amounts are kept to eight places


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaRange:
    """Least and largest trailing delta, in bips."""

    least: int = 10
    most: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSpec:
    """One instrument. `anchor` is the price (in quote) around which the synthetic market moves.

    Numbers of open orders are those of one account; `trailing_above` is for triggers above the
    market.
    """

    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_notional: Decimal
    anchor: Decimal
    max_price: Decimal = Decimal(1_000_000)
    max_quantity: Decimal = Decimal(9_000)
    max_notional: Decimal = Decimal(9_000_000)
    min_quantity: Decimal | None = None
    iceberg_parts: int = 100
    max_iceberg_orders: int = 50
    max_algo_orders: int = 50
    trailing_above: DeltaRange = DeltaRange()
    trailing_below: DeltaRange = DeltaRange()

    def __post_init__(self) -> None:
        steps = (self.tick, self.lot, self.min_notional, self.least_quantity)
        if not all(step.is_finite() and step > 0 for step in steps):
            raise ValueError(f"{self.name}: tick, lot and minima must be above 0")
        if self.tick * self.lot % AMOUNT_STEP:
            raise ValueError(f"{self.name}: tick x lot must be a multiple of {AMOUNT_STEP}")

    @property
    def name(self) -> str:
        """The unified name, as `BTC/USDT`."""
        return f"{self.base}/{self.quote}"

    @property
    def least_quantity(self) -> Decimal:
        """The smallest order, in base: one lot unless the venue asks for more."""
        return self.lot if self.min_quantity is None else self.min_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """Fractions of the received amount: 0.001 is 0.1 %."""

    maker: Decimal
    taker: Decimal


def _spec(
    pair: str, tick: str, lot: str, min_notional: str, anchor: str, min_quantity: str | None = None
) -> SymbolSpec:
    base, quote = pair.split("/")
    return SymbolSpec(
        base=base,
        quote=quote,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_notional=Decimal(min_notional),
        anchor=Decimal(anchor),
        min_quantity=None if min_quantity is None else Decimal(min_quantity),
    )


# The least notional of a venue that asks for a least quantity only: no order is smaller.
_NO_MINIMUM = "0.00000001"

_SYMBOLS: Mapping[str, tuple[SymbolSpec, ...]] = {
    "binance": (
        _spec("BTC/USDT", "0.01", "0.00001", "5", "50000"),
        _spec("ETH/USDT", "0.01", "0.0001", "5", "2500"),
    ),
    "binanceus": (
        _spec("BTC/USDT", "0.1", "0.0001", "10", "50000"),
        _spec("ETH/USDT", "0.05", "0.001", "10", "2500"),
    ),
    "okx": (
        _spec("BTC/USDT", "0.1", "0.000001", _NO_MINIMUM, "50000", min_quantity="0.0001"),
        _spec("ETH/USDT", "0.05", "0.00001", _NO_MINIMUM, "2500", min_quantity="0.002"),
    ),
}

_FEES: Mapping[str, FeeRates] = {
    "binance": FeeRates(maker=Decimal("0.001"), taker=Decimal("0.001")),
    "binanceus": FeeRates(maker=Decimal("0.0005"), taker=Decimal("0.0012")),
    "okx": FeeRates(maker=Decimal("0.0008"), taker=Decimal("0.001")),
}

START_BALANCES: Mapping[str, Decimal] = {
    "BTC": Decimal(1_000),
    "ETH": Decimal(10_000),
    "USDT": Decimal(100_000_000),
}


def symbols_of(venue: str, wanted: Iterable[str] | None = None) -> tuple[SymbolSpec, ...]:
    """The rules of `venue`; only those named in `wanted` (unified names) if given.

    Raises ValueError for a wanted symbol that has no rules.
    """
    table = {spec.name: spec for spec in _SYMBOLS.get(venue, _SYMBOLS["binance"])}
    if wanted is None:
        return tuple(table.values())
    missing = [name for name in wanted if name not in table]
    if missing:
        known = ", ".join(table)
        raise ValueError(f"the paper exchange has no rules for {missing[0]} (it knows {known})")
    return tuple(table[name] for name in wanted)


def fees_of(venue: str) -> FeeRates:
    """Maker and taker rates of `venue`."""
    return _FEES.get(venue, _FEES["binance"])


def cut(amount: Decimal) -> Decimal:
    """`amount` cut to eight places."""
    return amount.quantize(AMOUNT_STEP, rounding=ROUND_DOWN)
