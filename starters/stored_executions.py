"""An execution as the ledger tells it: what its workflow stored, else what is booked of it.

An execution stores its snapshot when it ends. Of one that is at work the ledger knows the plan
and the orders, which is what can be told while its workflow cannot be asked.
"""

from collections.abc import Sequence
from typing import Any

from activities.ledger.view_models import ExecutionView
from starters.kinds import ExecutionsOf, ExecutionT
from workflows import names
from workflows.execution_messages import LegOrderView
from workflows.messages import OrderSnapshot
from workflows.payloads import strict_loads


def told_by(
    kind: ExecutionsOf[ExecutionT], row: ExecutionView, legs: Sequence[OrderSnapshot] = ()
) -> ExecutionT:
    """The execution of this row."""
    if row.snapshot is not None:
        return kind.snapshot.model_validate(strict_loads(row.snapshot.encode()))
    plan: dict[str, Any] = strict_loads(row.plan.encode())
    known = kind.snapshot.model_fields
    return kind.snapshot.model_validate(
        {name: value for name, value in plan.items() if name in known and name != "orders"}
        | {
            "execution_id": row.execution_id,
            "status": row.status,
            "orders": [_leg(each) for each in legs],
            "started_at": row.created_at.isoformat(),
            "updated_at": row.updated_at.isoformat(),
        }
    )


def _leg(order: OrderSnapshot) -> LegOrderView:
    assert order.exchange is not None
    assert order.symbol is not None
    assert order.side is not None
    assert order.order_type is not None
    assert order.quantity is not None
    child = order.children[-1] if order.children else None
    return LegOrderView(
        order_id=order.order_id,
        leg=order.order_id.removeprefix(f"{names.owner_of(order.order_id)}:"),
        exchange=order.exchange,
        symbol=order.symbol,
        side=order.side,
        type=order.order_type,
        price=order.price,
        amount=order.quantity,
        filled_amount=order.filled_quantity,
        avg_price=order.average_price,
        fee=order.fees,
        status=order.status,
        exchange_order_id=child.venue_order_id if child else None,
        reason=order.reason,
        created_at=order.created_at or "",
        updated_at=order.updated_at or "",
    )
