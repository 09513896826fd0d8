"""Exact conversions between the numbers of messages and Python's times and durations."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal


def seconds(amount: Decimal) -> timedelta:
    """`amount` seconds, to the microsecond."""
    return timedelta(microseconds=int(amount * 1_000_000))


def in_seconds(duration: timedelta) -> Decimal:
    """The duration in seconds, exact to the microsecond."""
    return Decimal(duration // timedelta(microseconds=1)) / 1_000_000


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, floored."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
