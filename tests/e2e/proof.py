"""What must hold between the ledger and the exchange, to the last digit.

The exchange's own log is the judge. The invariants are the product's checker's; what one order's
caller was told is compared here, and the log with the exchange's account page.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause

from activities.venues.simulator.judge import JudgedTrade, VenueLog
from tests.e2e.world import HEDGE, MAIN, World
from workers.checker import check_settled
from workflows.messages import OrderSnapshot

HARMLESS_CAUSES = {
    "WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND",
    "WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND",
}
"""Something arrived while the task that ends the order was being answered, or more signals than the
server keeps for a task; it is done again."""


async def assert_ledger_is_exchange(world: World) -> None:
    """No invariant is violated; what the feed has yet to book is waited for."""
    report = await check_settled(world.stack.settings)
    assert report.ok, "\n".join(map(str, report.violations))
    log = world.log()
    for account, trader in ((MAIN, world.hand), (HEDGE, world.other)):
        shown = await _shown(trader)
        judged = log.final_balances(account)
        assert {asset: balance.total for asset, balance in judged.items()} == shown


def assert_one_order_per_child(
    world: World, order: OrderSnapshot, log: VenueLog | None = None
) -> None:
    """Each child is at most one order at the exchange, and executed there what we say."""
    log = log or world.log()
    total = Decimal(0)
    for child in order.children:
        judged = log.orders_named(child.client_order_id)
        assert len(judged) <= 1, f"child {child.index} is {len(judged)} orders at the exchange"
        executed = judged[0].executed if judged else Decimal(0)
        assert child.filled_quantity == executed, f"child {child.index}"
        total += executed
    assert order.children_total == len(order.children)
    assert order.filled_quantity == total


async def assert_order_is_true(world: World, order: OrderSnapshot) -> None:
    """The end of an order as told, as stored, and as the exchange executed it, are one."""
    await assert_ledger_is_exchange(world)
    assert_one_order_per_child(world, order)
    trades = [
        _of_trade(trade)
        for child in order.children
        for trade in world.log().trades_named(child.client_order_id)
    ]
    fills = await world.views.fills(order.order_id)
    assert sorted(_of_fill(fill) for fill in fills) == sorted(trades)
    assert sum((fill.quantity for fill in fills), Decimal(0)) == order.filled_quantity
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        fees[fill.fee_asset] += fill.fee
    assert dict(fees) == {asset: fee for asset, fee in order.fees.items() if fee}
    stored = await world.views.order(order.order_id)
    assert stored is not None
    assert (stored.status, stored.filled_quantity) == (order.status, order.filled_quantity)


async def assert_tasks_never_failed(world: World, order_id: str) -> None:
    """No workflow task failed: one that fails is tried again for ever."""
    events = (await world.history(order_id)).events
    failed = [
        event.workflow_task_failed_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    causes = [(WorkflowTaskFailedCause.Name(each.cause), each.failure.message) for each in failed]
    harmful = [cause for cause in causes if cause[0] not in HARMLESS_CAUSES]
    assert not harmful, harmful


async def story_of(world: World, order_id: str) -> str:
    """What Temporal saw of the order, one event a line: for the message of a failed assertion."""
    events = (await world.history(order_id)).events
    return "\n".join(
        f"{event.event_time.ToDatetime():%H:%M:%S.%f} {EventType.Name(event.event_type)[11:]} "
        f"{event.activity_task_scheduled_event_attributes.activity_type.name} "
        f"{event.workflow_task_started_event_attributes.identity}"
        for event in events
    )


async def _shown(trader: Any) -> dict[str, Decimal]:
    """Free and locked, as the exchange's own account page says."""
    rows = (await trader.fetch_balance())["info"]["balances"]
    return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}


def _of_trade(trade: JudgedTrade) -> tuple[Any, ...]:
    side, ids = trade.side.lower(), (str(trade.trade_id), str(trade.order_id))
    return (
        *(trade.symbol, *ids, side, trade.price, trade.quantity),
        *(trade.fee, trade.fee_asset, trade.maker),
    )


def _of_fill(fill: Any) -> tuple[Any, ...]:
    return (
        *(fill.symbol, fill.trade_id, fill.venue_order_id, fill.side, fill.price, fill.quantity),
        *(fill.fee, fill.fee_asset, fill.is_maker),
    )
