"""The options of a fault or an action as they came in, read one by one and none left unread.

Rule: whatever the user did wrong is a FaultError with one clear line. Amounts are Decimal, seconds
are plain numbers. Knows nothing of what the options are for.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_S = 7 * 24 * 3600


class FaultError(Exception):
    """The control port was asked for something that it does not have; one line."""


class Options:
    """Typed access to options; `finish` says whether all of them were read."""

    def __init__(self, what: str, values: Mapping[str, Any]) -> None:
        self._what, self._values = what, values
        self._read: set[str] = set()

    def _value(self, name: str) -> Any:
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str, default: str | None = None) -> str | None:
        """A text that is not empty."""
        value = self._value(name)
        if value is None:
            return default
        if not isinstance(value, str) or not value:
            raise self.error(f"{name} must be a text")
        return value

    def required(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if value is None:
            raise self.error(f"needs {name}")
        return value

    def one_of(self, name: str, choices: Iterable[str], default: str) -> str:
        """One of some words."""
        value = self.text(name, default)
        if value not in (known := sorted(choices)):
            raise self.error(f"{name} must be one of {', '.join(known)}")
        return str(value)

    def whole(self, name: str, default: int | None, *, low: int, high: int) -> int | None:
        """A whole number within bounds."""
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(f"{name} must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        """As `whole`, always with a value."""
        value = self.whole(name, default, low=low, high=high)
        return default if value is None else value

    def seconds(self, name: str, default: float | None = None, *, high: float = LONGEST_S) -> float:
        """A duration; without a default it must be there."""
        value = self._value(name)
        if value is None:
            value = default
        if value is None:
            raise self.error(f"needs {name}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            raise self.error(f"{name} must be from 0 to {high:g} seconds")
        return float(value)

    def share(self, name: str) -> float:
        """A probability; 1 unless given."""
        value = self._value(name)
        if value is None:
            return 1.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.error(f"{name} must be from 0 to 1")
        return float(value)

    def amount(self, name: str) -> Decimal | None:
        """A positive amount, as text or whole number (a binary fraction would not be exact)."""
        value = self._value(name)
        if value is None:
            return None
        found = _number(value)
        if not found.is_finite() or found <= 0:
            raise self.error(f"{name} must be a positive amount, as text")
        return found

    def required_amount(self, name: str) -> Decimal:
        """An amount that must be there."""
        found = self.amount(name)
        if found is None:
            raise self.error(f"needs {name}")
        return found

    def required_change(self, name: str) -> Decimal:
        """An amount of either sign that must be there."""
        found = _number(self._value(name))
        if not found.is_finite() or not found:
            raise self.error(f"{name} must be an amount other than zero, as text")
        return found

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._value(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(f"{name} must be true or false")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object; empty unless given."""
        value = self._value(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(f"{name} must be an object")
        return value

    def names(self, name: str) -> list[str]:
        """A text or a list of texts; empty unless given."""
        value = self._value(name)
        found = [value] if isinstance(value, str) else ([] if value is None else value)
        if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
            raise self.error(f"{name} must be a text or a list of texts")
        return found

    def anything(self, name: str) -> Any:
        """Any JSON value; None if absent."""
        return self._value(name)

    def error(self, what: str) -> FaultError:
        """The error that `what` is wrong with these options."""
        return FaultError(f"{self._what}: {what}")

    def finish(self) -> None:
        """Refuse an option that nobody read."""
        unread = sorted(name for name in self._values if name not in self._read)
        if unread:
            known = ", ".join(sorted(self._read))
            raise self.error(f"has no option {unread[0]!r} (it has {known})")


def _number(value: Any) -> Decimal:
    """A text or a whole number as it stands; anything else is no number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return Decimal("NaN")
    try:
        return Decimal(value)
    except InvalidOperation:
        return Decimal("NaN")
