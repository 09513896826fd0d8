"""Reading what was typed: the engine's own rules judge it, before anything is connected.

Rule: whatever is wrong with it is an InvalidInputError that names the field.
"""

import getpass
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from activities.ledger.views import MAX_PAGE
from workflows.domain.denials import DenialCode, Denied, http_status
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.fields import Identifier, OrderId, Text, WholeNumber, denial_of, in_range
from workflows.messages import CancelRequest, OrderRequest, validate_order
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
)
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


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[WholeNumber, in_range(Decimal(1), Decimal(MAX_PAGE))] = 50
    cursor: Text | None = None


class OrderFilter(_Page):
    """Which orders to list."""

    strategy_id: Identifier | None = None
    symbol: Text | None = None
    status: OrderStatus | None = None
    exchange: Identifier | None = None


class ExecutionFilter(_Page):
    """Which executions to list."""

    strategy_id: Identifier | None = None
    status: ExecutionStatus | None = None


FilterT = TypeVar("FilterT", OrderFilter, ExecutionFilter)


def read_request(order_type: str, fields: Typed, *, default_exchange: str) -> OrderRequest:
    """The order that the options describe, with its id; raises InvalidInputError."""
    order = read_unnamed_request(order_type, fields, default_exchange=default_exchange)
    return order.model_copy(update={"order_id": order.order_id or uuid4().hex})


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
    return _read(text, OrderId, "order_id")


def read_execution_id(text: str) -> str:
    """The id of an execution; raises InvalidInputError."""
    return _read(text, Identifier, "execution_id")


def _read(text: str, kind: Any, name: str) -> str:
    try:
        read: str = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        denied = denial_of(error)
        detail = denied.detail.replace("body", name, 1)
        raise InvalidInputError(Denied(code=denied.code, detail=detail)) from None
    return read


def read_reason(text: str) -> str:
    """The reason of a cancel; raises InvalidInputError."""
    try:
        return CancelRequest(reason=text).reason
    except ValidationError as error:
        raise InvalidInputError(denial_of(error)) from None


def read_steering(kind: ActionKind, fields: Typed) -> SteerRequest | AmendRequest:
    """What a running order is asked for, by whom; raises InvalidInputError."""
    typed = {"requested_by": f"cli:{_user()}"} | given(fields)
    raw = json.dumps(typed).encode()
    request = parse_amend(raw) if kind is ActionKind.AMEND else parse_steer(raw)
    if isinstance(request, Denied):
        raise InvalidInputError(request)
    return request


def _user() -> str:
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
