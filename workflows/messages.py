"""The public messages: what an order request is, and what the engine tells about an order.

The same JSON is the HTTP body, the workflow's input, the Python client's model and the CLI's
options. `parse_order` is the only way from JSON to an `OrderRequest`; it answers a denial with
the code and the field, and never raises on bad input.
"""

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Placement, Side, TimeInForce
from workflows.domain.schedules import MAX_SLICES, CatchUp
from workflows.domain.triggers import OnBlind, TriggerSource
from workflows.fields import (
    OLD_TIMES,
    Amount,
    Boolean,
    ExactDecimal,
    Identifier,
    Moment,
    PositiveDecimal,
    Stamp,
    Text,
    WholeNumber,
    denial_of,
    in_range,
)
from workflows.order_rules import check_combination
from workflows.order_times import too_early
from workflows.order_views import ChildView, IcebergProgress, StopProgress, TwapProgress
from workflows.payloads import InvalidJsonError, strict_loads
from workflows.steering_messages import ActionView

MAX_CHILDREN_SHOWN = 20
MAX_BODY_BYTES = 64 * 1024
_DAY_S, _YEAR_S = Decimal(86_400), Decimal(31_536_000)
_ONE, _HALF = Decimal(1), Decimal("0.5")


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OnExhausted(StrEnum):
    """What an exit does when its widest bound did not fill it."""

    MARKET = "market"
    ALARM = "alarm"


class OnUnfilled(StrEnum):
    """What becomes of a fired limit order that does not fill in time."""

    MARKET = "market"
    LEAVE = "leave"


class OrderRequest(_Message):
    """A parent order as the caller asks for it. Quantities in base units, prices in quote."""

    order_id: Identifier | None = Field(None, description="the caller's id; the workflow id")
    strategy_id: Identifier = Field(description="who trades")
    account: Identifier = Field("main", description="account at the exchange")
    exchange: Identifier = Field(description="a configured venue, e.g. binance")
    symbol: Text = Field(description="unified symbol, e.g. BTC/USDT")
    side: Side = Field(description="buy or sell the base asset")
    order_type: OrderType = Field(description="the workflow type implies it, StopOrder aside")
    quantity: PositiveDecimal = Field(description="base quantity")
    price: PositiveDecimal | None = Field(None, description="limit price")
    time_in_force: TimeInForce = Field(TimeInForce.GTC, description="how long it may rest")
    post_only: Boolean = Field(False, description="only rest, never take")
    slippage_tolerance: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="fraction; the worst price a marketable child may take from the touch"
    )
    priority: Annotated[WholeNumber, in_range(_ONE, Decimal(5))] = Field(
        3, description="1 (first) to 5"
    )
    timeout_s: Annotated[ExactDecimal, in_range(Decimal("0.1"), _YEAR_S)] | None = Field(
        None, description="seconds; then cancel, settle and report expired"
    )
    twap_slices: Annotated[WholeNumber, in_range(_ONE, Decimal(MAX_SLICES))] | None = Field(
        None, description="how many children at most; default TWAP_DEFAULT_SLICES"
    )
    twap_interval: Annotated[ExactDecimal, in_range(Decimal("0.05"), _DAY_S)] | None = Field(
        None, description="seconds between slices; duration = slices x interval"
    )
    size_jitter: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="random share by which slices differ; default 0"
    )
    time_jitter: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="random share of its window by which a slice is late; default 0"
    )
    catch_up: CatchUp | None = Field(None, description="after a miss; default spread")
    catch_up_cap: Annotated[WholeNumber, in_range(_ONE, Decimal(100))] | None = Field(
        None, description="largest child as a multiple of the even slice; default 3"
    )
    end_sweep: Boolean | None = Field(None, description="last slice takes all; default true")
    passive_fraction: Annotated[ExactDecimal, in_range(Decimal(0), _ONE)] | None = Field(
        None, description="share of a slice's window in which it rests at the own touch; default 0"
    )
    max_participation: (
        Annotated[ExactDecimal, in_range(Decimal("0.0001"), Decimal("0.9999"))] | None
    ) = Field(None, description="largest share of the volume of all traders, ourselves included")
    pause_shifts_end: Boolean | None = Field(
        None, description="a pause moves the end; default false: the rest is caught up"
    )
    reduce_only: Boolean | None = Field(
        None, description="never enlarge the strategy's position; default false"
    )
    allow_similar: Boolean | None = Field(
        None, description="let the same order pass again within the duplicate window; default false"
    )
    start_at: Moment | None = Field(None, description="begin then, RFC 3339; default at once")
    end_at: Moment | None = Field(None, description="end then, RFC 3339")
    duration_s: Annotated[ExactDecimal, in_range(Decimal("0.1"), _YEAR_S)] | None = Field(
        None, description="seconds of a twap, instead of slices x interval"
    )
    placement: Placement | None = Field(
        None, description="who works hidden size and triggers; default auto: venue, else engine"
    )
    iceberg_visible_ratio: Annotated[ExactDecimal, in_range(Decimal("1E-9"), _ONE)] | None = Field(
        None, description="shown share of the quantity; default 0.1"
    )
    iceberg_display: PositiveDecimal | None = Field(None, description="shown base quantity")
    iceberg_variance: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="random share by which each tip differs; default 0"
    )
    iceberg_min_visible: PositiveDecimal | None = Field(None, description="smallest tip shown")
    replenish_delay_s: Annotated[ExactDecimal, in_range(Decimal(0), _DAY_S)] | None = Field(
        None, description="longest random pause before the next tip, seconds; default 0"
    )
    peg_offset: Annotated[ExactDecimal, in_range(Decimal(0), Decimal(10**9))] | None = Field(
        None, description="distance from the own touch, quote units: the tip follows the market"
    )
    reprice_interval_s: Annotated[ExactDecimal, in_range(Decimal("0.1"), _DAY_S)] | None = Field(
        None, description="shortest time between two prices of a resting child; default 5"
    )
    reprice_ticks: Annotated[WholeNumber, in_range(_ONE, Decimal(100_000))] | None = Field(
        None, description="how far the touch must have moved, in ticks; default 1"
    )
    stop_price: PositiveDecimal | None = Field(None, description="trigger of a stop-loss")
    take_profit_price: PositiveDecimal | None = Field(None, description="trigger of a take-profit")
    oco_limit_price: PositiveDecimal | None = Field(
        None, description="the limit leg of an oco, which takes the profit"
    )
    trailing_delta_bps: Annotated[WholeNumber, in_range(_ONE, Decimal(9_999))] | None = Field(
        None, description="distance of a trailing stop from the best price, in bips"
    )
    activation_price: PositiveDecimal | None = Field(
        None, description="where a trailing stop begins to follow; default at once"
    )
    trigger_source: TriggerSource | None = Field(
        None, description="default: the venue's own where it keeps the order, else bid_ask"
    )
    confirm_n: Annotated[WholeNumber, in_range(_ONE, Decimal(1_000))] | None = Field(
        None, description="prices in a row that must be at or through the trigger; default 1"
    )
    confirm_ms: Annotated[WholeNumber, in_range(Decimal(0), Decimal(600_000))] | None = Field(
        None, description="how long they must have been; default 0"
    )
    stale_after_ms: Annotated[WholeNumber, in_range(Decimal(500), Decimal(600_000))] | None = Field(
        None, description="a price older than this fires nothing; default 5000"
    )
    on_blind: OnBlind | None = Field(
        None, description="hold (default) or exit when the price is not known"
    )
    max_slippage: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="how far through the touch an exit goes at first; default 0.005"
    )
    max_total_slippage: Annotated[ExactDecimal, in_range(Decimal(0), _HALF)] | None = Field(
        None, description="how far it goes at last, from the first touch; default 0.05"
    )
    retry_ms: Annotated[WholeNumber, in_range(Decimal(50), Decimal(600_000))] | None = Field(
        None, description="pause before an exit's rest is sent again; default 500"
    )
    on_exhausted: OnExhausted | None = Field(
        None, description="beyond max_total_slippage: market (default) or alarm"
    )
    post_trigger_timeout_s: Annotated[ExactDecimal, in_range(Decimal("0.1"), _YEAR_S)] | None = (
        Field(None, description="how long a fired limit rests before on_unfilled")
    )
    on_unfilled: OnUnfilled | None = Field(
        None, description="a fired limit that is not filled in time: market or leave (default)"
    )

    def body_hash(self) -> str:
        """SHA-256 of the order as validated, without its id: equal means the same order."""
        body = self.model_dump_json(exclude={"order_id"}, exclude_none=True)
        return hashlib.sha256(body.encode()).hexdigest()


