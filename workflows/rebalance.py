"""Rebalancing: trade a portfolio over one or several venues toward its target weights.

What to trade is the domain's (`domain.rebalancing`, `domain.rebalancing_venues`). The course is
here: all sells first; when nothing of them can execute any more, the buys are scaled to the cash
that is really there; then the drift is looked at again, and corrected at most once. Each trade is
a leg order of its own; one that is refused or fails leaves less cash, and so smaller buys.

It never hands over to a new run: assets, venues and passes are bounded, and so is its history.
"""

import asyncio
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from workflows import names, ports
from workflows.domain.denials import Denied
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.rebalancing import Rebalancing, plan_rebalancing, skip
from workflows.domain.rebalancing_venues import (
    Split,
    VenueTrade,
    cash_after,
    split_buys,
    split_sells,
)
from workflows.durations import seconds
from workflows.execution import Execution, late
from workflows.execution_messages import RebalancePlan, RebalanceSnapshot
from workflows.leg_order import LegOrder, adopted_leg, new_leg
from workflows.rebalance_market import (
    Picture,
    aims_of,
    picture_of,
    portfolio_request,
    settled_cash,
)
from workflows.rebalance_state import (
    RebalanceState,
    cut_error,
    details_of,
    ending_of,
    is_whole,
    leg_name,
    of_pass,
    proceeds_of,
    refusal_of,
    request_of,
    shown_skipped,
    shown_trades,
    shown_transfers,
    snapshot_of,
    without_refused,
)

MAX_PASSES = 2
"""The plan, and one correction of what it left."""
_LOOK_WITHIN = timedelta(seconds=30)
_FILLS_WITHIN = timedelta(seconds=30)
"""How long the buys wait for missing fills of the sells; later ones are no cash yet."""
_NO_ANSWER = "no venue that trades it answered"


