"""Every recorded history gives the same commands on the current code.

The files are made by `tests/histories/record.py` from real orders and executions on the real
engine. One that fails here is an order of a user that would hang after an upgrade.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from workers.workflow_code import WORKFLOWS, sandbox
from workflows.payloads import DATA_CONVERTER

FOLDER = Path(__file__).resolve().parents[1] / "histories"
FILES = sorted(FOLDER.glob("*/*.json"))
FORMS = sorted({path.parent.name for path in FILES})
"""One folder for each form that histories have had, oldest first; or for what was new."""
NEWER_TYPES = (
    dict.fromkeys(("Arbitrage", "Rebalance"), "03-executions")
    | dict.fromkeys(("IcebergOrder", "StopOrder", "PreviewOrder", "PriceWatch"), "04-steered")
    | dict.fromkeys(("SettleOrder", "SyncPositions"), "05-controlled")
    | dict.fromkeys(("ReadSymbols", "ReadWindow"), "06-asked")
)
"""Workflow types that were not there from the beginning, and the first form that has them."""
PROCESS = re.compile(r"\b\d+@")


def history_of(path: Path) -> dict[str, Any]:
    history: dict[str, Any] = json.loads(path.read_text())
    return history


def started(history: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = history["events"][0]["workflowExecutionStartedEventAttributes"]
    return event


async def replay(history: dict[str, Any]) -> Exception | None:
    replayer = Replayer(
        workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=sandbox()
    )
    # an order's decisions depend on its id
    workflow_id = started(history)["workflowId"]
    recorded = WorkflowHistory.from_json(workflow_id, history)
    result = await replayer.replay_workflow(recorded, raise_on_replay_failure=False)
    return result.replay_failure


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_it_replays(path):
    assert await replay(history_of(path)) is None


@pytest.mark.parametrize(
    ("name", "activity"),
    [
        ("market.filled", "submit"),
        ("arbitrage.completed", "submit"),
        ("rebalance.completed", "submit"),
        ("iceberg.engine", "submit"),
        ("stop.loss_native", "submit"),
        ("twap.participation", "read_volume"),
        ("preview.twap", "read_view"),
        ("price_watch.idle", "follow_prices"),
    ],
)
async def test_a_history_of_other_decisions_does_not_replay(name, activity):
    history = history_of([path for path in FILES if path.stem == name][-1])
    for event in history["events"]:
        scheduled = event.get("activityTaskScheduledEventAttributes", {})
        if scheduled.get("activityType", {}).get("name") == activity:
            scheduled["activityType"]["name"] = "another"
    assert await replay(history) is not None


def test_every_workflow_type_has_a_history_of_the_first_form_that_has_it():
    first: dict[str, str] = {}
    for path in FILES:
        first.setdefault(started(history_of(path))["workflowType"]["name"], path.parent.name)
    known = (workflow.__name__ for workflow in WORKFLOWS)
    assert first == {name: NEWER_TYPES.get(name, FORMS[0]) for name in known}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_names_no_process_of_the_machine_that_made_it(path):
    assert not PROCESS.search(path.read_text())
