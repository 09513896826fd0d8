"""Orders of a day and of a thousand children: bounded histories, exact sums."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecution

from tests.workflows.conftest import engine_on
from tests.workflows.fakes import FakeWorld
from tests.workflows.orders import MARKET, start
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

pytestmark = pytest.mark.timeout(400)

LONGEST_S = 350
"""On a busy machine; alone they take half a minute."""
MOST_EVENTS = 1_200
"""Of one run: the limit at which a run ends, and what its last child may add."""
SLICES = 1_440
MINUTE = timedelta(minutes=1)


async def long_run(
    client: Client, kind: str, order: dict[str, Any]
) -> tuple[OrderSnapshot, FakeWorld, list[WorkflowExecution]]:
    """The order's end and its runs, none of which has a long history."""
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, kind, order)
        result: OrderSnapshot = await asyncio.wait_for(handle.result(), LONGEST_S)
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{handle.id}'")]
    assert len(runs) > 5, "it was continued as new"
    assert max(run.history_length for run in runs) < MOST_EVENTS
    sent = sum((submit.intent.quantity for submit in world.submits), Decimal(0))
    assert sent == result.filled_quantity
    assert result.children_total == len(world.submits)
    assert len({submit.intent.client_order_id for submit in world.submits}) == len(world.submits)
    return result, world, runs


async def leaps(client: Client, runs: list[WorkflowExecution]) -> list[timedelta]:
    """How far the server's virtual clock leapt between the end of a run and the next one's begin.

    This server, which skips time per workflow, may begin a continued run hours late: for the
    order that is a fleet without workers.
    """
    found = []
    for run in runs:
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        times = [event.event_time.ToDatetime() for event in history.events[:3]]
        found.append(times[2] - times[1])
    return [leap for leap in found if leap > MINUTE]


async def test_a_day_of_slices_a_minute_apart_is_worked_slice_by_slice(client: Client):
    order = {**MARKET, "quantity": "100.001", "twap_slices": SLICES, "twap_interval": "60"}
    result, world, runs = await long_run(client, "TwapOrder", order)
    twap = result.twap
    assert twap is not None
    away = await leaps(client, runs)
    assert twap.slices_late <= sum(away, timedelta()) / MINUTE + len(away)
    assert twap.slices_sent + twap.slices_late == twap.slices_done == SLICES
    assert twap.slices_filled == twap.slices_sent == len(world.submits)
    is_whole = result.filled_quantity == result.quantity
    assert (result.status is OrderStatus.FILLED) == is_whole
    assert is_whole or away, "without a leap nothing is missed"


async def test_a_thousand_tips_end_exactly(client: Client):
    order = {**MARKET, "quantity": "100", "price": "49000", "iceberg_display": "0.1"}
    result, _, _ = await long_run(client, "IcebergOrder", order)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(100))
    assert result.iceberg is not None
    assert result.iceberg.tips_filled == 1_000