@workflow.defn(name="Rebalance")
class Rebalance(Execution[RebalancePlan, RebalanceState, RebalanceSnapshot]):
    """Bring a portfolio to its target weights."""

    KIND = ExecutionKind.REBALANCE
    PLAN = RebalancePlan
    STATE = RebalanceState
    SNAPSHOT = RebalanceSnapshot

    @workflow.init
    def __init__(self, plan: RawValue | None = None) -> None:
        super().__init__(plan)
        self._picture: Picture | None = None

    @workflow.run
    async def run(self, plan: RawValue | None = None) -> RebalanceSnapshot:
        """`plan` is a rebalancing as JSON."""
        del plan
        return await self.run_execution()

    # --- acceptance -----------------------------------------------------------------------------

    async def admit(self) -> None:
        plan = self.parsed()
        if isinstance(plan, Denied):
            self.deny(plan)
            return
        self.change(plan=plan)
        opened = await self.register(plan, plan.strategy_id, plan.exchanges, ())
        if self.state.status.is_terminal:
            return
        self.index(plan.strategy_id, "+".join(plan.exchanges), f"*/{plan.cash}")
        if opened.kind is ports.OpenExecutionKind.ADOPTED:
            self._adopt(opened)
            return
        denied = await self._accept(plan)
        if denied is not None:
            self.deny(denied)
            await self.save()

    async def _accept(self, plan: RebalancePlan) -> Denied | None:
        """Look at all venues and plan; None when there is a plan."""
        picture = await self._look(plan, self.accept_by() - workflow.now())
        if picture is None or workflow.now() >= self.accept_by():
            return late(self.terms)
        first = plan_rebalancing(aims_of(plan), picture.holdings, picture.total_cash)
        if isinstance(first, Denied):
            return first
        self._picture = picture
        self.change(first=first)
        self.become(ExecutionStatus.RUNNING)
        return None

    def _adopt(self, opened: ports.OpenedExecution) -> None:
        """The workflow before was lost: settle what it left, trade nothing new."""
        self.change(is_adopted=True, is_cut_short=True, cancelled_because="its workflow was lost")
        self.become(ExecutionStatus.RUNNING)
        for known in opened.legs:
            name = known.order_id.partition(":")[2]
            self.take_up(adopted_leg(known, opened.epoch, name)).start()

    # --- the course -----------------------------------------------------------------------------

    async def trade(self) -> None:
        plan, picture = self.state.plan, self._picture
        assert plan is not None, "an accepted rebalancing has its plan"
        if self.state.is_adopted:
            await self.legs_over(self.live_legs())
        elif picture is not None:
            await self._work(plan, picture)
        await self.legs_settled()
        self.put_legs_away()
        await self._conclude()

    async def _work(self, plan: RebalancePlan, picture: Picture) -> None:
        """Pass after pass, until nothing is left to trade or none may follow."""
        wanted: Rebalancing | Denied | None = self.state.first
        while isinstance(wanted, Rebalancing):
            sells, buys = self._expected(plan, picture, wanted)
            if not self.state.passes:
                self._show_plan(wanted, sells, buys)
            else:
                self.change(weights_after=wanted.weights)
            is_over = not (sells.trades or buys.trades)
            self.change(is_level=is_over and not (sells.is_cut or buys.is_cut))
            if self.state.is_level and self.state.is_cut:
                # what was cut off is no longer wanted, or too little to trade
                self._show_left(wanted, sells, buys)
            if plan.preview or is_over or self.state.passes >= MAX_PASSES:
                return
            if self._is_cut_short():
                return
            self.change(passes=self.state.passes + 1)
            if not await self._pass(plan, picture, wanted, sells):
                return
            again = await self._look(plan, _LOOK_WITHIN)
            if again is None:
                return
            picture = again
            wanted = plan_rebalancing(aims_of(plan), picture.holdings, picture.total_cash)

    def _expected(
        self, plan: RebalancePlan, picture: Picture, wanted: Rebalancing
    ) -> tuple[Split, Split]:
        """What would be sent, if all sells filled at the touch."""
        sells = split_sells(wanted.sells, picture.places, picture.stranded)
        sells = without_refused(sells, self.state)
        buys = self._split_buys(plan, picture, wanted, cash_after(picture.cash, sells.trades))
        return sells, buys

    def _split_buys(
        self, plan: RebalancePlan, picture: Picture, wanted: Rebalancing, cash: dict[str, Decimal]
    ) -> Split:
        buys = split_buys(
            wanted.buys,
            picture.places,
            cash,
            reserve=plan.cash_reserve,
            min_trade_value=plan.min_trade_value,
        )
        return without_refused(buys, self.state)

    async def _pass(
        self, plan: RebalancePlan, picture: Picture, wanted: Rebalancing, sells: Split
    ) -> bool:
        """All sells, then the buys that their cash allows. False when it was cut short."""
        await self._send(plan, sells)
        if self._is_cut_short():
            return False
        now = await self._look(plan, _LOOK_WITHIN, needs_all=False)
        if self._is_cut_short():
            return False
        self.change(is_blind=now is None or len(now.cash) < len(plan.exchanges))
        if now is None:
            unbought = tuple(skip(each, each.quantity, _NO_ANSWER) for each in wanted.buys)
            self._show_left(wanted, sells, Split(skipped=unbought))
            return True
        proceeds = proceeds_of(of_pass(self.records, self.state.passes), plan.cash)
        buys = self._split_buys(plan, now, wanted, settled_cash(picture.cash, proceeds, now.cash))
        self._show_left(wanted, sells, buys)
        self.change(buy_scale=buys.scale)
        await self._send(plan, buys)
        return self._is_filled(*sells.trades, *buys.trades) or not self._is_cut_short()

    def _is_filled(self, *trades: VenueTrade) -> bool:
        """True when nothing of these trades of this pass is left for a cancel to stop."""
        whole = [record.leg for record in self.records if is_whole(record)]
        return all(leg_name(self.state.passes, trade) in whole for trade in trades)

    # --- orders ---------------------------------------------------------------------------------

    async def _send(self, plan: RebalancePlan, split: Split) -> None:
        """One order per trade, each accepted by itself; then wait until all of them are over."""
        sent = [leg for trade in split.trades if (leg := await self._send_one(plan, trade))]
        await workflow.wait_condition(
            lambda: (
                self.is_cancelled()
                or all(leg.record.is_over for leg in sent)
                or any(leg.is_broken for leg in sent)
            )
        )
        if self.is_cancelled():
            for leg in sent:
                leg.stop(self.cancelled_because())
        await self.legs_over(sent)
        await self.legs_settled(_FILLS_WITHIN)
        self.put_legs_away()

    async def _send_one(self, plan: RebalancePlan, trade: VenueTrade) -> LegOrder | None:
        """The order of a trade, on its way; None when it is refused, or no longer wanted."""
        if self.is_cancelled():
            return None
        record = new_leg(
            self.execution_id,
            leg_name(self.state.passes, trade),
            request_of(plan, trade),
            reference_price=trade.place.reference,
            expires_at=workflow.now() + seconds(plan.timeout),
        )
        venues = sorted(plan.exchanges)
        locks = tuple(names.rebalance_lock(plan.account, venue) for venue in venues)
        verdict = await self.accept(record, locks=locks)
        if verdict.denied is not None:
            refusal = refusal_of(trade, verdict.denied)
            self.change(refusals=(*self.state.refusals, refusal))
            return None
        leg = self.take_up(record)
        if self.is_cancelled():
            leg.stop(self.cancelled_because())
        leg.start(verdict.reserved[0])
        return leg

    # --- venues ---------------------------------------------------------------------------------

    async def _look(
        self, plan: RebalancePlan, within: timedelta, *, needs_all: bool = True
    ) -> Picture | None:
        """All venues now; None when one does not answer in time, or none at all."""
        if within <= timedelta(0):
            return None
        told = await asyncio.gather(*(self._ask(plan, venue, within) for venue in plan.exchanges))
        portfolios = tuple(each for each in told if each is not None)
        if not portfolios or (needs_all and len(portfolios) < len(plan.exchanges)):
            return None
        return picture_of(plan, portfolios, self.terms.max_order_value)

    async def _ask(
        self, plan: RebalancePlan, venue: str, within: timedelta
    ) -> ports.Portfolio | None:
        try:
            return await ports.read_portfolio(portfolio_request(plan, venue), within=within)
        except ActivityError:
            return None

    # --- what is told ---------------------------------------------------------------------------

    def _show_plan(self, wanted: Rebalancing, sells: Split, buys: Split) -> None:
        self.change(
            sells=shown_trades(sells.trades),
            buys=shown_trades(buys.trades),
            buy_scale=buys.scale,
        )
        self._show_left(wanted, sells, buys)
        self.show()

    def _show_left(self, wanted: Rebalancing, sells: Split, buys: Split) -> None:
        self.change(
            skipped=shown_skipped(wanted.skipped, sells.skipped, buys.skipped),
            transfers=shown_transfers(sells, buys),
            is_cut=sells.is_cut or buys.is_cut,
        )

    def _is_cut_short(self) -> bool:
        if self.is_cancelled():
            self.change(is_cut_short=True)
        return self.state.is_cut_short

    async def _conclude(self) -> None:
        status = ending_of(self.state, self.records)
        error = ""
        if status is ExecutionStatus.CANCELLED:
            error = self.cancelled_because()
        elif status is ExecutionStatus.DENIED:
            denied = self.state.refusals[0].denied
            self.change(code=denied.code, field=denied.field)
            error = denied.detail
        elif status is not ExecutionStatus.COMPLETED:
            error = cut_error(self.state)
        await self.end(status, error)

    def snapshot_now(self) -> RebalanceSnapshot:
        return snapshot_of(
            self.state,
            self.records,
            execution_id=self.execution_id,
            updated_at=self._updated_at,
        )

    def details(self) -> str:
        return details_of(self.snapshot())
