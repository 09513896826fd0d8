"""Protective orders: stop-loss, take-profit, trailing stop, and one-cancels-the-other.

The venue keeps the trigger where it can do all that was asked: one native order. Else the engine
keeps it: a watch in the ledger, followed by whoever follows the symbol's prices, which tells this
workflow by a signal. Never both for one quantity: a native order is off the venue before a watch
is armed, and the resting leg of an emulated OCO is off the venue, its fills counted, before the
stop's exit is sent.

While it is paused, and after it was cancelled, nothing protects the position: progress says so.
"""

from datetime import timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import names, ports
from workflows.acceptance import Market
from workflows.child_state import ChildState
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, OrderType, Placement, TimeInForce
from workflows.domain.reports import RejectionFamily, VenueStatus
from workflows.domain.triggers import Fired, Flag
from workflows.durations import epoch_ms
from workflows.fields import plain
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_rules import deny_legs
from workflows.order_state import Progress, StopPhase, next_intent
from workflows.pegging import LOOK_EVERY
from workflows.steering_messages import AmendRequest
from workflows.stop_exit import NO_POSITION, StopExit
from workflows.stop_news import read_news
from workflows.stop_plan import (
    is_entry,
    is_through,
    native_type,
    plan_stop,
    trigger_of,
)
from workflows.stop_view import stop_view
from workflows.waiting import wait_until


