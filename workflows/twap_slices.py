"""One slice of a TWAP at work: sized, perhaps rested at the own touch, then crossed.

Each slice is sized from confirmed execution only. What it misses is carried by the schedule. It
must not know when slices begin, nor how the order ends: that is `twap`.
"""

from abc import ABC
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from workflows import ports
from workflows.acceptance import Market, read_market
from workflows.child_state import ChildState, Priced
from workflows.domain.exact import minus
from workflows.domain.exits import bounded_price, is_beyond
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.minimums import minimum_lots
from workflows.domain.orders import ChildIntent, ChildType, TimeInForce
from workflows.domain.participation import cap_lots
from workflows.domain.reports import RejectionFamily
from workflows.domain.schedules import (
    TwapSchedule,
    executed_lots_of,
    next_child,
    quantity_of,
    residual_lots,
)
from workflows.durations import epoch_ms
from workflows.fields import plain
from workflows.order_state import TwapState, next_intent
from workflows.pegging import RestingOrder
from workflows.twap_plan import moment_of, schedule_of
from workflows.waiting import wait_until

DEFAULT_CHILD_SLIPPAGE = Decimal("0.005")
"""How far through the touch a slice may trade when the caller names no tolerance: 50 bips."""
_QUOTE_WITHIN = timedelta(seconds=5)
_CROSSING_S = Fraction(2)
"""What is left of a window to cross in, at most."""
_MAX_FILTER_REJECTIONS = 2
"""The venue's rules are read again after the first; a second one will not go away."""


