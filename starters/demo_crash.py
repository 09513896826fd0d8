"""Kills the worker that works an order, and finds out from the order's history who went on.

Rule: the history decides who the busy worker is: the identity on its last workflow task names the
process. Times are the server's own, which runs on this machine.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from starters.demo_result import Crash, DemoFailed
from workers.local_stack import LocalStack
from workflows.messages import OrderSnapshot

_IDENTITY = re.compile(r"(\d+)@")
_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashInProgress:
    """A worker that was just killed. `due_at` is when the next slice should start."""

    order_id: str
    slice_number: int
    worker: str
    pid: int
    at: datetime
    due_at: datetime
    workers: dict[int, str]
    """All workers by process id, at the moment of the kill."""


class Killer:
    """Knows the stack's processes and reads the histories of its orders."""

    def __init__(self, stack: LocalStack, temporal: Client) -> None:
        self._stack = stack
        self._temporal = temporal

    def since_start_s(self) -> float:
        """Seconds since this process was started."""
        return datetime.now(UTC).timestamp() - psutil.Process().create_time()

    async def history_url(self, order_id: str) -> str:
        """The page of the order's history."""
        settings = self._stack.settings
        run = (await self._temporal.get_workflow_handle(order_id).describe()).run_id
        space = f"{settings.temporal_ui}/namespaces/{settings.temporal_namespace}"
        return f"{space}/workflows/{order_id}/{run}/history"

    async def kill_worker_of(self, order: OrderSnapshot) -> CrashInProgress:
        """SIGKILL the worker that completed the order's last workflow task."""
        workers = self._workers()
        pids = [_pid(event) for event in await self._tasks(order.order_id)]
        pid = pids[-1] if pids else None
        if pid not in workers:
            raise DemoFailed(f"no worker of this stack works order {order.order_id}")
        await self._stack.kill(workers[pid])
        at = datetime.now(UTC)
        return CrashInProgress(
            order_id=order.order_id,
            slice_number=order.twap.slices_sent if order.twap else 0,
            worker=workers[pid],
            pid=pid,
            at=at,
            due_at=_next_due(order) or at,
            workers=workers,
        )

    async def what_followed(self, killed: CrashInProgress, *, went_on: bool) -> Crash:
        """Who took the order over and how soon.

        Call it when the next slice has just been sent (`went_on`), or when the order ended so.
        """
        now = datetime.now(UTC)
        later = [
            event
            for event in await self._tasks(killed.order_id)
            if _time(event) > killed.at and _pid(event) != killed.pid
        ]
        if not later:
            raise DemoFailed("the order went on, but its history does not say by whom")
        names = killed.workers | self._workers()
        next_pid = _pid(later[0]) or 0
        return Crash(
            slice_number=killed.slice_number,
            worker=killed.worker,
            pid=killed.pid,
            taken_over_by=names.get(next_pid, "a worker"),
            taken_over_pid=next_pid,
            takeover_s=round((_time(later[0]) - killed.at).total_seconds(), 3),
            next_slice_s=round((now - killed.at).total_seconds(), 3) if went_on else None,
            next_slice_due_s=round(max(0.0, (killed.due_at - killed.at).total_seconds()), 3),
        )

    def _workers(self) -> dict[int, str]:
        parts = self._stack.parts.items()
        return {
            part.pid: name for name, part in parts if name.startswith("worker-") and part.running
        }

    async def _tasks(self, order_id: str) -> Sequence[HistoryEvent]:
        """The workflow tasks that were completed, oldest first."""
        history = await self._temporal.get_workflow_handle(order_id).fetch_history()
        return [event for event in history.events if event.event_type == _COMPLETED]


def _pid(event: HistoryEvent) -> int | None:
    match = _IDENTITY.match(event.workflow_task_completed_event_attributes.identity)
    return int(match.group(1)) if match else None


def _time(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)


def _next_due(order: OrderSnapshot) -> datetime | None:
    """When the slice after those that were sent should start."""
    twap = order.twap
    if twap is None or twap.next_slice_at is None:
        return None
    ahead = float(twap.spacing_s) * (twap.slices_sent - twap.slices_done)
    return datetime.fromisoformat(twap.next_slice_at) + timedelta(seconds=ahead)
