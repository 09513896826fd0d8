"""The values of a venue's answer, read with suspicion.

A value that must be there and is not, or is of another kind, raises UnreadableAnswerError, never
KeyError: whoever asked then knows that the answer cannot be used. It must not know what an order,
a trade or a price is.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any


class UnreadableAnswerError(Exception):
    """The venue's answer has no usable value where one must be."""


def mapping(value: Any) -> Mapping[str, Any]:
    """An object. UnreadableAnswerError for anything else."""
    if not isinstance(value, Mapping):
        raise UnreadableAnswerError(f"an object was expected, not {type(value).__name__}")
    return value


def text(fields: Mapping[str, Any], name: str) -> str:
    """The text of a name, not empty."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise UnreadableAnswerError(f"no {name}")
    return value


def decimal_or_none(value: Any) -> Decimal | None:
    """The finite number that a value is or writes, else None."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | float):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def number(fields: Mapping[str, Any], name: str, *, at_least: Decimal | None = None) -> Decimal:
    """The finite number of a name."""
    found = decimal_or_none(fields.get(name))
    if found is None or (at_least is not None and found < at_least):
        raise UnreadableAnswerError(f"no usable {name}")
    return found


def positive(fields: Mapping[str, Any], name: str) -> Decimal:
    """The number of a name, above zero."""
    found = number(fields, name)
    if found <= 0:
        raise UnreadableAnswerError(f"{name} is not positive")
    return found


def positive_or_none(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """The number of a name where the venue tells one above zero, else None."""
    found = decimal_or_none(fields.get(name))
    return found if found is not None and found > 0 else None


def milliseconds(value: Any) -> int:
    """A moment, ms since 1970."""
    found = decimal_or_none(value)
    if found is None or found <= 0:
        raise UnreadableAnswerError("no usable time")
    return int(found)
