"""Running rebalancings on scripted venues, and holding what they tell against what flowed."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from temporalio.client import Client, WorkflowHandle

from tests.workflows.conftest import assert_replays
from tests.workflows.execution_fakes import Desk, ExecutionWorld
from tests.workflows.scripted_venue import Answer, Venue, listing
from workflows import names
from workflows.execution_messages import RebalanceSnapshot

ENDS_WITHIN_S = 60
PRICES = {"BTC": Decimal(60_000), "ETH": Decimal(3_000), "SOL": Decimal(150)}
PLAN: dict[str, Any] = {
    "exchanges": ["binance"],
    "targets": {"BTC": "0.5", "ETH": "0.3", "USDT": "0.2"},
}


def venue(name: str, answers: dict[str, list[Answer]] | None = None, **free: str) -> Venue:
    """A venue that trades the assets of `PRICES` against USDT at one price."""
    listings = {
        f"{asset}/USDT": listing(
            name, f"{asset}/USDT", bid=price, ask=price, depth="1000000", step="0.0001"
        )
        for asset, price in PRICES.items()
    }
    balances = {asset: Decimal(amount) for asset, amount in free.items()}
    return Venue(name, listings, answers=answers or {}, free=balances)


def one_venue(answers: dict[str, list[Answer]] | None = None) -> ExecutionWorld:
    """75 % BTC, 15 % ETH, 10 % cash of 40,000 USDT."""
    return ExecutionWorld({"binance": venue("binance", answers, BTC="0.5", ETH="2", USDT="4000")})


@dataclass
class Run:
    """One rebalancing and its world."""

    desk: Desk
    world: ExecutionWorld
    client: Client
    plan: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"reb-{uuid.uuid4().hex[:12]}")
    handle: WorkflowHandle[Any, RebalanceSnapshot] | None = None

    async def start(self) -> "Run":
        """Start it; its world answers from now on."""
        self.desk.worlds[self.id] = self.world
        self.handle = await self.client.start_workflow(
            "Rebalance",
            PLAN | self.plan,
            id=self.id,
            task_queue=names.ORDERS_QUEUE,
            result_type=RebalanceSnapshot,
        )
        return self

    @property
    def workflow(self) -> WorkflowHandle[Any, RebalanceSnapshot]:
        assert self.handle is not None, "start it first"
        return self.handle

    async def until_did(self, *what: str) -> None:
        """Wait until all of these have happened."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while not set(what) <= set(self.world.did()):
                await asyncio.sleep(0.01)

    async def until_leg(self, leg: str, status: str) -> None:
        """Wait until the workflow itself tells this status of a leg."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while True:
                now = await self.workflow.query(names.PROGRESS, result_type=RebalanceSnapshot)
                if any(view.leg == leg and view.status == status for view in now.orders):
                    return
                await asyncio.sleep(0.01)

    async def end(self) -> RebalanceSnapshot:
        """Its result, which must be true, and its history, which must replay."""
        result = await asyncio.wait_for(self.workflow.result(), ENDS_WITHIN_S)
        assert_true(self.world, result)
        if self.world.saved:
            stored = json.loads(self.world.saved[-1].snapshot)
            assert RebalanceSnapshot.model_validate(stored) == result
        await assert_replays(await self.workflow.fetch_history())
        return result


async def run(desk: Desk, client: Client, world: ExecutionWorld, **plan: Any) -> RebalanceSnapshot:
    """Start a rebalancing and wait for its end."""
    return await (await Run(desk, world, client, plan).start()).end()


def assert_true(world: ExecutionWorld, told: RebalanceSnapshot) -> None:
    """Nothing was broken, nothing overdrawn, and what is told is what the venues executed."""
    assert world.broken == []
    for place in world.venues.values():
        assert all(amount >= 0 for amount in place.free.values()), place.free
    for order in told.orders:
        assert order.filled_amount == world.venues[order.exchange].executed(order.leg)
    fees: dict[str, Decimal] = {}
    for trade in world.trades:
        if names.owner_of(trade.order_id) != told.execution_id:
            continue
        fees[trade.fee_asset] = fees.get(trade.fee_asset, Decimal(0)) + trade.fee
    assert told.fees == fees


def weight(world: ExecutionWorld, asset: str) -> Decimal:
    """The asset's share of all that the venues hold."""
    values: dict[str, Decimal] = {}
    for place in world.venues.values():
        for name, amount in place.free.items():
            values[name] = values.get(name, Decimal(0)) + amount * PRICES.get(name, Decimal(1))
    return values[asset] / sum(values.values())
