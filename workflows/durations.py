"""Exact conversions between the Decimal seconds of messages and Python's durations."""

from datetime import timedelta
from decimal import Decimal


def seconds(amount: Decimal) -> timedelta:
    """`amount` seconds, to the microsecond."""
    return timedelta(microseconds=int(amount * 1_000_000))


def in_seconds(duration: timedelta) -> Decimal:
    """The duration in seconds, exact to the microsecond."""
    return Decimal(duration // timedelta(microseconds=1)) / 1_000_000
