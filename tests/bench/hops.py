"""Where the time of a market order goes: what its history, the ledger and the exchange recorded.

Rule: each row ends at a recorded moment and counts from the one before it. Temporal, PostgreSQL,
the exchange and this process share one machine and so one clock. Orders whose histories have
different steps are not averaged together: the commonest sequence of steps is shown.

The times of local activities need care: a marker's `complete_time` is on the workflow's clock,
which stands still except for the local activities themselves. So only its difference to that
clock counts, from the moment at which the activity was scheduled.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from tests.bench.figures import median, percentile

Marks = list[tuple[str, float]]
"""What had happened by then, and when, in milliseconds since 1970."""
_LOCAL_ACTIVITY = "core_local_activity"


def marks_of(known: Marks, events: Sequence[HistoryEvent]) -> Marks:
    """What is known of one order and what its history says, in the order of time."""
    marks = list(known)
    names: dict[int, str] = {}
    workflow_clock = 0.0
    for event in events:
        at = _ms(event.event_time)
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                marks.append(("Temporal has stored the start", at))
            case EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                workflow_clock = at
                marks.append(("a worker has the workflow task", at))
            case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                marks.append(("the workflow task is answered", at))
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                found, workflow_clock = _local_activity(event, workflow_clock)
                marks += found
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                names[event.event_id] = scheduled.activity_type.name
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                begun = event.activity_task_started_event_attributes.scheduled_event_id
                marks.append((f"{names[begun]}: a worker has it", at))
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes.scheduled_event_id
                marks.append((f"{names[done]}: done and reported", at))
    return sorted(marks, key=lambda mark: mark[1])


def _local_activity(event: HistoryEvent, workflow_clock: float) -> tuple[Marks, float]:
    """Begin and end of a local activity, and the workflow's clock after it."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL_ACTIVITY:
        return [], workflow_clock
    data = json.loads(marker.details["data"].payloads[0].data)
    name, completed = data["activity_type"], _json_ms(data["complete_time"])
    begun = _json_ms(data["original_schedule_time"])
    took = max(0.0, completed - workflow_clock)
    marks = [(f"workflow code, up to {name}", begun), (f"{name}: done (local)", begun + took)]
    return marks, max(workflow_clock, completed)


def show(console: Console, what: str, orders: Sequence[Marks]) -> None:
    """Print the medians of the commonest sequence of steps."""
    by_steps: dict[tuple[str, ...], list[Marks]] = defaultdict(list)
    for marks in orders:
        by_steps[tuple(label for label, _ in marks)].append(marks)
    steps, alike = max(by_steps.items(), key=lambda item: len(item[1]))
    title = f"where the time of a {what} goes: {len(alike)} of {len(orders)}, in ms"
    table = Table(title=title, title_justify="left")
    table.add_column("until")
    for column in ("p50", "p90", "p50 since the call"):
        table.add_column(column, justify="right")
    for index, step in enumerate(steps):
        hops = [marks[index][1] - marks[max(index - 1, 0)][1] for marks in alike]
        since = median([marks[index][1] - marks[0][1] for marks in alike])
        table.add_row(step, f"{median(hops):.1f}", f"{percentile(hops, 90):.1f}", f"{since:.1f}")
    console.print(table)


def _ms(stamp: Timestamp) -> float:
    return stamp.ToNanoseconds() / 1e6


def _json_ms(stamp: dict[str, int]) -> float:
    return stamp["seconds"] * 1_000 + stamp["nanos"] / 1e6
