"""The part of an arbitrage that works a residual until it is gone, is dust, or is held.

Each round looks at both venues, lets `choose()` decide, and carries that out with one order. A
round begins only when nothing of the execution can execute any more, so a late fill can never
double a hedge. Beyond the bound the residual rests at the bound, a human is told, and the next
round comes after `hold_retry`; after `hold_for` the plan's `hold_end` decides. What keeps rounds
from bringing anything (a venue that is away, a book that gives nothing) is held as long
and no longer, and a cancel ends it too. A halt of trading ends it at once: nothing may be sent, and
whether to go on is a human's to say.
"""

from abc import ABC
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import ports
from workflows.arbitrage_residual import (
    Look,
    flattening_leg,
    hedge_leg,
    look_at,
    marks_of,
    resting_leg,
    told,
    why,
)
from workflows.arbitrage_result import details_of, snapshot_of
from workflows.arbitrage_state import (
    ArbitrageState,
    profit_of,
    unpriced_assets,
    views_of,
)
from workflows.domain.alarms import AlarmCode
from workflows.domain.compensation import Action
from workflows.domain.denials import DenialCode
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import TimeInForce
from workflows.domain.reports import RejectionFamily
from workflows.durations import in_seconds, seconds
from workflows.execution import Execution, read_views, read_what_is_told
from workflows.execution_messages import (
    ArbitragePlan,
    ArbitrageSnapshot,
    CompensationView,
    HoldEnd,
)
from workflows.leg_order import LegOrder, LegRecord
from workflows.waiting import wait_until

_SETTLE_WITHIN = timedelta(seconds=2)
"""Fills that are missing for longer are taken at their order's limit until they come."""
_LOOK_WITHIN = timedelta(seconds=5)
_HEDGE_WITHIN = timedelta(seconds=10)
_RETRY_FIRST = timedelta(milliseconds=100)
_NOT_READY_RETRY = timedelta(seconds=1)
_MOST_DOUBLINGS = 10
_FLATTEN_TRIES = 3
_FINAL_REFUSALS = (RejectionFamily.BALANCE, RejectionFamily.FILTER, RejectionFamily.PERMISSION)
_HALF = Decimal("0.5")
_MOST_NOTES = 50
_EMPTY_ROUNDS = 5
"""Orders in a row that did not fill although the book said so: then the residual is held."""
_TROUBLE_AT_LEAST = timedelta(seconds=60)
"""A residual that nothing could be sent for is not left alone sooner, however short `hold_for`."""
_RATE_RETRY, _RATE_TRIES = timedelta(seconds=10), 30


