"""The schedules that compare each venue with the ledger: one per venue, made by any worker.

Rule: making one again changes nothing but its figures, so that every worker may do it at its start.
One that somebody paused stays paused. What was missed while Temporal was away is not made up for:
the next comparison sees all of it.
"""

from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workers.settings import Settings
from workflows import names
from workflows.durations import seconds
from workflows.sync_messages import SyncRequest

CATCH_UP_WINDOW = timedelta(seconds=10)
"""The shortest that Temporal knows."""
RUN_TIMEOUT = timedelta(minutes=5)
REQUESTED_BY = "schedule"


async def start_schedules(client: Client, settings: Settings) -> None:
    """Every venue is compared each SYNC_EVERY_S seconds."""
    for venue in settings.exchanges:
        await _start(client, venue, schedule_of(settings, venue))


def schedule_of(settings: Settings, venue: str) -> Schedule:
    """When and how a venue is compared."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "SyncPositions",
            SyncRequest(exchange=venue, requested_by=REQUESTED_BY),
            id=names.sync_id(venue),
            task_queue=names.ORDERS_QUEUE,
            execution_timeout=RUN_TIMEOUT,
            static_summary=f"compare {venue} with the ledger",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=seconds(settings.sync_every_s))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP_WINDOW),
    )


async def _start(client: Client, venue: str, wanted: Schedule) -> None:
    try:
        await client.create_schedule(names.sync_schedule_id(venue), wanted)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(names.sync_schedule_id(venue))
        await handle.update(lambda known: _as_wanted(known, wanted))


def _as_wanted(known: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate | None:
    """The wanted figures in the state that it is in; None when it has them."""
    current = known.description.schedule
    if current.spec.intervals == wanted.spec.intervals:
        return None
    return ScheduleUpdate(schedule=replace(wanted, state=current.state))
