"""Request parameters: of a query or of one order in a JSON body, each read once, none left unread.

Rule: a parameter that nobody read refuses the order or the query before anything is done; ignoring
it could turn a stop order into a plain one. Amounts are texts, as OKX documents them: a JSON number
may have lost digits on its way and is refused. Knows nothing of what the parameters are for.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from activities.venues.simulator.okx import errors

CLIENT_ID = "[a-zA-Z0-9]{1,32}"
MAX_ORDERS_IN_BULK = 20
MAX_PAGE = 100
SPOT = "SPOT"
_NUMBER = re.compile(r"([0-9]{1,20})(\.([0-9]{1,20}))?")
_MAX_DECIMALS = 8

Choice = TypeVar("Choice", bound=StrEnum)


def of_query(query: str) -> dict[str, Any]:
    """Decoded parameters of a raw query. Raises ApiError for a name sent twice."""
    values: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in values:
            raise errors.bad_parameter(name)
        values[name] = value
    return values


def of_body(body: str, *, in_bulk: bool) -> list[dict[str, Any]]:
    """The orders of a JSON body: one object, or with `in_bulk` a list of up to twenty.

    Raises ApiError for anything else.
    """
    if not body:
        raise errors.no_body()
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise errors.bad_json() from None
    rows = found if in_bulk else [found]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise errors.bad_json()
    if len(rows) > MAX_ORDERS_IN_BULK:
        raise errors.too_many_in_bulk(MAX_ORDERS_IN_BULK)
    return rows


def as_texts(rows: list[dict[str, Any]]) -> dict[str, str]:
    """What the seam and the journal are told: the fields; of several orders with their number."""
    several = len(rows) > 1
    return {
        f"{number}.{name}" if several else name: value if isinstance(value, str) else _json(value)
        for number, row in enumerate(rows)
        for name, value in row.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class Params:
    """Typed access to parameters; `finish` says whether all of them were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """The value, None if absent or empty. Raises ApiError if it is not a text."""
        self._read.add(name)
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise errors.bad_parameter(name)
        return value or None

    def required(self, name: str) -> str:
        """The value. Raises ApiError if absent or empty."""
        value = self.text(name)
        if value is None:
            raise errors.missing(name)
        return value

    def matching(self, name: str, legal: str) -> str | None:
        """The value if the regular expression `legal` allows it; None if absent."""
        value = self.text(name)
        if value is not None and not re.fullmatch(legal, value, re.ASCII):
            raise errors.bad_parameter(name)
        return value

    def amount(self, name: str) -> Decimal | None:
        """A plain positive decimal with at most eight places; None if absent."""
        value = self.text(name)
        if value is None:
            return None
        found = _NUMBER.fullmatch(value)
        if found is None or not value.isascii():
            raise errors.bad_parameter(name)
        if len((found[3] or "").rstrip("0")) > _MAX_DECIMALS or not Decimal(value):
            raise errors.bad_parameter(name)
        return Decimal(value)

    def integer(self, name: str) -> int | None:
        """A whole number of at most 20 digits; None if absent."""
        value = self.matching(name, "[0-9]{1,20}")
        return None if value is None else int(value)

    def limit(self, default: int = MAX_PAGE, largest: int = MAX_PAGE, name: str = "limit") -> int:
        """The size of a page. Raises ApiError for 0 and for more than `largest`."""
        value = self.integer(name)
        if value is not None and not 0 < value <= largest:
            raise errors.bad_parameter(name)
        return default if value is None else value

    def choice(self, name: str, choices: type[Choice]) -> Choice | None:
        """A member of `choices`; None if absent. Raises ApiError for any other value."""
        found = self.choices(name, choices)
        if len(found) > 1:
            raise errors.bad_parameter(name)
        return found[0] if found else None

    def choices(self, name: str, choices: type[Choice]) -> list[Choice]:
        """Members of `choices` with commas between them; none if absent. Raises ApiError."""
        value = self.text(name)
        try:
            return [choices(each) for each in value.split(",")] if value else []
        except ValueError:
            raise errors.bad_parameter(name) from None

    def product(self, *, required: bool = False) -> None:
        """`instType`: there is only SPOT here."""
        value = self.required("instType") if required else self.text("instType")
        if value not in (None, SPOT):
            raise errors.bad_parameter("instType")

    def finish(self) -> None:
        """Refuse what was not read. To be called before acting on the parameters."""
        for name in self._values:
            if name not in self._read:
                raise errors.bad_parameter(name)
