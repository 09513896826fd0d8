"""Starting orders on the fake world, and waiting for what they come to."""

import asyncio
import uuid
from typing import Any

from temporalio.client import Client, WorkflowHandle

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
