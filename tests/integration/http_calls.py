"""What the tests of the HTTP client do again and again."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest

from starters.api.models import Order
from starters.http_client import ApiError, DeltaHttpClient
from starters.http_transport import ApiUnavailable
from workflows.domain.lifecycle import OrderStatus

WITHIN_S = 30.0


async def until_status(delta: DeltaHttpClient, order_id: str, *wanted: OrderStatus) -> Order:
    async with asyncio.timeout(WITHIN_S):
        while (order := await delta.order(order_id)).status not in wanted:
            await asyncio.sleep(0.1)
    return order


async def place(delta: DeltaHttpClient, order: Mapping[str, Any]) -> Order:
    """Start an order that has an id, as often as a busy machine has no verdict on it yet."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await delta.submit(order)
            except ApiUnavailable:
                await asyncio.sleep(0.2)


async def refused(call: Awaitable[object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


async def counts(client: DeltaHttpClient) -> list[int]:
    """How much of the strategy `bound` a key sees."""
    mine = {"strategy_id": "bound"}
    statistics = await client.statistics(**mine)
    return [
        len((await client.orders(**mine)).orders),
        len((await client.fills(**mine)).fills),
        len((await client.positions(**mine)).positions),
        statistics.orders,
        statistics.open_orders,
    ]
