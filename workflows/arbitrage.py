"""Two-leg arbitrage: buy here, sell there, as a saga that ends in a named, paid-for state.

The legs are worked by the child protocol, side by side; what the pair of them means is the
decision table's (`domain.legs`), and what to do about a residual is `choose()`'s
(`domain.compensation`): complete the missing leg or unwind the filled one, whichever is cheaper
within the bound. Compensation never cancels what filled: it is an order of its own with its own
id, and nothing is compensated while a leg is unknown.

This is the course of the two legs. `arbitrage_compensation` works a residual,
`arbitrage_opening` says how it begins, `arbitrage_result` what it amounts to.
"""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import names, ports
from workflows.arbitrage_compensation import Compensating
from workflows.arbitrage_opening import judge_views, opening_leg
from workflows.arbitrage_result import ending_of
from workflows.arbitrage_state import Opening, assets_of, sum_of, views_of
from workflows.child_order import REFERENCE_MAX_AGE
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import Denied
from workflows.domain.exact import exact, minus, times, whole_steps
from workflows.domain.executions import ExecutionStatus
from workflows.domain.legs import LegFacts, Step, Verdict, next_step
from workflows.domain.orders import Side
from workflows.durations import in_seconds, seconds
from workflows.execution import late, read_views
from workflows.execution_messages import ArbitragePlan, ArbitrageSnapshot, LegMode
from workflows.leg_order import LegRecord, adopted_leg, executed_of
from workflows.waiting import wait_until

NAKED_ALARM_AFTER = timedelta(seconds=5)
"""One leg that stands alone for longer is told to a human."""
_FEES_WITHIN = timedelta(seconds=2)
"""How long the size of the second leg may wait for the fees of the first."""


