"""Executions as the ledger shows them: one, pages of them, their legs, and figures for metrics.

Rule: nothing here writes or locks. A preview is no execution to the metrics: it trades nothing.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    Numeric,
    Row,
    Select,
    bindparam,
    exists,
    extract,
    func,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.cursors import decode_cursor
from activities.ledger.models import ExecutionRow, ParentOrder
from activities.ledger.view_models import ExecutionCount, ExecutionDurations, ExecutionView
from activities.ledger.view_orders import children_of, overlay, totals_of
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.messages import OrderSnapshot

MAX_LEGS = 500
_ZERO = Decimal(0)
_IS_PREVIEW = func.coalesce(ExecutionRow.plan["preview"].as_boolean(), False)


def execution_query(execution_id: str) -> Select[Any]:
    """One execution."""
    columns: list[Any] = list(ExecutionRow.__table__.columns)
    return select(*columns).where(ExecutionRow.execution_id == execution_id)


def executions_query(
    kind: ExecutionKind | None,
    strategy_id: str | None,
    status: ExecutionStatus | None,
    cursor: str | None,
) -> Select[Any]:
    """Executions, newest first, from the cursor on. Raises InvalidCursorError."""
    columns: list[Any] = list(ExecutionRow.__table__.columns)
    newest = (ExecutionRow.created_at.desc(), ExecutionRow.execution_id.desc())
    query = select(*columns).order_by(*newest)
    wanted = {"kind": kind, "strategy_id": strategy_id, "status": status}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(ExecutionRow.__table__.c[name] == str(value))
    if cursor is not None:
        place = tuple_(ExecutionRow.created_at, ExecutionRow.execution_id)
        query = query.where(place < tuple_(*decode_cursor(cursor)))
    return query


def view_of(row: Row[Any]) -> ExecutionView:
    """A row as shown. What it holds as JSON has its amounts as text, so nothing is rounded."""
    return ExecutionView(
        execution_id=row.execution_id,
        kind=ExecutionKind(row.kind),
        status=ExecutionStatus(row.status),
        strategy_id=row.strategy_id,
        account=row.account,
        venues=tuple(row.venues),
        plan=json.dumps(row.plan),
        snapshot=None if row.snapshot is None else json.dumps(row.snapshot),
        code=row.code,
        field=row.field,
        reason=row.reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )


async def legs_of(connection: AsyncConnection, execution_id: str) -> tuple[OrderSnapshot, ...]:
    """The orders of an execution with their children, oldest first (at most MAX_LEGS)."""
    query = (
        select(*ParentOrder.__table__.columns)
        .where(ParentOrder.execution_id == execution_id)
        .order_by(ParentOrder.created_at, ParentOrder.order_id)
        .limit(MAX_LEGS)
    )
    rows = (await connection.execute(query)).all()
    totals = await totals_of(connection, [row.order_id for row in rows])
    legs: list[OrderSnapshot] = []
    for row in rows:
        children, count = await children_of(connection, row.order_id)
        shown = overlay(row, totals.get(row.order_id))
        more = {"children": children, "children_total": count}
        legs.append(shown.model_copy(update=more))
    return tuple(legs)


async def counts(connection: AsyncConnection) -> list[ExecutionCount]:
    """How many executions there are, by kind, venues, status, and whether anything was traded."""
    traded = exists().where(
        ParentOrder.execution_id == ExecutionRow.execution_id, ParentOrder.filled_quantity > 0
    )
    group = (
        ExecutionRow.kind,
        ExecutionRow.venues,
        ExecutionRow.status,
        traded.label("has_fills"),
    )
    each = select(*group).where(~_IS_PREVIEW).subquery()
    query = select(*each.c, func.count().label("many")).group_by(*each.c).order_by(*each.c)
    return [
        ExecutionCount(
            kind=ExecutionKind(row.kind),
            venues=tuple(row.venues),
            status=ExecutionStatus(row.status),
            has_fills=row.has_fills,
            count=row.many,
        )
        for row in await connection.execute(query)
    ]


def _durations() -> Select[Any]:
    took = extract("epoch", ExecutionRow.finished_at - ExecutionRow.created_at).cast(Numeric)
    bucket = func.width_bucket(took, bindparam("bounds", type_=ARRAY(Numeric)))
    group = (ExecutionRow.kind, ExecutionRow.venues)
    columns: list[Any] = [
        *group,
        bucket.label("bucket"),
        func.count().label("count"),
        func.sum(took).label("total_s"),
    ]
    return (
        select(*columns)
        # a denied plan was never executed
        .where(
            ExecutionRow.finished_at.is_not(None),
            ExecutionRow.status != ExecutionStatus.DENIED.value,
            ~_IS_PREVIEW,
        )
        .group_by(*group, "bucket")
        .order_by(*group, "bucket")
    )


_DURATIONS = _durations()


async def durations(
    connection: AsyncConnection, bounds_s: Sequence[Decimal]
) -> list[ExecutionDurations]:
    """How long ended executions took, by kind and venues. `bounds_s`: seconds, ascending."""
    rows = await connection.execute(_DURATIONS, {"bounds": list(bounds_s)})
    found: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    totals: dict[tuple[str, tuple[str, ...]], Decimal] = {}
    for row in rows:
        key = (row.kind, tuple(row.venues))
        buckets = found.setdefault(key, [0] * (len(bounds_s) + 1))
        buckets[row.bucket] += row._mapping["count"]
        with exact():
            totals[key] = totals.get(key, _ZERO) + row.total_s
    return [
        ExecutionDurations(
            kind=ExecutionKind(kind),
            venues=venues,
            counts=tuple(buckets),
            total_s=totals[kind, venues],
        )
        for (kind, venues), buckets in found.items()
    ]