def parse_order(
    raw: bytes, *, order_types: tuple[OrderType, ...] = (), with_old_times: bool = False
) -> OrderRequest | Denied:
    """An order request from JSON text; `order_types` are those that the workflow type works.

    `with_old_times`: as it was read before times had to be RFC 3339, for runs that began then.
    """
    if len(raw) > MAX_BODY_BYTES:
        return Denied(
            code=DenialCode.INVALID_INPUT, detail=f"an order has at most {MAX_BODY_BYTES} bytes"
        )
    try:
        value = strict_loads(raw)
    except InvalidJsonError as error:
        return Denied(code=error.code, detail=str(error))
    return validate_order(value, order_types=order_types, with_old_times=with_old_times)


def validate_order(
    value: Any, *, order_types: tuple[OrderType, ...] = (), with_old_times: bool = False
) -> OrderRequest | Denied:
    """An order request from parsed JSON (numbers exact), or the first thing wrong with it.

    Where there is one possible type only, the order need not name it.
    """
    if not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the order must be a JSON object")
    if len(order_types) == 1:
        value = {"order_type": order_types[0], **value}
    try:
        context = OLD_TIMES if with_old_times else None
        request = OrderRequest.model_validate(value, context=context)
    except ValidationError as error:
        return denial_of(error)
    if order_types and request.order_type not in order_types:
        return Denied(
            code=DenialCode.FIELD_NOT_ALLOWED,
            field="order_type",
            detail=f"order_type must be {' or '.join(order_types)} for this workflow",
        )
    if not with_old_times:
        early = too_early(start_at=request.start_at, end_at=request.end_at)
        if early is not None:
            return early
    return check_combination(request) or request


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
    iceberg: IcebergProgress | None = None
    stop: StopProgress | None = None
    actions: tuple[ActionView, ...] = Field((), description="who steered it, newest last")
    created_at: Stamp | None = None
    updated_at: Stamp | None = None


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
