"""The public messages: what an order request is, and what the engine tells about an order.

The same JSON is the HTTP body, the workflow's input, the Python client's model and the CLI's
options. `parse_order` is the only way from JSON to an `OrderRequest`; it answers a denial with
the code and the field, and never raises on bad input.
"""

import hashlib
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, OrderType, Side, TimeInForce
from workflows.domain.schedules import MAX_SLICES, CatchUp
from workflows.fields import (
    Amount,
    Boolean,
    ExactDecimal,
    Identifier,
    PositiveDecimal,
    Text,
    WholeNumber,
    denial_of,
    in_range,
)
from workflows.payloads import InvalidJsonError, strict_loads

MAX_CHILDREN_SHOWN = 20
MAX_BODY_BYTES = 64 * 1024
_DAY_S, _YEAR_S = Decimal(86_400), Decimal(31_536_000)
_ONE, _HALF = Decimal(1), Decimal("0.5")


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderRequest(_Message):
    """A parent order as the caller asks for it. Quantities in base units, prices in quote."""

    order_id: Identifier | None = Field(None, description="the caller's id; the workflow id")
    strategy_id: Identifier = Field(description="who trades")
    account: Identifier = Field("main", description="account at the exchange")
    exchange: Identifier = Field(description="a configured venue, e.g. binance")
    symbol: Text = Field(description="unified symbol, e.g. BTC/USDT")
    side: Side
    order_type: OrderType
    quantity: PositiveDecimal = Field(description="base quantity")
    price: PositiveDecimal | None = Field(None, description="limit price")
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: Boolean = False
    slippage_tolerance: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="fraction; the worst price a marketable child may take from the touch"
    )
    priority: Annotated[WholeNumber, in_range(_ONE, Decimal(5))] = Field(
        3, description="1 (first) to 5"
    )
    timeout_s: Annotated[ExactDecimal, in_range(Decimal("0.1"), _YEAR_S)] | None = Field(
        None, description="seconds; then cancel, settle and report expired"
    )
    twap_slices: Annotated[WholeNumber, in_range(_ONE, Decimal(MAX_SLICES))] | None = None
    twap_interval: Annotated[ExactDecimal, in_range(Decimal("0.05"), _DAY_S)] | None = Field(
        None, description="seconds between slices; duration = slices x interval"
    )
    size_jitter: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = None
    time_jitter: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = None
    catch_up: CatchUp | None = Field(None, description="after a miss; default spread")
    catch_up_cap: Annotated[WholeNumber, in_range(_ONE, Decimal(100))] | None = Field(
        None, description="largest child as a multiple of the even slice; default 3"
    )
    end_sweep: Boolean | None = Field(None, description="last slice takes all; default true")

    def body_hash(self) -> str:
        """SHA-256 of the order as validated, without its id: equal means the same order."""
        body = self.model_dump_json(exclude={"order_id"}, exclude_none=True)
        return hashlib.sha256(body.encode()).hexdigest()


_TWAP_FIELDS = (
    "twap_slices",
    "twap_interval",
    "size_jitter",
    "time_jitter",
    "catch_up",
    "catch_up_cap",
    "end_sweep",
)


def parse_order(raw: bytes, *, order_type: OrderType | None = None) -> OrderRequest | Denied:
    """An order request from JSON text; `order_type` is what the workflow type implies."""
    if len(raw) > MAX_BODY_BYTES:
        return Denied(
            code=DenialCode.INVALID_INPUT, detail=f"an order has at most {MAX_BODY_BYTES} bytes"
        )
    try:
        value = strict_loads(raw)
    except InvalidJsonError as error:
        return Denied(code=error.code, detail=str(error))
    return validate_order(value, order_type=order_type)


def validate_order(value: Any, *, order_type: OrderType | None = None) -> OrderRequest | Denied:
    """An order request from parsed JSON (numbers exact), or the first thing wrong with it."""
    if not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the order must be a JSON object")
    if order_type is not None:
        value = {"order_type": order_type, **value}
    try:
        request = OrderRequest.model_validate(value)
    except ValidationError as error:
        return denial_of(error)
    if order_type is not None and request.order_type is not order_type:
        return Denied(
            code=DenialCode.FIELD_NOT_ALLOWED,
            field="order_type",
            detail=f"order_type must be {order_type} for this workflow",
        )
    return _check_combination(request) or request


