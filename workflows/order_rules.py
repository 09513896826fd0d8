"""Fields of an order that are fine alone and wrong together.

One table says which options belong to which order types; what is left are prices and times that
must fit each other. Pure: (request) -> denial or None. Where the market or the venue's rules
decide, the workflow asks later.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.orders import OrderType, Side, TimeInForce
from workflows.domain.triggers import TriggerSource

if TYPE_CHECKING:
    from workflows.messages import OrderRequest

_T = OrderType
_STOPS = (_T.STOP_LOSS, _T.TAKE_PROFIT, _T.TRAILING_STOP, _T.OCO)
_WITH_LIMIT = (_T.STOP_LOSS, _T.TAKE_PROFIT, _T.OCO)
"""Triggered orders that may be limit orders once they have fired."""
_WORKED = (_T.TWAP, _T.ICEBERG)

ALLOWED: dict[str, tuple[OrderType, ...]] = {
    **dict.fromkeys(
        (
            "twap_slices",
            "twap_interval",
            "duration_s",
            "size_jitter",
            "time_jitter",
            "catch_up",
            "catch_up_cap",
            "end_sweep",
            "passive_fraction",
            "max_participation",
            "pause_shifts_end",
        ),
        (_T.TWAP,),
    ),
    **dict.fromkeys(
        (
            "iceberg_visible_ratio",
            "iceberg_display",
            "iceberg_variance",
            "iceberg_min_visible",
            "replenish_delay_s",
            "peg_offset",
        ),
        (_T.ICEBERG,),
    ),
    "reprice_interval_s": _WORKED,
    "reprice_ticks": _WORKED,
    "start_at": _WORKED,
    "end_at": (_T.LIMIT, *_WORKED, *_STOPS),
    "placement": (_T.ICEBERG, *_STOPS),
    "slippage_tolerance": (_T.MARKET, _T.TWAP),
    "stop_price": (_T.STOP_LOSS, _T.OCO),
    "take_profit_price": (_T.TAKE_PROFIT,),
    "oco_limit_price": (_T.OCO,),
    "trailing_delta_bps": (_T.TRAILING_STOP,),
    "activation_price": (_T.TRAILING_STOP,),
    **dict.fromkeys(
        (
            "trigger_source",
            "confirm_n",
            "confirm_ms",
            "stale_after_ms",
            "on_blind",
            "max_slippage",
            "max_total_slippage",
            "retry_ms",
            "on_exhausted",
        ),
        _STOPS,
    ),
    **dict.fromkeys(("post_trigger_timeout_s", "on_unfilled"), _WITH_LIMIT),
}
"""Options that only these order types take; every other type refuses them."""

REQUIRED: dict[OrderType, tuple[str, ...]] = {
    _T.LIMIT: ("price",),
    _T.ICEBERG: ("price",),
    _T.STOP_LOSS: ("stop_price",),
    _T.TAKE_PROFIT: ("take_profit_price",),
    _T.TRAILING_STOP: ("trailing_delta_bps",),
    _T.OCO: ("oco_limit_price", "stop_price"),
}
"""Options without which these order types make no sense."""


def check_combination(request: OrderRequest) -> Denied | None:
    """The first thing that does not fit, or None."""
    return (
        _missing_field(request)
        or _foreign_field(request)
        or _time_in_force(request)
        or _limit_of_a_fired_order(request)
        or _two_displays(request)
        or _schedule(request)
        or deny_legs(request)
        or _slippage(request)
    )


def _missing_field(request: OrderRequest) -> Denied | None:
    kind = request.order_type
    for name in REQUIRED.get(kind, ()):
        if getattr(request, name) is None:
            return Denied(
                code=DenialCode.MISSING_FIELD,
                field=name,
                detail=f"{name} is required for {_named(kind)}",
            )
    return None


def _foreign_field(request: OrderRequest) -> Denied | None:
    kind = request.order_type
    if kind in (_T.MARKET, _T.TRAILING_STOP) and request.price is not None:
        return _not_allowed("price", _named(kind))
    for name, kinds in ALLOWED.items():
        if getattr(request, name) is not None and kind not in kinds:
            return _not_allowed(name, _named(kind))
    return None


def _time_in_force(request: OrderRequest) -> Denied | None:
    kind, tif = request.order_type, request.time_in_force
    if kind is not _T.LIMIT and tif is TimeInForce.FOK:
        return _not_allowed("time_in_force", f"FOK with {_named(kind)}")
    if kind not in (_T.LIMIT, _T.MARKET) and tif is not TimeInForce.GTC:
        why = " (its slices are IOC)" if kind is _T.TWAP else ""
        return _not_allowed("time_in_force", f"{_named(kind)}{why}")
    if kind is _T.TWAP and request.timeout_s is not None:
        return _not_allowed("timeout_s", "a twap order (its duration is slices x interval)")
    if request.post_only and kind not in (_T.LIMIT, _T.ICEBERG):
        return _not_allowed("post_only", _named(kind))
    if request.post_only and tif is not TimeInForce.GTC:
        return _not_allowed("post_only", str(tif))
    if request.end_at is not None and tif is not TimeInForce.GTC:
        return _not_allowed("end_at", str(tif))
    if request.end_at is not None and request.timeout_s is not None:
        return _not_allowed("timeout_s", "end_at")
    return None


def _limit_of_a_fired_order(request: OrderRequest) -> Denied | None:
    if request.on_unfilled is not None and request.post_trigger_timeout_s is None:
        return Denied(
            code=DenialCode.MISSING_FIELD,
            field="post_trigger_timeout_s",
            detail="post_trigger_timeout_s is required for on_unfilled",
        )
    if request.post_trigger_timeout_s is not None and request.price is None:
        return _not_allowed("post_trigger_timeout_s", "an order without a limit price")
    return None


def _two_displays(request: OrderRequest) -> Denied | None:
    if request.iceberg_display is None or request.iceberg_visible_ratio is None:
        return None
    return _not_allowed("iceberg_visible_ratio", "iceberg_display")


def _schedule(request: OrderRequest) -> Denied | None:
    start, end = request.start_at, request.end_at
    if start is not None and end is not None and end <= start:
        return Denied(
            code=DenialCode.END_BEFORE_START,
            field="end_at",
            detail=f"start_at={start.isoformat()} end_at={end.isoformat()}",
        )
    if request.order_type is not _T.TWAP:
        return None
    named = (request.duration_s, request.twap_slices, request.twap_interval)
    if None not in named:
        duration, slices, interval = named
        assert duration is not None
        assert slices is not None
        assert interval is not None
        if duration != slices * interval:
            return _inconsistent("duration_s", "is not twap_slices x twap_interval")
    if end is not None and request.duration_s is not None:
        return _inconsistent("end_at", "and duration_s both say when it ends")
    if end is not None and request.twap_slices is not None and request.twap_interval is not None:
        return _inconsistent("end_at", "and twap_slices x twap_interval both say when it ends")
    return None


def deny_legs(request: OrderRequest) -> Denied | None:
    """What is wrong with the two legs of an OCO, or None."""
    limit, stop, stop_limit = request.oco_limit_price, request.stop_price, request.price
    if request.order_type is not _T.OCO or limit is None or stop is None:
        return None
    sign = request.side.sign
    if (limit - stop) * sign >= 0:
        order = "above" if request.side is Side.SELL else "below"
        return Denied(
            code=DenialCode.OCO_PRICES,
            field="oco_limit_price",
            detail=f"the limit of a {request.side} must be {order} its stop",
        )
    if stop_limit is not None and (limit - stop_limit) * sign >= 0:
        return Denied(
            code=DenialCode.OCO_PRICES,
            field="price",
            detail="the limit of the stop leg is beyond the limit leg",
        )
    if request.trigger_source in (TriggerSource.MARK, TriggerSource.INDEX):
        return _not_allowed("trigger_source", f"{request.trigger_source} with an oco order")
    return None


def _slippage(request: OrderRequest) -> Denied | None:
    first, last = request.max_slippage, request.max_total_slippage
    if first is not None and (last if last is not None else DEFAULT_TOTAL_SLIPPAGE) < first:
        return Denied(
            code=DenialCode.OUT_OF_RANGE,
            field="max_total_slippage",
            detail="max_total_slippage must not be below max_slippage",
        )
    return None


DEFAULT_SLIPPAGE, DEFAULT_TOTAL_SLIPPAGE = Decimal("0.005"), Decimal("0.05")
"""How far through the touch an exit goes at first and at last, when the caller does not say."""


def _inconsistent(name: str, why: str) -> Denied:
    return Denied(code=DenialCode.INCONSISTENT_SCHEDULE, field=name, detail=f"{name} {why}")


def _named(kind: OrderType) -> str:
    article = "an" if kind.value[0] in "aeio" else "a"
    return f"{article} {kind} order"


def _not_allowed(name: str, what: str) -> Denied:
    return Denied(
        code=DenialCode.FIELD_NOT_ALLOWED, field=name, detail=f"{name} is not allowed with {what}"
    )
