"""A row of `child_orders` as what the engine works with."""

from typing import Any

from sqlalchemy import Row

from activities.ledger.results import StoredChild
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce
from workflows.domain.reports import VenueStatus


def stored_child(row: Row[Any]) -> StoredChild:
    """The child order of this row."""
    intent = ChildIntent(
        client_order_id=row.client_order_id,
        order_id=row.order_id,
        child_index=row.child_index,
        generation=row.generation,
        strategy_id=row.strategy_id,
        account=row.account,
        venue=row.exchange,
        symbol=row.symbol,
        side=Side(row.side),
        child_type=ChildType(row.child_type),
        quantity=row.quantity,
        price=row.price,
        time_in_force=TimeInForce(row.time_in_force),
        post_only=row.post_only,
        display_quantity=row.display_quantity,
        trigger_price=row.trigger_price,
        trailing_delta_bps=row.trailing_delta_bps,
        stop_limit_price=row.stop_limit_price,
        reduce_only=row.reduce_only,
    )
    return StoredChild(
        intent=intent,
        status=ChildStatus(row.status),
        venue_order_id=row.venue_order_id,
        venue_status=None if row.venue_status is None else VenueStatus(row.venue_status),
        filled_quantity=row.filled_quantity,
    )
