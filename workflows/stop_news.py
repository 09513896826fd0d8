"""What a signal of the price watch tells a protective order: read, or ignored."""

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows import ports
from workflows.domain.triggers import Fired

_MAX_DIGITS = 40
_LAST_MS = 4_102_444_800_000
"""The year 2100 begins."""


def read_news(raw: RawValue | None) -> ports.FiredWatch | None:
    """What a signal tells; None for what a stranger may have sent."""
    if raw is None:
        return None
    try:
        read: object = workflow.payload_converter().from_payload(raw.payload, ports.FiredWatch)
    except (ApplicationError, RuntimeError, KeyError):
        return None
    # a price or a time without bounds could not be shown any more
    return read if isinstance(read, ports.FiredWatch) and _is_plausible(read.fired) else None


def _is_plausible(fired: Fired) -> bool:
    """Whether it can be shown: a price of few digits, at a moment that a calendar has."""
    prices = [fired.price] if fired.extreme is None else [fired.price, fired.extreme]
    have_digits = all(
        price.is_finite() and -_MAX_DIGITS < price.adjusted() < _MAX_DIGITS for price in prices
    )
    return have_digits and 0 <= fired.at_ms < _LAST_MS
