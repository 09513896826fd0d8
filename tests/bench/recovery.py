"""How soon a TWAP goes on when the worker that works it is killed.

Each trial kills that worker at another moment of a slice's interval, and takes the time from the
SIGKILL to the arrival of the order's next child at the exchange; the wait for the next boundary
is a part of it. The worst trial counts. Where a submission was under way at the kill, its outcome
must be proven first, which takes as long as the protocol's figures say: those trials are shown and
not counted.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import EventType

from starters.demo_crash import Killer
from tests.bench.figures import Measure
from tests.bench.rig import POLL_S, BenchError, Rig
from tests.bench.twaps import twap_request
from workflows.domain.orders import client_order_id
from workflows.messages import OrderSnapshot

PHASES_MS = (20, 60, 100, 150, 300, 500, 700, 900)
"""When the worker is killed, after a boundary."""
INTERVAL_S, SLICES = 1, 120
_SLICES_BEFORE = 3
_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One kill. `is_unproven`: a submission was under way."""

    phase_ms: int
    took_s: float
    is_unproven: bool


async def recovery(rig: Rig) -> list[Measure]:
    """SIGKILL of the busy worker to the next child's arrival, the worst of a few trials."""
    trials = []
    with rig.progress("recovery: the busy worker is killed", len(PHASES_MS)) as step:
        for phase_ms in PHASES_MS:
            trials.append(await _trial(rig, phase_ms))
            step()
    for each in trials:
        unproven = "  (a submission was under way: not counted)" if each.is_unproven else ""
        rig.console.print(f"  killed {each.phase_ms} ms after: {each.took_s:.2f} s{unproven}")
    counted = [each.took_s for each in trials if not each.is_unproven]
    if not counted:
        raise BenchError("every kill hit a submission")
    return [Measure(name="recovery_s", value=max(counted), unit="s")]


async def _trial(rig: Rig, phase_ms: int) -> Trial:
    placed = await rig.place(twap_request(rig, SLICES, INTERVAL_S))
    children = [client_order_id(placed.order_id, index) for index in range(SLICES)]
    await _until_sent(rig, children, _SLICES_BEFORE)
    order = await rig.look_at(placed.order_id)
    await asyncio.sleep(_until(order, phase_ms))
    killed = await Killer(rig.stack, rig.temporal).kill_worker_of(order)
    killed_ms = killed.at.timestamp() * 1_000
    await _until_sent(rig, children, 1, since=killed.at)
    took_s = (await _next_arrival(rig, children, killed_ms) - killed_ms) / 1_000
    await rig.orders.cancel(order.order_id)
    await rig.orders.result(order.order_id)
    is_unproven = await _was_submitting(rig, order.order_id, killed.at)
    await rig.stack.wait_healthy(killed.worker)
    return Trial(phase_ms=phase_ms, took_s=took_s, is_unproven=is_unproven)


def _until(order: OrderSnapshot, phase_ms: int) -> float:
    """Seconds until the next time that is `phase_ms` after a boundary."""
    if order.twap is None or order.twap.next_slice_at is None:
        raise BenchError(f"TWAP {order.order_id} is {order.status}: {order.reason}")
    at = datetime.fromisoformat(order.twap.next_slice_at) + timedelta(milliseconds=phase_ms)
    return (at - datetime.now(UTC)).total_seconds() % INTERVAL_S


async def _until_sent(
    rig: Rig, children: list[str], count: int, since: datetime | None = None
) -> None:
    """Wait until so many children were claimed, or claimed after `since`."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            claims = (await rig.claims(children)).values()
            if sum(since is None or at > since for at in claims) >= count:
                return
            await asyncio.sleep(POLL_S)


async def _next_arrival(rig: Rig, children: list[str], after_ms: float) -> float:
    """When the next of the children arrived at the exchange (ms since 1970)."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            arrivals = rig.arrivals_ms()
            later = [arrivals[child] for child in children if arrivals.get(child, 0) > after_ms]
            if later:
                return min(later)
            await asyncio.sleep(POLL_S)


async def _was_submitting(rig: Rig, order_id: str, at: datetime) -> bool:
    """Whether a submission was scheduled before `at` and had not been reported by then."""
    history = await rig.temporal.get_workflow_handle(order_id).fetch_history()
    open_ids: set[int] = set()
    for event in history.events:
        if event.event_time.ToDatetime(tzinfo=UTC) > at:
            break
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            kind = event.activity_task_scheduled_event_attributes.activity_type.name
            open_ids |= {event.event_id} if kind == "submit" else set()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            open_ids.discard(event.activity_task_completed_event_attributes.scheduled_event_id)
    return bool(open_ids)
