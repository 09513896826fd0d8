"""Orders of an account that are not ours, as rows: each once, and an end that is stored stays."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import case, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.ages import age_s
from activities.ledger.book_models import ExternalOrder
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus

GONE = "gone"
"""Status of an order of somebody else's that ended, and that the venue has forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOrder:
    """An order of the account that is not ours. Base units, price in quote units.

    `status` is a VenueStatus, or GONE.
    """

    symbol: str
    venue_order_id: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    executed_quantity: Decimal
    status: str


async def keep_foreign(
    connection: AsyncConnection, exchange: str, account: str, order: ForeignOrder
) -> tuple[Decimal, bool]:
    """Its age in seconds, and whether it is new. Of one without any quantity there is no row."""
    if max(order.quantity, order.executed_quantity) <= 0:
        return Decimal(0), True
    row = (await connection.execute(_foreign(exchange, account, order))).one()
    return row.age_s, row.is_new


def _foreign(exchange: str, account: str, order: ForeignOrder) -> Any:
    values = {
        "side": order.side.value,
        "quantity": max(order.quantity, order.executed_quantity),
        "price": order.price,
        "executed_quantity": order.executed_quantity,
        "status": order.status,
    }
    new = insert(ExternalOrder).values(
        exchange=exchange,
        account=account,
        symbol=order.symbol,
        venue_order_id=order.venue_order_id,
        **values,
    )
    is_open = ExternalOrder.status == VenueStatus.OPEN.value
    kept = new.on_conflict_do_update(
        index_elements=[
            ExternalOrder.exchange,
            ExternalOrder.account,
            ExternalOrder.symbol,
            ExternalOrder.venue_order_id,
        ],
        set_={
            "executed_quantity": func.greatest(
                ExternalOrder.executed_quantity, new.excluded.executed_quantity
            ),
            "status": case((is_open, new.excluded.status), else_=ExternalOrder.status),
            "last_seen_at": func.now(),
        },
    )
    # both moments are those of the transaction that wrote them: equal only when it wrote both
    is_new = ExternalOrder.first_seen_at == ExternalOrder.last_seen_at
    return kept.returning(age_s(ExternalOrder.first_seen_at).label("age_s"), is_new.label("is_new"))
