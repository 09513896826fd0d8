"""From a protective order's request to its trigger: pure.

Which price fires it, who keeps it (the venue or the engine), what the venue is sent, and what is
wrong with it in the market of now.
"""

from decimal import Decimal

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.instruments import Instrument, Native
from workflows.domain.orders import ChildType, OrderType, Placement, Side
from workflows.domain.triggers import Direction, OnBlind, TriggerSource, TriggerSpec
from workflows.fields import plain
from workflows.messages import OrderRequest
from workflows.order_rules import DEFAULT_TOTAL_SLIPPAGE
from workflows.order_state import StopState
from workflows.ports import EngineTerms

_ENGINE_ONLY = (
    "confirm_n",
    "confirm_ms",
    "stale_after_ms",
    "on_blind",
    "max_slippage",
    "max_total_slippage",
    "retry_ms",
    "on_exhausted",
    "post_trigger_timeout_s",
    "on_unfilled",
    "reduce_only",
)
"""Options that no venue takes: an order that names one is kept by the engine."""
_NATIVES = {
    OrderType.STOP_LOSS: Native.STOP,
    OrderType.TAKE_PROFIT: Native.STOP,
    OrderType.TRAILING_STOP: Native.TRAILING,
    OrderType.OCO: Native.OCO,
}
_COLLAR = Decimal("1.02")


def plan_stop(
    request: OrderRequest, terms: EngineTerms, instrument: Instrument, reference: Decimal
) -> StopState | Denied:
    """The state before the trigger is armed; `reference` is the middle of the market."""
    denied = deny_stop(request, terms, instrument, reference)
    if denied is not None:
        return denied
    spec = spec_of(request, reference)
    placement = placement_of(request, spec, instrument)
    if isinstance(placement, Denied):
        return placement
    return StopState(placement=placement, spec=spec, step=instrument.step, tick=instrument.tick)


def spec_of(request: OrderRequest, reference: Decimal) -> TriggerSpec:
    """The trigger as the engine keeps it; `reference` is the market when the order came."""
    kind, side = request.order_type, request.side
    follows_down = (side is Side.SELL) != (kind is OrderType.TAKE_PROFIT)
    activation, activation_direction = request.activation_price, None
    if activation is not None:
        activation_direction = Direction.UP if activation >= reference else Direction.DOWN
    return TriggerSpec(
        side=side,
        direction=Direction.DOWN if follows_down else Direction.UP,
        source=request.trigger_source or TriggerSource.BID_ASK,
        price=trigger_of(request),
        trailing_delta_bps=request.trailing_delta_bps,
        activation_price=activation,
        activation_direction=activation_direction,
        confirm_n=request.confirm_n or 1,
        confirm_ms=request.confirm_ms or 0,
        stale_after_ms=request.stale_after_ms or 5_000,
        on_blind=request.on_blind or OnBlind.HOLD,
    )


def trigger_of(request: OrderRequest) -> Decimal | None:
    """The fixed price that fires it; None for a trailing stop."""
    if request.order_type is OrderType.TAKE_PROFIT:
        return request.take_profit_price
    return request.stop_price


def is_through(spec: TriggerSpec, reference: Decimal) -> bool:
    """True when the market is at or beyond a fixed trigger already."""
    if spec.price is None:
        return False
    if spec.direction is Direction.DOWN:
        return reference <= spec.price
    return reference >= spec.price


def is_entry(request: OrderRequest) -> bool:
    """True for a stop that opens a position: it protects nothing, so it need not be late."""
    is_stop = request.order_type is not OrderType.TAKE_PROFIT
    return is_stop and request.side is Side.BUY and not request.reduce_only


def deny_stop(
    request: OrderRequest, terms: EngineTerms, instrument: Instrument, reference: Decimal
) -> Denied | None:
    """What is wrong with it in the market of now, or None."""
    return (
        _off_tick(request, instrument)
        or _deny_source(request, instrument)
        or _deny_side(request, reference)
        or _deny_oco(request, reference)
        or _deny_value(request, terms, reference)
    )


def placement_of(
    request: OrderRequest, spec: TriggerSpec, instrument: Instrument
) -> Placement | Denied:
    """Who keeps the trigger. The venue, where it can do all that was asked; else the engine."""
    if request.placement is Placement.ENGINE:
        return Placement.ENGINE
    must = request.placement is Placement.NATIVE
    why = _why_not_native(request, instrument)
    if why is None:
        return _deny_delta(request, spec, instrument) or Placement.NATIVE
    if not must:
        return Placement.ENGINE
    return Denied(
        code=DenialCode.NOT_NATIVE,
        field=why,
        detail=f"exchange={request.exchange} cannot keep this trigger natively: {why}",
    )


