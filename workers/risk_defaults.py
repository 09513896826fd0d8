"""What limits orders where nobody has set a limit: it follows from the settings."""

from decimal import Decimal

from workers.settings import Settings
from workflows.domain.exact import exact
from workflows.domain.risk import Limits

OF_VENUE_RATE = Decimal("0.8")
"""Share of a venue's own rate that orders may use; cancels and look-ups need the rest."""
_ONE = Decimal(1)


def limits_of(settings: Settings) -> Limits:
    """Default risk limits."""
    rates = {name: settings.venue(name).rate_limit for name in settings.exchanges}
    return Limits(
        max_order_value=settings.max_order_value,
        max_position_value=settings.max_position_size,
        venue_rates={name: _share(rate) for name, rate in rates.items() if rate is not None},
    )


def _share(rate: Decimal) -> Decimal:
    """Whole messages per second, at least one."""
    with exact():
        return max((rate * OF_VENUE_RATE) // 1, _ONE)
