"""Amounts as people read them."""

from decimal import Decimal

from workflows.fields import plain

SHOWN_DECIMALS = Decimal("1e-8")


def number(value: Decimal | None) -> str:
    """An amount for people: plain, and not longer than they can read."""
    if value is None:
        return ""
    exponent = value.as_tuple().exponent
    is_long = isinstance(exponent, int) and exponent < -8  # an average has up to 12
    return plain(value.quantize(SHOWN_DECIMALS) if is_long else value)
