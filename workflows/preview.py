"""What an order would do and cost, and whether it would be accepted: asked, never sent.

The plan is made by the same pure functions that the order itself would use, in the market of now.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

from workflows import ports
from workflows.acceptance import ended_already, unfit_times
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.icebergs import IcebergParameters
from workflows.domain.orders import ChildType, OrderType, Placement
from workflows.domain.preview import PlannedRow, expected_cost, preview_schedule
from workflows.domain.risk import check_filters
from workflows.domain.schedules import TwapSchedule
from workflows.fields import plain
from workflows.iceberg_plan import plan_iceberg, tips_of
from workflows.messages import OrderRequest, parse_order
from workflows.order_state import IcebergState, StopState
from workflows.preview_messages import MAX_SCHEDULE_SHOWN, OrderPreview, PlannedChild
from workflows.stop_plan import is_through, native_type, plan_stop, trigger_of
from workflows.twap_plan import plan_order

_WITHIN = timedelta(seconds=8)
_SEED_OF_A_PREVIEW = "preview"

Plan = IcebergState | StopState | TwapSchedule | None


@workflow.defn(name="PreviewOrder")
class PreviewOrder:
    """Answers an `OrderPreview`; nothing is registered, reserved or sent."""

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderPreview:
        """`request` is an order as JSON."""
        if request is None:
            return _refused(Denied(code=DenialCode.INVALID_INPUT, detail="the order is missing"))
        order = parse_order(request.payload.data)
        if isinstance(order, Denied):
            return _refused(order)
        late = ended_already(order, workflow.now()) or unfit_times(order, workflow.now())
        if late is not None:
            return _refused(late, order)
        view = await self._view(order)
        if isinstance(view, Denied):
            return _refused(view, order)
        return await self._preview(order, view)

    @staticmethod
    async def _view(order: OrderRequest) -> ports.VenueView | Denied:
        asked = ports.ViewRequest(venue=order.exchange, account=order.account, symbol=order.symbol)
        try:
            view = await ports.read_view(asked, within=_WITHIN)
        except (ActivityError, FailureError):
            return Denied(
                code=DenialCode.UNAVAILABLE, detail=f"exchange={order.exchange} does not answer"
            )
        if view.instrument is None:
            return Denied(
                code=DenialCode.UNKNOWN_SYMBOL, field="symbol", detail=f"exchange={order.exchange}"
            )
        if view.book is None or view.fees is None or not view.instrument.has_valid_rules:
            return Denied(code=DenialCode.RISK_STALE_REF, detail="reference=absent")
        if not view.book.bids or not view.book.asks:
            return Denied(code=DenialCode.RISK_STALE_REF, detail="one side of the book is empty")
        return view

    async def _preview(self, order: OrderRequest, view: ports.VenueView) -> OrderPreview:
        instrument, book = view.instrument, view.book
        assert instrument is not None
        assert book is not None
        reference = (book.bids[0].price + book.asks[0].price) / 2
        checked = await ports.check_order(
            ports.CheckOrder(request=order, reference_price=reference)
        )
        denied = checked.denied
        misfit = check_filters(instrument, order.quantity, order.price, reference)
        if misfit is not None:  # what the venue cannot take has no plan
            return _refused(denied or misfit, order)
        planned = _plan(order, checked.terms, view, reference, workflow.now())
        if isinstance(planned, Denied):
            return _refused(denied or planned, order)
        known = _described(order, view, planned, reference, workflow.now())
        if denied is None:
            return known
        told = {"code": denied.code, "field": denied.field, "reason": denied.detail}
        return known.model_copy(update={"accepted": False, **told})


def _plan(
    order: OrderRequest,
    terms: ports.EngineTerms,
    view: ports.VenueView,
    reference: Decimal,
    now: datetime,
) -> Plan | Denied:
    """What the order's own workflow would plan; None for an order of one child."""
    instrument = view.instrument
    assert instrument is not None
    seed = order.order_id or _SEED_OF_A_PREVIEW
    if order.order_type is OrderType.TWAP:
        planned = plan_order(order, terms, instrument, reference, now=now, seed=seed)
        return planned if isinstance(planned, Denied) else planned[1]
    if order.order_type is OrderType.ICEBERG:
        return plan_iceberg(order, terms, instrument, reference)
    if order.order_type.is_triggered:
        return plan_stop(order, terms, instrument, reference)
    return None


