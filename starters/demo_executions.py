"""The demo's arbitrages and its rebalancing: plans made from the market as it is.

Rule: nothing is staged but what the screen says. An arbitrage waits a while for a gap that pays;
where none opens it says so and takes the better direction under an explicit bound. A plan that the
engine denies because the market moved meanwhile is made anew, under another id.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from starters.client import DeltaClient
from starters.demo_gap import Gap, Touches
from starters.demo_market import Rules
from starters.demo_orders import STRATEGY, SYMBOL, within
from starters.demo_refusal import refuse_leg
from starters.demo_result import ArbitrageOutcome, DemoFailed, DemoResult, RebalanceOutcome
from starters.demo_show import Screen, price
from starters.demo_show_executions import arbitrage_shown, arbitrage_told, rebalance_shown
from workflows.domain.executions import ExecutionStatus
from workflows.domain.orders import Side
from workflows.execution_messages import ArbitragePlan, ArbitrageSnapshot, RebalancePlan

VALUE = Decimal(5_000)
"""Of an arbitrage, in quote currency."""
MOVED_VALUE = Decimal(20_000)
"""What the rebalancing moves. The accounts hold so much that a price that moves by a basis point
between two readings moves their weights by several thousand."""
LOSS_BPS = Decimal(50)
"""The most that an arbitrage may lose, and its compensation, in 1/10,000 of the buy's value."""
GAP_WITHIN_S = 20.0
ENDS_WITHIN_S = 60.0
TRIES = 8
_FROM, _TO, _CASH = "BTC", "ETH", "USDT"
_LOOK_EVERY_S = 0.25
_BPS = Decimal(10_000)
_CENT, _SHARE = Decimal("0.01"), Decimal("1e-12")

