"""From an iceberg's request to its tips: pure.

Who hides the rest (the venue or the engine), how much is shown, and what is wrong with it.
"""

from decimal import Decimal

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.icebergs import (
    IcebergParameters,
    deny_iceberg,
    display_of,
    min_visible_lots_of,
    native_possible,
)
from workflows.domain.instruments import Instrument
from workflows.domain.minimums import minimum_lots
from workflows.domain.orders import Placement
from workflows.messages import OrderRequest
from workflows.order_state import IcebergState
from workflows.ports import EngineTerms

_NONE = Decimal(0)


def plan_iceberg(
    request: OrderRequest, terms: EngineTerms, instrument: Instrument, reference: Decimal
) -> IcebergState | Denied:
    """The state before the first tip; `reference` is the middle of the market."""
    least = minimum_lots(instrument, request.price or reference)
    ratio = request.iceberg_visible_ratio or terms.iceberg_visible_ratio
    denied = deny_iceberg(
        instrument,
        request.quantity,
        ratio=None if request.iceberg_display else ratio,
        display=request.iceberg_display,
        min_visible=request.iceberg_min_visible,
        min_child_lots=least,
    )
    if denied is not None:
        return denied
    display = display_of(request.quantity, ratio, request.iceberg_display, instrument.step)
    is_possible = _can_be_native(request, terms, instrument, display)
    if request.placement is Placement.NATIVE and not is_possible:
        return Denied(
            code=DenialCode.NOT_NATIVE,
            field="placement",
            detail=f"exchange={request.exchange} cannot hide this order as asked",
        )
    is_native = is_possible and request.placement is not Placement.ENGINE
    return IcebergState(
        placement=Placement.NATIVE if is_native else Placement.ENGINE,
        step=instrument.step,
        display=display,
        min_visible_lots=min_visible_lots_of(
            request.iceberg_min_visible, step=instrument.step, min_child_lots=least
        ),
    )


def tips_of(request: OrderRequest, iceberg: IcebergState, order_id: str) -> IcebergParameters:
    """What the tips are made of; the order's id seeds their draws."""
    return IcebergParameters(
        total=request.quantity,
        step=iceberg.step,
        display=iceberg.display,
        variance=request.iceberg_variance or _NONE,
        min_visible_lots=iceberg.min_visible_lots,
        seed=order_id,
    )


def _can_be_native(
    request: OrderRequest, terms: EngineTerms, instrument: Instrument, display: Decimal
) -> bool:
    """By the venue's rules, and within the largest order that may be sent."""
    value, most = request.quantity * (request.price or _NONE), terms.max_order_value
    return (most is None or value <= most) and native_possible(
        instrument,
        request.quantity,
        display,
        request.iceberg_variance or _NONE,
        request.peg_offset is not None,
        is_delayed=bool(request.replenish_delay_s),
    )