def native_type(request: OrderRequest, spec: TriggerSpec) -> ChildType:
    """What the venue is sent. A trailing order is a stop or a take-profit by its activation."""
    kind = request.order_type
    if kind is OrderType.OCO:
        return ChildType.OCO
    is_profit = _is_profit(request, spec)
    if request.price is None:
        return ChildType.TAKE_PROFIT if is_profit else ChildType.STOP_LOSS
    return ChildType.TAKE_PROFIT_LIMIT if is_profit else ChildType.STOP_LOSS_LIMIT


def _is_profit(request: OrderRequest, spec: TriggerSpec) -> bool:
    if request.order_type is OrderType.TAKE_PROFIT:
        return True
    return spec.activation_direction not in (None, _stop_side(spec))


def _stop_side(spec: TriggerSpec) -> Direction:
    """Where the market must go to reach a stop of this side."""
    return Direction.UP if spec.side is Side.BUY else Direction.DOWN


def _why_not_native(request: OrderRequest, instrument: Instrument) -> str | None:
    """The field because of which the venue cannot keep it."""
    if _NATIVES[request.order_type] not in instrument.natives:
        return "placement"
    if request.trigger_source not in (None, TriggerSource.LAST):
        return "trigger_source"
    return next((name for name in _ENGINE_ONLY if getattr(request, name)), None)


def _deny_delta(request: OrderRequest, spec: TriggerSpec, instrument: Instrument) -> Denied | None:
    delta = request.trailing_delta_bps
    is_above = (request.side is Side.BUY) != _is_profit(request, spec)
    bounds = instrument.trailing_above if is_above else instrument.trailing_below
    if delta is None or bounds is None or bounds.least <= delta <= bounds.most:
        return None
    return Denied(
        code=DenialCode.OUT_OF_RANGE,
        field="trailing_delta_bps",
        detail=f"trailing_delta_bps={delta} min={bounds.least} max={bounds.most} at the venue; "
        "placement=engine takes any",
    )


def _off_tick(request: OrderRequest, instrument: Instrument) -> Denied | None:
    for name in ("stop_price", "take_profit_price", "oco_limit_price", "activation_price"):
        price = getattr(request, name)
        if price is not None and not instrument.is_on_tick(price):
            return Denied(
                code=DenialCode.PRECISION,
                field=name,
                detail=f"{name}={plain(price)} tick={plain(instrument.tick)}",
            )
    return None


def _deny_source(request: OrderRequest, instrument: Instrument) -> Denied | None:
    if request.trigger_source not in (TriggerSource.MARK, TriggerSource.INDEX):
        return None
    if instrument.has_mark_price:
        return None
    return Denied(
        code=DenialCode.TRIGGER_SOURCE,
        field="trigger_source",
        detail=f"exchange={request.exchange} tells no {request.trigger_source} price",
    )


def _deny_side(request: OrderRequest, reference: Decimal) -> Denied | None:
    """A stop that the market has passed: an exit may be late, an entry or a typing error not."""
    spec = spec_of(request, reference)
    if request.order_type is OrderType.TAKE_PROFIT or spec.price is None:
        return None
    if not is_through(spec, reference):
        return None
    most = request.max_total_slippage
    most = DEFAULT_TOTAL_SLIPPAGE if most is None else most
    if not is_entry(request) and abs(reference - spec.price) <= most * spec.price:
        return None
    where = "above" if request.side is Side.BUY else "below"
    return Denied(
        code=DenialCode.STOP_WRONG_SIDE,
        field="stop_price",
        detail=f"stop_price={plain(spec.price)} market={plain(reference)}: "
        f"the stop of a {request.side} is {where} the market",
    )


def _deny_oco(request: OrderRequest, reference: Decimal) -> Denied | None:
    limit = request.oco_limit_price
    if limit is None or (limit - reference) * request.side.sign < 0:
        return None
    return Denied(
        code=DenialCode.OCO_PRICES,
        field="oco_limit_price",
        detail=f"oco_limit_price={plain(limit)} market={plain(reference)}: it would trade at once",
    )


def _deny_value(request: OrderRequest, terms: EngineTerms, reference: Decimal) -> Denied | None:
    """An exit that could not be sent when it fires would be no protection."""
    most = terms.max_order_value
    highest = max(reference, trigger_of(request) or reference, request.price or reference)
    with exact():
        value = request.quantity * highest * _COLLAR
    if most is None or request.reduce_only or value <= most:
        return None
    return Denied(
        code=DenialCode.RISK_MAX_NOTIONAL,
        field="quantity",
        detail=f"notional={value:f} max={most:f}",
    )
