"""What the ledger knows of one order's execution, for its analysis: fills, children, marks.

Rule: nothing here writes or locks, and nothing is worked out: facts only. Times are UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.book_models import FeeValue, Mark, PositionSnapshot
from activities.ledger.models import Attempt, ChildOrder, ExecutionRow, FillRow, ParentOrder

MAX_FILLS = 20_000
MAX_MARKS = 20_000
MAX_CHILDREN = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """The order. `plan` is that of its execution, JSON; `fired_price` that of its trigger."""

    order_id: str
    execution_id: str | None
    strategy_id: str
    account: str
    exchange: str
    symbol: str
    side: str
    order_type: str
    status: str
    quantity: Decimal
    arrival_price: Decimal | None
    snapshot: dict[str, Any] | None
    plan: dict[str, Any] | None
    created_at: datetime
    accepted_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFact:
    """One fill. `fee_rate`: quote units per unit of a third asset, where it is known."""

    client_order_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    fee_rate: Decimal | None
    is_maker: bool
    traded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFact:
    """One child; `sent_at` is when its last attempt was claimed for sending."""

    client_order_id: str
    child_index: int
    generation: int
    child_type: str
    status: str
    quantity: Decimal
    price: Decimal | None
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkFact:
    """The middle of the touch, as it was read then."""

    price: Decimal
    marked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFacts:
    """All of one moment, each list by time."""

    order: OrderFacts
    fills: Sequence[FillFact]
    children: Sequence[ChildFact]
    marks: Sequence[MarkFact]
    read_at: datetime


class AnalyticsViews:
    """Reads; one answer is of one moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    async def order(self, order_id: str, *, marks_for: timedelta) -> ExecutionFacts | None:
        """The order, or None; with the marks of its symbol from its acceptance until `marks_for`
        after its end."""
        async with self._engine.connect() as connection:
            order = await _order(connection, order_id)
            if order is None:
                return None
            read_at: datetime = (await connection.execute(select(func.now()))).scalar_one()
            until = (order.finished_at or read_at) + marks_for
            return ExecutionFacts(
                order=order,
                fills=await _fills(connection, order_id),
                children=await _children(connection, order_id),
                marks=await _marks(connection, order, until),
                read_at=read_at,
            )


async def _order(connection: AsyncConnection, order_id: str) -> OrderFacts | None:
    table = ParentOrder.__table__
    names = [name for name in OrderFacts.__dataclass_fields__ if name != "plan"]
    columns: list[Any] = [*(table.c[name] for name in names), ExecutionRow.plan]
    query = (
        select(*columns)
        .select_from(ParentOrder)
        .outerjoin(ExecutionRow, ExecutionRow.execution_id == ParentOrder.execution_id)
        .where(ParentOrder.order_id == order_id)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else OrderFacts(**row)


async def _fills(connection: AsyncConnection, order_id: str) -> list[FillFact]:
    names = [name for name in FillFact.__dataclass_fields__ if name != "fee_rate"]
    columns: list[Any] = [
        *(FillRow.__table__.c[name] for name in names),
        FeeValue.rate.label("fee_rate"),
    ]
    query = (
        select(*columns)
        .join(ChildOrder, ChildOrder.client_order_id == FillRow.client_order_id)
        .outerjoin(FeeValue, FeeValue.fill_id == FillRow.id)
        .where(ChildOrder.order_id == order_id)
        .order_by(FillRow.traded_at, FillRow.id)
        .limit(MAX_FILLS)
    )
    return [FillFact(**row) for row in (await connection.execute(query)).mappings()]


async def _children(connection: AsyncConnection, order_id: str) -> list[ChildFact]:
    names = [name for name in ChildFact.__dataclass_fields__ if name != "sent_at"]
    sent_at = (
        select(func.max(Attempt.claimed_at))
        .where(Attempt.client_order_id == ChildOrder.client_order_id)
        .scalar_subquery()
    )
    columns: list[Any] = [
        *(ChildOrder.__table__.c[name] for name in names),
        sent_at.label("sent_at"),
    ]
    query = (
        select(*columns)
        .where(ChildOrder.order_id == order_id)
        .order_by(ChildOrder.child_index, ChildOrder.generation)
        .limit(MAX_CHILDREN)
    )
    return [ChildFact(**row) for row in (await connection.execute(query)).mappings()]


async def _marks(connection: AsyncConnection, order: OrderFacts, until: datetime) -> list[MarkFact]:
    """The strategy's own position keeps the marks that it was valued at, about one a minute."""
    since = order.accepted_at or order.created_at
    kept: list[Any] = [PositionSnapshot.mark.label("price"), PositionSnapshot.marked_at]
    newest: list[Any] = [Mark.price, Mark.marked_at]
    of_positions = select(*kept).where(
        PositionSnapshot.strategy_id == order.strategy_id,
        PositionSnapshot.account == order.account,
        PositionSnapshot.exchange == order.exchange,
        PositionSnapshot.symbol == order.symbol,
        PositionSnapshot.taken_at >= since,  # a mark is older than the snapshot that keeps it
        PositionSnapshot.marked_at >= since,
        PositionSnapshot.marked_at <= until,
        PositionSnapshot.mark.is_not(None),
    )
    of_now = select(*newest).where(
        Mark.exchange == order.exchange,
        Mark.symbol == order.symbol,
        Mark.marked_at >= since,
        Mark.marked_at <= until,
    )
    both = union(of_positions, of_now).subquery()
    query = select(*both.c).order_by(both.c.marked_at).limit(MAX_MARKS)
    return [MarkFact(**row) for row in (await connection.execute(query)).mappings()]
