"""The task queues: what waits in each, since when, who serves it, and how fast it may go.

Temporal's server counts the backlog, approximately, and by priority; the ledger knows nothing of
it. A queue whose server gives no figure says so with null, never with 0.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from google.protobuf.duration_pb2 import Duration
from pydantic import BaseModel, Field
from temporalio.api.enums.v1 import RateLimitSource, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue, TaskQueueStats
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from starters.connections import Connections
from starters.errors import Unavailable
from workers.settings import Settings
from workflows import names
from workflows.fields import Amount

ASK_WAIT = timedelta(seconds=3)
POLLED_WITHIN_S = 70
"""A poll lasts a minute: a poller that was not seen for longer is gone."""
_PRIORITIES = range(1, 6)
_NANOS = Decimal(10) ** -9
_KINDS = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


class Backlog(BaseModel):
    """What waits for a worker."""

    backlog: int = Field(description="tasks that wait, as the server counts, approximately")
    oldest_age_s: Amount | None = Field(description="how long the first has waited; null: none")


class PriorityBacklog(Backlog):
    """What waits of one priority."""

    priority: int = Field(description="1 (first) to 5")


class Poller(BaseModel):
    """One worker that asks the queue for tasks."""

    identity: str
    last_seen_at: datetime


class QueueStatus(Backlog):
    """One task queue, for tasks of one kind."""

    queue: str
    kind: str = Field(description="workflow or activity")
    exchange: str | None = Field(description="whose account it serves; null: the engine's own")
    account: str | None
    pollers: list[Poller]
    tasks_added_per_s: Amount | None
    tasks_done_per_s: Amount | None
    rate_limit_per_s: Amount | None = Field(description="null: none is set")
    priorities: list[PriorityBacklog] = Field(description="empty: the server does not tell them")


class QueuesStatus(BaseModel):
    """Every task queue of the engine."""

    queues: list[QueueStatus]


async def queue_status(
    connections: Connections, settings: Settings, *, accounts: frozenset[str] | None = None
) -> QueuesStatus:
    """All of them now; those of the `accounts` that the caller sees. Raises Unavailable."""
    client = (await connections.orders()).temporal
    asked = [
        _describe(client, settings, queue, kind, place)
        for queue, kind, place in _queues(settings)
        if place is None or accounts is None or place[1] in accounts
    ]
    return QueuesStatus(queues=list(await asyncio.gather(*asked)))


_Place = tuple[str, str] | None


def _queues(settings: Settings) -> list[tuple[str, str, _Place]]:
    """Name, kind of task, and whose account each serves."""
    found: list[tuple[str, str, _Place]] = [
        (names.ORDERS_QUEUE, "workflow", None),
        (names.ORDERS_QUEUE, "activity", None),
    ]
    for exchange in settings.exchanges:
        for account in settings.accounts(exchange):
            place = (exchange, account)
            found.append((names.venue_queue(*place), "activity", place))
            found.append((names.venue_data_queue(*place), "activity", place))
    return found


async def _describe(
    client: Client, settings: Settings, queue: str, kind: str, place: _Place
) -> QueueStatus:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=_KINDS[kind],
        report_stats=True,
        report_config=True,
    )
    try:
        told = await client.workflow_service.describe_task_queue(request, timeout=ASK_WAIT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise Unavailable(f"Temporal gives no answer: {error.message}") from error
        told = DescribeTaskQueueResponse()  # nobody ever asked for this queue
    exchange, account = place or (None, None)
    own = None
    if place is not None and queue == names.venue_queue(*place):
        own = settings.venue(*place).rate_limit
    return QueueStatus(
        queue=queue,
        kind=kind,
        exchange=exchange,
        account=account,
        pollers=_pollers(told),
        tasks_added_per_s=_rate(told.stats.tasks_add_rate) if told.HasField("stats") else None,
        tasks_done_per_s=_rate(told.stats.tasks_dispatch_rate) if told.HasField("stats") else None,
        rate_limit_per_s=_limit(told, own),
        priorities=_by_priority(told),
        **_backlog(told.stats),
    )


def _pollers(told: DescribeTaskQueueResponse) -> list[Poller]:
    since = datetime.now(UTC) - timedelta(seconds=POLLED_WITHIN_S)
    seen = [
        Poller(identity=each.identity, last_seen_at=each.last_access_time.ToDatetime(tzinfo=UTC))
        for each in told.pollers
    ]
    return sorted(
        (each for each in seen if each.last_seen_at >= since), key=lambda each: each.identity
    )


def _by_priority(told: DescribeTaskQueueResponse) -> list[PriorityBacklog]:
    stats = told.stats_by_priority_key
    if not stats:
        return []
    return [
        PriorityBacklog(priority=each, **_backlog(stats.get(each, None))) for each in _PRIORITIES
    ]


def _backlog(stats: TaskQueueStats | None) -> dict[str, Any]:
    if stats is None or not stats.approximate_backlog_count:
        return {"backlog": 0, "oldest_age_s": None}
    return {
        "backlog": stats.approximate_backlog_count,
        "oldest_age_s": _seconds(stats.approximate_backlog_age),
    }


def _seconds(duration: Duration) -> Decimal:
    return round(Decimal(duration.seconds) + duration.nanos * _NANOS, 3)


def _limit(told: DescribeTaskQueueResponse, own: Decimal | None) -> Decimal | None:
    """The limit that somebody set for the queue, else the one that our workers name when they poll.

    The server's own default is none of ours: it is there to protect the server.
    """
    limit = told.effective_rate_limit
    is_set = limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_API
    return _rate(limit.requests_per_second) if is_set else own


def _rate(per_s: object) -> Decimal:
    return round(Decimal(str(per_s)), 3)
