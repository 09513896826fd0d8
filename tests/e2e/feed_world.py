"""What the tests of a troubled account feed share: resting orders, and what became of each fill.

Rule: orders rest apart from the market, and trade when the exchange's control port says so. Every
fill is looked for in the exchange's own log first and must then be in the ledger exactly once.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from activities.ledger.models import FillRow
from activities.venues.simulator.judge import JudgedRequest
from starters.client import OutcomeUnknown
from tests.e2e.proof import assert_order_is_true
from tests.e2e.world import FIGURES, MAIN, STILL, VENUE, World, all_ready, until
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.ports import FEED_HEARTBEAT
from workflows.ports.venue import ASK_WITHIN

QUANTITY = Decimal("0.02")
PART = Decimal("0.008")
CATCH_UP_S = float(FIGURES["TRADES_EVERY_S"])
"""What a fill may wait for when the stream does not tell it."""
SLACK_S = 8.0
"""What a busy machine adds."""
HEARTBEAT_S = FEED_HEARTBEAT.total_seconds()
"""How long a dead worker may go unnoticed that held the feed."""
ASKING_S = ASK_WITHIN.total_seconds()
"""How long an order that asks an exchange in vain hears nothing else."""
AT_ONCE = 8
"""Orders that are submitted side by side: more would wait for their verdicts too long."""
_ASK_AT_MOST = 10
SUBSCRIPTION = "userDataStream.subscribe.signature"
APART = {"buy": Decimal(49_000), "sell": Decimal(51_000)}
SIDES = tuple(APART)


@dataclass(frozen=True, slots=True)
class Resting:
    """A limit order of ours that rests, and the id of its child there."""

    world: World
    request: OrderRequest

    @property
    def order_id(self) -> str:
        assert self.request.order_id is not None
        return self.request.order_id

    @property
    def child(self) -> str:
        return client_order_id(self.order_id, 0)

    async def fill(self, quantity: Decimal | None = None) -> None:
        """The market trades with it, wholly unless a quantity is given."""
        await self.world.faults.act("fill", client_order_id=self.child, quantity=quantity)

    async def ends(self, within_s: float) -> OrderSnapshot:
        """How it ended."""
        known = OrderSnapshot(order_id=self.order_id, status=OrderStatus.WORKING)
        return await self.world.finish(known, within_s)

    async def ends_filled(self, within_s: float) -> OrderSnapshot:
        """It ends filled, by fills that are booked exactly once, and all books agree."""
        done = await self.ends(within_s)
        assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, self.request.quantity)
        await assert_order_is_true(self.world, done)
        return done


async def end_filled(orders: Iterable[Resting], within_s: float) -> None:
    """All end filled; the books are compared when the last has ended, since they are of all."""
    orders = list(orders)
    await asyncio.gather(*(order.ends(within_s) for order in orders))
    for order in orders:
        await order.ends_filled(within_s)


def resting(world: World, side: str, **fields: Any) -> Resting:
    """An order apart from the market; `rest` sends it."""
    defaults = {"order_type": "limit", "side": side, "price": APART[side], "quantity": QUANTITY}
    return Resting(world, world.request(**defaults | fields))


async def rest(*orders: Resting) -> None:
    """Send them all, and wait until each is in the exchange's book."""
    assert await rest_accepted(*orders) == list(orders)


async def rest_accepted(*orders: Resting) -> list[Resting]:
    """As `rest`, without those that a busy engine could not accept in time, and so denied."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def is_accepted(order: Resting) -> bool:
        async with gate:
            return (await _verdict(order)).code is None

    verdicts = await asyncio.gather(*map(is_accepted, orders))
    accepted = [order for order, yes in zip(orders, verdicts, strict=True) if yes]
    wanted = {order.child for order in accepted}
    world = orders[0].world

    async def all_rest() -> bool:
        log = await asyncio.to_thread(world.log)
        return wanted <= {order.client_order_id for order in log.orders.values() if order.is_open}

    await until(all_rest, within_s=60)
    return accepted


async def _verdict(order: Resting) -> OrderSnapshot:
    """The same order submitted again has the same verdict: one that is late is asked for again."""
    for _ in range(_ASK_AT_MOST):
        with suppress(OutcomeUnknown):
            return await order.world.orders.submit(order.request)
    raise AssertionError(f"no verdict on {order.order_id}")


async def both_sides(world: World) -> list[Resting]:
    """A buy and a sell at rest."""
    orders = [resting(world, side) for side in SIDES]
    await rest(*orders)
    return orders


async def external_fills(world: World, client_id: str) -> list[Any]:
    """The ledger's fills of an order made by hand, named by its client id at the exchange."""
    (judged,) = world.log().orders_named(client_id)
    query = select(FillRow.__table__).where(FillRow.venue_order_id == str(judged.order_id))
    async with world.database.connect() as connection:
        return list(await connection.execute(query))


async def whole_engine(world: World) -> None:
    """Every part runs, the accounts may trade, and somebody follows ours."""
    await asyncio.gather(*(world.stack.wait_healthy(name) for name in world.stack.parts))
    await until(lambda: all_ready(world), within_s=30)
    await feed_pid(world)


async def feed_pid(world: World, account: str = MAIN) -> int:
    """The worker process that follows the account now."""
    found: list[int] = []

    async def is_known() -> bool:
        handle = world.temporal.get_workflow_handle(names.account_feed_id(VENUE, account))
        pending = (await handle.describe()).raw_description.pending_activities
        living = {part.pid for part in world.stack.parts.values() if part.running}
        found[:] = [
            pid
            for activity in pending
            if activity.HasField("last_started_time") and activity.last_worker_identity
            if (pid := int(activity.last_worker_identity.partition("@")[0])) in living
            if activity.HasField("last_heartbeat_time")
        ]
        return bool(found)

    await until(is_known, within_s=30)
    return found[0]


def requests_of(world: World, since: int, account: str = MAIN) -> list[JudgedRequest]:
    """The account's requests in the exchange's log behind the first `since` records."""
    return [each for each in world.log().requests[since:] if each.account == account]


def subscriptions(requests: list[JudgedRequest]) -> int:
    """How often the account entered its private stream."""
    return sum(each.path == SUBSCRIPTION and each.status == 200 for each in requests)


async def place_by_hand(world: World, client_id: str, side: str = "buy") -> None:
    """Somebody places an order of this account on the exchange's page."""
    await world.faults.act(
        "place",
        account=MAIN,
        symbol=STILL,
        side=side,
        quantity=QUANTITY,
        price=APART[side],
        client_order_id=client_id,
    )
