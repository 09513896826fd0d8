"""Orders whose workflow is terminated from outside are adopted; what cannot be known, a human says.

Temporal's UI terminates by the same call as is made here.
"""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.e2e.proof import assert_ledger_is_exchange, assert_one_order_per_child
from tests.e2e.world import STILL, World, until
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderSnapshot

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

ADOPTED_WITHIN_S = 60.0
FAR_BELOW = "49100"
KINDS: tuple[dict[str, Any], ...] = (
    {"order_type": "limit", "price": FAR_BELOW},
    {"order_type": "iceberg", "price": FAR_BELOW, "quantity": "0.1"},
    {"order_type": "twap", "quantity": "0.1", "twap_slices": 10, "twap_interval": "3600"},
    {"order_type": "stop_loss", "side": "sell", "stop_price": "45000", "placement": "engine"},
)


async def column(world: World, statement: str, **values: Any) -> list[Any]:
    async with world.database.connect() as connection:
        return list((await connection.execute(text(statement), values)).scalars())


async def stored(world: World, order_id: str) -> OrderSnapshot:
    found = await world.views.order(order_id)
    assert found is not None
    return found


async def test_twenty_orders_terminated_at_once_are_all_adopted(world: World):
    placed: list[OrderSnapshot] = []
    for _ in range(20 // len(KINDS)):  # only their termination is at once
        placed += await asyncio.gather(*(world.place(**kind) for kind in KINDS))
    ids = [order.order_id for order in placed]
    resting = [order for order in placed if order.order_id in ids[0::4] + ids[1::4]]
    await until(
        lambda: len(world.log().orders_named(client_order_id(resting[-1].order_id, 0))) == 1
    )
    await asyncio.gather(
        *(world.temporal.get_workflow_handle(name).terminate("by hand") for name in ids)
    )

    async def all_ended() -> bool:
        ends = await asyncio.gather(*(stored(world, name) for name in ids))
        return all(order.status.is_terminal for order in ends)

    await until(all_ended, ADOPTED_WITHIN_S)
    for name in ids:
        order = await stored(world, name)
        assert order.status in (OrderStatus.CANCELLED, OrderStatus.FILLED)
        assert "terminated" in order.reason or order.status is OrderStatus.FILLED
        assert_one_order_per_child(world, order)
        assert not any(judged.is_open for judged in world.at_exchange(order))
    held = "SELECT client_order_id FROM reservations WHERE state = 'open' AND strategy_id = ANY(:s)"
    assert await column(world, held, s=ids) == []
    armed = "SELECT watch_id FROM price_watches WHERE status = 'armed' AND order_id = ANY(:s)"
    assert await column(world, armed, s=ids) == []
    alarmed = "SELECT object FROM alarms WHERE code = 'ORDER_ADOPTED' AND object = ANY(:s)"
    assert sorted(await column(world, alarmed, s=ids)) == sorted(ids)
    await assert_ledger_is_exchange(world)


async def test_an_operator_says_that_an_unknown_child_never_arrived(world: World):
    request = world.request(order_type="limit", price=FAR_BELOW)
    name = client_order_id(request.order_id, 0)
    for path in ("/order", "/openOrders", "/allOrders", "/myTrades"):
        await world.faults.add("server_error", method="GET", path=path, symbol=STILL, times=0)
    await world.faults.add("drop_before", method="POST", path="/order", client_order_id=name)
    order = await world.orders.submit(request)
    handle = world.temporal.get_workflow_handle(order.order_id)

    async def is_unknown() -> bool:
        now = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
        return bool(now.children) and now.children[0].status is ChildStatus.UNKNOWN

    await until(is_unknown, 30)
    assert world.log().orders_named(name) == []
    verdict = {"child": 0, "verdict": "absent", "reason": "not on the page", "requested_by": "ann"}
    await handle.execute_update(names.RESOLVE, verdict)
    await until(lambda: any(each.is_open for each in world.log().orders_named(name)), 60)
    await world.faults.clear()
    await handle.signal(names.CANCEL)
    end = await world.finish(order)
    assert end.status is OrderStatus.CANCELLED
    assert_one_order_per_child(world, end)
    who = "SELECT who FROM audit WHERE action = 'resolve_child' AND object LIKE :name"
    assert await column(world, who, name=f"{name}%") == ["ann"]


async def test_a_verdict_on_what_is_not_unknown_is_refused(world: World):
    order = await world.rest()
    handle = world.temporal.get_workflow_handle(order.order_id)
    for child, verdict in ((0, "absent"), (7, "absent")):
        asked = {"child": child, "verdict": verdict, "reason": "a guess"}
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(names.RESOLVE, asked)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == DenialCode.NOT_UNKNOWN
    await world.orders.cancel(order.order_id)
    assert_one_order_per_child(world, await world.finish(order))
