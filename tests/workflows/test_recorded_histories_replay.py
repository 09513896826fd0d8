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
FORMS = sorted({path.parent for path in FILES})
"""One folder for each form that histories have had, oldest first."""
NEWER_TYPES = {"Arbitrage": "03-executions", "Rebalance": "03-executions"}
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


@pytest.mark.parametrize("name", ["market.filled", "arbitrage.completed", "rebalance.completed"])
async def test_a_history_of_other_decisions_does_not_replay(name):
    history = history_of(FORMS[-1] / f"{name}.json")
    for event in history["events"]:
        scheduled = event.get("activityTaskScheduledEventAttributes", {})
        if scheduled.get("activityType", {}).get("name") == "submit":
            scheduled["activityType"]["name"] = "submit_twice"
    assert await replay(history) is not None


@pytest.mark.parametrize("folder", FORMS, ids=lambda it: it.name)
def test_every_workflow_type_has_a_history_of_each_form(folder):
    files = (path for path in FILES if path.parent == folder)
    recorded = {started(history_of(path))["workflowType"]["name"] for path in files}
    assert recorded == types_of(folder.name)


def types_of(form: str) -> set[str]:
    """The workflow types that there were when histories had this form."""
    known = {workflow.__name__ for workflow in WORKFLOWS}
    return {name for name in known if NEWER_TYPES.get(name, "") <= form}


def test_the_newest_form_has_every_workflow_type():
    assert types_of(FORMS[-1].name) == {workflow.__name__ for workflow in WORKFLOWS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_names_no_process_of_the_machine_that_made_it(path):
    assert not PROCESS.search(path.read_text())