def _check_combination(request: OrderRequest) -> Denied | None:
    """Fields that are fine alone and wrong together."""
    kind = request.order_type
    if kind is OrderType.LIMIT and request.price is None:
        return _missing("price", "a limit order")
    if kind is OrderType.MARKET and request.price is not None:
        return _not_allowed("price", "a market order")
    if kind is OrderType.LIMIT and request.slippage_tolerance is not None:
        return _not_allowed("slippage_tolerance", "a limit order")
    if kind is not OrderType.LIMIT and request.time_in_force is TimeInForce.FOK:
        return _not_allowed("time_in_force", f"FOK with a {kind} order")
    if kind is OrderType.TWAP and request.time_in_force is not TimeInForce.GTC:
        return _not_allowed("time_in_force", "a twap order (its slices are IOC)")
    if kind is OrderType.TWAP and request.timeout_s is not None:
        return _not_allowed("timeout_s", "a twap order (its duration is slices x interval)")
    if request.post_only and kind is not OrderType.LIMIT:
        return _not_allowed("post_only", f"a {kind} order")
    if request.post_only and request.time_in_force is not TimeInForce.GTC:
        return _not_allowed("post_only", request.time_in_force)
    if kind is not OrderType.TWAP:
        for name in _TWAP_FIELDS:
            if getattr(request, name) is not None:
                return _not_allowed(name, f"a {kind} order")
    return None


def _missing(name: str, what: str) -> Denied:
    return Denied(
        code=DenialCode.MISSING_FIELD, field=name, detail=f"{name} is required for {what}"
    )


def _not_allowed(name: str, what: str) -> Denied:
    return Denied(
        code=DenialCode.FIELD_NOT_ALLOWED, field=name, detail=f"{name} is not allowed with {what}"
    )


class ChildView(_Message):
    """One child order, as shown to people and services."""

    index: int
    client_order_id: str
    venue_order_id: str | None = None
    status: ChildStatus
    child_type: ChildType
    quantity: Amount
    price: Amount | None = None
    filled_quantity: Amount = Decimal(0)
    average_price: Amount | None = None
    attempt: int = 1
    reason: str = ""


class TwapProgress(_Message):
    """Where a TWAP is in its schedule. Times are UTC, RFC 3339."""

    slices_planned: int
    slices_done: int = Field(description="slices whose window was used or has passed")
    slices_sent: int = Field(description="slices that sent a child order")
    slices_filled: int = Field(description="sent slices that filled completely")
    slices_late: int = Field(description="slices that passed while no worker was there")
    next_slice_at: str | None = None
    spacing_s: Amount
    percent: Amount = Field(description="filled quantity in percent of the order")


class OrderSnapshot(_Message):
    """One parent order now: query `progress`, updates `accept` and `cancel`, and the result."""

    order_id: str
    status: OrderStatus
    order_type: OrderType | None = None
    strategy_id: str | None = None
    account: str | None = None
    exchange: str | None = None
    symbol: str | None = None
    side: Side | None = None
    quantity: Amount | None = None
    price: Amount | None = None
    filled_quantity: Amount = Decimal(0)
    remaining_quantity: Amount | None = None
    average_price: Amount | None = None
    fees: dict[str, Amount] = Field(default_factory=dict, description="by asset")
    code: DenialCode | None = Field(None, description="why it was denied")
    field: str | None = Field(None, description="the field at fault, when denied")
    reason: str = Field("", description="why it ended as it did, or why it waits")
    children: tuple[ChildView, ...] = Field((), description="the newest children, oldest first")
    children_total: int = 0
    twap: TwapProgress | None = None
    created_at: str | None = None
    updated_at: str | None = None


class CancelRequest(_Message):
    """Why an order is cancelled."""

    reason: Text = "user_request"


def cancel_reason(raw: bytes | None) -> str:
    """The reason of a cancel, whatever was sent with it: a cancel is never refused."""
    if not raw:  # no input, or Temporal's empty payload for None
        return CancelRequest().reason
    if len(raw) > MAX_BODY_BYTES:
        return "unreadable"
    try:
        value = strict_loads(raw)
        if isinstance(value, str):
            value = {"reason": value}
        return CancelRequest.model_validate(value if value is not None else {}).reason
    except (InvalidJsonError, ValidationError):
        return "unreadable"
