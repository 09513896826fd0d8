"""The only reader of the ledger for those who ask: orders, executions, fills, alarms, figures.

Rule: nothing here writes or locks. Amounts are exact; an average price is rounded as workflows
round it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, Numeric, Row, Select, bindparam, extract, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.book_models import AccountBalance
from activities.ledger.control_models import Alarm
from activities.ledger.cursors import InvalidCursorError, decode_cursor, encode_cursor
from activities.ledger.models import (
    AccountReadiness,
    ChildOrder,
    ExecutionRow,
    FillRow,
    ParentOrder,
)
from activities.ledger.store_actions import actions_of
from activities.ledger.store_states import read_states
from activities.ledger.view_accounts import Accounts, seen, seen_alarms
from activities.ledger.view_executions import (
    counts,
    durations,
    execution_query,
    executions_query,
    legs_of,
    view_of,
)
from activities.ledger.view_models import (
    AccountView,
    AlarmView,
    DurationHistogram,
    ExecutionCount,
    ExecutionDurations,
    ExecutionView,
    FillView,
    OrderCount,
    TradingStateView,
)
from activities.ledger.view_orders import children_of, overlay, totals_of
from activities.ledger.view_watches import armed_watch_query
from activities.ledger.watch_rows import StoredWatch, stored_watch
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

__all__ = ["MAX_PAGE", "InvalidCursorError", "LedgerViews"]

MAX_PAGE = 500
MAX_ALARMS = 1_000
MAX_FILLS = 50_000
_ZERO = Decimal(0)
_TERMINAL = [status.value for status in OrderStatus if status.is_terminal]


class LedgerViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def order(self, order_id: str) -> OrderSnapshot | None:
        """One order with its newest children and actions, or None."""
        query = select(*ParentOrder.__table__.columns).where(ParentOrder.order_id == order_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            totals = await totals_of(connection, [order_id])
            children, count = await children_of(connection, order_id)
            actions = await actions_of(connection, order_id)
        shown = overlay(row, totals.get(order_id))
        return shown.model_copy(
            update={"children": children, "children_total": count, "actions": actions}
        )

    async def orders(
        self,
        *,
        strategy_id: str | None = None,
        symbol: str | None = None,
        status: str | None = None,
        exchange: str | None = None,
        accounts: Accounts = None,
        is_open: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[OrderSnapshot], str | None]:
        """A page of orders, newest first, without children; and the cursor of the next page.

        `is_open` leaves out what has ended; `limit` is 1 to MAX_PAGE. Raises InvalidCursorError
        for a cursor that is not ours.
        """
        assert 1 <= limit <= MAX_PAGE, f"limit {limit}"
        query = _page(strategy_id, symbol, status, exchange, cursor).limit(limit + 1)
        query = query.where(*seen(ParentOrder.account, accounts))
        if is_open:
            query = query.where(ParentOrder.status.not_in(_TERMINAL))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
            page = rows[:limit]
            totals = await totals_of(connection, [row.order_id for row in page])
        shown = [overlay(row, totals.get(row.order_id)) for row in page]
        more = len(rows) > limit
        return shown, encode_cursor(page[-1].created_at, page[-1].order_id) if more else None

    async def armed_watch(self, order_id: str) -> StoredWatch | None:
        """The watch that stands guard for the order now, or None."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(armed_watch_query(order_id))).one_or_none()
        return None if row is None else stored_watch(row)

    async def execution(self, execution_id: str) -> ExecutionView | None:
        """One execution, or None."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(execution_query(execution_id))).one_or_none()
        return None if row is None else view_of(row)

    async def executions(
        self,
        kind: ExecutionKind | None = None,
        *,
        strategy_id: str | None = None,
        status: ExecutionStatus | None = None,
        accounts: Accounts = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[ExecutionView], str | None]:
        """A page of executions, newest first; and the cursor of the next page.

        `limit` is 1 to MAX_PAGE. Raises InvalidCursorError for a cursor that is not ours.
        """
        assert 1 <= limit <= MAX_PAGE, f"limit {limit}"
        query = executions_query(kind, strategy_id, status, cursor).limit(limit + 1)
        query = query.where(*seen(ExecutionRow.account, accounts))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        page = [view_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return page, encode_cursor(page[-1].created_at, page[-1].execution_id) if more else None

    async def execution_legs(self, execution_id: str) -> tuple[OrderSnapshot, ...]:
        """The orders of an execution with their children, oldest first."""
        async with self._engine.connect() as connection:
            return await legs_of(connection, execution_id)

    async def execution_counts(self) -> list[ExecutionCount]:
        """Every execution ever registered, by kind, venues, status, and whether it has fills."""
        async with self._engine.connect() as connection:
            return await counts(connection)

    async def execution_durations(self, bounds_s: Sequence[Decimal]) -> list[ExecutionDurations]:
        """How long ended executions took, by kind and venues. `bounds_s`: seconds, ascending."""
        async with self._engine.connect() as connection:
            return await durations(connection, bounds_s)

    async def fills(self, order_id: str) -> list[FillView]:
        """Fills of an order, oldest first (at most MAX_FILLS)."""
        names = FillView.__dataclass_fields__
        query = (
            select(*(FillRow.__table__.c[name] for name in names))
            .join(ChildOrder, ChildOrder.client_order_id == FillRow.client_order_id)
            .where(ChildOrder.order_id == order_id)
            .order_by(FillRow.traded_at, FillRow.id)
            .limit(MAX_FILLS)
        )
        async with self._engine.connect() as connection:
            return [FillView(**row._mapping) for row in await connection.execute(query)]

    async def order_counts(self) -> list[OrderCount]:
        """Every order ever registered, by type, exchange, status, and whether it has fills.

        Without the legs of executions, whose outcome is their execution's.
        """
        group = (
            ParentOrder.order_type,
            ParentOrder.exchange,
            ParentOrder.status,
            (ParentOrder.filled_quantity > 0).label("has_fills"),
        )
        query = (
            select(*group, func.count().label("count"))
            .where(ParentOrder.execution_id.is_(None))
            .group_by(*group)
            .order_by(*group)
        )
        async with self._engine.connect() as connection:
            return [OrderCount(**row._mapping) for row in await connection.execute(query)]

    async def order_durations(self, bounds_s: Sequence[Decimal]) -> list[DurationHistogram]:
        """How long finished orders took, by type and exchange; legs of executions aside.

        `bounds_s` in seconds, ascending.
        """
        async with self._engine.connect() as connection:
            rows = await connection.execute(_DURATIONS, {"bounds": list(bounds_s)})
            return _histograms(rows.all(), len(bounds_s))

    async def alarms(
        self,
        *,
        include_acknowledged: bool = False,
        before_id: int | None = None,
        accounts: Accounts = None,
        limit: int = MAX_ALARMS,
    ) -> list[AlarmView]:
        """Alarms, newest first; of those that were raised before the one with `before_id`."""
        names = AlarmView.__dataclass_fields__
        columns = [Alarm.__table__.c[name] for name in names]
        query = select(*columns).where(*seen_alarms(accounts))
        query = query.order_by(Alarm.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(Alarm.id < before_id)
        if not include_acknowledged:
            query = query.where(Alarm.acknowledged_at.is_(None))
        async with self._engine.connect() as connection:
            return [AlarmView(**row._mapping) for row in await connection.execute(query)]

    async def readiness(self) -> list[AccountView]:
        """Every account that a feed has followed."""
        is_fresh = AccountReadiness.ready_until > func.clock_timestamp()
        ready = func.coalesce((AccountReadiness.state == "READY") & is_fresh, False)
        query = select(
            AccountReadiness.exchange,
            AccountReadiness.account,
            ready.label("ready"),
            AccountReadiness.ready_until,
            AccountReadiness.reason,
            AccountReadiness.updated_at,
        ).order_by(AccountReadiness.exchange, AccountReadiness.account)
        async with self._engine.connect() as connection:
            return [AccountView(**row._mapping) for row in await connection.execute(query)]

    async def trading_states(self) -> list[TradingStateView]:
        """Every kill switch that was ever set, by scope."""
        async with self._engine.connect() as connection:
            return await read_states(connection)

    async def balances_from_ledger(self, exchange: str, account: str) -> dict[str, Decimal]:
        """Opening balance plus everything that our fills and transfers moved, by asset."""
        query = (
            select(AccountBalance.asset, AccountBalance.amount)
            .where(AccountBalance.exchange == exchange, AccountBalance.account == account)
            .order_by(AccountBalance.asset)
        )
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
            return {row.asset: row.amount for row in rows}


# --- pieces -------------------------------------------------------------------------------------


def _page(
    strategy_id: str | None,
    symbol: str | None,
    status: str | None,
    exchange: str | None,
    cursor: str | None,
) -> Select[Any]:
    columns: list[Any] = list(ParentOrder.__table__.columns)
    query = select(*columns).order_by(ParentOrder.created_at.desc(), ParentOrder.order_id.desc())
    wanted = {"strategy_id": strategy_id, "symbol": symbol, "status": status, "exchange": exchange}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(ParentOrder.__table__.c[name] == value)
    if cursor is not None:
        place = tuple_(ParentOrder.created_at, ParentOrder.order_id)
        query = query.where(place < tuple_(*decode_cursor(cursor)))
    return query


def _durations() -> Select[Any]:
    took = extract("epoch", ParentOrder.finished_at - ParentOrder.created_at).cast(Numeric)
    bucket = func.width_bucket(took, bindparam("bounds", type_=ARRAY(Numeric)))
    group = (ParentOrder.order_type, ParentOrder.exchange)
    columns: list[Any] = [
        *group,
        bucket.label("bucket"),
        func.count().label("count"),
        func.sum(took).label("total_s"),
    ]
    return (
        select(*columns)
        # a denied order was never executed
        .where(
            ParentOrder.finished_at.is_not(None),
            ParentOrder.accepted_at.is_not(None),
            ParentOrder.execution_id.is_(None),
        )
        .group_by(*group, "bucket")
        .order_by(*group, "bucket")
    )


_DURATIONS = _durations()


def _histograms(rows: Sequence[Row[Any]], bounds: int) -> list[DurationHistogram]:
    counts: dict[tuple[str, str], list[int]] = {}
    totals: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        key = (row.order_type, row.exchange)
        counts.setdefault(key, [0] * (bounds + 1))[row.bucket] += row.count
        with exact():
            totals[key] = totals.get(key, _ZERO) + row.total_s
    return [
        DurationHistogram(
            order_type=order_type,
            exchange=exchange,
            counts=tuple(buckets),
            total_s=totals[order_type, exchange],
        )
        for (order_type, exchange), buckets in counts.items()
    ]
