"""Iceberg: only a part of the order is ever shown; when that tip has traded, the next one comes.

The venue hides the rest where it can do what was asked (one native order), else the engine does:
one tip is live at a time, sized by a seeded draw, and the next is sent only when the tip before is
off the venue and its fills are counted. A tip that was taken back half-filled (moved, paused,
amended) goes on with what was left of it.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import ports
from workflows.acceptance import Market
from workflows.child_state import ChildState, Priced
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import minus, times
from workflows.domain.icebergs import (
    next_tip,
    replenish_delay_ms,
)
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.minimums import minimum_lots
from workflows.domain.orders import ChildIntent, ChildType, OrderType, Placement, TimeInForce
from workflows.domain.reports import RejectionFamily, VenueStatus
from workflows.domain.schedules import executed_lots_of, quantity_of
from workflows.fields import plain
from workflows.iceberg_plan import plan_iceberg, tips_of
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import IcebergState, Progress, next_intent
from workflows.order_views import IcebergProgress
from workflows.pegging import PriceNow, RestingOrder
from workflows.steering_messages import AmendRequest
from workflows.waiting import wait_until

_RETRY_FIRST, _RETRY_LONGEST = timedelta(seconds=1), timedelta(minutes=1)
_MAX_RETRIES = 10
_AT_ONCE = timedelta(seconds=3)
_NONE = Decimal(0)
_TAKEN_BACK = (ChildStatus.CANCELLED, ChildStatus.SETTLING, ChildStatus.NOT_SENT)


@workflow.defn(name="IcebergOrder")
class IcebergOrder(RestingOrder):
    """Rest at a price, or follow the touch, and show a part only."""

    ORDER_TYPES = (OrderType.ICEBERG,)
    AMENDABLE = ("price", "quantity", "end_at")

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
        planned = plan_iceberg(request, terms, instrument, reference_price)
        if isinstance(planned, Denied):
            return planned
        self._change(iceberg=planned)
        return None

    @property
    def iceberg(self) -> IcebergState:
        """The state that `plan` began."""
        assert self.state.iceberg is not None, "set by plan, before acceptance"
        return self.state.iceberg

    # --- tips -----------------------------------------------------------------------------------

    async def trade(self, market: Market | None) -> None:
        if market is not None:
            await self.wait_for_start()
        while self.state.child is not None or not self._is_over():
            if self.should_hand_over():
                self.hand_over()
                return
            if self.state.child is None and (self.is_asked() or self.is_paused):
                await self.hold(lambda: self.state.deadline)
                continue
            if not await self._work_tip():
                self.hand_over()
                return
            if self._has_given_up():
                break
        await self.settle_children()
        await self._conclude()

    def _is_over(self) -> bool:
        return self._left() <= 0 or self.is_cancelled() or self._is_late()

    async def _work_tip(self) -> bool:
        """The live tip, or the next one. False: the run must end while it rests."""
        child = self.state.child
        if child is None:
            await self._wait_for_tip()
            if self.needs_attention() or self._is_late():
                return True
            child = await self._next_child()
            if child is None:
                return True
        worked = await self.rest(child, self.state.deadline, self._price_now())
        if not worked.is_off_venue:
            return False
        self._draw_consequences(worked)
        return True

    async def _wait_for_tip(self) -> None:
        """The pause after a tip or a refusal; it is over at once for who steers or cancels."""
        next_at, deadline = self.iceberg.next_tip_at, self.state.deadline
        if next_at is not None:
            next_at = next_at if deadline is None else min(next_at, deadline)
            await wait_until(self.needs_attention, next_at - workflow.now(), "before the next tip")

    async def _next_child(self) -> ChildState | None:
        """The tip to show now; None when there is no price for it now."""
        market = await self.market_now()
        price = None if market is None else self.child_price(market)
        if market is None or price is None:
            why = "no market data" if market is None else "the market is beyond the limit price"
            self._pause_tip(self.reprice_interval, why)
            if market is not None:
                await self.wait_for_price(why)
            return None
        self.become_live(OrderStatus.WORKING)
        least = minimum_lots(market.instrument, price)
        if least > self.iceberg.min_visible_lots:  # a lower price needs a larger tip
            self._change_iceberg(min_visible_lots=least)
        return ChildState(
            intent=self._intent(price), reference_price=market.quote.mid, priced_at=market.read_at
        )

    def _intent(self, price: Decimal) -> ChildIntent:
        left, is_native = self._left(), self.iceberg.placement is Placement.NATIVE
        if not is_native:
            left = quantity_of(self._tip_lots(), step=self.iceberg.step)
        is_hidden = is_native and self.iceberg.display < left
        return next_intent(
            self.state,
            self.order_id,
            quantity=left,
            child_type=ChildType.LIMIT,
            price=price,
            time_in_force=TimeInForce.GTC,
            post_only=self.request.post_only,
            display_quantity=self.iceberg.display if is_hidden else None,
        )

    def _tip_lots(self) -> int:
        """What is left of the tip that was taken back, or a new one."""
        known = self.iceberg
        if known.tip_lots:
            since = minus(self.totals.executed, known.executed_before_tip)
            left = known.tip_lots - executed_lots_of(since, step=known.step)
            remaining = self._left_lots()
            if left >= known.min_visible_lots and remaining - left >= known.min_visible_lots:
                return left
            if left == remaining:
                return left
        lots = next_tip(
            tips_of(self.request, known, self.order_id),
            index=known.tips,
            remaining_lots=self._left_lots(),
        )
        self._change_iceberg(
            tips=known.tips + 1, tip_lots=lots, executed_before_tip=self.totals.executed
        )
        return lots

    def _draw_consequences(self, worked: ChildState) -> None:
        """After a tip: the next one, another try later, or the end of trying."""
        known = self.iceberg
        if worked.executed_quantity >= worked.intent.quantity:
            self._change_iceberg(
                tip_lots=0, tips_filled=known.tips_filled + 1, retries=0, residual_reason=""
            )
            self._pause_tip(self._replenish_delay(), "")
            return
        if self.was_stopped_by_switch(worked):
            return
        if self.took_back and worked.status in _TAKEN_BACK:
            if worked.status is not ChildStatus.NOT_SENT:  # it rested: no refusals in a row
                self._change_iceberg(retries=0)
            return
        if worked.family is RejectionFamily.PRICE or self._would_have_taken(worked):
            # no fill, and no failure
            self._pause_tip(self.reprice_interval, worked.reason)
            return
        if self._is_too_much_for_the_venue(worked):
            self._change_iceberg(placement=Placement.ENGINE, residual_reason=worked.reason)
            return
        pause = min(_RETRY_LONGEST, _RETRY_FIRST * (1 << min(known.retries, 6)))
        is_refused = worked.status in (ChildStatus.REJECTED, ChildStatus.DENIED)
        retries = known.retries + 1 if is_refused else _MAX_RETRIES
        if self._is_hopeless(worked):
            retries = _MAX_RETRIES
        self._change_iceberg(retries=retries, code=worked.code)
        self._pause_tip(pause, worked.reason or f"the tip ended {worked.status} at the venue")

    @staticmethod
    def _would_have_taken(worked: ChildState) -> bool:
        """Some venues accept a post-only order that would take, and cancel it at once."""
        is_cancelled = worked.report is not None and worked.report.status is VenueStatus.CANCELLED
        is_at_once = workflow.now() - worked.priced_at < _AT_ONCE
        is_untouched = not worked.executed_quantity
        return worked.intent.post_only and is_cancelled and is_at_once and is_untouched

    def _is_too_much_for_the_venue(self, worked: ChildState) -> bool:
        """One native order of this size is refused; the engine's tips may not be."""
        if self.iceberg.placement is Placement.ENGINE:
            return False
        by_venue = worked.family is RejectionFamily.FILTER
        by_us = worked.code in (DenialCode.RISK_MAX_NOTIONAL, DenialCode.RISK_MAX_QTY)
        return (by_venue or by_us) and self.request.placement is not Placement.NATIVE

    @staticmethod
    def _is_hopeless(worked: ChildState) -> bool:
        """Balances come back, rules are read again, the touch moves; permissions stay."""
        return worked.family is RejectionFamily.PERMISSION

    def _has_given_up(self) -> bool:
        return self.iceberg.retries >= _MAX_RETRIES

    def _pause_tip(self, pause: timedelta, why: str) -> None:
        self._change_iceberg(
            next_tip_at=workflow.now() + pause if pause else None,
            residual_reason=why or self.iceberg.residual_reason,
        )

    def _replenish_delay(self) -> timedelta:
        longest = self.request.replenish_delay_s
        if not longest:
            return timedelta(0)
        return timedelta(milliseconds=replenish_delay_ms(self.order_id, self.iceberg.tips, longest))

    # --- prices ---------------------------------------------------------------------------------

    def _price_now(self) -> PriceNow | None:
        return None if self.request.peg_offset is None else self.child_price

    def child_price(self, market: Market) -> Decimal | None:
        """The limit price; pegged: the own touch less the offset, None beyond the limit price."""
        request = self.request
        limit, offset = request.price, request.peg_offset
        if offset is None or limit is None:
            return limit
        side = request.side
        touch = market.quote.touch(side.opposite) - side.sign * offset
        if (touch - limit) * side.sign > 0:
            return None
        return market.instrument.round_price(touch, side)

    async def reprice(self, intent: ChildIntent) -> Priced | None:
        market = await self.market_now()
        price = None if market is None else self.child_price(market)
        if market is None or price is None:
            return None
        return Priced(intent=replace(intent, price=price), reference_price=market.quote.mid)

    # --- steering and the end -------------------------------------------------------------------

    def check_amendment(self, request: OrderRequest, amend: AmendRequest) -> Denied | None:
        left = minus(request.quantity, self.totals.executed)
        least = times(self.iceberg.step, self.iceberg.min_visible_lots)
        if amend.quantity is not None and 0 < left < least:
            return Denied(
                code=DenialCode.MIN_NOTIONAL,
                field="quantity",
                detail=f"left={plain(left)} min_visible={plain(least)}",
            )
        return None

    async def amended(self, amend: AmendRequest) -> None:
        if amend.end_at is not None:
            self._change(deadline=amend.end_at)
        if amend.price is not None or amend.quantity is not None:
            self._change_iceberg(next_tip_at=None, retries=0)

    async def _conclude(self) -> None:
        left, known = self._left(), self.iceberg
        if left <= 0:
            await self.end(OrderStatus.FILLED)
        elif self.is_cancelled():
            await self.end(OrderStatus.CANCELLED)
        elif self._is_late():
            why = f" ({known.residual_reason})" if known.residual_reason else ""
            await self.end(OrderStatus.EXPIRED, f"timeout: {plain(left)} unfilled{why}")
        elif self.totals.executed or known.code not in DenialCode.__members__:
            status = OrderStatus.EXPIRED if self.totals.executed else OrderStatus.REJECTED
            await self.end(status, f"residual {plain(left)}: {known.residual_reason}")
        else:
            await self.end(OrderStatus.DENIED, known.residual_reason, known.code)

    def _left(self) -> Decimal:
        return minus(self.request.quantity, self.totals.executed)

    def _left_lots(self) -> int:
        return int(self._left() / self.iceberg.step)

    def _is_late(self) -> bool:
        deadline = self.state.deadline
        return deadline is not None and workflow.now() >= deadline

    def _change_iceberg(self, **changes: object) -> None:
        changed = replace(self.iceberg, **changes)  # type: ignore[arg-type]  # checked by tests
        self._change(iceberg=changed)

    def strategy_progress(self) -> Progress:
        return Progress(iceberg=self._iceberg_progress()) if self.state.iceberg else Progress()

    def _iceberg_progress(self) -> IcebergProgress:
        known, live, left = self.iceberg, self.live, self._left()
        shown = minus(live.intent.quantity, live.executed_quantity) if live else None
        if live and live.intent.display_quantity is not None:
            shown = min(shown or _NONE, live.intent.display_quantity)
        next_at = None if live or self.state.status.is_terminal else known.next_tip_at
        return IcebergProgress(
            placement=known.placement,
            display_quantity=known.display,
            tips_shown=known.tips or self.state.children_total,
            tips_filled=known.tips_filled,
            hidden_quantity=minus(left, shown or _NONE),
            current_tip=shown,
            current_price=live.intent.price if live else None,
            next_tip_at=next_at.isoformat() if next_at else None,
            percent=(100 * self.totals.executed / self.request.quantity).quantize(Decimal("0.01")),
        )
