"""What differs from venue to venue behind the one gateway: a table, one row per venue."""

from activities.venues.dialects.native_row import NativeOrders, NativeRules
from activities.venues.dialects.prices_row import PriceStream, TradesMissingError
from activities.venues.dialects.row import Dialect, TradesByNumber, TradesByTime, VenueErrorText
from activities.venues.dialects.table import DIALECTS, dialect_of

__all__ = [
    "DIALECTS",
    "Dialect",
    "NativeOrders",
    "NativeRules",
    "PriceStream",
    "TradesByNumber",
    "TradesByTime",
    "TradesMissingError",
    "VenueErrorText",
    "dialect_of",
]
