"""What a fired trigger sends: a limit that rests, or marketable limits whose bound widens.

Each try is an IOC limit through the touch of its moment, sized from what is confirmed by then and,
where the order follows a position, from what is left of that. Beyond the widest bound the order's
own policy decides: the market, or an alarm and patience. It must not know triggers.
"""

from abc import ABC
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

from workflows import ports
from workflows.acceptance import Market
from workflows.child_state import ChildState, Priced
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode
from workflows.domain.exact import minus
from workflows.domain.exits import exit_price, protected_lots, widest_try
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.minimums import minimum_lots
from workflows.domain.orders import ChildIntent, ChildType, OrderType, TimeInForce
from workflows.domain.reports import RejectionFamily
from workflows.domain.schedules import quantity_of
from workflows.domain.triggers import Flag
from workflows.durations import seconds
from workflows.fields import plain
from workflows.messages import OnExhausted, OnUnfilled
from workflows.order_rules import DEFAULT_SLIPPAGE, DEFAULT_TOTAL_SLIPPAGE
from workflows.order_state import StopState, next_intent
from workflows.pegging import RestingOrder
from workflows.stop_plan import trigger_of
from workflows.waiting import wait_until

_RETRY_MS = 500
_PATIENCE = timedelta(seconds=5)
_MAX_MARKET_TRIES = 5
NO_POSITION = "NO_POSITION"
"""The order followed a position, of which nothing is left."""
_MAX_REST_TRIES = 10
_PASSING = {
    DenialCode.RECONCILING,
    DenialCode.RISK_STALE_REF,
    DenialCode.RISK_PRICE_COLLAR,
    DenialCode.RISK_REDUCE_ONLY,
    DenialCode.INSUFFICIENT_FUNDS,
}
"""Refusals that another try may not meet: the market, the position and balances move."""


