"""Runs that begin in the middle of an order, as after continue-as-new, with news that wait."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from tests.workflows.conftest import assert_replays
from tests.workflows.fakes import INSTRUMENT, TERMS, FakeWorld, report_of
from tests.workflows.orders import LIMIT, MARKET
from workers.workflow_code import sandbox
from workflows import names
from workflows.child_state import ChildState
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, Placement, TimeInForce
from workflows.domain.reports import VenueStatus
from workflows.messages import OrderRequest, OrderSnapshot, validate_order
from workflows.order_state import IcebergState, ParentState, StopState, TwapState, next_intent
from workflows.stop_plan import plan_stop

MIDDLE = Decimal(50_000)


@workflow.defn(name="BeginInTheMiddle", sandboxed=False)
class BeginInTheMiddle:
    """Continues as another workflow type, on the engine's queue: only Temporal can do that."""

    @workflow.run
    async def run(self, kind: str, state: ParentState) -> None:
        workflow.continue_as_new(state, workflow=kind, task_queue=names.ORDERS_QUEUE)


def accepted(order: dict[str, Any], **known: Any) -> ParentState:
    """The state of an order that works."""
    request = validate_order(order)
    assert isinstance(request, OrderRequest)
    state = ParentState(
        request=request, terms=TERMS, status=OrderStatus.WORKING, created_at=datetime.now(UTC)
    )
    return replace(state, **known)


def with_resting_child(
    state: ParentState, order_id: str, world: FakeWorld, *, quantity: str, price: str
) -> ParentState:
    """The same with a child that rests at the world's venue."""
    intent = next_intent(
        state,
        order_id,
        quantity=Decimal(quantity),
        child_type=ChildType.LIMIT,
        price=Decimal(price),
        time_in_force=TimeInForce.GTC,
    )
    report = report_of(intent, Decimal(0), VenueStatus.OPEN)
    world.reports[intent.client_order_id] = report
    world.intents[intent.client_order_id] = intent
    child = ChildState(
        intent=intent,
        reference_price=MIDDLE,
        priced_at=datetime.now(UTC),
        status=ChildStatus.WORKING,
        report=report,
    )
    return replace(state, child=child, children_total=state.children_total + 1)


def new_order_id() -> str:
    return f"order-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def waiting_run(
    client: Client, kind: str, order_id: str, state: ParentState
) -> AsyncIterator[WorkflowHandle[Any, OrderSnapshot]]:
    """A continued run that no worker has seen yet: what is signalled now is in its first task."""
    queue = f"launcher-{order_id}"
    async with Worker(
        client, task_queue=queue, workflows=[BeginInTheMiddle], workflow_runner=sandbox()
    ):
        first = await client.start_workflow(
            "BeginInTheMiddle", args=[kind, state], id=order_id, task_queue=queue
        )
        run = client.get_workflow_handle(order_id, run_id=first.first_execution_run_id)
        async for _ in run.fetch_history_events(wait_new_event=True):
            pass  # until it has handed over
        yield client.get_workflow_handle(order_id, result_type=OrderSnapshot)


SELL: dict[str, Any] = {**MARKET, "side": "sell", "quantity": "1"}
STOP = {**SELL, "order_type": "stop_loss", "stop_price": "49000"}
OCO = {**SELL, "order_type": "oco", "oco_limit_price": "51000", "stop_price": "49000"}
ICEBERG = {**LIMIT, "quantity": "1", "order_type": "iceberg", "iceberg_display": "0.3"}
TWAP = {**MARKET, "order_type": "twap", "quantity": "1", "twap_slices": 4, "twap_interval": "60"}
PASSIVE = {**TWAP, "passive_fraction": "0.5"}


def stop_state(order: dict[str, Any], **known: Any) -> StopState:
    request = validate_order(order)
    assert isinstance(request, OrderRequest)
    planned = plan_stop(request, TERMS, INSTRUMENT, MIDDLE)
    assert isinstance(planned, StopState)
    return replace(planned, **known)


def twap_state(started_s_ago: float, **known: Any) -> TwapState:
    state = TwapState(
        started_at=datetime.now(UTC) - timedelta(seconds=started_s_ago),
        step=INSTRUMENT.step,
        min_child_lots=1,
        duration_s=Decimal(240),
        interval_s=Decimal(60),
    )
    return replace(state, **known)


def tips() -> IcebergState:
    return IcebergState(
        placement=Placement.ENGINE,
        step=INSTRUMENT.step,
        display=Decimal("0.3"),
        min_visible_lots=1,
        tips=1,
        tip_lots=300,
    )


async def ended(handle: WorkflowHandle[Any, OrderSnapshot]) -> OrderSnapshot:
    result = await asyncio.wait_for(handle.result(), 30)
    await assert_replays(await handle.fetch_history())
    return result


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def resting(world: FakeWorld) -> list[str]:
    return [key for key, each in world.reports.items() if not each.status.is_terminal]


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
