"""A worker or its connection dies in the middle of booking: every fill is in the books once.

The rows are named as in the tables of crash points and of infrastructure faults. A booking is cut
off by SIGKILL, by the end of its database connection, or by the end of all of them. Judged by
the exchange's own log, and by positions that are the sum of its trades.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import psutil
import pytest
import pytest_asyncio
from sqlalchemy import func, select, text

from activities.ledger.models import FillRow, PostingRow
from activities.ledger.view_positions import PositionViews
from tests.e2e.crash_world import Processes, armed, workers
from tests.e2e.feed_world import (
    CATCH_UP_S,
    HEARTBEAT_S,
    PART,
    QUANTITY,
    SLACK_S,
    Resting,
    both_sides,
    end_filled,
    feed_pid,
    rest,
    resting,
    whole_engine,
)
from tests.e2e.proof import assert_ledger_is_exchange
from tests.e2e.world import MAIN, STILL, VENUE, World, until
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

TAKEN_OVER_S = HEARTBEAT_S + CATCH_UP_S + SLACK_S
POOL_BACK_S = 5.0
STORMS, STORM_EVERY_S = 8, 0.25


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def calm(world: World) -> AsyncIterator[None]:
    """Each row begins and ends with a whole engine and an undisturbed exchange."""
    await whole_engine(world)
    yield
    await world.faults.clear()
    await whole_engine(world)


async def test_k12_what_filled_in_part_while_the_workers_were_dead_is_booked_once(world: World):
    orders = await both_sides(world)
    fleet = workers(world)
    await asyncio.gather(*(world.stack.kill(name) for name in fleet))
    await asyncio.gather(*(world.stack.stop_part(name) for name in fleet))
    for _ in range(2):
        await asyncio.gather(*(order.fill(PART / 2) for order in orders))
    await asyncio.gather(*(world.stack.start_part(name) for name in fleet))
    for order in orders:
        await until(lambda: _booked(world, order, 2), TAKEN_OVER_S)  # noqa: B023 - awaited here
        assert await _held(world, order) == await _judged(world, order)
    await asyncio.gather(*(order.fill() for order in orders))
    await end_filled(orders, SLACK_S)
    for order in orders:
        await _is_booked_once(world, order, fills=3)


async def test_k13_a_booking_is_whole_or_not_at_all_when_its_worker_dies(world: World):
    order = resting(world, "buy")
    await rest(order)
    processes, key = Processes(world), f"fill.mid_tx[{order.child}]"
    with armed(world, f"{key}:kill"):
        await order.fill()
        await processes.killed_at(key)
        await end_filled([order], TAKEN_OVER_S)
    await _is_booked_once(world, order)


async def test_k13_a_booking_is_whole_or_not_at_all_when_its_connection_dies(world: World):
    order = resting(world, "sell")
    await rest(order)
    key = f"fill.mid_tx[{order.child}]"
    with armed(world, f"{key}:stop"):
        await order.fill()
        async with Processes(world).stopped_at(key) as worker:
            assert await _rows_of(world, order) == (0, 0)
            assert await _held(world, order) == 0
            assert await _end_transactions_of(world, worker.pid) == 1
        await end_filled([order], TAKEN_OVER_S)
    await _is_booked_once(world, order)


async def test_k14_a_fill_that_was_booked_and_is_read_again_is_not_booked_again(world: World):
    order = resting(world, "buy")
    await rest(order)
    (judged,) = world.log().orders_named(order.child)
    processes, key = Processes(world), f"fill.before_cursor[{judged.order_id}]"
    with armed(world, f"{key}:kill"):
        await order.fill(PART)
        await until(lambda: _booked(world, order), SLACK_S)
        await world.faults.act("stream", mode="cut", account=MAIN)  # so it catches up at once
        await processes.killed_at(key)
        assert await _held(world, order) == await _judged(world, order)
        await order.fill()
        await end_filled([order], TAKEN_OVER_S)
    await _is_booked_once(world, order, fills=2)


async def test_e3_ended_connections_are_replaced_in_time_and_no_fill_is_lost(world: World):
    feed = await feed_pid(world)
    orders = await both_sides(world)
    ended = 0
    for _ in range(STORMS):
        await asyncio.gather(*(order.fill(QUANTITY / STORMS) for order in orders))
        ended += await _end_all_connections(world)
        await asyncio.sleep(STORM_EVERY_S)
    began = time.monotonic()
    assert ended >= STORMS, "hardly anything was connected"
    placed = await _accepted(world)
    print(f"{ended} connections ended; an order accepted {time.monotonic() - began:.1f} s later")
    assert (await world.finish(placed)).status is OrderStatus.FILLED
    await end_filled(orders, CATCH_UP_S + SLACK_S)
    assert psutil.pid_exists(feed), "a lost connection ends no worker"
    for order in orders:
        await _is_booked_once(world, order, fills=STORMS)


# --- helpers --------------------------------------------------------------------------------------


async def _is_booked_once(world: World, order: Resting, fills: int = 1) -> None:
    """As many fills as the exchange's log has, each with its postings, and the position of all."""
    booked, posted = await _rows_of(world, order)
    assert booked == len(world.log().trades_named(order.child)) == fills
    assert posted >= 2 * fills
    assert await _held(world, order) == await _judged(world, order)
    await assert_ledger_is_exchange(world)


async def _booked(world: World, order: Resting, fills: int = 1) -> bool:
    booked, _ = await _rows_of(world, order)
    return booked >= fills


async def _rows_of(world: World, order: Resting) -> tuple[int, int]:
    """How many fills of the order the ledger has, and how many postings."""
    fills = select(FillRow.id).where(FillRow.client_order_id == order.child)
    query = select(
        select(func.count()).select_from(fills.subquery()).scalar_subquery(),
        select(func.count()).where(PostingRow.fill_id.in_(fills)).scalar_subquery(),
    )
    async with world.database.connect() as connection:
        booked, posted = (await connection.execute(query)).one()
    return booked, posted


async def _held(world: World, order: Resting) -> Decimal:
    """Base units that the order's strategy holds by our books."""
    assert order.request.strategy_id is not None
    views = PositionViews(world.database)
    position = await views.position(order.request.strategy_id, VENUE, STILL)
    return Decimal(0) if position is None else position.quantity


async def _judged(world: World, order: Resting) -> Decimal:
    """The same by the exchange's log, net of fees in the base asset."""
    total, base = Decimal(0), STILL.partition("/")[0]
    for trade in world.log().trades_named(order.child):
        total += trade.quantity if trade.side.lower() == "buy" else -trade.quantity
        total -= trade.fee if trade.fee_asset == base else 0
    return total


async def _end_transactions_of(world: World, pid: int) -> int:
    """End the connections in which a process has a transaction open; how many they were."""
    return await _end(world, "state = 'idle in transaction' AND client_port = ANY(:ports)", pid)


async def _end_all_connections(world: World) -> int:
    """End every connection of the engine, and none of this test's; how many they were."""
    return await _end(world, "usename = current_user AND client_port <> ALL(:ports)", os.getpid())


async def _end(world: World, which: str, pid: int) -> int:
    """`ports` are those of the process."""
    ports = [each.laddr.port for each in psutil.Process(pid).net_connections("tcp")]
    query = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {which}"
    async with world.database.connect() as connection:
        return int((await connection.execute(text(query), {"ports": ports})).scalar_one())


async def _accepted(world: World) -> OrderSnapshot:
    """A market order; it is asked again until the engine can say yes."""
    async with asyncio.timeout(POOL_BACK_S):
        while (placed := await world.place()).code is not None:
            await asyncio.sleep(0.1)
    return placed
