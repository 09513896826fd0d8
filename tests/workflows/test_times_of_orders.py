"""An order's times against the clock that it comes at (B21), and runs that began before that."""

import asyncio
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHistory, WorkflowUpdateFailedError

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import FakeWorld, rests
from tests.workflows.orders import LIMIT, MARKET, run, start, start_and_ask, until_working
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.preview_messages import OrderPreview

TWAP: dict[str, Any] = {**MARKET, "quantity": "1", "twap_slices": 2, "twap_interval": "1"}
OLD_TWAP = Path(__file__).resolve().parents[1] / "histories/01-first/twap.filled.json"

YEAR_S = 86_400 * 366


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("field", "seconds"),
    [("start_at", YEAR_S + 3_600), ("end_at", YEAR_S + 3_600), ("start_at", -30)],
)
async def test_a_time_out_of_reach_is_denied_to_the_order_and_to_its_preview(
    client: Client, field: str, seconds: float
) -> None:
    world = FakeWorld()
    order = {**MARKET, "order_type": "twap", "twap_slices": 2, field: ahead(seconds)}
    if field == "start_at":
        order["twap_interval"] = "1"
    async with asyncio.timeout(60), engine_on(client, world):
        verdict, handle = await start_and_ask(client, "TwapOrder", order)
        result = await handle.result()
        await assert_replays(await handle.fetch_history())
        preview = await client.execute_workflow(
            "PreviewOrder",
            order,
            id=f"preview-of-{handle.id}",
            task_queue=names.ORDERS_QUEUE,
            result_type=OrderPreview,
        )
    for told in (verdict, result, preview):
        assert (told.code, told.field) == (DenialCode.INVALID_TIME, field)
    assert world.submits == []


async def test_a_start_that_is_just_over_begins_at_once(client: Client) -> None:
    result = await run(client, FakeWorld(), "TwapOrder", {**TWAP, "start_at": ahead(-2)})
    assert result.status is OrderStatus.FILLED


async def test_an_end_is_not_moved_out_of_reach(client: Client) -> None:
    world = FakeWorld(script=[rests])
    async with asyncio.timeout(60), engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update(names.AMEND, {"end_at": ahead(YEAR_S + 3_600)})
        assert getattr(failed.value.cause, "type", None) == DenialCode.INVALID_TIME
        await handle.signal(names.CANCEL)
        result = await handle.result()
    assert (result.status, result.actions) == (OrderStatus.CANCELLED, ())


@pytest.mark.parametrize("start_at", ["2001-01-01T00:00:00Z", "1999-01-01 00:00Z"])
async def test_a_run_that_began_before_times_were_judged_goes_on_as_it_did(start_at: str) -> None:
    history = json.loads(OLD_TWAP.read_text())
    begun = history["events"][0]["workflowExecutionStartedEventAttributes"]
    payload = begun["input"]["payloads"][0]
    order = json.loads(b64decode(payload["data"])) | {"start_at": start_at}
    payload["data"] = b64encode(json.dumps(order).encode()).decode()
    await assert_replays(WorkflowHistory.from_json(begun["workflowId"], history))
