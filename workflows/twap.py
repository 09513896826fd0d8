"""Time-weighted execution: even slices in whole lots, each worked within its own window.

The schedule is a pure function of the request, of the minimum child at acceptance and, once the
order was amended, of what was left then; a continued run recomputes it. Each slice is sized from
confirmed execution only; what a slice misses is carried by the schedule's catch-up rule, and
windows that passed while no worker was there are never fired in a burst.

A slice crosses the spread at once (an IOC limit), or first rests at the own touch for its passive
fraction and then crosses with what is left.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import ports
from workflows.acceptance import Market
from workflows.domain.denials import Denied
from workflows.domain.exact import minus, whole_steps
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.domain.schedules import (
    TwapSchedule,
    quantity_of,
    slice_at,
)
from workflows.durations import in_seconds
from workflows.fields import plain
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import Progress, TwapState
from workflows.order_views import TwapProgress
from workflows.steering_messages import AmendRequest
from workflows.twap_plan import moment_of, next_segment, plan_order, schedule_of, timing_of
from workflows.twap_slices import TwapSlices
from workflows.waiting import wait_until


@workflow.defn(name="TwapOrder")
class TwapOrder(TwapSlices):
    """Spread an order evenly over a duration."""

    ORDER_TYPES = (OrderType.TWAP,)
    AMENDABLE = ("price", "quantity", "end_at", "max_participation")

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)

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
        planned = plan_order(
            request, terms, instrument, reference_price, now=workflow.now(), seed=self.order_id
        )
        if isinstance(planned, Denied):
            return planned
        twap, self._known_schedule = planned
        self._change(twap=twap)
        return None

    # --- the schedule at work -------------------------------------------------------------------

    async def trade(self, market: Market | None) -> None:
        if market is not None:
            await self.wait_for_start()
            self._begin()
        while self.state.child is not None or self._has_work_left():
            if self.should_hand_over():
                self.hand_over()
                return
            if not await self._work_on():
                self.hand_over()
                return
        await self.settle_children()
        await self._conclude()

    def _has_work_left(self) -> bool:
        return self._has_slices_left() and not self.is_cancelled()

    def _begin(self) -> None:
        """The schedule starts now; an end that was named as a moment stays there."""
        now, end_at = workflow.now(), self.request.end_at
        self._change_twap(started_at=now)
        if end_at is None:
            return
        duration_s, interval_s = timing_of(self.request, self.terms, now)
        on_time = replace(self.twap, duration_s=duration_s, interval_s=interval_s)
        late = next_segment(
            self.twap, self.request, executed=self.totals.executed, now=now, ends_at=end_at
        )
        for twap in (on_time, late):
            schedule = self._schedule_of(twap)
            if not isinstance(twap, Denied) and not isinstance(schedule, Denied):
                self._change(twap=twap)
                self._known_schedule = schedule
                return
        self._use_up("it could not begin before its end")

    def _schedule_of(self, twap: TwapState | Denied) -> TwapSchedule | Denied:
        if isinstance(twap, Denied):
            return twap
        return schedule_of(self.request, self.terms, twap, self.order_id)

    def _use_up(self, reason: str) -> None:
        """Nothing more of the schedule is worked."""
        self._change_twap(next_slice=self.schedule.slices, slice_lots=0, residual_reason=reason)

    async def _work_on(self) -> bool:
        """One step: a pause, the wait for a slice, or the slice. False: the run must end."""
        if self.state.child is None and (self.is_asked() or self.is_paused):
            await self._hold()
            return True
        if self.twap.slice_lots:  # continued, or steered, in the middle of a slice
            return await self.finish_slice()
        await self._wait_for_slice()
        if self.needs_attention():
            return True
        self._skip_missed_slices()
        if not self._has_slices_left():
            return True
        lots = await self.size_slice()
        if lots and not self.is_cancelled():
            return await self.finish_slice()
        self.pass_slice()
        return True

    async def _hold(self) -> None:
        """Steer, and stay while paused; the end of the schedule ends a pause that kept it."""
        shifts = bool(self.request.pause_shifts_end)
        await self.hold(lambda: None if shifts else self.ends_at)
        if self.is_paused and not shifts and workflow.now() >= self.ends_at:
            self._use_up("paused until the end")

    async def _wait_for_slice(self) -> None:
        index = self.twap.next_slice
        starts_at = moment_of(self.twap, self.schedule.offsets[index])
        await wait_until(
            self.needs_attention,
            starts_at - workflow.now(),
            f"slice {index + 1} of {self.schedule.slices}",
        )

    def _skip_missed_slices(self) -> None:
        """Windows that passed without us are carried by the schedule, never fired in a burst."""
        missed = self._current_slice() - self.twap.next_slice
        if missed > 0:
            reason = f"no worker was there for {missed} of the slices"
            self._change_twap(
                next_slice=self.twap.next_slice + missed,
                late=self.twap.late + missed,
                residual_reason=reason,
            )

    def _current_slice(self) -> int:
        elapsed = max(Decimal(0), in_seconds(workflow.now() - self.twap.started_at))
        return slice_at(self.schedule, elapsed)

    # --- steering -------------------------------------------------------------------------------

    @property
    def ends_at(self) -> datetime:
        """When the present plan ends."""
        return moment_of(self.twap, self.schedule.boundaries[-1])

    def check_amendment(self, request: OrderRequest, amend: AmendRequest) -> Denied | None:
        planned = self._planned_anew(request, amend)
        if not isinstance(planned, Denied):
            return None
        is_of_end = amend.end_at is not None and planned.field == "twap_slices"
        return replace(planned, field="end_at") if is_of_end else planned

    async def amended(self, amend: AmendRequest) -> None:
        planned = self._planned_anew(self.request, amend)
        if isinstance(planned, TwapState):
            self._change(twap=planned)
            self._known_schedule = None
        elif planned is not None:  # its end came while the change was recorded
            self._use_up(planned.detail)

    def _planned_anew(
        self, request: OrderRequest, amend: AmendRequest
    ) -> TwapState | Denied | None:
        """The plan that the amendment asks for; None when the present one can stay."""
        if amend.quantity is None and amend.end_at is None:
            return None
        executed = self.totals.executed
        if request.quantity <= executed:
            return None  # nothing is left to plan
        twap = next_segment(
            self.twap,
            request,
            executed=executed,
            now=max(workflow.now(), self.twap.started_at),  # that is to come before it begins
            ends_at=amend.end_at or self.ends_at,
        )
        if isinstance(twap, Denied):
            return twap
        schedule = schedule_of(request, self.terms, twap, self.order_id)
        return schedule if isinstance(schedule, Denied) else twap

    async def resumed(self, since: datetime) -> None:
        """A pause moves the schedule, or its slices are passed and caught up like any others."""
        if self.request.pause_shifts_end:
            paused = workflow.now() - max(since, self.twap.started_at)
            self._change_twap(started_at=self.twap.started_at + max(paused, timedelta(0)))
            return
        passed = self._current_slice() - self.twap.next_slice
        if passed > 0:
            self._change_twap(
                next_slice=self.twap.next_slice + passed,
                slice_lots=0,
                residual_reason=f"paused for {passed} of the slices",
            )

    # --- helpers --------------------------------------------------------------------------------

    async def _conclude(self) -> None:
        unfilled = minus(self.request.quantity, self.totals.executed)
        left = whole_steps(unfilled, self.twap.step) if unfilled > 0 else 0
        if left == 0:
            await self.end(OrderStatus.FILLED)
        elif self.is_cancelled():
            await self.end(OrderStatus.CANCELLED)
        else:
            residual = quantity_of(left, step=self.twap.step)
            why = self.twap.residual_reason
            if not why and self.twap.limited:
                why = f"participation: the market's volume cut {self.twap.limited} slices"
            await self.end(OrderStatus.EXPIRED, f"residual {plain(residual)}: {why}")

    def strategy_progress(self) -> Progress:
        return Progress(twap=self._twap_progress()) if self.state.twap else Progress()

    def _twap_progress(self) -> TwapProgress:
        schedule, twap = self.schedule, self.twap
        is_over = self.state.status.is_terminal or twap.next_slice >= schedule.slices
        next_at = moment_of(twap, schedule.offsets[twap.next_slice]) if not is_over else None
        spacing = schedule.spacing_s
        done = min(twap.next_slice, schedule.slices)
        return TwapProgress(
            slices_planned=twap.slices_before + schedule.slices,
            slices_requested=twap.slices_before + schedule.slices_requested,
            slices_done=twap.slices_before + done,
            slices_sent=twap.sent,
            slices_filled=twap.filled,
            slices_late=twap.late,
            participation_limited=twap.limited,
            next_slice_at=next_at.isoformat() if next_at else None,
            ends_at=self.ends_at.isoformat(),
            spacing_s=Decimal(spacing.numerator) / spacing.denominator,
            percent=(100 * self.totals.executed / self.request.quantity).quantize(Decimal("0.01")),
        )