class Compensating(Execution[ArbitragePlan, ArbitrageState, ArbitrageSnapshot], ABC):
    """An arbitrage's residual; see the module's docstring."""

    KIND = ExecutionKind.ARBITRAGE
    PLAN = ArbitragePlan
    STATE = ArbitrageState
    SNAPSHOT = ArbitrageSnapshot

    _empty_rounds = 0
    _flattened = 0
    _is_told = False
    _is_halted = False
    _refused: tuple[Action, ...] = ()

    @property
    def plan(self) -> ArbitragePlan:
        """What the caller asked for."""
        assert self.state.plan is not None, "a registered arbitrage has its plan"
        return self.state.plan

    async def compensate(self) -> bool | None:
        """Work the residual. True: it is held; False: nothing tradable is left; None: hand over."""
        self._refused = self._refused_at_first()
        while True:
            is_settled = await self.legs_settled(self._settle_within())
            await self._learn_rates(timedelta(0))
            residual = profit_of(self.records, self.state).residual
            if residual and is_settled and self.should_hand_over():
                await self._hand_over_tidily()
                return None
            look = await self._look() if residual else None
            is_dust = look is not None and look.choice.action is Action.CARRY_DUST
            if is_dust or not residual:
                if not is_settled:  # with the fills a fee may come that was taken in base units
                    await self.legs_settled()
                    continue
                if look is not None:
                    self._note(told(look, "carry_dust", workflow.now(), None))
                return False
            if await self._round(look, residual):
                return look is not None or not self._is_below_any_lot(residual)

    async def conclude(self, status: ExecutionStatus) -> None:
        """End it, once every fill and every rate is known: profit is exact or not told."""
        await self.legs_settled()
        await self._learn_all_rates()
        residual = profit_of(self.records, self.state).residual
        if residual:
            views = await read_what_is_told(views_of(self.plan), _LOOK_WITHIN)
            self.change(marks=marks_of(residual, views) or self.state.marks)
        await self.end(status, self._why(status))

    def _why(self, status: ExecutionStatus) -> str:
        if status in (ExecutionStatus.COMPLETED, ExecutionStatus.PARTIAL):
            return ""
        if status is ExecutionStatus.CANCELLED:
            return self.cancelled_because()
        reasons = [
            f"{record.leg}: {record.child.reason or record.child.status}"
            for record in self.records
            if record.child.status is not ChildStatus.FILLED and not record.compensates
        ]
        return "; ".join(reasons)

    # --- one round ------------------------------------------------------------------------------

    def _refused_at_first(self) -> tuple[Action, ...]:
        """A leg that its venue refused for good is not sent there again."""
        refused = any(
            record.child.status is ChildStatus.REJECTED and record.child.family in _FINAL_REFUSALS
            for record in self.records
            if not record.compensates
        )
        return (Action.COMPLETE,) if refused else ()

    async def _look(self) -> Look | None:
        views = await read_what_is_told(views_of(self.plan), _LOOK_WITHIN)
        now = profit_of(self.records, self.state)
        self.change(marks=marks_of(now.residual, views) or self.state.marks)
        return look_at(self.plan, now, views, self._refused)

    async def _round(self, look: Look | None, residual: Decimal) -> bool:
        """Do what can be done now. True when the time for that is over and it stays as it is."""
        if look is None:
            self._start_clock()
            await self._pause(seconds(self.plan.hold_retry), "before looking again")
        elif look.choice.action is Action.HOLD_AND_ESCALATE:
            return await self._hold(look) or await self._is_held_by_halt(look)
        elif await self._hedge(look):
            return False
        elif await self._is_held_by_halt(look):
            return True
        if not self._is_trouble_over():
            return False
        if look is not None:
            return await self._stop_holding(look)
        if not self._is_below_any_lot(residual):
            await self.alarm(AlarmCode.RESIDUAL_HELD, f"residual={residual:f} market=absent")
        return True

    async def _hedge(self, look: Look) -> bool:
        """One IOC order at the bound; what it leaves is the next round's. False: it was in vain."""
        action = look.choice.action
        name = self._next_name(action.value.lower())
        record = hedge_leg(self.execution_id, self.plan, look, name, workflow.now() + _HEDGE_WITHIN)
        if record is None:
            self._start_clock()
            await self._pause(seconds(self.plan.hold_retry), "there is nothing to send")
            return False
        self._note(told(look, action.value.lower(), workflow.now(), record.order_id))
        leg = await self._work(record)
        if leg is None:
            return False
        if leg.record.executed:
            self._refused, self._empty_rounds = (), 0
            return True
        if leg.record.child.status is ChildStatus.REJECTED:
            self._refused = (*self._refused, action)
        pause = _RETRY_FIRST * (1 << min(self._empty_rounds, _MOST_DOUBLINGS))
        self._empty_rounds += 1
        if self._empty_rounds >= _EMPTY_ROUNDS:
            self._start_clock()
        await self._pause(pause, "the order did not fill")
        return False

    async def _work(self, record: LegRecord) -> LegOrder | None:
        """Accept and work one order to its end; None when it was denied."""
        verdict = await self.accept(record)
        if verdict.denied is not None:
            self._start_clock()
            await self.alarm(AlarmCode.COMPENSATION_DENIED, str(verdict.denied))
            self._is_halted = verdict.denied.code is DenialCode.TRADING_HALTED
            if self._is_halted and self.terms.suspends:
                return None
            is_short = verdict.denied.code is DenialCode.RECONCILING
            wait = _NOT_READY_RETRY if is_short else seconds(self.plan.hold_retry)
            await self._pause(wait, str(verdict.denied))
            return None
        leg = self.take_up(record)
        leg.start(verdict.reserved[0])
        await workflow.wait_condition(
            lambda: leg.record.is_over or leg.is_broken or self._must_end_hold()
        )
        if not leg.record.is_over and record.request.time_in_force is TimeInForce.GTC:
            leg.stop(self.cancelled_because())
        await self.legs_over([leg])
        return leg

    # --- beyond the bound -----------------------------------------------------------------------

    async def _hold(self, look: Look) -> bool:
        """Rest at the bound until the next round. True when the time for that is over."""
        plan, now = self.plan, workflow.now()
        self._start_clock()
        await self.save_legs()
        if not self._is_told:
            self._is_told = True
            await self.alarm(
                AlarmCode.RESIDUAL_BEYOND_BOUND, f"residual={look.residual:f} {why(look)}"
            )
        held_since = self.state.held_since or now
        left = held_since + seconds(plan.hold_for) - workflow.now()
        self._refused = ()
        if left <= timedelta(0) or self._must_end_hold():
            return await self._stop_holding(look)
        retry = min(seconds(plan.hold_retry), left)
        name = self._next_name("hold")
        record = resting_leg(self.execution_id, plan, look, name, workflow.now() + retry)
        self._note(told(look, "hold", workflow.now(), record.order_id if record else None))
        if record is None:
            await self._pause(retry, "the residual is held")
        else:
            await self._work(record)
        return False

    def _start_clock(self) -> None:
        """From now on the residual counts as held, until `hold_for` is over."""
        if self.state.held_since is None:
            now, was_cancelled = workflow.now(), self.is_cancelled()
            self.change(held_since=now, was_cancelled_before_hold=was_cancelled)

    def _is_trouble_over(self) -> bool:
        """True when rounds have been in vain for as long as they may."""
        since, least = self.state.held_since, max(seconds(self.plan.hold_for), _TROUBLE_AT_LEAST)
        return since is not None and (workflow.now() - since >= least or self._must_end_hold())

    async def _is_held_by_halt(self, look: Look) -> bool:
        """True when trading was halted under the residual: it stays until a human decides."""
        if not (self._is_halted and self.terms.suspends):
            return False
        await self.alarm(AlarmCode.RESIDUAL_HELD, f"residual={look.residual:f} trading is halted")
        return True

    def _is_below_any_lot(self, residual: Decimal) -> bool:
        """True for what counted as too small to be traded when this began."""
        return self.state.opening is not None and abs(residual) <= self.state.opening.dust

    def _request_cancel(self, request: RawValue | None) -> None:
        super()._request_cancel(request)
        self._end_hold()

    def _heed_cancel(self) -> None:
        super()._heed_cancel()
        self._end_hold()

    def _end_hold(self) -> None:
        """A cancel ends the hold, also one that comes after an earlier cancel."""
        if self.state.held_since is not None and not self.state.status.is_terminal:
            self.change(was_cancelled_before_hold=False)

    def _must_end_hold(self) -> bool:
        """A cancel that comes while the residual is held ends the waiting."""
        return (
            self.state.held_since is not None
            and self.is_cancelled()
            and not self.state.was_cancelled_before_hold
        )

    async def _stop_holding(self, look: Look) -> bool:
        if self.plan.hold_end is HoldEnd.HOLD or self._flattened >= _FLATTEN_TRIES:
            await self.alarm(AlarmCode.RESIDUAL_HELD, f"residual={look.residual:f} {why(look)}")
            return True
        self._flattened += 1
        name, expires_at = self._next_name("flatten"), workflow.now() + _HEDGE_WITHIN
        record = flattening_leg(self.execution_id, self.plan, look, name, expires_at)
        if record is None:
            return False
        self._note(told(look, "flatten", workflow.now(), record.order_id))
        await self._work(record)
        return False

    async def _hand_over_tidily(self) -> None:
        """What rested in vain is stored as ended and forgotten here: the state stays small."""
        await self.save()
        self.put_legs_away()
        self.change(
            legs=tuple(each for each in self.state.legs if each.executed or not each.compensates)
        )
        self.hand_over()

    # --- helpers --------------------------------------------------------------------------------

    def _settle_within(self) -> timedelta | None:
        """How long fills may be missing: a market order that was adopted has no other price."""
        legs = (leg.record for leg in self.live_legs())
        is_priceless = any(leg.child.intent.price is None and leg.executed for leg in legs)
        return None if self.state.is_adopted and is_priceless else _SETTLE_WITHIN

    async def _learn_all_rates(self) -> None:
        """As `_learn_rates`, with patience for a venue that is away."""
        for _ in range(_RATE_TRIES):
            await self._learn_rates(_LOOK_WITHIN)
            if not unpriced_assets(self.records, self.state.rates):
                return
            await workflow.sleep(_RATE_RETRY, summary="before asking for a fee's price again")
        await self._learn_rates(_LOOK_WITHIN, gives_up=True)

    async def _learn_rates(self, within: timedelta, *, gives_up: bool = False) -> None:
        """What third assets were worth when fees were first paid in them.

        A venue that does not tell is asked again later; one that has no price has none.
        """
        for venue, asset in unpriced_assets(self.records, self.state.rates):
            _, quote = self.plan.symbol.split("/", 1)
            wanted = ports.ViewRequest(
                venue=venue, account=self.plan.account, symbol=f"{asset}/{quote}"
            )
            views = await read_views((wanted,), within)
            if views is None and not gives_up:
                continue
            book = views[0].book if views else None
            if book is None or not (book.bids and book.asks):
                await self.alarm(AlarmCode.FEE_WITHOUT_PRICE, f"asset={asset} exchange={venue}")
                rate = Decimal(0)
            else:
                with exact():
                    rate = (book.bids[0].price + book.asks[0].price) * _HALF
            self.change(rates={**self.state.rates, asset: rate})

    def _next_name(self, action: str) -> str:
        self.change(tries=self.state.tries + 1)
        return f"{action}-{self.state.tries}"

    def _note(self, view: CompensationView) -> None:
        self.change(compensation=(*self.state.compensation, view)[-_MOST_NOTES:])
        self.show()

    async def _pause(self, pause: timedelta, summary: str) -> None:
        await wait_until(self._must_end_hold, pause, summary)

    # --- what people and services see -----------------------------------------------------------

    def naked_s(self) -> Decimal:
        """Seconds for which one leg stood alone, until now."""
        since = self.state.naked_since
        running = in_seconds(workflow.now() - since) if since is not None else Decimal(0)
        return self.state.naked_s + running

    def snapshot_now(self) -> ArbitrageSnapshot:
        return snapshot_of(
            self.state,
            self.records,
            execution_id=self.execution_id,
            naked_s=self.naked_s(),
            updated_at=self._updated_at,
        )

    def details(self) -> str:
        return details_of(self.snapshot())