@workflow.defn(name="Arbitrage")
class Arbitrage(Compensating):
    """Buy at one exchange and sell at another, and compensate what does not fill."""

    @workflow.init
    def __init__(self, plan: RawValue | None = None) -> None:
        super().__init__(plan)

    @workflow.run
    async def run(self, plan: RawValue | None = None) -> ArbitrageSnapshot:
        """`plan` is an arbitrage as JSON; a continued run gets the state of the run before."""
        del plan
        return await self.run_execution()

    # --- acceptance -----------------------------------------------------------------------------

    async def admit(self) -> None:
        plan = self.parsed()
        if isinstance(plan, Denied):
            self.deny(plan)
            return
        self.change(plan=plan)
        asked_at, venues = workflow.now(), (plan.buy_exchange, plan.sell_exchange)
        opened = await self.register(plan, plan.strategy_id, venues, views_of(plan))
        if self.state.status.is_terminal:
            return
        self.index(plan.strategy_id, ">".join(venues), plan.symbol)
        if opened.kind is ports.OpenExecutionKind.ADOPTED:
            self._adopt(opened)
            return
        denied = await self._accept(plan, opened.views, in_seconds(workflow.now() - asked_at))
        if denied is not None:
            self.deny(denied)
            await self.save()

    async def _accept(
        self, plan: ArbitragePlan, views: tuple[ports.VenueView, ...], age_s: Decimal
    ) -> Denied | None:
        """Judge the books, then reserve both legs and the pair; None when it may trade."""
        if not views or age_s > plan.max_age:
            asked_at = workflow.now()
            read = await read_views(views_of(plan), self.accept_by() - asked_at)
            if read is None:
                return late(self.terms)
            views, age_s = read, in_seconds(workflow.now() - asked_at)
        opening = judge_views(plan, self.terms, views, age_s)
        if isinstance(opening, Denied):
            return opening
        if workflow.now() >= self.accept_by():
            return late(self.terms)
        deadline = workflow.now() + seconds(plan.timeout)
        legs = [
            opening_leg(self.execution_id, plan, opening, side, deadline)
            for side in (Side.BUY, Side.SELL)
        ]
        lock = names.pair_lock(plan.account, plan.symbol, (plan.buy_exchange, plan.sell_exchange))
        verdict = await self.accept(*legs, locks=(lock,))
        if verdict.denied is not None:
            return verdict.denied
        self._begin(opening, deadline, legs, verdict.reserved)
        return None

    def _begin(
        self,
        opening: Opening,
        deadline: datetime,
        legs: list[LegRecord],
        reserved: tuple[ports.Reserved, ...],
    ) -> None:
        """Both legs leave in one workflow task, or the harder one alone."""
        self.change(opening=opening, deadline=deadline)
        if self.plan.mode is LegMode.SEQUENTIAL:
            second = Side.SELL if opening.harder is Side.BUY else Side.BUY
            self.change(held_back=second)
        self.become(ExecutionStatus.RUNNING)
        for record, answer in zip(legs, reserved, strict=True):
            leg = self.take_up(record)
            if record.request.side is not self.state.held_back:
                leg.start(answer)

    def _adopt(self, opened: ports.OpenedExecution) -> None:
        """The workflow before was lost: settle and compensate what it left, start nothing."""
        self.change(is_adopted=True, cancelled_because="its workflow was lost")
        self.become(ExecutionStatus.RUNNING)
        for known in opened.legs:
            name = known.order_id.partition(":")[2]
            number = name.rpartition("-")[2]
            tries = int(number) if number.isdigit() else 0
            self.change(tries=max(self.state.tries, tries))
            self.take_up(adopted_leg(known, opened.epoch, name)).start()

    # --- the two legs ---------------------------------------------------------------------------

    async def trade(self) -> None:
        watch = asyncio.create_task(self._watch_exposure())
        try:
            if self.state.is_adopted and not self._is_continued:
                await self.legs_over(self.live_legs())
            elif not self._is_continued:
                await self._work_pair()
            is_held = await self.compensate()
        finally:
            watch.cancel()
        if is_held is not None:
            self._end_naked()
            await self.conclude(
                ending_of(
                    self.state, self.records, is_held=is_held, is_cancelled=self.is_cancelled()
                )
            )

    async def _work_pair(self) -> None:
        """Follow the decision table until no leg is live."""
        while True:
            self.check_legs()
            facts, cancelled = self._facts(), self.is_cancelled()
            step = self._step(facts)
            self._stop_legs(step)
            if step.verdict is Verdict.SUBMIT and step.submit is not None:
                await self._submit_held_back(step.submit)
            elif step.verdict is not Verdict.WAIT:
                break
            else:
                await self._until_it_changes(facts, cancelled=cancelled)
        await self._drop_held_back()

    def _facts(self) -> tuple[LegFacts, LegFacts]:
        buy, sell = (self.leg(self.state.leg_name(side)).record for side in (Side.BUY, Side.SELL))
        return buy.facts, sell.facts

    def _step(self, facts: tuple[LegFacts, LegFacts]) -> Step:
        buy, sell = facts
        held_back, now = self.state.held_back, workflow.now()
        assert self.state.deadline is not None, "set before the legs"
        return next_step(
            buy,
            sell,
            sequential=self.plan.mode is LegMode.SEQUENTIAL,
            is_due=now >= self.state.deadline,
            is_one_sided_due=self._one_sided_left(facts) == timedelta(0),
            is_cancelled=self.is_cancelled(),
            buy_may_start=held_back is Side.BUY,
            sell_may_start=held_back is Side.SELL,
        )

    def _one_sided_left(self, facts: tuple[LegFacts, LegFacts]) -> timedelta | None:
        """Time that a leg may still wait alone; None while both are live, or neither is."""
        buy, sell = facts
        if buy.is_live is sell.is_live or self.state.held_back is not None:
            return None
        since = self.state.one_sided_since
        if since is None:
            since = workflow.now()
            self.change(one_sided_since=since)
        left = since + seconds(self.plan.one_sided_timeout) - workflow.now()
        return max(left, timedelta(0))

    def _stop_legs(self, step: Step) -> None:
        reason = self.cancelled_because() if self.is_cancelled() else "the other leg decided it"
        if step.cancel_buy:
            self.leg(self.state.buy_leg).stop(reason)
        if step.cancel_sell:
            self.leg(self.state.sell_leg).stop(reason)

    async def _until_it_changes(self, facts: tuple[LegFacts, LegFacts], *, cancelled: bool) -> None:
        """Each leg minds its own deadline; only one that waits alone needs a timer here."""

        def changed() -> bool:
            return (
                self._facts() != facts
                or self.is_cancelled() is not cancelled
                or any(leg.is_broken for leg in self.live_legs())
            )

        left = self._one_sided_left(facts)
        if left:
            await wait_until(changed, left, "the other leg is over")
        else:
            await workflow.wait_condition(changed)

    async def _submit_held_back(self, side: Side) -> None:
        """The second leg of a sequential plan, for what the first one really filled."""
        self.change(held_back=None)
        leg, opening = self.leg(side.value), self.state.opening
        assert opening is not None, "set before the legs"
        quantity = await self._quantity_of_second(side, opening)
        if quantity >= opening.quantity(side) and not _is_old(leg.record):
            leg.start()
            return
        leg.stop("the market grew old" if _is_old(leg.record) else "sized by the other leg")
        leg.start()
        await self.legs_over([leg])
        if quantity <= 0 or _is_old(leg.record):
            return  # what is missing is completed or unwound, by books of then
        assert self.state.deadline is not None, "set before the legs"
        name = f"{side}-2"
        record = opening_leg(
            self.execution_id,
            self.plan,
            opening,
            side,
            self.state.deadline,
            name=name,
            quantity=quantity,
        )
        verdict = await self.accept(record)
        if verdict.denied is None:
            self.take_up(record).start(verdict.reserved[0])
            self.change(**{f"{side}_leg": name})

    async def _quantity_of_second(self, side: Side, opening: Opening) -> Decimal:
        """Base units that bring the two legs level, on the lot that both were planned in."""
        await self.legs_settled(_FEES_WITHIN)
        first = Side.SELL if side is Side.BUY else Side.BUY
        planned, executed = opening.quantity(first), executed_of(self.records, first)
        if executed >= planned:
            return opening.quantity(side)
        done = sum_of(self.records, first, self.state.rates)
        with exact():
            net = done.quantity - done.base_fee * first.sign
        lots = whole_steps(max(net, Decimal(0)), opening.lot)
        return min(times(opening.lot, lots), opening.quantity(side))

    async def _drop_held_back(self) -> None:
        """A leg that was never needed gives its reservation back."""
        if self.state.held_back is not None:
            leg = self.leg(self.state.leg_name(self.state.held_back))
            leg.stop("not needed")
            leg.start()
            self.change(held_back=None)
        await self.legs_over(self.live_legs())

    # --- exposure -------------------------------------------------------------------------------

    async def _watch_exposure(self) -> None:
        """Count how long one leg stands alone, and tell a human when that is long."""
        while True:
            await workflow.wait_condition(self._is_naked)
            if self.state.naked_since is None:
                self.change(naked_since=workflow.now())
            if not await wait_until(
                lambda: not self._is_naked(), NAKED_ALARM_AFTER, "one leg stands alone"
            ):
                await self.alarm(AlarmCode.NAKED_LEG, self._exposure_text())
                await workflow.wait_condition(lambda: not self._is_naked())
            self._end_naked()

    def _is_naked(self) -> bool:
        dust = self.state.opening.dust if self.state.opening else Decimal(0)
        return abs(self._exposure()) > dust

    def _exposure(self) -> Decimal:
        return minus(executed_of(self.records, Side.BUY), executed_of(self.records, Side.SELL))

    def _exposure_text(self) -> str:
        base, _ = assets_of(self.plan.symbol)
        venues = f"buy={self.plan.buy_exchange} sell={self.plan.sell_exchange}"
        return f"exposure={self._exposure():f} asset={base} {venues}"

    def _end_naked(self) -> None:
        self.change(naked_s=self.naked_s(), naked_since=None)


def _is_old(held_back: LegRecord) -> bool:
    """True when the market that a leg was judged by is too long ago to send it."""
    return workflow.now() - held_back.child.priced_at > REFERENCE_MAX_AGE