@workflow.defn(name="StopOrder")
class StopOrder(StopExit):
    """Wait for a price, then leave (or enter) the market."""

    ORDER_TYPES = (
        OrderType.STOP_LOSS,
        OrderType.TAKE_PROFIT,
        OrderType.TRAILING_STOP,
        OrderType.OCO,
    )
    AMENDABLE = ("price", "quantity", "end_at")

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)
        self._news: Fired | None = None
        self._is_armed_here = False
        """This run has asked the ledger for its watch."""

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderSnapshot:
        """`request` is an order as JSON; a continued run gets the state of the run before."""
        del request
        return await self.run_order()

    @workflow.signal(name=names.PRICE_TRIGGER, description="from the watch of the prices")
    def price_trigger(self, news: RawValue | None = None) -> None:
        """A hint that a watch of this order fired; an unreadable or old one is ignored."""
        told = read_news(news)
        if told is None:
            workflow.logger.warning("a price trigger could not be read")
        elif self.state.stop is not None and told.watch_id == self._watch_id():
            self._news = None if self._has_fired() else told.fired

    # --- plan -----------------------------------------------------------------------------------

    def plan(
        self,
        request: OrderRequest,
        terms: ports.EngineTerms,
        instrument: Instrument,
        reference_price: Decimal,
    ) -> Denied | None:
        planned = plan_stop(request, terms, instrument, reference_price)
        if isinstance(planned, Denied):
            return planned
        self._change(stop=planned)
        if is_through(planned.spec, reference_price):
            self._fire(_late_entry(reference_price))
        return None

    # --- the life of a trigger ------------------------------------------------------------------

    async def trade(self, market: Market | None) -> None:
        del market
        while self.state.child is not None or not self._is_over():
            if self.should_hand_over():
                self.hand_over()
                return
            if self.state.child is None and (self.is_asked() or self.is_paused):
                await self._hold()
                continue
            if not await (self.leave() if self._has_fired() else self._guard()):
                self.hand_over()
                return
        await self._disarm()
        await self.settle_children()
        await self._conclude()

    def _is_over(self) -> bool:
        """Nothing is left, nothing can be done, or nobody wants it any more."""
        is_late = self._is_late() and not self._has_fired()
        return self.left() <= 0 or self.is_cancelled() or bool(self.stop.code) or is_late

    def _is_late(self) -> bool:
        deadline = self.state.deadline
        return deadline is not None and workflow.now() >= deadline

    def _has_fired(self) -> bool:
        return self.stop.phase is StopPhase.FIRED

    async def _hold(self) -> None:
        await self._disarm()
        if self._has_fired() and not self.is_asked() and not self.is_paused:
            return
        await self.hold(lambda: None if self._has_fired() else self.state.deadline)

    async def _guard(self) -> bool:
        """Stand guard by whoever keeps the trigger. False: the run must end."""
        if self.stop.placement is Placement.NATIVE:
            return await self._guard_natively()
        await self._arm()
        if self._has_fired() or not self._is_armed_here:
            return True
        if self._news is not None and self.state.child is None:
            self._fire(self._news)
            return True
        if self.request.order_type is OrderType.OCO and not self.stop.is_alone:
            return await self._guard_beside_the_profit()
        await wait_until(
            lambda: self.is_wanted_back() or self.needs_attention() or self.should_hand_over(),
            self._until_look(),
            "the trigger",
        )
        if self._news is not None:
            self._fire(self._news)
        elif self.needs_attention() or self._is_late():
            await self._disarm()
        else:
            self._is_armed_here = False  # look at it in the ledger, in case a signal was lost
        return not self.should_hand_over()

    def is_wanted_back(self) -> bool:
        return self.is_asked() or (self._news is not None and not self._has_fired())

    def should_hand_over(self) -> bool:
        """Not with news that only this run has heard, nor with an update that waits."""
        return self._news is None and not self.is_asked() and super().should_hand_over()

    def _until_look(self) -> timedelta:
        deadline = self.state.deadline
        return LOOK_EVERY if deadline is None else min(LOOK_EVERY, deadline - workflow.now())

    def _fire(self, fired: Fired) -> None:
        self._news = None
        self.change_stop(phase=StopPhase.FIRED, fired=fired)
        self.add_flags(*fired.flags)
        if self.state.status is not OrderStatus.PENDING:
            self.become_live(OrderStatus.WORKING, f"fired at {plain(fired.price)}")

    # --- kept by the venue ----------------------------------------------------------------------

    async def _guard_natively(self) -> bool:
        child = self.state.child
        if child is None:
            market = await self.market_now()
            if market is None:
                await wait_until(self.needs_attention, timedelta(seconds=1), "no market data")
                return True
            child = self._native_child(market)
            self._show_armed()
        worked = await self.rest(child, self.state.deadline)
        if not worked.is_off_venue:
            return False
        self._after_native(worked)
        return True

    def _native_child(self, market: Market) -> ChildState:
        request, spec = self.request, self.stop.spec
        is_oco = request.order_type is OrderType.OCO
        is_trailing = request.trailing_delta_bps is not None
        intent = next_intent(
            self.state,
            self.order_id,
            quantity=self.left(),
            child_type=native_type(request, spec),
            price=request.oco_limit_price if is_oco else request.price,
            time_in_force=TimeInForce.GTC,
            trigger_price=request.activation_price if is_trailing else trigger_of(request),
            trailing_delta_bps=request.trailing_delta_bps,
            stop_limit_price=request.price if is_oco else None,
        )
        return ChildState(intent=intent, reference_price=market.quote.mid, priced_at=market.read_at)

    def _after_native(self, worked: ChildState) -> None:
        """What the end of the native order means: done, fired, taken back, or lost."""
        is_done = self.left() <= 0
        has_fired = is_done and self.request.order_type is not OrderType.OCO
        self.change_stop(phase=StopPhase.FIRED if has_fired else StopPhase.WAITING)
        if is_done or self.took_back:
            return
        rejected = worked.status is ChildStatus.REJECTED
        is_late = rejected and worked.family is RejectionFamily.PRICE
        if is_late and not is_entry(self.request):
            self._fire(_late_entry(worked.reference_price))
        elif worked.report is not None and worked.report.status is VenueStatus.EXPIRED:
            # it fired, and the book was too thin: the rest leaves by our own exits
            self._fire(Fired(price=worked.reference_price, at_ms=epoch_ms(workflow.now())))
        else:
            self.change_stop(
                phase=StopPhase.DISARMED,
                code=worked.code or "GONE",
                residual_reason=worked.reason or f"the venue ended it {worked.status}",
            )

    # --- kept by the engine ---------------------------------------------------------------------

    def _watch_id(self) -> str:
        return names.watch_id(self.order_id, self.stop.watch_index)

    async def _arm(self) -> None:
        """The watch is armed in the ledger, or the state says that it fired."""
        if self.stop.phase is StopPhase.ARMED and self._is_armed_here:
            return
        request = self.request
        view = await ports.arm_watch(
            ports.ArmWatch(
                watch_id=self._watch_id(),
                order_id=self.order_id,
                venue=request.exchange,
                account=request.account,
                symbol=request.symbol,
                spec=self.stop.spec,
                state=self.stop.watched,
            )
        )
        self._is_armed_here = True
        self.change_stop(watched=view.state, is_blind=view.is_blind)
        if view.fired is not None and self.state.child is not None:
            self._news = view.fired  # the resting leg is taken off first
        elif view.fired is not None:
            self._fire(view.fired)
        elif view.status is ports.WatchStatus.DISARMED:
            self.change_stop(phase=StopPhase.WAITING, watch_index=self.stop.watch_index + 1)
            self._is_armed_here = False
            await self._arm_again()
        else:
            self.change_stop(phase=StopPhase.ARMED)
            self._show_armed()

    async def _arm_again(self) -> None:
        """A watch of this name was given up before: an older run of ours, or an operator."""
        await wait_until(self.needs_attention, timedelta(seconds=1), "before arming again")

    async def _disarm(self) -> None:
        """Nobody watches any more; a trigger that fired first stays fired."""
        if self.stop.phase is not StopPhase.ARMED:
            return
        view = await ports.disarm_watch(ports.WatchName(watch_id=self._watch_id()))
        self._is_armed_here = False
        if view.fired is not None:
            self._fire_unless_over(view.fired)
            return
        self.change_stop(
            phase=StopPhase.WAITING, watched=view.state, watch_index=self.stop.watch_index + 1
        )

    def _fire_unless_over(self, fired: Fired) -> None:
        if self.left() > 0 and not self.is_cancelled():
            self._fire(fired)
        else:
            self.change_stop(phase=StopPhase.FIRED, fired=fired)

    async def _guard_beside_the_profit(self) -> bool:
        """The take-profit rests at the venue while the stop is watched."""
        child = self.state.child
        if child is None:
            market = await self.market_now()
            if market is None:
                await wait_until(self.is_wanted_back, timedelta(seconds=1), "no market data")
                return True
            child = self._profit_child(market)
        worked = await self.rest(child, self.state.deadline, look=self._look_at_watch)
        if not worked.is_off_venue:
            return False
        if self._news is not None:
            self._fire(self._news)
        elif self.needs_attention() or self._is_late() or self.left() <= 0:
            await self._disarm()
        elif not self.took_back:
            why = worked.reason or f"the venue ended the limit leg {worked.status}"
            self.change_stop(is_alone=True, residual_reason=why)
            await ports.raise_alarm(
                ports.RaiseAlarm(code=AlarmCode.OCO_LEG_LOST, object=self.order_id, detail=why)
            )
        return True

    async def _look_at_watch(self) -> None:
        self._is_armed_here = False
        while not self._is_armed_here and not self.needs_attention():
            await self._arm()

    def _profit_child(self, market: Market) -> ChildState:
        intent = next_intent(
            self.state,
            self.order_id,
            quantity=self.left(),
            child_type=ChildType.LIMIT,
            price=self.request.oco_limit_price,
            time_in_force=TimeInForce.GTC,
        )
        return ChildState(intent=intent, reference_price=market.quote.mid, priced_at=market.read_at)

    # --- steering and the end -------------------------------------------------------------------

    def check_amendment(self, request: OrderRequest, amend: AmendRequest) -> Denied | None:
        if amend.price is not None and self.request.price is None:
            return Denied(
                code=DenialCode.FIELD_NOT_ALLOWED,
                field="price",
                detail="this order leaves at the market: it has no limit price",
            )
        return deny_legs(request)

    async def amended(self, amend: AmendRequest) -> None:
        if amend.end_at is not None:
            self._change(deadline=amend.end_at)

    async def suspended(self, denied: Denied) -> None:
        detail = f"{denied}: {plain(self.left())} {self.request.symbol}"
        await ports.raise_alarm(
            ports.RaiseAlarm(code=AlarmCode.UNPROTECTED, object=self.order_id, detail=detail)
        )

    async def _conclude(self) -> None:
        left, known = self.left(), self.stop
        rest = f"{plain(left)} unprotected"
        if left <= 0:
            await self.end(OrderStatus.FILLED)
        elif self.is_cancelled():
            await self.end(OrderStatus.CANCELLED, f"{self._cancel_reason()}: {rest}")
        elif known.code == NO_POSITION:
            await self.end(OrderStatus.EXPIRED, f"{plain(left)} unused: {known.residual_reason}")
        elif not known.code:
            await self.end(OrderStatus.EXPIRED, f"timeout: {rest}")
        elif self.totals.executed or self._has_fired():
            await self.end(OrderStatus.EXPIRED, f"{rest}: {known.residual_reason}")
        elif known.code in DenialCode.__members__:
            await self.end(OrderStatus.DENIED, known.residual_reason, known.code)
        elif known.code == "GONE":
            await self.end(OrderStatus.EXPIRED, f"{rest}: {known.residual_reason}")
        else:
            await self.end(OrderStatus.REJECTED, f"{known.code}: {known.residual_reason}")

    def _show_armed(self) -> None:
        if self.state.status is not OrderStatus.WAITING_PRICE:
            self.become_live(OrderStatus.WAITING_PRICE, "armed")

    def strategy_progress(self) -> Progress:
        if self.state.stop is None:
            return Progress()
        return Progress(
            stop=stop_view(
                self.stop,
                self.live,
                self.left(),
                is_over=self.state.status.is_terminal,
                is_paused=self.is_paused,
            )
        )


def _late_entry(price: Decimal) -> Fired:
    return Fired(price=price, at_ms=epoch_ms(workflow.now()), flags=(Flag.GAP_ENTRY,))
