"""What tests of the typed client wait for."""

import asyncio

from starters.client import DeltaClient
from workflows.domain.lifecycle import ChildStatus


async def until_resting(orders: DeltaClient, order_id: str) -> None:
    """Its child is at the venue. Workers that stop before would leave it unknown."""
    async with asyncio.timeout(20):
        async for seen in orders.watch(order_id, poll_interval_s=0.05):
            if seen.children and seen.children[0].status is ChildStatus.WORKING:
                return
