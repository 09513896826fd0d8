"""The residual of an execution as the ledger knows it, which says what may compensate it.

Theory. The residual is what all legs bought, less what they sold, less the fees that were taken in
base units; what a venue says has executed counts before its fills have come. Who asks in order to
reserve holds the execution's row, so no two compensations are judged by the same residual, at
whatever venue they are. A fill and the reservation that it consumes change in one transaction, and
one statement reads both.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import Compensation
from activities.ledger.models import (
    ChildOrder,
    ExecutionRow,
    FillRow,
    ParentOrder,
    Reservation,
)
from activities.ledger.results import UnknownExecutionError
from workflows.domain.orders import Side


def _executed() -> Any:
    return func.greatest(ChildOrder.executed_quantity, ChildOrder.filled_quantity)


def _of_leg() -> Any:
    """Children of the execution's orders in this base asset."""
    return and_(
        ParentOrder.order_id == ChildOrder.order_id,
        ParentOrder.execution_id == bindparam("of_execution"),
        func.split_part(ChildOrder.symbol, "/", 1) == bindparam("base"),
    )


def _traded() -> Any:
    sign = case((ChildOrder.side == Side.BUY.value, 1), else_=-1)
    return (
        select(func.coalesce(func.sum(sign * _executed()), 0))
        .select_from(ChildOrder)
        .join(ParentOrder, _of_leg())
        .scalar_subquery()
    )


def _base_fees() -> Any:
    return (
        select(func.coalesce(func.sum(FillRow.fee), 0))
        .select_from(ChildOrder)
        .join(ParentOrder, _of_leg())
        .join(FillRow, FillRow.client_order_id == ChildOrder.client_order_id)
        .where(FillRow.fee_asset == bindparam("base"))
        .scalar_subquery()
    )


def _taken(side: Side) -> Any:
    """What the open compensations of one side, the asking one aside, may still trade."""
    told_but_unbooked = _executed() - ChildOrder.filled_quantity
    return (
        select(
            func.coalesce(func.sum(func.greatest(Reservation.quantity - told_but_unbooked, 0)), 0)
        )
        .select_from(ChildOrder)
        .join(Reservation, Reservation.client_order_id == ChildOrder.client_order_id)
        .where(
            ChildOrder.compensates == bindparam("of_execution"),
            ChildOrder.side == side.value,
            func.split_part(ChildOrder.symbol, "/", 1) == bindparam("base"),
            ChildOrder.client_order_id != bindparam("client_order_id"),
            Reservation.state == "open",
        )
        .scalar_subquery()
    )


def _facts() -> Select[Any]:
    one = select(literal(1).label("n")).subquery("one")
    return select(
        (_traded() - _base_fees()).label("residual"),
        _taken(Side.BUY).label("taken_by_buys"),
        _taken(Side.SELL).label("taken_by_sells"),
    ).select_from(one)


_FACTS = _facts()
_EXECUTION = (
    select(*ExecutionRow.__table__.columns)
    .where(ExecutionRow.execution_id == bindparam("of_execution"))
    .with_for_update(key_share=True)
)


async def lock_execution(connection: AsyncConnection, execution_id: str) -> Row[Any]:
    """The execution, held until the end. Raises UnknownExecutionError.

    Taken before everything else that a transaction locks, the trading state included.
    """
    found = (await connection.execute(_EXECUTION, {"of_execution": execution_id})).one_or_none()
    if found is None:
        raise UnknownExecutionError(f"the ledger holds no execution {execution_id}")
    return found


async def compensation_of(
    connection: AsyncConnection, execution_id: str, symbol: str, client_order_id: str
) -> Compensation:
    """What a child of this symbol would compensate; quantities in base units."""
    names = {
        "of_execution": execution_id,
        "base": symbol.partition("/")[0],
        "client_order_id": client_order_id,
    }
    facts = (await connection.execute(_FACTS, names)).one()
    return Compensation(
        execution_id=execution_id,
        residual=Decimal(facts.residual),
        taken_by_buys=Decimal(facts.taken_by_buys),
        taken_by_sells=Decimal(facts.taken_by_sells),
    )
