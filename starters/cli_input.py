"""Reading what was typed: the engine's own rules judge it, before anything is connected.

Rule: whatever is wrong with it is an InvalidInputError that names the field.
"""

import getpass
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from activities.ledger.views import MAX_PAGE
from starters.places import known_account
from starters.times import GivenTime
from workers.settings import Settings
from workflows.domain.denials import DenialCode, Denied, http_status
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.fields import (
    ExactDecimal,
    Identifier,
    OrderId,
    Text,
    WholeNumber,
    denial_of,
    in_range,
)
from workflows.messages import CancelRequest, OrderRequest, validate_order
from workflows.names import made_order_id
from workflows.steering_messages import (
    ActionKind,
    AmendRequest,
    SteerRequest,
    parse_amend,
    parse_steer,
)

DONE, FAILED, BAD_USAGE = 0, 1, 2
_WHOLE_FIELDS = (
    "priority",
    "twap_slices",
    "catch_up_cap",
    "reprice_ticks",
    "trailing_delta_bps",
    "confirm_n",
    "confirm_ms",
    "stale_after_ms",
    "retry_ms",
    "limit",
    "minutes",
)
_WITHIN = Annotated[ExactDecimal, in_range(Decimal(1), Decimal(3600))]
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_BAD_INPUT = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_MARKET_OF_NOW = {
    DenialCode.BELOW_MIN_PROFIT,
    DenialCode.SLIPPAGE,
    DenialCode.INSUFFICIENT_DEPTH,
    DenialCode.INSUFFICIENT_FUNDS,
    DenialCode.STALE_BOOK,
    DenialCode.BOOK_SKEW,
    DenialCode.MISSING_PRICE,
}
"""Denials of a plan that is well formed and would have been accepted at another moment."""

Typed = Mapping[str, str | bool | None]


class InvalidInputError(Exception):
    """An option is wrong: `CODE: message` as over HTTP; the message names the field."""

    def __init__(self, denied: Denied) -> None:
        field, detail = denied.field or "", denied.detail
        named = detail if field in detail else f"{field}: {detail}"
        super().__init__(f"{denied.code}: {named}")


class PageFilter(BaseModel):
    """A page of whatever is listed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[WholeNumber, in_range(Decimal(1), Decimal(MAX_PAGE))] = 50
    cursor: Text | None = None


class OrderFilter(PageFilter):
    """Which orders to list."""

    strategy_id: Identifier | None = None
    symbol: Text | None = None
    status: OrderStatus | None = None
    exchange: Identifier | None = None


class ExecutionFilter(PageFilter):
    """Which executions to list."""

    strategy_id: Identifier | None = None
    status: ExecutionStatus | None = None


ChoiceT = TypeVar("ChoiceT", bound=StrEnum)
FilterT = TypeVar("FilterT", bound=PageFilter)


def read_request(order_type: str, fields: Typed, *, default_exchange: str) -> OrderRequest:
    """The order that the options describe, with its id; raises InvalidInputError."""
    order = read_unnamed_request(order_type, fields, default_exchange=default_exchange)
    return order.model_copy(update={"order_id": order.order_id or made_order_id(uuid4().hex)})


def read_unnamed_request(order_type: str, fields: Typed, *, default_exchange: str) -> OrderRequest:
    """The same, with an id only if one was typed; raises InvalidInputError."""
    order = validate_order(
        {"order_type": order_type, "exchange": default_exchange, **given(fields)}
    )
    if isinstance(order, Denied):
        raise InvalidInputError(order)
    return order


def read_filter(kind: type[FilterT], fields: Mapping[str, str | None]) -> FilterT:
    """The filter that the options describe; raises InvalidInputError."""
    try:
        return kind.model_validate(given(fields))
    except ValidationError as error:
        raise InvalidInputError(denial_of(error)) from None


def read_id(text: str) -> str:
    """The id of an order, a leg's included; raises InvalidInputError."""
    order_id: str = _read(text, OrderId, "order_id")
    return order_id


