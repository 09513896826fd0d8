"""SIGKILL of any part while an order works: the order goes on, once, to the last digit, in time.

The schedules are long enough for a part to come back on a slow machine. What a dead part made a
slice miss is caught up under the cap, and no slice trades outside of its window.
"""

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.api_client import open_client
from tests.e2e.crash_world import Case, cases
from tests.e2e.proof import assert_order_is_true, assert_tasks_never_failed, story_of
from tests.e2e.world import World, until
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot
from workflows.twap_plan import DEFAULT_CAP_MULTIPLE

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

SLICES = 12
INTERVAL_S, WORKER_INTERVAL_S = 1, 3
"""A worker takes longest to come back: it has the most to import."""
SLICE = Decimal("0.01")
JUST_BEFORE = timedelta(milliseconds=50)
END_SLACK = timedelta(seconds=3)
TASK_BEGUN = "workflow_task_started_event_attributes"
PARTS = ("temporal", "postgres", "paper-binance", "api")
FIRST_MISSED, MISSED = 4, 3
BUSY_DIES = 2, 9
SIDES = (Case(order_type="twap", side="buy"), Case(order_type="twap", side="sell"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """When each slice of a TWAP may trade."""

    starts_at: datetime
    interval: timedelta
    slices: int

    @classmethod
    def of(cls, order: OrderSnapshot, interval_s: int, slices: int) -> "Windows":
        assert order.twap is not None
        assert order.twap.next_slice_at is not None
        interval = timedelta(seconds=interval_s)
        passed = interval * order.twap.slices_done
        starts_at = datetime.fromisoformat(order.twap.next_slice_at) - passed
        return cls(starts_at=starts_at, interval=interval, slices=slices)

    def start_of(self, index: int) -> datetime:
        return self.starts_at + self.interval * index

    def is_almost(self, index: int) -> bool:
        """True from just before the slice is due: what is killed then is missing at its start."""
        return datetime.now(UTC) >= self.start_of(index) - JUST_BEFORE

    def slice_at(self, ts_ms: int) -> int:
        elapsed_s = ts_ms / 1000 - self.starts_at.timestamp()
        return math.floor(elapsed_s / self.interval.total_seconds())


async def test_a_twap_completes_in_time_over_the_kill_of_each_part(world: World):
    placed, windows = await _place_twap(world, INTERVAL_S, slices=len(PARTS) * 3 + 4)
    for index, part in enumerate(PARTS):
        await until(lambda: windows.is_almost(3 + 3 * index))  # noqa: B023 - awaited in the turn
        await _kill_and_wait(world, [part])
    await _completes_and_is_told(world, placed, windows)


@pytest.mark.parametrize("case", cases("K15", among=SIDES), ids=str)
async def test_k15_slices_without_the_busy_or_any_worker_are_caught_up_under_the_cap(
    world: World, case
):
    placed, windows = await _place_twap(world, WORKER_INTERVAL_S, case.side)
    await _busy_worker_dies(world, placed, windows, before=BUSY_DIES[0])
    await until(lambda: windows.is_almost(FIRST_MISSED))
    fleet = [name for name in world.stack.parts if name.startswith("worker-")]
    await asyncio.gather(*(world.stack.kill(part) for part in fleet))
    await asyncio.gather(*(world.stack.stop_part(part) for part in fleet))  # or they come back
    await until(lambda: windows.is_almost(FIRST_MISSED + MISSED))
    await asyncio.gather(*(world.stack.start_part(part) for part in fleet))
    await _busy_worker_dies(world, placed, windows, before=BUSY_DIES[1])
    done = await _completes_and_is_told(world, placed, windows)
    assert done.twap is not None
    assert done.twap.slices_late >= MISSED


async def test_a_resting_order_is_filled_after_workers_and_temporal_were_killed(world: World):
    placed = await world.rest(quantity="0.2")
    workers = [name for name in world.stack.parts if name.startswith("worker-")]
    await _kill_and_wait(world, [*workers, "temporal"])
    await world.sell("0.2")
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.2"))
    await assert_order_is_true(world, done)
    await assert_tasks_never_failed(world, done.order_id)


async def _place_twap(
    world: World, interval_s: int, side: str = "buy", slices: int = SLICES
) -> tuple[OrderSnapshot, Windows]:
    placed = await world.place(
        order_type="twap",
        side=side,
        quantity=SLICE * slices,
        twap_slices=slices,
        twap_interval=Decimal(interval_s),
    )
    progress = await world.orders.progress(placed.order_id)
    return placed, Windows.of(progress, interval_s, slices)


async def _completes_and_is_told(
    world: World, placed: OrderSnapshot, windows: Windows
) -> OrderSnapshot:
    done = await _completes_in_time(world, placed, windows)
    async with open_client(world.stack.settings) as api:
        told = (await api.get(f"/api/v1/orders/{done.order_id}")).json()
    assert (told["status"], Decimal(told["filled_quantity"])) == ("filled", SLICE * windows.slices)
    return done


async def _completes_in_time(
    world: World, placed: OrderSnapshot, windows: Windows
) -> OrderSnapshot:
    done = await world.finish(placed)
    assert (done.status, done.remaining_quantity) == (OrderStatus.FILLED, Decimal(0)), (
        f"{done.reason}\n{await story_of(world, done.order_id)}"
    )
    _assert_in_time(world, done, windows)
    await assert_order_is_true(world, done)
    await assert_tasks_never_failed(world, done.order_id)
    return done


def _assert_in_time(world: World, done: OrderSnapshot, windows: Windows) -> None:
    """One order per window, under the cap until the end sweep, and an end on time."""
    orders = sorted(world.at_exchange(done), key=lambda order: order.ts_ms)
    slices = [windows.slice_at(order.ts_ms) for order in orders]
    assert len(slices) == len(set(slices))
    assert slices[-1] < windows.slices
    for index, order in zip(slices, orders, strict=True):
        assert order.quantity <= SLICE * DEFAULT_CAP_MULTIPLE or index == windows.slices - 1
    assert done.updated_at is not None
    assert datetime.fromisoformat(done.updated_at) <= windows.start_of(windows.slices) + END_SLACK


async def _kill_and_wait(world: World, parts: list[str]) -> None:
    await asyncio.gather(*(world.stack.kill(part) for part in parts))
    await asyncio.gather(*(world.stack.wait_healthy(part) for part in parts))


async def _busy_worker_dies(
    world: World, order: OrderSnapshot, windows: Windows, *, before: int
) -> None:
    busy = await _busy_worker(world, order.order_id)
    await until(lambda: windows.is_almost(before))
    await _kill_and_wait(world, [busy])


async def _busy_worker(world: World, order_id: str) -> str:
    """The worker that took the order's newest workflow task, once that is a living one."""
    found: list[str] = []

    async def is_known() -> bool:
        events = (await world.history(order_id)).events
        tasks = [e.workflow_task_started_event_attributes for e in events if e.HasField(TASK_BEGUN)]
        pid = int(tasks[-1].identity.partition("@")[0])  # `pid@host`
        found[:] = [n for n, part in world.stack.parts.items() if part.running and part.pid == pid]
        return bool(found)

    await until(is_known)
    return found[0]
