"""What is at work now, in few columns: for those who cancel much at once.

Rule: nothing here writes or locks; an answer has at most MAX_OPEN entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, any_, exists, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.models import ExecutionRow, ParentOrder
from activities.ledger.view_accounts import Accounts, seen
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus

MAX_OPEN = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of them; None: any."""

    strategy_id: str | None = None
    symbol: str | None = None
    exchange: str | None = None
    accounts: Accounts = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that has not ended, as the ledger knows it."""

    order_id: str
    status: OrderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenExecution:
    """An execution that has not ended."""

    execution_id: str
    kind: ExecutionKind
    status: ExecutionStatus


class OpenViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def orders(self, wanted: Wanted, *, limit: int = MAX_OPEN) -> list[OpenOrder]:
        """Orders at work, oldest first; legs of executions are their executions'."""
        query = (
            select(ParentOrder.order_id, ParentOrder.status)
            .where(ParentOrder.finished_at.is_(None), ParentOrder.execution_id.is_(None))
            .where(*seen(ParentOrder.account, wanted.accounts))
            .order_by(ParentOrder.created_at, ParentOrder.order_id)
            .limit(limit)
        )
        for name in ("strategy_id", "symbol", "exchange"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(getattr(ParentOrder, name) == value)
        async with self._engine.connect() as connection:
            return [
                OpenOrder(order_id=row.order_id, status=OrderStatus(row.status))
                for row in await connection.execute(query)
            ]

    async def executions(self, wanted: Wanted, *, limit: int = MAX_OPEN) -> list[OpenExecution]:
        """Executions at work that trade, or plan to trade, what is wanted; oldest first."""
        query = _executions(wanted).limit(limit)
        async with self._engine.connect() as connection:
            return [
                OpenExecution(
                    execution_id=row.execution_id,
                    kind=ExecutionKind(row.kind),
                    status=ExecutionStatus(row.status),
                )
                for row in await connection.execute(query)
            ]

    async def ends(self, order_ids: Sequence[str]) -> dict[str, OrderStatus]:
        """The states of those of the orders that have ended."""
        query = select(ParentOrder.order_id, ParentOrder.status).where(
            ParentOrder.order_id.in_(order_ids), ParentOrder.finished_at.is_not(None)
        )
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
            return {row.order_id: OrderStatus(row.status) for row in rows}

    async def execution_ends(self, execution_ids: Sequence[str]) -> dict[str, ExecutionStatus]:
        """The states of those of the executions that have ended."""
        query = select(ExecutionRow.execution_id, ExecutionRow.status).where(
            ExecutionRow.execution_id.in_(execution_ids), ExecutionRow.finished_at.is_not(None)
        )
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
            return {row.execution_id: ExecutionStatus(row.status) for row in rows}


def _executions(wanted: Wanted) -> Select[Any]:
    columns: list[Any] = [ExecutionRow.execution_id, ExecutionRow.kind, ExecutionRow.status]
    query = (
        select(*columns)
        .where(ExecutionRow.finished_at.is_(None), *seen(ExecutionRow.account, wanted.accounts))
        .order_by(ExecutionRow.created_at, ExecutionRow.execution_id)
    )
    if wanted.strategy_id is not None:
        query = query.where(ExecutionRow.strategy_id == wanted.strategy_id)
    if wanted.exchange is not None:
        query = query.where(literal(wanted.exchange) == any_(ExecutionRow.venues))
    if wanted.symbol is not None:
        its_leg = exists().where(
            ParentOrder.execution_id == ExecutionRow.execution_id,
            ParentOrder.symbol == wanted.symbol,
        )
        is_planned = ExecutionRow.plan["symbol"].as_string() == wanted.symbol
        query = query.where(or_(is_planned, its_leg))
    return query
