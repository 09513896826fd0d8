"""Running arbitrages on scripted venues, and holding what they tell against what really flowed."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import Client, WorkflowHandle

from tests.workflows.conftest import assert_replays
from tests.workflows.execution_fakes import Desk, ExecutionWorld
from tests.workflows.scripted_venue import SYMBOL, ZERO, Answer, Venue, listing
from workflows import names
from workflows.domain.exact import exact
from workflows.execution_messages import ArbitrageSnapshot, LegOrderView

BUY_VENUE, SELL_VENUE = "binance", "okx"
AMOUNT = Decimal("0.1")
ENDS_WITHIN_S = 60
PLAN: dict[str, Any] = {
    "symbol": SYMBOL,
    "buy_exchange": BUY_VENUE,
    "sell_exchange": SELL_VENUE,
    "buy_price": "50000",
    "sell_price": "50500",
    "amount": str(AMOUNT),
}
"""A gap of 1 %: both fees are paid five times over."""


def two_venues(
    buy: dict[str, list[Answer]] | None = None, sell: dict[str, list[Answer]] | None = None
) -> ExecutionWorld:
    """The buy venue at 49,990 to 50,000, the sell venue at 50,500 to 50,510, scripted by leg."""
    cheap = listing(BUY_VENUE, bid="49990", ask="50000")
    dear = listing(SELL_VENUE, bid="50500", ask="50510")
    return ExecutionWorld(
        {
            BUY_VENUE: Venue(BUY_VENUE, {SYMBOL: cheap}, answers=buy or {}),
            SELL_VENUE: Venue(SELL_VENUE, {SYMBOL: dear}, answers=sell or {}),
        }
    )


@dataclass
class Run:
    """One arbitrage and its world."""

    desk: Desk
    world: ExecutionWorld
    client: Client
    plan: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"arb-{uuid.uuid4().hex[:12]}")
    handle: WorkflowHandle[Any, ArbitrageSnapshot] | None = None

    async def start(self) -> "Run":
        """Start it; its world answers from now on."""
        self.desk.worlds[self.id] = self.world
        self.handle = await self.client.start_workflow(
            "Arbitrage",
            PLAN | self.plan,
            id=self.id,
            task_queue=names.ORDERS_QUEUE,
            result_type=ArbitrageSnapshot,
        )
        return self

    @property
    def workflow(self) -> WorkflowHandle[Any, ArbitrageSnapshot]:
        assert self.handle is not None, "start it first"
        return self.handle

    async def progress(self) -> ArbitrageSnapshot:
        return await self.workflow.query(names.PROGRESS, result_type=ArbitrageSnapshot)

    async def until_did(self, *what: str) -> None:
        """Wait until all of these have happened."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while not set(what) <= set(self.world.did()):
                await asyncio.sleep(0.01)

    async def until_leg(self, leg: str, status: str) -> LegOrderView:
        """Wait until the workflow itself tells this status of a leg."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while True:
                for view in (await self.progress()).orders:
                    if view.leg == leg and view.status == status:
                        return view
                await asyncio.sleep(0.01)

    async def until_resting(self, leg: str) -> None:
        """Wait until the workflow itself tells that the venue has this leg's order."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while True:
                orders = (await self.progress()).orders
                if any(each.leg == leg and each.exchange_order_id for each in orders):
                    return
                await asyncio.sleep(0.01)

    async def fill(self, venue: str, leg: str, quantity: str | None = None) -> None:
        """The market trades with a resting leg, and the account feed tells of it."""
        report = self.world.venues[venue].fill(leg, quantity)
        await self.workflow.signal(names.EXECUTION_REPORT, report)

    async def end(self) -> ArbitrageSnapshot:
        """Its result, which must be true, and its history, which must replay."""
        result = await asyncio.wait_for(self.workflow.result(), ENDS_WITHIN_S)
        assert_true(self.world, result)
        if self.world.saved:
            stored = json.loads(self.world.saved[-1].snapshot)
            assert ArbitrageSnapshot.model_validate(stored) == result
        await assert_replays(await self.workflow.fetch_history())
        return result

    def seconds_between(self, first: str, second: str) -> float:
        """From one step to another, by Temporal's clock."""
        return (self.world.when(second) - self.world.when(first)) / timedelta(seconds=1)


def assert_true(world: ExecutionWorld, told: ArbitrageSnapshot) -> None:
    """Nothing was broken, and what is told is what the venues executed, to the last digit."""
    assert world.broken == [], world.broken
    for order in told.orders:
        executed = world.venues[order.exchange].executed(order.leg)
        assert order.filled_amount == executed, f"{order.leg} executed {executed}"
    left = world.exposure()
    assert told.residual_quantity == left, f"told {told.residual_quantity}, left {left}"
    if not world.trades:
        assert told.actual_profit is None
        return
    assert told.realised_profit is not None
    assert told.residual_profit is not None
    with exact():
        flowed = world.cash_flow() + told.residual_quantity * (told.residual_mark or ZERO)
        added = told.realised_profit + told.residual_profit
    assert told.actual_profit == flowed, f"told {told.actual_profit}, flowed {flowed}"
    assert told.actual_profit == added, f"told {told.actual_profit}, added {added}"


def hedges(world: ExecutionWorld) -> list[str]:
    """The compensation orders that were sent: `leg side quantity at venue`."""
    return [
        f"{request.intent.order_id.partition(':')[2]} {request.intent.side} "
        f"{request.intent.quantity.normalize():f} at {request.intent.venue}"
        for request in world.submits
        if "-" in request.intent.order_id.partition(":")[2]
    ]
