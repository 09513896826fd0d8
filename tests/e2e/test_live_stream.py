"""What happens to real orders, as a reader of the API's stream hears of it."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.api_client import bearer
from tests.e2e.world import World
from workflows.domain.lifecycle import OrderStatus

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")
WITHIN_S = 30


async def test_an_order_is_followed_from_its_start_to_its_end_without_asking(world: World) -> None:
    request = world.request(order_type="limit", price="50000.40", quantity="0.01")
    settings = world.stack.settings
    address = f"{settings.api_url.replace('http', 'ws', 1)}/api/v1/stream"
    async with (
        asyncio.timeout(WITHIN_S),
        connect(
            f"{address}?strategy_id={request.strategy_id}",
            additional_headers=bearer(settings),
            proxy=None,
        ) as stream,
    ):
        assert json.loads(await stream.recv())["type"] == "hello"
        await world.orders.submit(request)
        events = await _until(stream, lambda data: "child" in data)
        assert events[-1]["data"]["child"]["status"] == "working"  # it rests at the exchange
        await world.sell("0.004", Decimal("50000.40"))
        await world.sell("0.006", Decimal("50000.40"))
        events += await _until(stream, lambda data: data.get("status") == "filled")
    assert [each["seq"] for each in events] == sorted({each["seq"] for each in events})
    orders = [each["data"]["status"] for each in events if each["kind"] == "order"]
    assert list(dict.fromkeys(orders)) == ["accepted", "working", "filled"]
    fills = [each for each in events if each["kind"] == "fill"]
    assert {each["order_id"] for each in fills} == {request.order_id}
    totals = [Decimal(each["data"]["order"]["filled_quantity"]) for each in fills]
    assert (totals, totals[-1]) == (sorted(totals), Decimal("0.01"))
    held = [each["data"]["quantity"] for each in events if each["kind"] == "position"]
    end = await world.finish(await world.orders.progress(str(request.order_id)))
    assert end.status is OrderStatus.FILLED
    assert Decimal(events[-1]["data"]["average_price"]) == end.average_price
    assert Decimal(events[-1]["data"]["filled_quantity"]) == end.filled_quantity
    assert Decimal(held[-1]) == await _position(world, request.strategy_id)


async def _until(
    stream: ClientConnection, is_last: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Events up to the one whose data are the last that is waited for."""
    events: list[dict[str, Any]] = []
    async for text in stream:
        message = json.loads(text)
        if message["type"] == "event":
            events.append(message)
            if is_last(message["data"]):
                break
    return events


async def _position(world: World, strategy_id: str) -> Decimal:
    async with world.database.connect() as connection:
        row = await connection.exec_driver_sql(
            "SELECT quantity FROM positions WHERE strategy_id = $1", (strategy_id,)
        )
    return Decimal(row.scalar_one())
