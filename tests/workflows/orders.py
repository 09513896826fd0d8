"""Starting orders on the fake world, and waiting for what they come to."""

import asyncio
import uuid
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import FakeWorld
from workflows import names
from workflows.domain.lifecycle import ChildStatus
from workflows.messages import OrderSnapshot

MARKET: dict[str, Any] = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "quantity": "0.1",
}
LIMIT = {**MARKET, "price": "49000"}


async def start(
    client: Client, kind: str, order: dict[str, Any] | None, **options: Any
) -> WorkflowHandle[Any, OrderSnapshot]:
    args = [] if order is None else [order]
    return await client.start_workflow(
        kind,
        args=args,
        id=f"order-{uuid.uuid4().hex[:12]}",
        task_queue=names.ORDERS_QUEUE,
        result_type=OrderSnapshot,
        **options,
    )


async def start_and_ask(
    client: Client, kind: str, order: dict[str, Any]
) -> tuple[OrderSnapshot, WorkflowHandle[Any, OrderSnapshot]]:
    """Start it and ask for the verdict in one call, as the product does.

    An order that ends in its first task is gone before an update of its own can reach it.
    """
    operation: WithStartWorkflowOperation[Any, OrderSnapshot] = WithStartWorkflowOperation(
        kind,
        order,
        id=f"order-{uuid.uuid4().hex[:12]}",
        task_queue=names.ORDERS_QUEUE,
        result_type=OrderSnapshot,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    verdict: OrderSnapshot = await client.execute_update_with_start_workflow(
        names.ACCEPT, order, start_workflow_operation=operation, result_type=OrderSnapshot
    )
    return verdict, await operation.workflow_handle()


async def run(
    client: Client, world: FakeWorld, kind: str, order: dict[str, Any] | None
) -> OrderSnapshot:
    """Run an order to its end, and prove that its history replays."""
    async with engine_on(client, world):
        handle = await start(client, kind, order)
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    return result


async def until_working(handle: WorkflowHandle[Any, Any], world: FakeWorld) -> str:
    """Wait until the first child rests at the venue; its client order id."""
    async with asyncio.timeout(20):
        while True:
            now = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
            if now.children and now.children[-1].status is ChildStatus.WORKING:
                return str(now.children[-1].client_order_id)
            await asyncio.sleep(0.02)
