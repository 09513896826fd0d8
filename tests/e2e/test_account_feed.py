"""How fills come back: quickly, exactly once, and only to the order that they belong to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from activities.ledger.models import FillRow
from tests.e2e.feed_world import whole_engine
from tests.e2e.proof import assert_ledger_is_exchange, assert_order_is_true
from tests.e2e.world import HEDGE, INSIDE, MAIN, MOVING, STILL, World, until
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

QUICKLY_S = 3.0
"""Far less than the 10 s after which an order looks for itself."""
TRADE_LIST = "/api/v3/myTrades"
TRIES = 5


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _followed(world: World) -> None:
    """Each test begins with a feed: what it proves is quicker than a dead one is missed."""
    await whole_engine(world)


async def test_a_fill_reaches_its_order_through_the_feed_and_not_by_polling(world: World):
    done = await _filled_between_two_readings(world)
    assert done.status is OrderStatus.FILLED
    events = (await world.history(done.order_id)).events
    signals = [e.workflow_execution_signaled_event_attributes.signal_name for e in events]
    reads = [e.activity_task_scheduled_event_attributes.activity_type.name for e in events]
    assert names.EXECUTION_REPORT in signals
    assert "read_child" not in reads
    await assert_order_is_true(world, done)


async def test_an_order_made_by_hand_is_external_and_touches_none_of_ours(world: World):
    ours = await world.rest(quantity="0.2")
    by_hand = await world.hand.create_order(STILL, "limit", "buy", "0.1", str(INSIDE))
    await world.sell("0.25")
    done = await world.finish(ours)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.2"))
    await world.hand.cancel_order(by_hand["id"], STILL)
    await assert_order_is_true(world, done)
    fills = await _fills(world, FillRow.venue_order_id == by_hand["id"])
    assert sum(fill.quantity for fill in fills) == Decimal("0.05")
    assert {(fill.client_order_id, fill.strategy_id) for fill in fills} == {(None, None)}


async def test_a_market_order_made_by_hand_is_booked_as_external(world: World):
    by_hand = await world.hand.create_order(STILL, "market", "buy", "0.03")
    await assert_ledger_is_exchange(world)
    fills = await _fills(world, FillRow.venue_order_id == by_hand["id"])
    assert sum(fill.quantity for fill in fills) == Decimal("0.03")
    assert {fill.client_order_id for fill in fills} == {None}


async def test_an_accounts_first_trade_of_a_symbol_is_booked_also_when_no_worker_saw_it(
    world: World,
):
    traded = (FillRow.account == HEDGE, FillRow.symbol == MOVING)
    assert await _fills(world, *traded) == []
    async with _all_workers_dead(world):
        await world.other.create_order(MOVING, "market", "buy", "0.5")
    await until(lambda: _fills(world, *traded), within_s=20)
    assert sum(fill.quantity for fill in await _fills(world, *traded)) == Decimal("0.5")
    await assert_ledger_is_exchange(world)


async def test_a_cancel_by_hand_at_the_exchange_ends_the_order(world: World):
    placed = await world.rest(quantity="0.1")
    await world.hand.cancel_order(_venue_order_id(world, placed), STILL)
    done = await world.finish(placed, within_s=QUICKLY_S)
    assert (done.status, done.filled_quantity) == (OrderStatus.EXPIRED, Decimal(0))
    assert done.reason.startswith("cancelled at the venue")
    await assert_order_is_true(world, done)


@asynccontextmanager
async def _all_workers_dead(world: World) -> AsyncIterator[None]:
    """SIGKILL them all, and let none come back before the block ends."""
    workers = [name for name in world.stack.parts if name.startswith("worker-")]
    await asyncio.gather(*(world.stack.kill(name) for name in workers))
    await asyncio.gather(*(world.stack.stop_part(name) for name in workers))
    yield
    await asyncio.gather(*(world.stack.start_part(name) for name in workers))


async def _filled_between_two_readings(world: World) -> OrderSnapshot:
    """The end of an order that was told while nobody read the account's trades."""
    for _ in range(TRIES):
        placed = await world.rest(quantity="0.1")
        before = _readings(world)
        await world.sell("0.1")
        done = await world.finish(placed, within_s=QUICKLY_S)
        if _readings(world) == before:
            return done
    raise AssertionError(f"the trades were read in each of {TRIES} tries")


def _readings(world: World) -> int:
    """How often the account's trades were read."""
    asked = (each for each in world.log().requests if each.account == MAIN)
    return sum(each.path == TRADE_LIST for each in asked)


def _venue_order_id(world: World, placed: OrderSnapshot) -> str:
    (judged,) = world.at_exchange(placed)
    return str(judged.order_id)


async def _fills(world: World, *conditions: Any) -> list[Any]:
    query = select(FillRow.__table__).where(*conditions)
    async with world.database.connect() as connection:
        return list(await connection.execute(query))
