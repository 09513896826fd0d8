"""Time-weighted execution: even slices in whole lots, each an IOC child within its own window.

The schedule is a pure function of the request and of the minimum child at acceptance, so a
continued run recomputes it. Each slice is sized from confirmed execution only; what a slice
misses is carried by the schedule's catch-up rule, and windows that passed while no worker was
there are never fired in a burst.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from temporalio import workflow
from temporalio.common import RawValue

from workflows import ports
from workflows.acceptance import Market, read_market
from workflows.child_order import wait_until
from workflows.child_state import ChildState
from workflows.domain.denials import Denied
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, OrderType, TimeInForce
from workflows.domain.reports import RejectionFamily
from workflows.domain.schedules import (
    CatchUp,
    TwapParameters,
    TwapSchedule,
    executed_lots_of,
    minimum_child_lots,
    next_child,
    plan_twap,
    quantity_of,
    residual_lots,
    slice_at,
)
from workflows.durations import in_seconds
from workflows.fields import plain
from workflows.messages import OrderRequest, OrderSnapshot, TwapProgress
from workflows.order_state import TwapState, next_intent
from workflows.parent_order import ParentOrder

DEFAULT_CHILD_SLIPPAGE = Decimal("0.005")
"""How far through the touch a slice may trade when the caller names no tolerance: 50 bips."""
DEFAULT_CAP_MULTIPLE = 3
_QUOTE_WITHIN = timedelta(seconds=5)


@workflow.defn(name="TwapOrder")
class TwapOrder(ParentOrder):
    """Spread an order evenly over a duration."""

    ORDER_TYPE = OrderType.TWAP

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)
        self._known_schedule: TwapSchedule | None = None

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderSnapshot:
        """`request` is an order as JSON; a continued run gets the state of the run before."""
        del request
        return await self.run_order()

    # --- plan -----------------------------------------------------------------------------------

    def plan(
        self,
        request: OrderRequest,
        terms: ports.EngineTerms,
        instrument: Instrument,
        reference_price: Decimal,
    ) -> Denied | None:
        minimum = _minimum_lots(instrument, request.price or reference_price)
        schedule = plan_twap(
            _parameters(request, terms, instrument.step, self.order_id),
            min_child_lots=minimum,
        )
        if isinstance(schedule, Denied):
            return schedule
        self._known_schedule = schedule
        state = TwapState(started_at=workflow.now(), step=instrument.step, min_child_lots=minimum)
        self._change(twap=state)
        return None

    @property
    def schedule(self) -> TwapSchedule:
        """The plan, recomputed once per run."""
        if self._known_schedule is None:
            planned = plan_twap(
                _parameters(self.request, self.terms, self.twap.step, self.order_id),
                min_child_lots=self.twap.min_child_lots,
            )
            assert isinstance(planned, TwapSchedule), "the plan was valid when it was accepted"
            self._known_schedule = planned
        return self._known_schedule

    @property
    def twap(self) -> TwapState:
        assert self.state.twap is not None, "set by plan, before acceptance"
        return self.state.twap

    # --- the schedule at work -------------------------------------------------------------------

    async def trade(self, market: Market | None) -> None:
        if market is not None:
            self._change_twap(started_at=workflow.now())
        while self._has_slices_left() and not self.is_cancelled():
            if self.should_hand_over():
                self.hand_over()
                return
            await self._wait_for_slice()
            if self.is_cancelled():
                break
            self._skip_missed_slices()
            if self._has_slices_left():
                index = self.twap.next_slice
                await self._work_slice(index)
                self._change_twap(next_slice=max(self.twap.next_slice, index + 1))
        await self.settle_children()
        await self._conclude()

    async def _wait_for_slice(self) -> None:
        index = self.twap.next_slice
        starts_at = self._moment(self.schedule.offsets[index])
        await wait_until(
            self.is_cancelled,
            starts_at - workflow.now(),
            f"slice {index + 1} of {self.schedule.slices}",
        )

    def _skip_missed_slices(self) -> None:
        """Windows that passed without us are carried by the schedule, never fired in a burst."""
        elapsed = max(Decimal(0), in_seconds(workflow.now() - self.twap.started_at))
        current = max(self.twap.next_slice, slice_at(self.schedule, elapsed))
        missed = current - self.twap.next_slice
        if missed:
            reason = f"no worker was there for {missed} of the slices"
            self._change_twap(
                next_slice=current, late=self.twap.late + missed, residual_reason=reason
            )

    async def _work_slice(self, index: int) -> None:
        market = await read_market(self.request, self.terms, _QUOTE_WITHIN)
        if self.is_cancelled():
            return
        if market is None:
            self._change_twap(residual_reason="no market data")
            return
        touch = market.quote.touch(self.request.side)
        if self._is_beyond_limit(touch):
            self._change_twap(residual_reason=f"price: touch {touch:f} is beyond the limit")
            self.become(OrderStatus.WAITING_PRICE, "the market is beyond the limit price")
            return
        lots = next_child(
            self.schedule,
            k=index,
            executed_lots=self._executed_lots(),
            min_child_lots=_minimum_lots(market.instrument, touch),
        )
        if lots == 0:
            self._change_twap(residual_reason="below the venue's minimum")
            return
        self.become(OrderStatus.WORKING)
        intent = next_intent(
            self.state,
            self.order_id,
            quantity=quantity_of(lots, step=self.twap.step),
            child_type=ChildType.LIMIT,
            price=self.child_price(market),
            time_in_force=TimeInForce.IOC,
        )
        self._change_twap(sent=self.twap.sent + 1)
        child = ChildState(
            intent=intent, reference_price=market.quote.mid, priced_at=market.read_at
        )
        await self._work(child)

    async def _work(self, child: ChildState) -> None:
        """Work a slice's child to its end at the venue, then draw the consequences."""
        window_ends = self._moment(self.schedule.boundaries[self.twap.next_slice + 1])
        worked = await self.work_child(child, window_ends)
        if worked.executed_quantity >= worked.intent.quantity:
            self._change_twap(filled=self.twap.filled + 1, residual_reason="")
            return
        reason = worked.reason or "liquidity: the book was thinner than the slice"
        self._change_twap(residual_reason=reason)
        if worked.status is ChildStatus.REJECTED and worked.family is RejectionFamily.PERMISSION:
            # trying again is pointless: use up the schedule
            self._change_twap(next_slice=self.schedule.slices)

    def child_price(self, market: Market) -> Decimal | None:
        """The touch plus the tolerance, on the tick grid, never beyond the limit price."""
        side, limit = self.request.side, self.request.price
        tolerance = self.request.slippage_tolerance
        slippage = DEFAULT_CHILD_SLIPPAGE if tolerance is None else tolerance
        touch = market.quote.touch(side)
        bound = touch * (1 + side.sign * slippage)
        if limit is not None:
            bound = min(bound, limit) if side.sign > 0 else max(bound, limit)
        return market.instrument.round_price(bound, side)

    # --- helpers --------------------------------------------------------------------------------

    async def _conclude(self) -> None:
        left = residual_lots(self.schedule, executed_lots=self._executed_lots())
        if left == 0:
            await self.end(OrderStatus.FILLED)
        elif self.is_cancelled():
            await self.end(OrderStatus.CANCELLED)
        else:
            residual = quantity_of(left, step=self.twap.step)
            await self.end(
                OrderStatus.EXPIRED, f"residual {plain(residual)}: {self.twap.residual_reason}"
            )

    def _has_slices_left(self) -> bool:
        is_done = residual_lots(self.schedule, executed_lots=self._executed_lots()) == 0
        return self.twap.next_slice < self.schedule.slices and not is_done

    def _executed_lots(self) -> int:
        return executed_lots_of(self.totals.executed, step=self.twap.step)

    def _is_beyond_limit(self, touch: Decimal) -> bool:
        limit, sign = self.request.price, self.request.side.sign
        return limit is not None and (touch - limit) * sign > 0

    def _moment(self, offset: Fraction) -> datetime:
        """Absolute time of an offset into the schedule, rounded up to the microsecond."""
        micros = -(-offset.numerator * 1_000_000 // offset.denominator)
        return self.twap.started_at + timedelta(microseconds=micros)

    def _change_twap(self, **changes: object) -> None:
        changed = replace(self.twap, **changes)  # type: ignore[arg-type]  # checked by tests
        self._change(twap=changed)

    def twap_progress(self) -> TwapProgress:
        schedule, twap = self.schedule, self.twap
        is_over = self.state.status.is_terminal or twap.next_slice >= schedule.slices
        next_at = None if is_over else self._moment(schedule.offsets[twap.next_slice]).isoformat()
        spacing = schedule.spacing_s
        return TwapProgress(
            slices_planned=schedule.slices,
            slices_done=min(twap.next_slice, schedule.slices),
            slices_sent=twap.sent,
            slices_filled=twap.filled,
            slices_late=twap.late,
            next_slice_at=next_at,
            spacing_s=Decimal(spacing.numerator) / spacing.denominator,
            percent=(100 * self.totals.executed / self.request.quantity).quantize(Decimal("0.01")),
        )


def _minimum_lots(instrument: Instrument, price: Decimal) -> int:
    return minimum_child_lots(
        step=instrument.step,
        min_qty=instrument.min_quantity,
        min_notional=instrument.min_notional,
        price=price,
    )


def _parameters(
    request: OrderRequest, terms: ports.EngineTerms, step: Decimal, seed: str
) -> TwapParameters:
    slices = request.twap_slices or terms.twap_slices
    interval_s = request.twap_interval or terms.twap_interval_s
    return TwapParameters(
        total=request.quantity,
        step=step,
        duration_s=slices * interval_s,
        interval_s=interval_s,
        size_jitter=request.size_jitter or Decimal(0),
        time_jitter=request.time_jitter or Decimal(0),
        catch_up=request.catch_up or CatchUp.SPREAD,
        cap_multiple=request.catch_up_cap or DEFAULT_CAP_MULTIPLE,
        end_sweep=True if request.end_sweep is None else request.end_sweep,
        seed=seed,
    )