class StopExit(RestingOrder, ABC):
    """The part of a protective order that comes after its trigger."""

    @property
    def stop(self) -> StopState:
        """The state that `plan` began."""
        assert self.state.stop is not None, "set by plan, before acceptance"
        return self.state.stop

    async def leave(self) -> bool:
        """Send what the trigger fired for until nothing is left. False: the run must end."""
        if self._rests_first() and not self.stop.has_rested:
            if not await self._rest_fired():
                return False
            if not self.stop.has_rested:
                return True
        while self.left() > 0 and not self.is_cancelled() and not self.stop.code:
            if self.should_hand_over():
                return False
            await self.hold()
            may_go_on = not self.is_cancelled() and not self.is_paused
            if may_go_on and not await self._try_once():
                break
        return True

    # --- a limit that rests ---------------------------------------------------------------------

    def _rests_first(self) -> bool:
        """A limit was asked for; or a take-profit whose trigger was passed while nobody watched:
        the market may be far away again, and a profit is not worth its loss."""
        is_profit = self.request.order_type is OrderType.TAKE_PROFIT
        came_late = is_profit and bool({Flag.GAP_ENTRY, Flag.LATE} & set(self.stop.flags))
        return self.request.price is not None or came_late

    def fired_limit(self) -> Decimal | None:
        """Price of the limit order of a fired trigger."""
        return self.request.price or trigger_of(self.request)

    async def _rest_fired(self) -> bool:
        """Until it is filled, its time is over, or it is taken back. False: the run must end."""
        child = self.state.child or await self._fired_child()
        if child is None:
            return True
        since, timeout_s = self.stop.rests_since, self.request.post_trigger_timeout_s
        if since is None:
            since = workflow.now()
            self.change_stop(rests_since=since)
        until = self.state.deadline
        if timeout_s is not None and self.request.on_unfilled is OnUnfilled.MARKET:
            until = since + seconds(timeout_s)
        worked = await self.rest(child, until)
        if not worked.is_off_venue:
            return False
        if self.is_asked():
            await self.hold()
        elif not self.is_cancelled() and self.left() > 0:
            is_timed = until is not None and workflow.now() >= until
            await self._after_rest(worked, is_timed=is_timed)
        return True

    async def _after_rest(self, worked: ChildState, *, is_timed: bool) -> None:
        """The limit order ended unfilled, or was refused: try again, go to the market, or stop."""
        is_refused = worked.status in (ChildStatus.REJECTED, ChildStatus.DENIED)
        reason = worked.reason or "the fired limit order ended unfilled"
        if self.request.on_unfilled is OnUnfilled.MARKET and (is_timed or is_refused):
            self.change_stop(has_rested=True, tries=0, residual_reason=reason)
        elif is_refused and not _is_hopeless(worked) and self.stop.tries < _MAX_REST_TRIES:
            self.change_stop(tries=self.stop.tries + 1, residual_reason=reason)
            await wait_until(self.needs_attention, _PATIENCE, "before the limit order again")
        else:
            self.change_stop(code=worked.code or "UNFILLED", residual_reason=reason)

    async def _fired_child(self) -> ChildState | None:
        market = await self._patient_market()
        if market is None:
            return None
        lots = await self._exit_lots(market.instrument)
        if not lots:
            return None
        return self._child_of(market, lots, ChildType.LIMIT, self.fired_limit(), TimeInForce.GTC)

    # --- the ladder -----------------------------------------------------------------------------

    async def _try_once(self) -> bool:
        """One marketable order with all that is left. False: there is nothing more to try."""
        market = await self._patient_market()
        if market is None:
            return True
        lots = await self._exit_lots(market.instrument)
        if not lots:
            return False
        touch = market.quote.touch(self.request.side)
        if lots < minimum_lots(market.instrument, touch):
            self.add_flags(Flag.UNPROTECTED_DUST)
            self.change_stop(code="DUST", residual_reason="what is left is below the minimum")
            return False
        child = await self._exit_child(market, lots, touch)
        if child is None:
            return self.stop.code == ""
        worked = await self.work_child(child, None, until=self.is_asked)
        self._learn_from(worked)
        if self.left() > 0 and not self.is_cancelled():
            await wait_until(self.needs_attention, self._retry_after(worked), "before the next try")
        return True

    async def _exit_child(self, market: Market, lots: int, touch: Decimal) -> ChildState | None:
        known, request = self.stop, self.request
        first_touch = known.first_touch or touch
        price = exit_price(
            touch,
            request.side,
            first=self._first_slippage(),
            last=self._last_slippage(),
            tries=known.tries,
            first_touch=first_touch,
            instrument=market.instrument,
        )
        if price is not None:
            self.change_stop(first_touch=first_touch, tries=known.tries + 1)
            return self._child_of(market, lots, ChildType.LIMIT, price, TimeInForce.IOC)
        if request.on_exhausted is OnExhausted.ALARM:
            await self._alarm(f"touch={plain(touch)} began={plain(first_touch)}")
            widest = widest_try(first=self._first_slippage(), last=self._last_slippage())
            self.change_stop(tries=min(known.tries, widest))  # the widest bound again, later
            await wait_until(self.needs_attention, _PATIENCE, "the market is beyond the bound")
            return None
        if known.market_tries >= _MAX_MARKET_TRIES:
            await self._alarm("the market could not take it")
            self.change_stop(code="EXHAUSTED", residual_reason="the market could not take it")
            return None
        self.change_stop(market_tries=known.market_tries + 1)
        return self._child_of(market, lots, ChildType.MARKET, None, TimeInForce.GTC)

    def _learn_from(self, worked: ChildState) -> None:
        if self.was_stopped_by_switch(worked):
            self._take_back_try(worked)
            return
        if worked.status not in (ChildStatus.REJECTED, ChildStatus.DENIED):
            self.change_stop(residual_reason="liquidity: the book was thinner than the exit")
            return
        code = worked.code or "REFUSED" if _is_hopeless(worked) else ""
        self.change_stop(residual_reason=worked.reason, code=code)

    def _take_back_try(self, worked: ChildState) -> None:
        """What the kill switch stopped was no try: the bound is not widened by a halt."""
        known = self.stop
        if worked.intent.child_type is ChildType.MARKET:
            self.change_stop(market_tries=max(0, known.market_tries - 1))
        else:
            self.change_stop(tries=max(0, known.tries - 1))
        self.change_stop(residual_reason=worked.reason)

    def _retry_after(self, worked: ChildState) -> timedelta:
        pause = timedelta(milliseconds=self.request.retry_ms or _RETRY_MS)
        is_refused = worked.status in (ChildStatus.REJECTED, ChildStatus.DENIED)
        return max(pause, _PATIENCE) if is_refused else pause

    def _first_slippage(self) -> Decimal:
        known = self.request.max_slippage
        return min(DEFAULT_SLIPPAGE, self._last_slippage()) if known is None else known

    def _last_slippage(self) -> Decimal:
        known = self.request.max_total_slippage
        return DEFAULT_TOTAL_SLIPPAGE if known is None else known

    async def _alarm(self, detail: str) -> None:
        if not self.stop.has_alarmed:
            self.change_stop(has_alarmed=True)
            await ports.raise_alarm(
                ports.RaiseAlarm(code=AlarmCode.STOP_EXHAUSTED, object=self.order_id, detail=detail)
            )

    # --- sizes and children ---------------------------------------------------------------------

    async def _exit_lots(self, instrument: Instrument) -> int:
        """Lots to leave with now; where the order follows a position, not more than that."""
        request, free = self.request, None
        if request.reduce_only:
            await self.count_fills()  # else the position still holds what is sold already
            protected = await ports.read_protected(
                ports.ProtectRequest(
                    order_id=self.order_id,
                    strategy_id=request.strategy_id,
                    account=request.account,
                    venue=request.exchange,
                    symbol=request.symbol,
                )
            )
            free = protected.free
        lots = protected_lots(
            request.quantity, free, request.side, instrument.step, self.totals.executed
        )
        if not lots:
            self.change_stop(code=NO_POSITION, residual_reason="no position is left to protect")
        return lots

    def _child_of(
        self,
        market: Market,
        lots: int,
        child_type: ChildType,
        price: Decimal | None,
        time_in_force: TimeInForce,
    ) -> ChildState:
        intent = next_intent(
            self.state,
            self.order_id,
            quantity=quantity_of(lots, step=self.stop.step),
            child_type=child_type,
            price=price,
            time_in_force=time_in_force,
        )
        return ChildState(intent=intent, reference_price=market.quote.mid, priced_at=market.read_at)

    async def reprice(self, intent: ChildIntent) -> Priced | None:
        """The price stays what it was asked or bounded to be; only the market is of now."""
        market = await self.market_now()
        return None if market is None else Priced(intent=intent, reference_price=market.quote.mid)

    async def _patient_market(self) -> Market | None:
        market = await self.market_now()
        if market is None:
            await wait_until(self.needs_attention, timedelta(seconds=1), "no market data")
        return market

    def left(self) -> Decimal:
        """Base units of the order that are not executed."""
        return minus(self.request.quantity, self.totals.executed)

    def add_flags(self, *flags: Flag) -> None:
        """Show these for the rest of the order's life."""
        self.change_stop(flags=tuple(dict.fromkeys((*self.stop.flags, *flags))))

    def change_stop(self, **changes: object) -> None:
        """The state with these fields changed."""
        changed = replace(self.stop, **changes)  # type: ignore[arg-type]  # checked by tests
        self._change(stop=changed)


def _is_hopeless(worked: ChildState) -> bool:
    """True for a refusal that will not pass: no further try is made."""
    if worked.status is ChildStatus.DENIED:
        return worked.code not in _PASSING
    return worked.family is RejectionFamily.PERMISSION
