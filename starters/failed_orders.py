"""Orders that failed, each with what a human needs to settle it.

An order fails when a bug of ours or an answer nobody understands ends it. What it had sent may be
live: the engine settles what it can, and the alarm stays open until somebody has looked.
"""

from pydantic import BaseModel, Field

from starters import lookup
from starters.connections import Connections
from workflows.domain.alarms import AlarmCode, advice_on
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import Side
from workflows.fields import Amount
from workflows.messages import OrderSnapshot
from workflows.order_views import ChildView


class LiveChild(BaseModel):
    """A child order that may still trade."""

    index: int
    status: ChildStatus
    client_order_id: str
    venue_order_id: str | None


class FailedOrder(BaseModel):
    """One failed order: why, what may be live of it, and what to do."""

    order_id: str
    strategy_id: str | None
    exchange: str | None
    symbol: str | None
    side: Side | None
    quantity: Amount | None
    filled_quantity: Amount
    reason: str
    may_be_live: list[LiveChild]
    action: str
    alarm_id: int | None = Field(description="its open alarm; null when acknowledged")


class FailedPage(BaseModel):
    """Failed orders, newest first."""

    orders: list[FailedOrder]
    next_cursor: str | None


async def failed_orders(
    connections: Connections,
    *,
    strategy_id: str | None = None,
    accounts: frozenset[str] | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> FailedPage:
    """A page of them. Raises InvalidCursorError, Unavailable."""
    found, following = await lookup.list_orders(
        connections,
        strategy_id=strategy_id,
        status=OrderStatus.FAILED,
        accounts=accounts,
        limit=limit,
        cursor=cursor,
    )
    async with connections.ledger() as ledger:
        open_alarms = {
            each.object: each.id
            for each in await ledger.alarms()
            if each.code == AlarmCode.ORDER_FAILED
        }
        whole = [await ledger.order(each.order_id) or each for each in found]
    return FailedPage(
        orders=[_failed(each, open_alarms.get(each.order_id)) for each in whole],
        next_cursor=following,
    )


def _failed(order: OrderSnapshot, alarm_id: int | None) -> FailedOrder:
    live = [each for each in order.children if not each.status.is_final]
    return FailedOrder(
        order_id=order.order_id,
        strategy_id=order.strategy_id,
        exchange=order.exchange,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        reason=order.reason,
        may_be_live=[_live(each) for each in live],
        action=advice_on(AlarmCode.ORDER_FAILED).action
        if live
        else "start it anew for what is not filled",
        alarm_id=alarm_id,
    )


def _live(child: ChildView) -> LiveChild:
    return LiveChild(
        index=child.index,
        status=child.status,
        client_order_id=child.client_order_id,
        venue_order_id=child.venue_order_id,
    )
