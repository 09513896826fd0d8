"""Request parameters: from query and body alike, each read once, and none left unread.

Rule: a parameter that nobody read refuses the whole request, before anything is done; ignoring it
could turn a stop order into a plain one. Knows nothing of what the parameters are for.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from activities.venues.simulator.binance import errors

# Parameters of the real exchange that have no place where they were not read: "not required".
_OF_ORDERS = (
    *("icebergQty", "stopPrice", "trailingDelta", "strategyId", "strategyType", "timeInForce"),
    *("pegPriceType", "pegOffsetType", "pegOffsetValue", "price", "type"),
)
_KNOWN_ELSEWHERE = frozenset(
    {
        *_OF_ORDERS,
        *(leg + name[0].upper() + name[1:] for leg in ("above", "below") for name in _OF_ORDERS),
        "selfTradePreventionMode",
        "cancelRestrictions",
        "computeCommissionRates",
        "quantity",
        "quoteOrderQty",
        "side",
    }
)
_NUMBER = re.compile(r"([0-9]{1,20})(\.([0-9]{1,20}))?")
_MAX_DECIMALS = 8

Choice = TypeVar("Choice", bound=StrEnum)


def parse(query: str, body: str) -> dict[str, str]:
    """Decoded parameters of the raw query and the raw form body. The query's wins over the body's.

    Raises ApiError for a name sent twice in one place.
    """
    merged: dict[str, str] = {}
    for raw in (body, query):
        seen: dict[str, str] = {}
        for name, value in parse_qsl(raw, keep_blank_values=True):
            if name in seen:
                raise errors.duplicate_values(name)
            seen[name] = value
        merged |= seen
    return merged


class Params:
    """Typed access to parameters; `finish` says whether all of them were read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """The value, None if absent. Raises ApiError if empty."""
        self._read.add(name)
        value = self._values.get(name)
        if value == "":
            raise errors.empty(name)
        return value

    def required(self, name: str) -> str:
        """The value. Raises ApiError if absent or empty."""
        value = self.text(name) if self._values.get(name) != "" else None
        if value is None:
            raise errors.missing(name)
        return value

    def matching(self, name: str, legal: str) -> str | None:
        """The value if the regular expression `legal` allows it; None if absent."""
        value = self.text(name)
        if value is not None and not re.fullmatch(legal, value, re.ASCII):
            raise errors.illegal_characters(name, legal)
        return value

    def amount(self, name: str) -> Decimal | None:
        """A plain positive decimal with at most eight places; None if absent."""
        value = self.text(name)
        if value is None:
            return None
        found = _NUMBER.fullmatch(value)
        if found is None or not value.isascii():
            raise errors.illegal_characters(name, errors.NUMBER_RANGE)
        if len((found[3] or "").rstrip("0")) > _MAX_DECIMALS:
            raise errors.too_precise(name)
        return Decimal(value)

    def integer(self, name: str) -> int | None:
        """A whole number from 0 to 20 digits; None if absent."""
        value = self.matching(name, "^[0-9]{1,20}$")
        return None if value is None else int(value)

    def limit(self, default: int, largest: int) -> int:
        """The usual `limit`; above `largest` it is cut, as the real exchange does."""
        value = self.integer("limit")
        if value == 0:
            raise errors.bad_value("limit")
        return min(default if value is None else value, largest)

    def choice(self, name: str, choices: type[Choice], refusal: errors.ApiError) -> Choice | None:
        """A member of `choices`; None if absent. Raises `refusal` for any other value."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return choices(value)
        except ValueError:
            raise refusal from None

    def flag(self, name: str) -> bool:
        """`true` or `false`; absent is false."""
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise errors.bad_value(name)
        return value == "true"

    def names(self, name: str) -> list[str] | None:
        """A JSON list of strings, as `symbols` is sent; None if absent."""
        value = self.text(name)
        if value is None:
            return None
        try:
            found = json.loads(value)
        except ValueError:
            raise errors.bad_value(name) from None
        if not (isinstance(found, list) and found and all(isinstance(n, str) for n in found)):
            raise errors.bad_value(name)
        return found

    def finish(self) -> None:
        """Refuse the request if a parameter was not read. To be called before acting on it."""
        unread = [name for name in self._values if name not in self._read]
        for name in unread:
            if name in _KNOWN_ELSEWHERE:
                raise errors.not_required(name)
        if unread:
            sent = len(self._values)
            raise errors.not_all_read(sent - len(unread), sent)
