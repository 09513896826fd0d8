"""Parent orders: registered under the caller's id, accepted or denied once, finished once."""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Row,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.alarm_ends import OF_ENDED_LEG, OF_FILLED_GUARD, ended
from activities.ledger.models import (
    ExecutionRow,
    ParentOrder,
)
from activities.ledger.results import OpenParent, ParentKind
from activities.ledger.statements import (
    alarm,
    in_one_trip,
)
from activities.ledger.store_statistics import count_end
from activities.ledger.store_unsent import release_unsent
from activities.ledger.store_watches import disarm_all_of
from workflows.domain.alarms import AlarmCode
from workflows.domain.exact import exact
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.messages import OrderRequest, OrderSnapshot

_TOLD: list[Any] = [ParentOrder.order_type, ParentOrder.execution_id]
_TERMINAL = [status.value for status in OrderStatus if status.is_terminal]


# --- open ---------------------------------------------------------------------------------------


async def open_parent(
    connection: AsyncConnection,
    order_id: str,
    run_chain: str,
    request: OrderRequest,
    *,
    execution_id: str | None = None,
) -> OpenParent:
    """See LedgerStore.open_parent; with `execution_id` the order is a leg of that execution."""
    body_hash = request.body_hash()
    values = {
        "run_chain": run_chain,
        "body_hash": body_hash,
        "execution_id": execution_id,
        **_columns(order_id, request),
    }
    table = ParentOrder.__table__
    # an id belongs to one order or to one execution
    is_free = ~exists().where(ExecutionRow.execution_id == order_id)
    row = select(*(literal(value, table.c[name].type) for name, value in values.items()))
    new = (
        insert(ParentOrder)
        .from_select(list(values), row.where(is_free))
        .on_conflict_do_nothing()
        .returning(ParentOrder.order_id)
    )
    if (await connection.execute(new)).first():
        return OpenParent(kind=ParentKind.NEW)
    found = await connection.execute(select(*table.columns).where(ParentOrder.order_id == order_id))
    stored = found.one_or_none()
    if stored is None:
        detail = f"order_id={order_id} is an execution"
        return OpenParent(kind=ParentKind.CONFLICT, detail=detail)
    return _compare(stored, run_chain, body_hash)


def _columns(order_id: str, request: OrderRequest) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "strategy_id": request.strategy_id,
        "account": request.account,
        "exchange": request.exchange,
        "symbol": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "quantity": request.quantity,
        "price": request.price,
        "priority": request.priority,
        "request": request.model_dump(mode="json", exclude_none=True),
        "status": OrderStatus.PENDING.value,
    }


def _compare(stored: Row[Any], run_chain: str, body_hash: str) -> OpenParent:
    if stored.run_chain == run_chain:
        return OpenParent(kind=ParentKind.NEW)
    if stored.body_hash != body_hash:
        detail = f"order_id={stored.order_id} body=other"
        return OpenParent(kind=ParentKind.CONFLICT, detail=detail)
    if not OrderStatus(stored.status).is_terminal:
        # its workflow was terminated or lost: what it left at the venue is not settled
        detail = f"order_id={stored.order_id} status={stored.status} run=other"
        return OpenParent(kind=ParentKind.CONFLICT, detail=detail)
    return OpenParent(kind=ParentKind.FINISHED, stored=snapshot_of(stored))


def snapshot_of(row: Row[Any]) -> OrderSnapshot:
    """The order as its workflow last stored it; the row's own columns where it never did."""
    stored = row.snapshot or {}
    known = {
        "order_id": row.order_id,
        "order_type": row.order_type,
        "strategy_id": row.strategy_id,
        "account": row.account,
        "exchange": row.exchange,
        "symbol": row.symbol,
        "side": row.side,
        "quantity": row.quantity,
        "price": row.price,
        "remaining_quantity": row.quantity,
        "reason": row.reason,
        "created_at": row.created_at.isoformat(),
        **stored,
        **_amended(row, stored),
        "status": row.status,
        "code": row.code,
        "field": row.field,
        "updated_at": row.updated_at.isoformat(),
    }
    return OrderSnapshot.model_validate(known)


def _amended(row: Row[Any], stored: dict[str, Any]) -> dict[str, Any]:
    """What an amendment changed since the workflow told of the order."""
    if row.amended_request is None:
        return {}
    with exact():
        left = row.quantity - Decimal(stored.get("filled_quantity", 0))
    return {"quantity": row.quantity, "price": row.price, "remaining_quantity": left}


# --- save ---------------------------------------------------------------------------------------


async def save_order(
    connection: AsyncConnection, snapshot: OrderSnapshot, status: OrderStatus
) -> OrderSnapshot | None:
    """See LedgerStore.save_order."""
    values: dict[str, Any] = {
        "status": status.value,
        "filled_quantity": snapshot.filled_quantity,
        "reason": snapshot.reason,
        "updated_at": func.now(),
    }
    if status.is_terminal:  # until then its children are told from their own rows
        values |= {
            "snapshot": snapshot.model_dump(mode="json", exclude_none=True),
            "code": None if snapshot.code is None else snapshot.code.value,
            "field": snapshot.field,
            "finished_at": func.now(),
        }
    open_still = ParentOrder.status.not_in(_TERMINAL)
    # a denial of accept_parent is terminal before its workflow has told the end
    untold = and_(ParentOrder.status == status.value, ParentOrder.finished_at.is_(None))
    saved = await connection.execute(
        update(ParentOrder)
        .where(ParentOrder.order_id == snapshot.order_id, open_still | untold)
        .values(values)
        .returning(*_TOLD)
    )
    order = saved.first()
    stored, is_known = None, order is not None
    if not is_known:
        stored = await _end_before(connection, snapshot.order_id, status)
    if status is OrderStatus.FAILED:
        await connection.execute(alarm(AlarmCode.ORDER_FAILED, snapshot.order_id, snapshot.reason))
    if status.is_terminal:
        names = {_ENDED.key: snapshot.order_id}
        await connection.execute(_RELEASE, names)
        await connection.execute(_COUNT if is_known else _DISARM, names)
        if order is not None:
            await _close_alarms(connection, order, snapshot.order_id, status)
    return stored


async def _close_alarms(
    connection: AsyncConnection, order: Row[Any], order_id: str, status: OrderStatus
) -> None:
    """A guard that did its work, and a leg that its execution had left open."""
    codes: tuple[AlarmCode, ...] = ()
    if order.execution_id is not None and status is not OrderStatus.FAILED:
        codes += OF_ENDED_LEG
    if OrderType(order.order_type).is_triggered and status is OrderStatus.FILLED:
        codes += OF_FILLED_GUARD
    if codes:
        await connection.execute(ended(codes, order_id))


# Built once: each would take longer to build than to carry out.
_ENDED = bindparam("ended_order", type_=Text)
_RELEASE = release_unsent(_ENDED)
_DISARM = in_one_trip(disarm_all_of(_ENDED))
_COUNT = in_one_trip(disarm_all_of(_ENDED), count_end(_ENDED))
"""An order's end, the first time it is told: among the sums of its kind too."""


async def _end_before(
    connection: AsyncConnection, order_id: str, status: OrderStatus
) -> OrderSnapshot | None:
    """A finished order is left as it is; one that is not there at all is news to a human."""
    found = await connection.execute(
        select(*ParentOrder.__table__.columns).where(ParentOrder.order_id == order_id)
    )
    row = found.first()
    if row is None:
        await connection.execute(alarm(AlarmCode.UNKNOWN_ORDER, order_id, f"status={status}"))
        return None
    return snapshot_of(row)
