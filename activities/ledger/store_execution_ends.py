"""The end of an execution: told once, its legs ended with it, its locks released.

Also what the sweep for lost workflows asks: which executions are open, and what was done about it.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Update,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.alarm_ends import OF_ENDED_EXECUTION, ended
from activities.ledger.models import ChildOrder, ExecutionLock, ExecutionRow, ParentOrder
from activities.ledger.results import LostExecution, UnknownExecutionError
from activities.ledger.statements import alarm
from activities.ledger.store_compensation import lock_execution
from activities.ledger.store_orders import save_order
from activities.ledger.store_unsent import release_unsent
from workflows.domain.alarms import AlarmCode
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.messages import OrderSnapshot
from workflows.payloads import strict_loads
from workflows.ports import SaveExecution

_FINISHED = [status.value for status in OrderStatus if status.is_terminal]
_NOTHING_DONE = [ChildStatus.NOT_SENT.value, ChildStatus.DENIED.value]


# --- save ---------------------------------------------------------------------------------------


async def save_execution(connection: AsyncConnection, request: SaveExecution) -> str | None:
    """See ExecutionStore.save_execution."""
    execution_id = request.execution_id
    try:
        execution = await lock_execution(connection, execution_id)
    except UnknownExecutionError:
        await connection.execute(
            alarm(AlarmCode.UNKNOWN_EXECUTION, execution_id, f"status={request.status}")
        )
        return None
    if ExecutionStatus(execution.status).is_terminal:
        return await _snapshot_text(connection, execution_id)
    await _save_legs(connection, execution_id, request.legs)
    await connection.execute(_values(request))
    if request.status.is_terminal:
        await _end_legs(connection, execution_id)
        held = ExecutionLock.execution_id == execution_id
        await connection.execute(delete(ExecutionLock).where(held))
        await connection.execute(ended(OF_ENDED_EXECUTION, execution_id))
    return None


async def _snapshot_text(connection: AsyncConnection, execution_id: str) -> str | None:
    query = select(cast(ExecutionRow.snapshot, Text)).where(
        ExecutionRow.execution_id == execution_id
    )
    text: str | None = (await connection.execute(query)).scalar_one()
    return text


def _values(request: SaveExecution) -> Update:
    told = strict_loads(request.snapshot.encode())
    values: dict[str, Any] = {
        "status": request.status.value,
        "snapshot": cast(literal(request.snapshot, Text), JSONB),
        "code": told.get("code"),
        "field": told.get("field"),
        "reason": told.get("error") or "",
        "updated_at": func.now(),
    }
    if request.status.is_terminal:
        values["finished_at"] = func.now()
    return (
        update(ExecutionRow).where(ExecutionRow.execution_id == request.execution_id).values(values)
    )


async def _save_legs(
    connection: AsyncConnection, execution_id: str, legs: tuple[OrderSnapshot, ...]
) -> None:
    """A leg that was denied together with others was never registered: nothing is stored of it."""
    registered = set((await connection.execute(_leg_ids(execution_id))).scalars())
    for leg in legs:
        if leg.order_id in registered or leg.status is not OrderStatus.DENIED:
            await save_order(connection, leg, leg.status)


def _leg_ids(execution_id: str) -> Select[Any]:
    return select(ParentOrder.order_id).where(ParentOrder.execution_id == execution_id)


async def _end_legs(connection: AsyncConnection, execution_id: str) -> None:
    """Legs that the workflow never told of: a task that was done again forgot them.

    Nobody can have sent them. If somebody has, a human must know, and the leg stays as it is.
    """
    untold = _leg_ids(execution_id).where(ParentOrder.status.not_in(_FINISHED))
    for order_id in (await connection.execute(untold)).scalars().all():
        await connection.execute(release_unsent(order_id))
        ended = await connection.execute(_cancel_unsent(order_id))
        if ended.first() is None:
            detail = f"execution_id={execution_id} has ended"
            await connection.execute(alarm(AlarmCode.LEG_LEFT_OPEN, order_id, detail))


def _cancel_unsent(order_id: str) -> Any:
    was_sent = exists().where(
        ChildOrder.order_id == order_id, ChildOrder.status.not_in(_NOTHING_DONE)
    )
    return (
        update(ParentOrder)
        .where(ParentOrder.order_id == order_id, ~was_sent)
        .values(
            status=OrderStatus.CANCELLED.value,
            reason="the execution ended",
            finished_at=func.now(),
            updated_at=func.now(),
        )
        .returning(ParentOrder.order_id)
    )


# --- the sweep ----------------------------------------------------------------------------------


async def take_open(
    connection: AsyncConnection, older_than: ColumnElement[Any], unseen_since: ColumnElement[Any]
) -> list[LostExecution]:
    """See ExecutionStore.take_open."""
    taken = (
        update(ExecutionRow)
        .where(
            ExecutionRow.finished_at.is_(None),
            ExecutionRow.created_at < older_than,
            or_(ExecutionRow.looked_at.is_(None), ExecutionRow.looked_at < unseen_since),
        )
        .values(looked_at=func.clock_timestamp())
        .returning(
            ExecutionRow.execution_id,
            ExecutionRow.kind,
            cast(ExecutionRow.plan, Text).label("plan"),
            ExecutionRow.failures,
        )
    )
    return [
        LostExecution(
            execution_id=row.execution_id,
            kind=ExecutionKind(row.kind),
            plan=row.plan,
            failures=row.failures,
        )
        for row in await connection.execute(taken)
    ]


async def note_adoption(
    connection: AsyncConnection, execution_id: str, detail: str, *, has_failed: bool
) -> bool:
    """See ExecutionStore.note_adoption."""
    noted = await connection.execute(
        update(ExecutionRow)
        .where(ExecutionRow.execution_id == execution_id, ExecutionRow.finished_at.is_(None))
        .values(failures=ExecutionRow.failures + int(has_failed))
        .returning(ExecutionRow.execution_id)
    )
    if noted.first() is None:
        return False
    await connection.execute(alarm(AlarmCode.EXECUTION_ADOPTED, execution_id, detail))
    return True
