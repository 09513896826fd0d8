"""An instrument with what its venue works there by itself.

The rules of the grid are ccxt's; what may be sent natively is in the venue's own entry, which the
dialect reads. A dialect without native orders leaves all of it to the engine. It must not know
orders.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from activities.venues import ccxt_market_reports as reports
from activities.venues.ccxt_fields import UnreadableAnswerError, mapping
from activities.venues.dialects import Dialect
from activities.venues.dialects.prices_row import no_other_prices
from workflows.domain.instruments import Instrument


def instrument_of(venue: str, market: Mapping[str, Any], dialect: Dialect) -> Instrument:
    """The instrument that a ccxt market is. UnreadableAnswerError."""
    has_mark_price = dialect.other_prices is not no_other_prices
    plain = replace(reports.instrument(venue, market), has_mark_price=has_mark_price)
    if dialect.native is None:
        return plain
    try:
        rules = dialect.native.rules(mapping(market.get("info")))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UnreadableAnswerError(f"unreadable rules of native orders: {error}") from error
    return replace(
        plain,
        natives=rules.natives,
        iceberg_parts=rules.iceberg_parts,
        trailing_above=rules.trailing_above,
        trailing_below=rules.trailing_below,
        percent_price=rules.percent_price,
    )
