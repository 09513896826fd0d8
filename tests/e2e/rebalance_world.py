"""Rebalancings over the two still exchanges of `arbitrage_world`, aimed at before they start.

Rule: a plan moves so much value from BTC to ETH and leaves everything else as it is, whatever the
account holds by then. Judged by the exchanges' own logs: one order per leg, and nothing is bought
before everything that was to be sold is over.
"""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from activities.venues.simulator.judge import JudgedOrder
from starters.client import OutcomeUnknown, Unavailable
from tests.e2e.arbitrage_world import BUY_VENUE, SELL_VENUE, Pair
from tests.e2e.world import POLL_S
from workflows import names
from workflows.domain.orders import Side, client_order_id
from workflows.execution_messages import RebalancePlan, RebalanceSnapshot

ENDS_WITHIN_S = 40.0
VENUES = (BUY_VENUE, SELL_VENUE)
_WEIGHT_STEP = Decimal("1e-12")


@dataclass
class Rebalancing:
    """One rebalancing whose legs' ids are known before it starts."""

    pair: Pair
    plan: dict[str, Any]
    id: str = field(default="")

    def __post_init__(self) -> None:
        self.id = self.id or f"reb-{os.getpid()}-{next(self.pair.made)}"

    @property
    def message(self) -> RebalancePlan:
        return RebalancePlan.model_validate(self.plan | {"id": self.id})

    async def preview(self) -> RebalanceSnapshot:
        """What it would trade now, asked under an id of its own."""
        asked = self.message.model_copy(update={"id": f"{self.id}-preview"})
        return await self.pair.world.orders.preview_rebalance(asked)

    async def start(self) -> RebalanceSnapshot:
        """Start it; the verdict."""
        return await self.pair.world.orders.rebalance(self.message)

    async def progress(self) -> RebalanceSnapshot:
        return await self.pair.world.orders.rebalance_status(self.id)

    async def cancel(self, reason: str = "enough") -> RebalanceSnapshot:
        return await self.pair.world.orders.cancel_rebalance(self.id, reason)

    async def end(self) -> RebalanceSnapshot:
        """Its end in time, which must be true at both exchanges."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while True:
                with suppress(Unavailable, OutcomeUnknown):
                    told = await self.pair.world.orders.rebalance_result(self.id)
                    break
                await asyncio.sleep(POLL_S)
        self.judge(told)
        return told

    async def run(self) -> RebalanceSnapshot:
        await self.start()
        return await self.end()

    def child(self, leg: str) -> str:
        """The client order id of this leg's only child."""
        return client_order_id(names.leg_order_id(self.id, leg), 0)

    async def aim(self, venue: str, leg: str, fault: str, **options: Any) -> int:
        """A fault at this leg's child; the rule's id."""
        return await self.pair.control(venue).add(fault, client_order_id=self.child(leg), **options)

    async def refuse(self, venue: str, leg: str) -> None:
        """Its exchange refuses this leg for good."""
        await self.aim(venue, leg, "refuse", purpose="submit")

    def at(self, venue: str, leg: str) -> list[JudgedOrder]:
        """What the exchange's log has under this leg's id."""
        return self.pair.log(venue).orders_named(self.child(leg))

    def judge(self, told: RebalanceSnapshot) -> None:
        """Each leg is at most one order, and executed there what is told of it."""
        for order in told.orders:
            made = self.at(order.exchange, order.leg)
            assert len(made) <= 1, f"{order.leg} is {len(made)} orders"
            assert order.filled_amount == (made[0].executed if made else 0), order.leg
            assert not any(each.is_open for each in made), f"{order.leg} is open"


def arrivals_ms(work: Rebalancing, told: RebalanceSnapshot, side: Side) -> list[int]:
    """When the orders of one side arrived at their exchanges, which share this machine's clock."""
    return [
        made.ts_ms
        for order in told.orders
        if order.side is side
        for made in work.at(order.exchange, order.leg)
    ]


async def shifting(pair: Pair, value: int, **plan: Any) -> Rebalancing:
    """A plan that moves this value (USDT) from BTC to ETH over both exchanges."""
    look = Rebalancing(pair, {"exchanges": VENUES, "targets": {"BTC": "0", "ETH": "0"}})
    now = await look.preview()
    assert now.portfolio_value, f"{now.code}: {now.error}"
    share = value / now.portfolio_value
    targets = {
        "BTC": now.weights_before["BTC"] - share,
        "ETH": now.weights_before["ETH"] + share,
    }
    rounded = {
        asset: str(weight.quantize(_WEIGHT_STEP, ROUND_HALF_EVEN))
        for asset, weight in targets.items()
    }
    return Rebalancing(pair, {"exchanges": VENUES, "targets": rounded} | plan)


def cash_of(told: RebalanceSnapshot) -> Decimal:
    """All the cash that there was before."""
    assert told.portfolio_value is not None
    return told.weights_before["USDT"] * told.portfolio_value
