"""An order as shown: what its workflow stored, overlaid with what the ledger knows by now."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.models import Attempt, ChildOrder, FillRow
from activities.ledger.store_orders import snapshot_of
from workflows.domain.exact import exact
from workflows.messages import MAX_CHILDREN_SHOWN, OrderSnapshot
from workflows.order_state import average_price
from workflows.order_views import ChildView

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over the fills of one order: base, quote, and fees by asset."""

    filled: Decimal = _ZERO
    quote: Decimal = _ZERO
    fees: dict[str, Decimal]


async def totals_of(connection: AsyncConnection, order_ids: Sequence[str]) -> dict[str, Totals]:
    """Sums over the fills of some orders; an order without fills is not in the answer."""
    if not order_ids:
        return {}
    query = (
        select(
            ChildOrder.order_id,
            FillRow.fee_asset,
            func.sum(FillRow.fee).label("fee"),
            func.sum(FillRow.quantity).label("filled"),
            func.sum(FillRow.quantity * FillRow.price).label("quote"),
        )
        .join(FillRow, FillRow.client_order_id == ChildOrder.client_order_id)
        .where(ChildOrder.order_id.in_(order_ids))
        .group_by(ChildOrder.order_id, FillRow.fee_asset)
        .order_by(ChildOrder.order_id, FillRow.fee_asset)
    )
    sums: dict[str, Totals] = {}
    with exact():
        for row in await connection.execute(query):
            before = sums.get(row.order_id, Totals(fees={}))
            sums[row.order_id] = Totals(
                filled=before.filled + row.filled,
                quote=before.quote + row.quote,
                fees=before.fees | ({row.fee_asset: row.fee} if row.fee else {}),
            )
    return sums


def overlay(row: Row[Any], totals: Totals | None) -> OrderSnapshot:
    """The stored order with live totals; without fills it is shown as stored."""
    shown = snapshot_of(row)
    if totals is None:
        return shown
    with exact():
        remaining = row.quantity - totals.filled
    return shown.model_copy(
        update={
            "filled_quantity": totals.filled,
            "remaining_quantity": remaining,
            "average_price": average_price(totals.quote, totals.filled),
            "fees": totals.fees,
        }
    )


async def children_of(
    connection: AsyncConnection, order_id: str
) -> tuple[tuple[ChildView, ...], int]:
    """The newest children, oldest first, and how many there are in all."""
    value = (
        select(func.sum(FillRow.quantity * FillRow.price))
        .where(FillRow.client_order_id == ChildOrder.client_order_id)
        .scalar_subquery()
    )
    attempt = (
        select(func.max(Attempt.attempt))
        .where(Attempt.client_order_id == ChildOrder.client_order_id)
        .scalar_subquery()
    )
    columns: list[Any] = [
        *ChildOrder.__table__.columns,
        value.label("quote"),
        func.coalesce(attempt, 1).label("attempt"),
        func.count().over().label("total"),
    ]
    query = (
        select(*columns)
        .where(ChildOrder.order_id == order_id)
        .order_by(ChildOrder.child_index.desc(), ChildOrder.generation.desc())
        .limit(MAX_CHILDREN_SHOWN)
    )
    rows = (await connection.execute(query)).all()
    return tuple(_child_view(row) for row in reversed(rows)), rows[0].total if rows else 0


def _child_view(row: Row[Any]) -> ChildView:
    return ChildView(
        index=row.child_index,
        client_order_id=row.client_order_id,
        venue_order_id=row.venue_order_id,
        status=row.status,
        child_type=row.child_type,
        quantity=row.quantity,
        price=row.price,
        trigger_price=row.trigger_price,
        display_quantity=row.display_quantity,
        filled_quantity=row.filled_quantity,
        average_price=average_price(row.quote or _ZERO, row.filled_quantity),
        attempt=row.attempt,
        reason=row.reason,
    )