Ready = Callable[[int], Awaitable[ArbitragePlan]]
"""The plan of one try, by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDesk:
    """What the demo trades at both exchanges with. `controls`: their control ports, by name."""

    client: DeltaClient
    touches: Touches
    rules: Rules
    controls: Mapping[str, str]
    screen: Screen
    result: DemoResult

    async def arbitrage(self) -> None:
        """Buy here and sell there: with a profit, if the market has one to give."""
        what = f"{SYMBOL} worth about {price(VALUE)}, bought here and sold there at once"
        self.screen.heading("6  arbitrage", what)
        since = time.monotonic()

        async def ready(number: int) -> ArbitragePlan:
            gap = await self._gap_that_pays(since + GAP_WITHIN_S)
            plan = self._plan(f"demo-arbitrage-{number}", gap)
            self._say(gap, plan, f"no gap paid within {GAP_WITHIN_S:g} s")
            return plan

        plan, done = await self._traded(ready)
        outcome = ArbitrageOutcome(
            name="arbitrage",
            done=done,
            wanted=ExecutionStatus.COMPLETED,
            bound=_bound(plan.buy_price * plan.amount),
            took_s=time.monotonic() - since,
        )
        self._note(outcome)

    async def refused_arbitrage(self) -> None:
        """The same with a sell leg that its exchange refuses: the buy is unwound."""
        self.screen.heading("7  arbitrage", "the same, and the exchange of the sell leg refuses it")
        since = time.monotonic()

        async def ready(number: int) -> ArbitragePlan:
            gap = await self.touches.best()
            plan = self._plan(f"demo-refused-{number}", gap)
            self._say(gap, plan, "no gap pays now")
            seller = gap.sell_exchange
            words = await refuse_leg(self.controls[seller], seller, str(plan.id), Side.SELL.value)
            told = f"told {seller}, through its port for faults, to refuse the sell leg with"
            self.screen.line(told, "bold yellow")
            self.screen.line(words, "yellow")
            return plan

        _, done = await self._traded(ready)
        bought = sum(
            (
                (each.avg_price or 0) * each.filled_amount
                for each in done.orders
                if each.leg == "buy"
            ),
            Decimal(0),
        )
        outcome = ArbitrageOutcome(
            name="refused arbitrage",
            done=done,
            wanted=ExecutionStatus.UNWOUND,
            bound=_bound(bought),
            took_s=time.monotonic() - since,
        )
        self._note(outcome)

    async def rebalance(self) -> None:
        """Move some value from one asset to the other, over both exchanges."""
        what = f"move about {price(MOVED_VALUE)} from {_FROM} to {_TO}, over both exchanges"
        self.screen.heading("8  rebalance", what)
        since = time.monotonic()
        for number in range(1, TRIES + 1):
            plan = await self._shifted(number)
            async with within(ENDS_WITHIN_S, "the rebalancing"):
                placed = await self.client.rebalance(plan)
                done = await self.client.rebalance_result(placed.execution_id)
            if done.orders:
                self.screen.picture(rebalance_shown(done))
                took_s = time.monotonic() - since
                outcome = RebalanceOutcome(name="rebalance", done=done, took_s=took_s)
                self.result.executions.append(outcome)
                return
            why = f"{done.code}: {done.error}" if done.code else "the prices moved it into its band"
            self.screen.line(f"nothing was traded ({why}); once more", "dim")
        raise DemoFailed(f"no rebalancing traded in {TRIES} tries")

    # --- steps ----------------------------------------------------------------------------------

    async def _gap_that_pays(self, until: float) -> Gap:
        """The best direction as soon as it earns something, or at the end of the time for that."""
        with self.screen.waiting("waiting for a gap between the exchanges that pays"):
            while True:
                gap = await self.touches.best()
                if gap.net(VALUE / gap.buy_price) > 0 or time.monotonic() >= until:
                    return gap
                await asyncio.sleep(_LOOK_EVERY_S)

    def _plan(self, execution_id: str, gap: Gap) -> ArbitragePlan:
        """The gap as a plan. One that does not pay says how much it may lose."""
        quantity = self.rules.quantity_worth(VALUE, gap.buy_price)
        net, bound = gap.net(quantity), _bound(gap.buy_price * quantity)
        return ArbitragePlan(
            id=execution_id,
            strategy_id=STRATEGY,
            symbol=SYMBOL,
            buy_exchange=gap.buy_exchange,
            sell_exchange=gap.sell_exchange,
            buy_price=gap.buy_price,
            sell_price=gap.sell_price,
            amount=quantity,
            est_profit=net.quantize(_CENT),
            min_profit=Decimal(0) if net > 0 else -bound,
            min_profit_worst=-bound,
            max_loss_bps=LOSS_BPS,
        )

    def _say(self, gap: Gap, plan: ArbitragePlan, why_not: str) -> None:
        where = (
            f"buy on {gap.buy_exchange} at {price(gap.buy_price)}, "
            f"sell on {gap.sell_exchange} at {price(gap.sell_price)}"
        )
        self.screen.line(f"{where}: {gap.net(plan.amount):+.2f} USDT after fees at the best prices")
        if plan.min_profit < 0:
            told = f"{why_not}: taken all the same, with an explicit min_profit of"
            self.screen.line(f"{told} {price(plan.min_profit)} USDT", "yellow")

    async def _traded(self, ready: Ready) -> tuple[ArbitragePlan, ArbitrageSnapshot]:
        """The end of the first plan that trades. Raises DemoFailed when none does."""
        for number in range(1, TRIES + 1):
            plan = await ready(number)
            async with within(ENDS_WITHIN_S, "the arbitrage"):
                placed = await self.client.execute_arbitrage(plan)
                done = await self.client.arbitrage_result(placed.execution_id)
            if done.status not in (ExecutionStatus.DENIED, ExecutionStatus.FAILED):
                self.screen.picture(arbitrage_shown(done))
                return plan, done
            why = f"{done.code}: {done.error}" if done.code else done.error
            self.screen.line(f"nothing was traded ({why}); once more", "dim")
            await asyncio.sleep(_LOOK_EVERY_S)
        raise DemoFailed(f"no arbitrage traded in {TRIES} tries")

    def _note(self, outcome: ArbitrageOutcome) -> None:
        style = "red" if outcome.failures() else "green"
        profit, alone = arbitrage_told(outcome)
        self.screen.line(profit, style)
        self.screen.line(alone)
        self.result.executions.append(outcome)

    async def _shifted(self, number: int) -> RebalancePlan:
        """Today's weights, with a little more of the one asset and less of the other.

        They come from a preview, which sends nothing; cash gets what the others leave.
        """
        common = {
            "strategy_id": STRATEGY,
            "exchanges": tuple(self.controls),
            "assets": (_FROM, _TO),
            "cash": _CASH,
        }
        asked = {"id": f"demo-weights-{number}", "targets": {_CASH: Decimal(1)}} | common
        now = await self.client.preview_rebalance(RebalancePlan.model_validate(asked))
        if now.code is not None or not now.portfolio_value:
            raise DemoFailed(f"the weights are not known: {now.code} {now.error}")
        share = (MOVED_VALUE / now.portfolio_value).quantize(_SHARE)
        weights = now.weights_before
        targets = {_FROM: weights[_FROM] - share, _TO: weights[_TO] + share}
        plan = {"id": f"demo-rebalance-{number}", "targets": targets, "band_abs": share / 2}
        return RebalancePlan.model_validate(plan | common)


def _bound(value: Decimal) -> Decimal:
    """The most that may be lost on a buy of this value, to the cent."""
    return (value * LOSS_BPS / _BPS).quantize(_CENT)