def read_execution_id(text: str) -> str:
    """The id of an execution; raises InvalidInputError."""
    return read_identifier(text, "execution_id")


def _read(text: str, kind: Any, name: str) -> Any:
    try:
        read = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        denied = denial_of(error)
        detail = denied.detail.replace("body", name, 1)
        raise InvalidInputError(Denied(code=denied.code, detail=detail)) from None
    return read


def read_number(text: str, name: str) -> int:
    """A whole number from 0 on, such as an alarm's id; raises InvalidInputError."""
    if not _WHOLE.fullmatch(text) or text.startswith("-"):
        denied = Denied(code=DenialCode.INVALID_TYPE, field=name, detail="must be a whole number")
        raise InvalidInputError(denied)
    return int(text)


def read_identifier(text: str, name: str = "exchange") -> str:
    """A name, such as a strategy's; raises InvalidInputError."""
    identifier: str = _read(text, Identifier, name)
    return identifier


def read_symbol(text: str) -> str:
    """A symbol; `BTC-USDT` stands for `BTC/USDT`. Raises InvalidInputError."""
    symbol: str = _read(text, Text, "symbol")
    return symbol.replace("-", "/")


def read_account(settings: Settings, exchange: str, account: str) -> tuple[str, str]:
    """An exchange and an account there that are configured; raises InvalidInputError."""
    if denied := known_account(settings, exchange, account):
        raise InvalidInputError(denied)
    return exchange, account


def read_choice(kind: type[ChoiceT], text: str, name: str) -> ChoiceT:
    """One of a closed set; raises InvalidInputError."""
    if text not in list(kind):
        detail = f"must be one of {', '.join(kind)}"
        raise InvalidInputError(Denied(code=DenialCode.UNKNOWN_ENUM, field=name, detail=detail))
    return kind(text)


def read_span(since: str | None, until: str | None) -> tuple[datetime, datetime]:
    """From when to when, by default the last day; raises InvalidInputError."""
    end = datetime.now(UTC) if until is None else _read(until, GivenTime, "until")
    begin = end - timedelta(days=1) if since is None else _read(since, GivenTime, "since")
    return begin, end


def read_limit(text: str) -> int:
    """How many entries a page has; raises InvalidInputError."""
    return read_filter(PageFilter, {"limit": text}).limit


def read_reason(text: str) -> str:
    """The reason of a cancel; raises InvalidInputError."""
    try:
        return CancelRequest(reason=text).reason
    except ValidationError as error:
        raise InvalidInputError(denial_of(error)) from None


def read_steering(kind: ActionKind, fields: Typed) -> SteerRequest | AmendRequest:
    """What a running order is asked for, by whom; raises InvalidInputError."""
    typed = {"requested_by": f"cli:{user()}"} | given(fields)
    raw = json.dumps(typed).encode()
    request = parse_amend(raw) if kind is ActionKind.AMEND else parse_steer(raw)
    if isinstance(request, Denied):
        raise InvalidInputError(request)
    return request


def read_within(text: str) -> Decimal:
    """A number of seconds, 1 to 3600; raises InvalidInputError."""
    try:
        seconds: Decimal = TypeAdapter(_WITHIN).validate_python(text)
    except ValidationError as error:
        denied = denial_of(error)
        detail = denied.detail.replace("body", "within", 1)
        raise InvalidInputError(Denied(code=denied.code, detail=detail)) from None
    return seconds


def user() -> str:
    """The name that this machine knows the user by; a container may know none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def given(fields: Typed) -> dict[str, Any]:
    """The options that were given; whole numbers as numbers, all else as it was typed."""
    found: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    for name in _WHOLE_FIELDS:
        if isinstance(text := found.get(name), str) and _WHOLE.fullmatch(text):
            found[name] = int(text)
    return found


def exit_code_of_denial(code: DenialCode | None) -> int:
    """BAD_USAGE when the input is to blame, FAILED when the state of things is."""
    if code is None or code in _MARKET_OF_NOW:
        return FAILED
    return BAD_USAGE if http_status(code) in _BAD_INPUT else FAILED
