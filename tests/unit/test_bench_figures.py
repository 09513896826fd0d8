"""The pure part of the benchmark: percentiles, lines, the choice of measures, and the hops."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from tests.bench.__main__ import TAKEN_BY
from tests.bench.figures import (
    MEASURES,
    Measure,
    UnknownMeasureError,
    chosen,
    p50_and_p99,
    percentile,
)
from tests.bench.hops import marks_of
from tests.bench.twaps import between_submissions

T0_MS = 1_795_000_000_000.0


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 102)], 99, 100.0),
        ([1.0, 2.0, 3.0], 100, 3.0),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values, percent, expected):
    assert percentile(values, percent) == expected


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_line_is_one_json_object_with_the_five_promised_keys():
    line = Measure(name="submit_latency_p50", value=30.0, unit="ms", baseline=20.0).line()
    assert "\n" not in line
    assert json.loads(line) == {
        "measure": "submit_latency_p50",
        "value": 30.0,
        "unit": "ms",
        "baseline": 20.0,
        "ratio": 1.5,
    }


@pytest.mark.parametrize("baseline", [None, 0.0])
def test_without_a_baseline_to_divide_by_there_is_no_ratio(baseline):
    told = json.loads(Measure(name="x", value=1.0, unit="s", baseline=baseline).line())
    assert told["ratio"] is None


def test_the_ratio_is_taken_before_the_figures_are_rounded():
    told = json.loads(Measure(name="x", value=0.0004, unit="s", baseline=0.0002).line())
    assert told["ratio"] == 2.0


def test_each_side_gets_its_own_percentiles():
    p50, p99 = p50_and_p99("x", [1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
    assert (p50.name, p50.value, p50.baseline) == ("x_p50", 2.0, 20.0)
    assert (p99.name, p99.value, p99.baseline) == ("x_p99", 3.0, 30.0)


@pytest.mark.parametrize("nothing", [None, ""])
def test_all_measures_are_taken_when_none_is_named(nothing):
    assert chosen(nothing) == MEASURES


def test_a_measure_is_named_wholly_or_by_how_it_begins():
    assert chosen("submit_latency_p99") == ("submit_latency_p99",)
    assert chosen("submit") == ("submit_latency_p50", "submit_latency_p99")


def test_an_unknown_name_is_refused_with_the_list_of_those_that_exist():
    with pytest.raises(UnknownMeasureError) as refused:
        chosen("latency")
    assert all(name in str(refused.value) for name in MEASURES)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_taken_by_exactly_one_function(name):
    assert sum(name.startswith(begins) for begins in TAKEN_BY) == 1


def test_the_hops_of_an_order_are_in_the_order_of_time_whatever_recorded_them():
    events = [
        _event(1, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, 2),
        _event(2, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED, 5),
        _event(3, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, 40),
        _event(4, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, 40, "submit"),
        _event(5, EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED, 42),
        _event(6, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, 60),
    ]
    events[4].activity_task_started_event_attributes.scheduled_event_id = 4
    events[5].activity_task_completed_event_attributes.scheduled_event_id = 4
    assert _since_call(events) == [
        ("the call", 0),
        ("Temporal has stored the start", 2),
        ("a worker has the workflow task", 5),
        ("the workflow task is answered", 40),
        ("submit: a worker has it", 42),
        ("claimed", 45),
        ("at the exchange", 50),
        ("submit: done and reported", 60),
    ]


def test_a_local_activity_ends_as_long_after_its_begin_as_the_workflows_clock_went_on():
    events = [
        _event(1, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED, 10),
        _marker(2, "open_order", scheduled=18, clock=16),
        _marker(3, "reserve", scheduled=30, clock=25),
    ]
    seen = dict(_since_call(events))
    assert (seen["workflow code, up to open_order"], seen["open_order: done (local)"]) == (18, 24)
    assert (seen["workflow code, up to reserve"], seen["reserve: done (local)"]) == (30, 39)


def test_the_events_of_a_slice_are_those_from_one_submission_to_the_next():
    kind = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    events = [
        _event(3, kind, 0, "submit"),
        _event(9, kind, 0, "read_child"),
        _event(16, kind, 0, "submit"),
        _event(20, EventType.EVENT_TYPE_TIMER_STARTED, 0),
        _event(27, kind, 0, "submit"),
    ]
    assert between_submissions(events) == [13, 11]


def _since_call(events: Sequence[HistoryEvent]) -> list[tuple[str, int]]:
    known = [("the call", T0_MS), ("claimed", T0_MS + 45), ("at the exchange", T0_MS + 50)]
    return [(label, round(at - T0_MS)) for label, at in marks_of(known, events)]


def _event(event_id: int, kind: EventType.ValueType, at: int, activity: str = "") -> HistoryEvent:
    event = HistoryEvent(event_id=event_id, event_type=kind)
    event.event_time.FromDatetime(datetime.fromtimestamp((T0_MS + at) / 1_000, UTC))
    if activity:
        event.activity_task_scheduled_event_attributes.activity_type.name = activity
    return event


def _marker(event_id: int, activity: str, *, scheduled: int, clock: int) -> HistoryEvent:
    """A local activity's marker; `clock` is the workflow's clock at its end."""
    event = _event(event_id, EventType.EVENT_TYPE_MARKER_RECORDED, 100)
    data = {
        "activity_type": activity,
        "original_schedule_time": _stamp(scheduled),
        "complete_time": _stamp(clock),
    }
    marker = event.marker_recorded_event_attributes
    marker.marker_name = "core_local_activity"
    payload = Payload(data=json.dumps(data).encode())
    marker.details["data"].CopyFrom(Payloads(payloads=[payload]))
    return event


def _stamp(at: int) -> dict[str, int]:
    seconds, ms = divmod(round(T0_MS) + at, 1_000)
    return {"seconds": seconds, "nanos": ms * 1_000_000}
