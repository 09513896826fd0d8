"""Public prices of a symbol as facts: trades and candles, as venues publish them."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """One trade of anybody. `quantity` in base units; `at_ms` by the venue's clock."""

    trade_id: str
    price: Decimal
    quantity: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """The market within [opened_ms, opened_ms + length_ms); `volume` in base units."""

    opened_ms: int
    length_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
