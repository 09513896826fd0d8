"""Who keeps a symbol's prices followed: as long as somebody waits, and never a moment less."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from workers.workflow_code import sandbox
from workflows import names
from workflows.ports import FollowedPrices, FollowPrices
from workflows.price_watch import PriceWatch

WITHIN_S = 30
AGAIN, NOBODY_WAITS = False, True


@dataclass
class Turns:
    """Follows for as long as the test says: `ends` holds what each turn finds at its end."""

    client: Client
    request: FollowPrices
    begun: "asyncio.Queue[FollowPrices]" = field(default_factory=asyncio.Queue)
    ends: "asyncio.Queue[bool]" = field(default_factory=asyncio.Queue)

    @activity.defn(name="follow_prices")
    async def follow_prices(self, request: FollowPrices) -> FollowedPrices:
        self.begun.put_nowait(request)
        return FollowedPrices(is_idle=await self.ends.get())

    @property
    def orders_queue(self) -> str:
        return f"orders-{self.request.venue}"

    async def arm(self) -> WorkflowHandle[Any, Any]:
        """What arming a trigger does to the watch of its symbol."""
        return await self.client.start_workflow(
            "PriceWatch",
            self.request,
            id=names.price_watch_id(self.request.venue, self.request.symbol),
            task_queue=self.orders_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=names.WATCH_ARMED,
        )

    async def begin(self) -> FollowPrices:
        """The next turn that begins."""
        return await asyncio.wait_for(self.begun.get(), WITHIN_S)


@asynccontextmanager
async def working(client: Client) -> AsyncIterator[Turns]:
    """Workers for a venue of this test's own."""
    venue = f"v{uuid.uuid4().hex[:8]}"
    turns = Turns(client, FollowPrices(venue=venue, account="main", symbol="BTC/USDT"))
    data_queue = names.venue_data_queue(venue, "main")
    async with AsyncExitStack() as running:
        watch = Worker(
            client,
            task_queue=turns.orders_queue,
            workflows=[PriceWatch],
            workflow_runner=sandbox(),
        )
        follower = Worker(client, task_queue=data_queue, activities=[turns.follow_prices])
        for worker in (watch, follower):
            await running.enter_async_context(worker)
        yield turns


async def until_closed(handle: WorkflowHandle[Any, Any]) -> None:
    """The end of the whole chain of turns."""
    await asyncio.wait_for(handle.result(), WITHIN_S)


async def test_turn_follows_turn_until_nobody_waits(client: Client):
    async with working(client) as turns:
        handle = await turns.arm()
        for _ in range(3):
            assert await turns.begin() == turns.request
            turns.ends.put_nowait(AGAIN)
        await turns.begin()
        turns.ends.put_nowait(NOBODY_WAITS)
        await until_closed(handle)
        assert turns.begun.empty()


async def test_a_trigger_that_is_armed_while_the_last_turn_ends_is_followed(client: Client):
    async with working(client) as turns:
        handle = await turns.arm()
        await turns.begin()
        await turns.arm()
        turns.ends.put_nowait(NOBODY_WAITS)  # found before the second one was armed
        await turns.begin()
        turns.ends.put_nowait(NOBODY_WAITS)
        await until_closed(handle)


async def test_a_watch_without_a_symbol_fails_at_once(client: Client):
    async with working(client) as turns:
        handle = await client.start_workflow(
            "PriceWatch",
            id=names.price_watch_id(turns.request.venue, "nothing"),
            task_queue=turns.orders_queue,
        )
        with pytest.raises(WorkflowFailureError) as failed:
            await until_closed(handle)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "INVALID_INPUT"
