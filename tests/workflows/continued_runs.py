"""Runs that begin in the middle of an order, as after continue-as-new, with news that wait."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from tests.workflows.conftest import engine_on
from tests.workflows.fakes import TERMS, FakeWorld, report_of
from workers.workflow_code import sandbox
from workflows import names
from workflows.child_state import ChildState
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, TimeInForce
from workflows.domain.reports import VenueStatus
from workflows.messages import OrderRequest, OrderSnapshot, validate_order
from workflows.order_state import ParentState, next_intent

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


__all__ = ["accepted", "engine_on", "new_order_id", "waiting_run", "with_resting_child"]
