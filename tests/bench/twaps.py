"""TWAPs: how late their slices are claimed when 200 run at once, and what a slice costs.

Lateness is the time from a slice's boundary to its claim, the last step before the first byte.
The first slice has no timer and does not count. A slice that was never claimed counts as one whole
interval late, and so do the slices of a TWAP that was denied for lack of time. The bare timers run
before and after the TWAPs, not beside them: beside them they would be slowed down by what they are
compared with.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from tests.bench import bare
from tests.bench.figures import Measure, p50_and_p99
from tests.bench.rig import BenchError, DeniedError, Rig
from workflows.domain.denials import DenialCode
from workflows.domain.orders import client_order_id
from workflows.messages import OrderRequest

AT_ONCE = 200
INTERVAL_S = 30
SLICES = 3
SLICE = Decimal("0.001")
EVENTS_TWAPS, EVENTS_SLICES = 3, 8
_MILLISECOND = timedelta(milliseconds=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A TWAP under way."""

    order_id: str
    starts_at: datetime


async def twap_lateness(rig: Rig) -> list[Measure]:
    """200 TWAPs whose starts are spread over one interval; bare timers spread the same way."""
    what = f"TWAP lateness: {AT_ONCE} bare timers, {AT_ONCE} TWAPs, the timers again"
    with rig.progress(what, 3 * AT_ONCE) as step:
        timers = await _spread(_timer, rig, step)
        running = [each for each in await _spread(_twap, rig, step) if each is not None]
        await asyncio.gather(*(rig.orders.result(each.order_id) for each in running))
        timers += await _spread(_timer, rig, step)
    bare_late = [late for each in timers for late in each]
    return p50_and_p99("twap_lateness", await _lateness_ms(rig, running), bare_late)


async def _spread(
    work: Callable[[Rig], Awaitable[T]], rig: Rig, step: Callable[[], object]
) -> list[T]:
    """Begin AT_ONCE pieces of work, evenly over one interval; what they came to."""

    async def one(number: int) -> T:
        await asyncio.sleep(number * INTERVAL_S / AT_ONCE)
        result = await work(rig)
        step()
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(AT_ONCE)]
    return [task.result() for task in tasks]


async def _timer(rig: Rig) -> list[float]:
    rig.made += 1
    return await rig.temporal.execute_workflow(
        bare.BareTimer.run,
        args=[INTERVAL_S, 1],
        id=f"bench-{os.getpid()}-timer-{rig.made}",
        task_queue=bare.QUEUE,
    )


async def _twap(rig: Rig) -> Running | None:
    """Start a TWAP and learn when its schedule began; None when the machine is too slow for it."""
    try:
        placed = await rig.place(twap_request(rig, SLICES, INTERVAL_S))
    except DeniedError as error:
        if error.code is not DenialCode.NOT_ACCEPTED_IN_TIME:
            raise
        return None
    order = await rig.look_at(placed.order_id)
    if order.twap is None or order.twap.next_slice_at is None:
        raise BenchError(f"TWAP {order.order_id} is {order.status}: {order.code} {order.reason}")
    passed = timedelta(seconds=INTERVAL_S * order.twap.slices_done)
    starts_at = datetime.fromisoformat(order.twap.next_slice_at) - passed
    return Running(order_id=order.order_id, starts_at=starts_at)


def twap_request(rig: Rig, slices: int, interval_s: int) -> OrderRequest:
    """A TWAP of equal small slices."""
    return rig.request(
        order_type="twap", quantity=SLICE * slices, twap_slices=slices, twap_interval=interval_s
    )


async def _lateness_ms(rig: Rig, running: Sequence[Running]) -> list[float]:
    """Boundary to claim of every slice that a timer began."""
    claims = await rig.claims(_children(running))
    late, missed = [], 0
    for twap in running:
        own = sorted(claims[child] for child in _children([twap]) if child in claims)
        for index in range(1, SLICES):
            due = twap.starts_at + timedelta(seconds=INTERVAL_S * index)
            ends = due + timedelta(seconds=INTERVAL_S)
            claimed = next((at for at in own if due <= at < ends), None)
            missed += claimed is None
            late.append(((claimed or ends) - due) / _MILLISECOND)
    denied = (AT_ONCE - len(running)) * (SLICES - 1)
    if missed or denied:
        rig.console.print(f"{missed} slices were not claimed in their window, {denied} were denied")
    return late + denied * [INTERVAL_S * 1_000.0]


def _children(running: Sequence[Running]) -> list[str]:
    return [client_order_id(each.order_id, index) for each in running for index in range(SLICES)]


async def events_per_slice(rig: Rig) -> list[Measure]:
    """Events of the history from one slice's submission to the next one's, averaged."""
    with rig.progress("events per slice: a few short TWAPs", EVENTS_TWAPS) as step:
        counts: list[int] = []
        for _ in range(EVENTS_TWAPS):
            placed = await rig.place(twap_request(rig, EVENTS_SLICES, 1))
            await rig.orders.result(placed.order_id)
            history = await rig.temporal.get_workflow_handle(placed.order_id).fetch_history()
            counts += between_submissions(history.events)
            step()
    if not counts:
        raise BenchError("no TWAP sent two slices")
    return [Measure(name="events_per_slice", value=sum(counts) / len(counts), unit="events")]


def between_submissions(events: Sequence[HistoryEvent]) -> list[int]:
    """How many events lie from each submission to the next."""
    submissions = [
        event.event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == "submit"
    ]
    return [later - earlier for earlier, later in pairwise(submissions)]
