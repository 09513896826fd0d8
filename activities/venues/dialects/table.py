"""The dialect table: one row per venue. It must not know the gateway."""

from collections.abc import Mapping

from activities.venues.dialects.binance import BINANCE, BINANCE_US
from activities.venues.dialects.bybit import BYBIT
from activities.venues.dialects.coinbase import COINBASE
from activities.venues.dialects.gate import GATE
from activities.venues.dialects.kraken import KRAKEN
from activities.venues.dialects.kucoin import KUCOIN
from activities.venues.dialects.okx import OKX
from activities.venues.dialects.row import Dialect

DIALECTS: Mapping[str, Dialect] = {
    "binance": BINANCE,
    "binanceus": BINANCE_US,
    "bybit": BYBIT,
    "coinbase": COINBASE,
    "gate": GATE,
    "kraken": KRAKEN,
    "kucoin": KUCOIN,
    "okx": OKX,
}


def dialect_of(venue: str) -> Dialect:
    """The row of a venue. ValueError when there is none."""
    if venue not in DIALECTS:
        raise ValueError(f"venue {venue!r} is not one of {', '.join(sorted(DIALECTS))}")
    return DIALECTS[venue]