class TwapSlices(RestingOrder, ABC):
    """The schedule of a TWAP and the work on the slice that is due."""

    def __init__(self, raw: RawValue | None) -> None:
        super().__init__(raw)
        self._known_schedule: TwapSchedule | None = None
        self._market: Market | None = None
        """What the slice that is being worked was sized in."""

    @property
    def schedule(self) -> TwapSchedule:
        """The plan, recomputed once per run and after each amendment."""
        if self._known_schedule is None:
            planned = schedule_of(self.request, self.terms, self.twap, self.order_id)
            assert isinstance(planned, TwapSchedule), "the plan was valid when it was accepted"
            self._known_schedule = planned
        return self._known_schedule

    @property
    def twap(self) -> TwapState:
        assert self.state.twap is not None, "set by plan, before acceptance"
        return self.state.twap

    # --- one slice ------------------------------------------------------------------------------

    async def size_slice(self) -> int:
        """Lots that this slice trades; 0: nothing, and the state says why."""
        market = await read_market(self.request, self.terms, _QUOTE_WITHIN)
        if self.is_cancelled():
            return 0
        if market is None:
            self._change_twap(residual_reason="no market data")
            return 0
        touch = market.quote.touch(self.request.side)
        if self._is_beyond_limit(touch):
            self._change_twap(residual_reason=f"price: touch {touch:f} is beyond the limit")
            await self.wait_for_price("the market is beyond the limit price")
            return 0
        minimum = minimum_lots(market.instrument, touch)
        lots = next_child(
            self.schedule,
            k=self.twap.next_slice,
            executed_lots=self._executed_lots(),
            min_child_lots=minimum,
        )
        if lots == 0:
            self._change_twap(residual_reason="below the venue's minimum")
            return 0
        lots = await self._within_participation(lots, minimum)
        if lots:
            self.become_live(OrderStatus.WORKING)
            self._change_twap(
                slice_lots=lots, executed_at_slice=self.totals.executed, sent=self.twap.sent + 1
            )
            self._market = market
        return lots

    async def _within_participation(self, lots: int, minimum: int) -> int:
        """Cut to our share of what the market traded in one spacing before now."""
        rate = self.request.max_participation
        if rate is None:
            return lots
        until_ms, spacing = epoch_ms(workflow.now()), self.schedule.spacing_s
        request = self.request
        try:
            told = await ports.read_volume(
                ports.VolumeRequest(
                    venue=request.exchange,
                    account=request.account,
                    symbol=request.symbol,
                    since_ms=until_ms - int(spacing * 1000),
                    until_ms=until_ms,
                ),
                within=_QUOTE_WITHIN,
            )
        except ActivityError:
            self._change_twap(residual_reason="participation: the market's volume is not known")
            return 0
        own = minus(self.totals.executed, self.twap.executed_at_slice)
        cap = cap_lots(rate, told.volume, own, self.twap.step)
        if cap >= lots:
            return lots
        self._change_twap(
            limited=self.twap.limited + 1,
            residual_reason=f"participation: the market traded {plain(told.volume)}",
        )
        return cap if cap >= minimum else 0

    async def finish_slice(self) -> bool:
        """Rest, then cross. False: the run must end while a child of the slice rests."""
        if self.request.passive_fraction:
            if not await self._rest_in_slice():
                return False
            if self.is_asked():
                return True  # steered first; then the slice goes on with what is left of it
            is_free = self._slice_left() and self._has_slices_left() and not self.is_cancelled()
            self._market = await self.market_now() if is_free else None
        market, self._market = self._market, None
        if market is not None and not self.is_cancelled():
            worked = await self._cross(market)
            if worked is not None and self._must_be_worked_again(worked):
                self._change_twap(slice_lots=0, sent=self.twap.sent - 1)
                return True
        if not self._slice_left():
            self._change_twap(filled=self.twap.filled + 1, residual_reason="")
        self.pass_slice()
        return True

    def _slice_left(self) -> int:
        since = minus(self.totals.executed, self.twap.executed_at_slice)
        return max(0, self.twap.slice_lots - executed_lots_of(since, step=self.twap.step))

    def pass_slice(self) -> None:
        """Whatever it traded, the next one is due; one that traded nothing still was a window."""
        if not self.twap.slice_lots:
            self._change_twap(executed_at_slice=self.totals.executed)
        self._change_twap(next_slice=self.twap.next_slice + 1, slice_lots=0)

    async def _rest_in_slice(self) -> bool:
        """Post-only at the own touch until the passive part of the window is over.

        False: the run must end while the child rests.
        """
        until = self._passive_until()
        while self.state.child or (workflow.now() < until and not self.needs_attention()):
            if self.should_hand_over() and not self.state.child:
                return False
            child = self.state.child or await self._passive_child()
            if child is None:
                return True
            worked = await self.rest(child, until, self._own_touch)
            if not worked.is_off_venue:
                return False
            is_refused = worked.status in (ChildStatus.REJECTED, ChildStatus.DENIED)
            if is_refused and worked.family is not RejectionFamily.PRICE:
                self._draw_consequences(worked)
                return True
            if is_refused or not (self.took_back or self._slice_left() == 0):
                pause = min(self.reprice_interval, until - workflow.now())
                await wait_until(self.needs_attention, pause, "the touch moved")
        return True

    def _passive_until(self) -> datetime:
        """Within the slice's own window, with time to cross unless it shall rest all along."""
        schedule, index = self.schedule, self.twap.next_slice
        passive = Fraction(self.request.passive_fraction or 0)
        crossing = Fraction(0) if passive == 1 else min(schedule.spacing_s / 20, _CROSSING_S)
        until = min(
            schedule.offsets[index] + passive * schedule.spacing_s,
            schedule.boundaries[index + 1] - crossing,
        )
        return moment_of(self.twap, until)

    async def _passive_child(self) -> ChildState | None:
        """What is left of the slice, at the own touch; None when that cannot be placed."""
        lots, market = self._slice_left(), self._market or await self.market_now()
        self._market = None
        price = self._own_touch(market) if market else None
        if market is None or price is None or lots < minimum_lots(market.instrument, price):
            return None
        return self._new_child(market, lots, price, post_only=True)

    def _own_touch(self, market: Market) -> Decimal | None:
        """Where it rests: the best price of its own side, never beyond the limit price."""
        side = self.request.side
        return bounded_price(
            market.quote.touch(side.opposite),
            side,
            slippage=Decimal(0),
            limit=self.request.price,
            instrument=market.instrument,
        )

    def _must_be_worked_again(self, worked: ChildState) -> bool:
        """The kill switch stopped the last slice: no other would carry what is left of it."""
        is_last = self.twap.next_slice + 1 >= self.schedule.slices
        return is_last and self.is_asked() and self.was_stopped_by_switch(worked)

    async def _cross(self, market: Market) -> ChildState | None:
        """An IOC limit with all that is left of the slice, then the consequences.

        None when it is left to the slices that follow.
        """
        lots, touch = self._slice_left(), market.quote.touch(self.request.side)
        is_small = lots < minimum_lots(market.instrument, touch)
        if self.request.passive_fraction and (is_small or self._is_beyond_limit(touch)):
            return None  # carried
        child = self._new_child(market, lots, self.child_price(market), post_only=False)
        window_ends = moment_of(self.twap, self.schedule.boundaries[self.twap.next_slice + 1])
        worked = await self.work_child(child, window_ends)
        if worked.executed_quantity < worked.intent.quantity:
            self._draw_consequences(worked)
        return worked

    def _new_child(
        self, market: Market, lots: int, price: Decimal | None, *, post_only: bool
    ) -> ChildState:
        intent = next_intent(
            self.state,
            self.order_id,
            quantity=quantity_of(lots, step=self.twap.step),
            child_type=ChildType.LIMIT,
            price=price,
            time_in_force=TimeInForce.GTC if post_only else TimeInForce.IOC,
            post_only=post_only,
        )
        return ChildState(intent=intent, reference_price=market.quote.mid, priced_at=market.read_at)

    def _draw_consequences(self, worked: ChildState) -> None:
        """Why it did not fill, and whether trying again makes sense."""
        is_rejected = worked.status is ChildStatus.REJECTED
        reason = worked.reason or "liquidity: the book was thinner than the slice"
        filtered = self.twap.filter_rejections
        filtered = filtered + 1 if is_rejected and worked.family is RejectionFamily.FILTER else 0
        self._change_twap(residual_reason=reason, filter_rejections=filtered)
        is_hopeless = is_rejected and worked.family is RejectionFamily.PERMISSION
        if is_hopeless or filtered >= _MAX_FILTER_REJECTIONS:
            self._change_twap(next_slice=self.schedule.slices)  # uses up the schedule

    async def reprice(self, intent: ChildIntent) -> Priced | None:
        market = await self.market_now()
        if market is None:
            return None
        price = self._own_touch(market) if intent.post_only else self.child_price(market)
        return Priced(intent=replace(intent, price=price), reference_price=market.quote.mid)

    def child_price(self, market: Market) -> Decimal | None:
        """The touch plus the tolerance, on the tick grid, never beyond the limit price."""
        tolerance = self.request.slippage_tolerance
        return bounded_price(
            market.quote.touch(self.request.side),
            self.request.side,
            slippage=DEFAULT_CHILD_SLIPPAGE if tolerance is None else tolerance,
            limit=self.request.price,
            instrument=market.instrument,
        )

    # --- the plan and what is left of it --------------------------------------------------------

    def _has_slices_left(self) -> bool:
        return self.twap.next_slice < self.schedule.slices and self._left_lots() > 0

    def _left_lots(self) -> int:
        if self.totals.executed >= self.request.quantity:
            return 0
        return residual_lots(self.schedule, executed_lots=self._executed_lots())

    def _executed_lots(self) -> int:
        """Lots that the present plan has executed."""
        since = minus(self.totals.executed, self.twap.executed_before)
        return executed_lots_of(since, step=self.twap.step)

    def _is_beyond_limit(self, touch: Decimal) -> bool:
        return is_beyond(touch, self.request.price, self.request.side)

    def _change_twap(self, **changes: object) -> None:
        changed = replace(self.twap, **changes)  # type: ignore[arg-type]  # checked by tests
        self._change(twap=changed)
