"""Scenarios that came with the kill switch, operators' verdicts, lost orders and reconciliation."""

import asyncio
from typing import Any

from activities.ledger.results import TradingState
from activities.ledger.state_store import Setting, StateStore
from tests.e2e.world import STILL, VENUE, World, until
from tests.histories.executions import Worked
from tests.histories.orders_at_work import Keep
from workflows import names
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import client_order_id
from workflows.domain.scopes import Scope, ScopeKind
from workflows.messages import OrderSnapshot
from workflows.sync_messages import SyncReport

FAR_BELOW = "49100"
WITHIN_S = 60.0


async def work(world: World, keep: Keep) -> None:
    """Work them all; each is kept as soon as it has ended."""
    await keep("twap.suspended_and_resumed", await twap_suspended(world))
    await keep("limit.suspended_and_cancelled", await limit_taken_off(world))
    await keep("limit.resolved_by_operator", await resolved_by_operator(world))
    await keep("settle_order.cancelled", await settled(world))
    await keep("sync_positions.agreed", await synced(world))


async def switch(world: World, order: OrderSnapshot, state: TradingState) -> None:
    scope = Scope(kind=ScopeKind.STRATEGY, strategy_id=order.strategy_id)
    await StateStore(world.database).set(scope, Setting(state=state, reason="drill", by="ann"))


async def until_status(world: World, order: OrderSnapshot, status: OrderStatus) -> None:
    async def is_there() -> bool:
        return (await world.orders.progress(order.order_id)).status is status

    await until(is_there, WITHIN_S)


async def twap_suspended(world: World) -> Worked:
    placed = await world.place(
        order_type="twap", quantity="0.05", twap_slices=5, twap_interval="1", pause_shifts_end=True
    )
    await switch(world, placed, TradingState.HALTED)
    await until_status(world, placed, OrderStatus.PAUSED)
    await switch(world, placed, TradingState.ACTIVE)
    await update(world, placed, names.RESUME, {"requested_by": "ann"})
    return worked(await world.finish(placed))


async def limit_taken_off(world: World) -> Worked:
    placed = await world.rest(price=FAR_BELOW)
    await switch(world, placed, TradingState.HALTED)
    (judged,) = world.at_exchange(placed)
    await world.hand.cancel_order(str(judged.order_id), STILL)
    await until_status(world, placed, OrderStatus.PAUSED)
    await switch(world, placed, TradingState.ACTIVE)
    return worked(await world.orders.cancel(placed.order_id))


async def resolved_by_operator(world: World) -> Worked:
    request = world.request(order_type="limit", price=FAR_BELOW)
    name = client_order_id(str(request.order_id), 0)
    for path in ("/order", "/openOrders", "/allOrders", "/myTrades"):
        await world.faults.add("server_error", method="GET", path=path, symbol=STILL, times=0)
    await world.faults.add("drop_before", method="POST", path="/order", client_order_id=name)
    placed = await world.orders.submit(request)

    async def is_unknown() -> bool:
        now = await world.orders.progress(placed.order_id)
        return bool(now.children) and now.children[0].status is ChildStatus.UNKNOWN

    await until(is_unknown, WITHIN_S)
    verdict = {"child": 0, "verdict": "absent", "reason": "not there", "requested_by": "ann"}
    await update(world, placed, names.RESOLVE, verdict)
    await until(lambda: any(each.is_open for each in world.log().orders_named(name)), WITHIN_S)
    await world.faults.clear()
    return worked(await world.orders.cancel(placed.order_id))


async def settled(world: World) -> Worked:
    placed = await world.rest(price=FAR_BELOW)
    await world.temporal.get_workflow_handle(placed.order_id).terminate("by hand")

    async def has_ended() -> bool:
        found = await world.views.order(placed.order_id)
        return found is not None and found.status.is_terminal

    await until(has_ended, WITHIN_S)
    name = names.settle_id(placed.order_id)
    said = await asyncio.wait_for(world.temporal.get_workflow_handle(name).result(), WITHIN_S)
    return Worked(id=name, status=OrderStatus.CANCELLED, detail=str(said))


async def synced(world: World) -> Worked:
    handle = await world.temporal.start_workflow(
        "SyncPositions",
        {"exchange": VENUE},
        id="sync-of-a-recording",
        task_queue=names.ORDERS_QUEUE,
        result_type=SyncReport,
    )
    report = await asyncio.wait_for(handle.result(), WITHIN_S)
    return Worked(
        id=handle.id, status=OrderStatus.FILLED, detail=f"{len(report.accounts)} accounts"
    )


async def update(world: World, order: OrderSnapshot, name: str, asked: dict[str, Any]) -> None:
    await world.temporal.get_workflow_handle(order.order_id).execute_update(name, asked)


def worked(end: OrderSnapshot) -> Worked:
    return Worked(id=end.order_id, status=end.status, detail=end.reason)
