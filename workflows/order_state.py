"""The state of a parent order as data, and how it is shown.

Continue-as-new carries `ParentState` and nothing else. The functions are pure: state in,
snapshot or text out.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows import ports
from workflows.child_state import ChildState
from workflows.domain.denials import DenialCode
from workflows.domain.exact import exact, minus, times
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import (
    ChildIntent,
    ChildType,
    OrderType,
    Placement,
    TimeInForce,
    client_order_id,
)
from workflows.domain.reports import ChildReport
from workflows.domain.triggers import Fired, Flag, TriggerSpec, TriggerState
from workflows.fields import utc_text
from workflows.messages import MAX_CHILDREN_SHOWN, OrderRequest, OrderSnapshot
from workflows.order_views import ChildView, IcebergProgress, StopProgress, TwapProgress
from workflows.steering_messages import ActionView

AVERAGE_UNIT = Decimal("1E-12")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over child orders: base units, quote units, and fees by asset."""

    executed: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)
    filled_quote: Decimal = Decimal(0)
    fees: dict[str, Decimal] = field(default_factory=dict)

    def plus(self, report: ChildReport | None) -> "Totals":
        """These totals with one more child order."""
        if report is None:
            return self
        with exact():
            fees = dict(self.fees)
            for asset, amount in report.fees.items():
                fees[asset] = fees.get(asset, Decimal(0)) + amount
            return Totals(
                executed=self.executed + max(report.executed_quantity, report.filled_quantity),
                filled=self.filled + report.filled_quantity,
                filled_quote=self.filled_quote + report.filled_quote,
                fees=fees,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapState:
    """Where a TWAP is. The schedule itself is recomputed from the request and `min_child_lots`."""

    started_at: datetime
    step: Decimal
    min_child_lots: int
    next_slice: int = 0
    sent: int = 0
    filled: int = 0
    late: int = 0
    residual_reason: str = ""
    segment: int = 0
    """How often the plan was made anew; the fields below say what the present one plans."""
    slices_before: int = 0
    executed_before: Decimal = Decimal(0)
    total: Decimal | None = None
    duration_s: Decimal | None = None
    interval_s: Decimal | None = None
    limited: int = 0
    executed_at_slice: Decimal = Decimal(0)
    """Executed when the last slice began: since then it is our part of the market's volume."""
    filter_rejections: int = 0
    slice_lots: int = 0
    """What the slice that is being worked shall trade; 0 between slices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergState:
    """Where an iceberg is. `tip_lots` is the size of the tip that is worked, 0 between tips."""

    placement: Placement
    step: Decimal
    display: Decimal
    min_visible_lots: int
    tips: int = 0
    tips_filled: int = 0
    tip_lots: int = 0
    executed_before_tip: Decimal = Decimal(0)
    next_tip_at: datetime | None = None
    retries: int = 0
    """Refusals in a row; trying again waits longer each time."""
    residual_reason: str = ""
    code: str = ""
    """Of the last refusal, ours or the venue's."""


class StopPhase(StrEnum):
    """Where a protective order is."""

    WAITING = "waiting"
    ARMED = "armed"
    FIRED = "fired"
    DISARMED = "disarmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopState:
    """Where a protective order is; `watch_index` counts how often its trigger was armed anew."""

    placement: Placement
    spec: TriggerSpec
    step: Decimal
    tick: Decimal
    phase: StopPhase = StopPhase.WAITING
    watch_index: int = 0
    watched: TriggerState | None = None
    fired: Fired | None = None
    flags: tuple[Flag, ...] = ()
    is_blind: bool = False
    tries: int = 0
    first_touch: Decimal | None = None
    """What the market was when the exit began; its bounds are measured from there."""
    market_tries: int = 0
    has_alarmed: bool = False
    rests_since: datetime | None = None
    has_rested: bool = False
    """The limit order of the fired trigger had its time."""
    is_alone: bool = False
    """The limit leg of an OCO is gone, and not by our doing: the stop stands guard alone."""
    residual_reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What of the request was changed since; None for what was not."""

    price: Decimal | None = None
    quantity: Decimal | None = None
    end_at: datetime | None = None
    max_participation: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentState:
    """Everything that continue-as-new carries. `settled` are the totals of finished children."""

    request: OrderRequest | None = None
    terms: ports.EngineTerms | None = None
    status: OrderStatus = OrderStatus.PENDING
    code: DenialCode | None = None
    field: str | None = None
    reason: str = ""
    cancelled_because: str | None = None
    created_at: datetime = EPOCH
    deadline: datetime | None = None
    child: ChildState | None = None
    unsettled: tuple[ChildState, ...] = ()
    settled: Totals = Totals()
    children_total: int = 0
    recent: tuple[ChildView, ...] = ()
    twap: TwapState | None = None
    iceberg: IcebergState | None = None
    stop: StopState | None = None
    amended: Amendment | None = None
    paused_since: datetime | None = None
    actions: tuple[ActionView, ...] = ()
    actions_total: int = 0
    verdicts_total: int = 0

    @property
    def wanted(self) -> OrderRequest | None:
        """The request as it is now, amendments applied."""
        if self.request is None or self.amended is None:
            return self.request
        changes = {
            name: value for name in _AMENDABLE if (value := getattr(self.amended, name)) is not None
        }
        return self.request.model_copy(update=changes)


_AMENDABLE = ("price", "quantity", "end_at", "max_participation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the strategy is, for the one that the order has."""

    twap: TwapProgress | None = None
    iceberg: IcebergProgress | None = None
    stop: StopProgress | None = None


def continued_state(raw: RawValue | None) -> ParentState | None:
    """The state that a run before handed over, or None when it is something else."""
    if raw is None:
        return None
    try:
        read: object = workflow.payload_converter().from_payload(raw.payload, ParentState)
    except ApplicationError:
        return None
    return read if isinstance(read, ParentState) and read.request is not None else None


def next_intent(
    state: ParentState,
    order_id: str,
    *,
    quantity: Decimal,
    child_type: ChildType,
    price: Decimal | None,
    time_in_force: TimeInForce,
    post_only: bool = False,
    **native: Any,
) -> ChildIntent:
    """The next child order of a parent, named by its index; `native` are its optional fields."""
    request, index = state.request, state.children_total
    assert request is not None, "an accepted order has its request"
    return ChildIntent(
        client_order_id=client_order_id(order_id, index),
        order_id=order_id,
        child_index=index,
        strategy_id=request.strategy_id,
        account=request.account,
        venue=request.exchange,
        symbol=request.symbol,
        side=request.side,
        child_type=child_type,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=bool(request.reduce_only),
        **native,
    )


def totals_of(state: ParentState, live: ChildState | None) -> Totals:
    """Sums over all children: finished, waiting for fills, and live."""
    totals = state.settled
    for child in state.unsettled:
        totals = totals.plus(child.report)
    return totals.plus(live.report if live else None)


def average_price(value: Decimal, quantity: Decimal) -> Decimal | None:
    """Quote units per base unit, rounded to 12 decimals; None while nothing is filled."""
    if not quantity:
        return None
    # through fractions: a decimal context would refuse an average of more than 28 digits
    return times(AVERAGE_UNIT, round(Fraction(value) / Fraction(quantity) / Fraction(AVERAGE_UNIT)))


def view_of(child: ChildState) -> ChildView:
    """One child order as shown to people and services."""
    report, intent = child.report, child.intent
    filled = report.filled_quantity if report else Decimal(0)
    return ChildView(
        index=intent.child_index,
        client_order_id=intent.client_order_id,
        venue_order_id=report.venue_order_id if report else None,
        status=child.status,
        child_type=intent.child_type,
        quantity=intent.quantity,
        price=intent.price,
        trigger_price=intent.trigger_price,
        display_quantity=intent.display_quantity,
        filled_quantity=child.executed_quantity,
        average_price=average_price(report.filled_quote, filled) if report else None,
        attempt=child.attempt,
        reason=child.reason,
    )


def snapshot_of(
    state: ParentState,
    *,
    order_id: str,
    order_type: OrderType | None,
    live: ChildState | None,
    progress: Progress,
    updated_at: datetime,
) -> OrderSnapshot:
    """The order as the public message; only its id and verdict while it could not be read."""
    request, totals = state.wanted, totals_of(state, live)
    children = (*state.recent, view_of(live)) if live else state.recent
    known = OrderSnapshot(
        order_id=order_id,
        status=state.status,
        order_type=order_type,
        code=state.code,
        field=state.field,
        reason=state.reason,
        created_at=utc_text(state.created_at),
        updated_at=utc_text(updated_at),
    )
    if request is None:
        return known
    return known.model_copy(
        update={
            "strategy_id": request.strategy_id,
            "account": request.account,
            "exchange": request.exchange,
            "symbol": request.symbol,
            "side": request.side,
            "quantity": request.quantity,
            "price": request.price,
            "filled_quantity": totals.executed,
            "remaining_quantity": minus(request.quantity, totals.executed),
            "average_price": average_price(totals.filled_quote, totals.filled),
            "fees": totals.fees,
            "children": children[-MAX_CHILDREN_SHOWN:],
            "children_total": state.children_total,
            "twap": progress.twap,
            "iceberg": progress.iceberg,
            "stop": progress.stop,
            "actions": state.actions,
        }
    )
