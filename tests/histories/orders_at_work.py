"""What the scenarios of single orders share: how an order ends, and how one waits for a part of it.

Rule: it must not know any scenario. A wait has a deadline, and an end that was not wanted says why.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from tests.e2e.order_types_world import Placed
from tests.e2e.world import BEST_BID, World, until
from tests.histories.executions import Worked
from workflows.domain.lifecycle import OrderStatus as Status
from workflows.messages import OrderSnapshot
from workflows.steering_messages import SteerRequest

APART = BEST_BID - 200
"""Where nobody trades unless the scenario says so."""
TAKING = BEST_BID + 200
WITHIN_S = 120.0
ANN = SteerRequest(requested_by="ann", reason="news")

Keep = Callable[[str, Worked], Awaitable[None]]
"""Takes a workflow's name and end, and writes its history."""
Scenario = Callable[[World], Awaitable[Worked]]


async def ended(order: Placed, *wanted: Status, first_run_id: str | None = None) -> Worked:
    """Its end, which must be one of those wanted; filled where nothing is said."""
    known = OrderSnapshot(order_id=order.order_id, status=Status.WORKING)
    done = await order.world.finish(known, WITHIN_S)
    assert done.status in (wanted or (Status.FILLED,)), f"{order}: {done.status} {done.reason}"
    return Worked(
        id=order.order_id, status=done.status, detail=done.reason, first_run_id=first_run_id
    )


async def cancelled(order: Placed) -> Worked:
    await order.world.orders.cancel(order.order_id, "enough")
    return await ended(order, Status.CANCELLED)


async def has_become(order: Placed, status: Status) -> None:
    """Return when its workflow says so."""

    async def is_there() -> bool:
        return (await order.now()).status is status

    await until(is_there, WITHIN_S)


async def has_filled(order: Placed, quantity: Decimal = Decimal(0)) -> None:
    """Return when more than this has been executed."""

    async def is_more() -> bool:
        return (await order.now()).filled_quantity > quantity

    await until(is_more, WITHIN_S)


async def handed_over(order: Placed, first_run_id: str) -> bool:
    handle = order.world.temporal.get_workflow_handle(order.order_id)
    return (await handle.describe()).run_id != first_run_id


async def run_of(order: Placed) -> str:
    handle = order.world.temporal.get_workflow_handle(order.order_id)
    return (await handle.describe()).run_id or ""