def _described(
    order: OrderRequest, view: ports.VenueView, plan: Plan, reference: Decimal, now: datetime
) -> OrderPreview:
    """The plan in rows, and what it should cost."""
    child_type, price, notes = _child_of(order, plan, reference)
    sizes: TwapSchedule | IcebergParameters | Decimal
    sizes = plan if isinstance(plan, TwapSchedule) else order.quantity
    if isinstance(plan, IcebergState) and plan.placement is Placement.ENGINE:
        sizes = tips_of(order, plan, order.order_id or _SEED_OF_A_PREVIEW)
    if order.order_id is None and (order.size_jitter or order.iceberg_variance):
        notes.append("the random sizes follow from the order's id: others will differ")
    schedule = preview_schedule(sizes, child_type=child_type, price=price, shown=MAX_SCHEDULE_SHOWN)
    assert view.book is not None
    assert view.fees is not None
    is_waiting = isinstance(plan, StopState) and not is_through(plan.spec, reference)
    cost = expected_cost(
        view.book,
        view.fees,
        order.side,
        order.quantity,
        order.order_type,
        price,
        trigger=trigger_of(order) if is_waiting else None,
        child_quantity=schedule.largest,
        time_in_force=order.time_in_force,
        is_post_only=order.post_only,
    )
    if cost.unfilled > 0:
        notes.append(f"the book of now lacks {plain(cost.unfilled)}")
    starts_at = max(now, order.start_at or now)
    placement = plan.placement if isinstance(plan, IcebergState | StopState) else None
    return OrderPreview(
        accepted=True,
        order_type=order.order_type,
        exchange=order.exchange,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        placement=placement,
        schedule=tuple(_row(row, starts_at, is_waiting=is_waiting) for row in schedule.rows),
        schedule_total=schedule.total,
        slices_requested=plan.slices_requested if isinstance(plan, TwapSchedule) else None,
        reference_price=reference,
        expected_average_price=cost.average_price,
        expected_fees=cost.fee_quote,
        expected_slippage_bps=cost.slippage_bps,
        notional=cost.notional,
        notes=tuple(notes),
    )


def _child_of(
    order: OrderRequest, plan: Plan, reference: Decimal
) -> tuple[ChildType, Decimal | None, list[str]]:
    """Type and limit price of its children, and what the caller should know of them."""
    if isinstance(plan, TwapSchedule):
        notes = []
        if plan.slices < plan.slices_requested:
            notes.append(
                f"{plan.slices_requested} slices would be below the venue's minimum: "
                f"{plan.slices} are planned"
            )
        return ChildType.LIMIT, order.price, notes
    if isinstance(plan, StopState):
        notes = [f"the trigger is kept by the {_keeper(plan.placement)}"]
        if is_through(plan.spec, reference):
            notes.append("the market is through the trigger: it fires at once")
        if order.order_type is OrderType.OCO:
            return ChildType.OCO, order.oco_limit_price, notes
        if plan.placement is Placement.NATIVE:
            return native_type(order, plan.spec), order.price, notes
        return ChildType.LIMIT, order.price, notes
    if isinstance(plan, IcebergState):
        return ChildType.LIMIT, order.price, [f"hidden by the {_keeper(plan.placement)}"]
    is_limit = order.order_type is OrderType.LIMIT or order.slippage_tolerance is not None
    return ChildType.LIMIT if is_limit else ChildType.MARKET, order.price, []


def _keeper(placement: Placement) -> str:
    return "venue" if placement is Placement.NATIVE else "engine"


def _row(row: PlannedRow, starts_at: datetime, *, is_waiting: bool) -> PlannedChild:
    at = None
    if row.offset_s is not None and not is_waiting:
        micros = -(-row.offset_s.numerator * 1_000_000 // row.offset_s.denominator)
        at = (starts_at + timedelta(microseconds=micros)).isoformat()
    return PlannedChild(
        index=row.index, at=at, child_type=row.child_type, quantity=row.quantity, price=row.price
    )


def _refused(denied: Denied, order: OrderRequest | None = None) -> OrderPreview:
    known: dict[str, Any] = {}
    if order is not None:
        names = ("order_type", "exchange", "symbol", "side", "quantity")
        known = {name: getattr(order, name) for name in names}
    return OrderPreview(
        accepted=False, code=denied.code, field=denied.field, reason=denied.detail, **known
    )
