"""What the checker reads of the ledger: plain rows, all from one moment.

Rule: one read-only transaction with one snapshot, so that rows which were written together are
seen together. Nothing here judges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.book_models import AccountBalance, FeeValue, Transfer
from activities.ledger.engine import open_engine
from activities.ledger.models import (
    AccountReadiness,
    Attempt,
    ChildOrder,
    ExecutionLock,
    ExecutionRow,
    FillRow,
    OpeningBalance,
    ParentOrder,
    Position,
    PostingRow,
    Reservation,
    RiskCheck,
)
from activities.ledger.results import EXTERNAL
from activities.ledger.store_positions import state_of
from activities.ledger.watch_models import PriceWatch
from activities.ledger.watch_rows import fired_of, spec_of
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.positions import PositionState
from workflows.domain.postings import Account
from workflows.domain.triggers import Fired, TriggerSpec
from workflows.ports import WatchStatus

_ZERO = Decimal(0)
AccountKey = tuple[str, str]
"""Exchange and account."""
PositionName = tuple[str, str, str, str]
"""Strategy, account, exchange and symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentFacts:
    """A parent order as stored; quantities in base units. A leg has an execution."""

    order_id: str
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    execution_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFacts:
    """A child order as stored; quantities in base units."""

    client_order_id: str
    order_id: str
    exchange: str
    account: str
    filled_quantity: Decimal
    risk_passed: bool
    """Whether the risk checks of a sent attempt and of the parent are stored as approved."""
    reservation_open: bool
    venue_order_id: str | None = None
    """The exchange's id of it, once that is known; `list:<n>` of an order list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFacts:
    """A trigger that the engine keeps or kept, as stored."""

    watch_id: str
    order_id: str
    exchange: str
    symbol: str
    status: WatchStatus
    spec: TriggerSpec
    fired: Fired | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFacts:
    """An execution as stored. `snapshot` is its result, once it has one; `locks` it still holds."""

    execution_id: str
    kind: ExecutionKind
    status: ExecutionStatus
    venues: tuple[str, ...]
    snapshot: Mapping[str, Any] | None = None
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFacts:
    """A booked trade; without `client_order_id` it is EXTERNAL."""

    exchange: str
    account: str
    symbol: str
    trade_id: str
    venue_order_id: str
    client_order_id: str | None
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    strategy_id: str | None
    traded_at: datetime
    fee_rate: Decimal = _ZERO
    """Quote units per unit of a third asset; 0 until it is known."""

    @property
    def position(self) -> PositionName:
        """The position that it moved."""
        return (self.strategy_id or EXTERNAL, self.account, self.exchange, self.symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFacts:
    """A position as stored."""

    name: PositionName
    fill_count: int
    state: PositionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Imbalance:
    """Postings of one fill that do not sum to zero in one asset."""

    fill_id: int
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """All that the checker needs of one ledger.

    `balances` are opening balance, postings and transfers, `kept_balances` what the engine reads.
    """

    parents: tuple[ParentFacts, ...] = ()
    children: tuple[ChildFacts, ...] = ()
    fills: tuple[FillFacts, ...] = ()
    positions: tuple[PositionFacts, ...] = ()
    imbalances: tuple[Imbalance, ...] = ()
    executions: tuple[ExecutionFacts, ...] = ()
    watches: tuple[WatchFacts, ...] = ()
    opened_at: Mapping[AccountKey, datetime]
    """When the opening balances of an account were taken."""
    balances: Mapping[AccountKey, Mapping[str, Decimal]]
    kept_balances: Mapping[AccountKey, Mapping[str, Decimal]] = field(default_factory=dict)


async def read_ledger(database_url: str) -> LedgerFacts:
    """The ledger as it is now.

    Raises what SQLAlchemy and asyncpg raise when the database does not answer.
    """
    engine = open_engine(database_url, pool_size=1)
    try:
        async with engine.connect() as plain:
            connection = await plain.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            return await _read(connection)
    finally:
        await engine.dispose()


async def _read(connection: AsyncConnection) -> LedgerFacts:
    parents = await connection.execute(_columns(ParentOrder, ParentFacts))
    children = await connection.execute(_CHILDREN)
    fills = await connection.execute(_FILLS)
    positions = await connection.execute(_POSITIONS)
    imbalances = await connection.execute(_IMBALANCES)
    opened = await connection.execute(_OPENED)
    return LedgerFacts(
        parents=tuple(
            ParentFacts(**{**row._mapping, "status": OrderStatus(row.status)}) for row in parents
        ),
        children=tuple(ChildFacts(**row._mapping) for row in children),
        fills=tuple(FillFacts(**row._mapping) for row in fills),
        positions=tuple(_position(row) for row in positions),
        imbalances=tuple(Imbalance(**row._mapping) for row in imbalances),
        executions=await _executions(connection),
        watches=await _watches(connection),
        opened_at={(row.exchange, row.account): row.opened_at for row in opened},
        balances=await _balances(connection, _OPENING, _MOVED, _TRANSFERRED),
        kept_balances=await _balances(connection, _KEPT),
    )


def _columns(table: Any, facts: Any) -> Select[Any]:
    """The columns of a table that bear the names of the facts' fields."""
    return select(*(table.__table__.c[name] for name in facts.__dataclass_fields__))


async def _executions(connection: AsyncConnection) -> tuple[ExecutionFacts, ...]:
    locks: dict[str, list[str]] = {}
    for row in await connection.execute(_LOCKS):
        locks.setdefault(row.execution_id, []).append(row.key)
    return tuple(
        ExecutionFacts(
            execution_id=row.execution_id,
            kind=ExecutionKind(row.kind),
            status=ExecutionStatus(row.status),
            venues=tuple(row.venues),
            snapshot=row.snapshot,
            locks=tuple(locks.get(row.execution_id, ())),
        )
        for row in await connection.execute(_EXECUTIONS)
    )


async def _watches(connection: AsyncConnection) -> tuple[WatchFacts, ...]:
    return tuple(
        WatchFacts(
            watch_id=row.watch_id,
            order_id=row.order_id,
            exchange=row.exchange,
            symbol=row.symbol,
            status=WatchStatus(row.status),
            spec=spec_of(row),
            fired=fired_of(row),
        )
        for row in await connection.execute(_WATCHES)
    )


def _position(row: Row[Any]) -> PositionFacts:
    name = (row.strategy_id, row.account, row.exchange, row.symbol)
    return PositionFacts(name=name, fill_count=row.fill_count, state=state_of(row))


async def _balances(
    connection: AsyncConnection, *queries: Any
) -> dict[AccountKey, dict[str, Decimal]]:
    found: dict[AccountKey, dict[str, Decimal]] = {}
    with exact():
        for query in queries:
            for row in await connection.execute(query):
                assets = found.setdefault((row.exchange, row.account), {})
                assets[row.asset] = assets.get(row.asset, _ZERO) + row.amount
    return found


# --- statements -----------------------------------------------------------------------------------


def _children() -> Select[Any]:
    approved = select(RiskCheck.subject).where(RiskCheck.verdict == "approved")
    parent_passed = approved.where(
        RiskCheck.kind == "parent", RiskCheck.subject == ChildOrder.order_id
    )
    # the check of an attempt that was sent: a check of another one proves nothing
    child_passed = approved.where(
        RiskCheck.kind == "child",
        RiskCheck.subject == ChildOrder.client_order_id,
        Attempt.client_order_id == RiskCheck.subject,
        Attempt.attempt == RiskCheck.attempt,
        Attempt.claimed_at.is_not(None),
    )
    is_open = select(Reservation.client_order_id).where(
        Reservation.client_order_id == ChildOrder.client_order_id, Reservation.state == "open"
    )
    columns: list[Any] = [
        ChildOrder.client_order_id,
        ChildOrder.order_id,
        ChildOrder.exchange,
        ChildOrder.account,
        ChildOrder.filled_quantity,
        ChildOrder.venue_order_id,
        (parent_passed.exists() & child_passed.exists()).label("risk_passed"),
        is_open.exists().label("reservation_open"),
    ]
    return select(*columns)


_CHILDREN = _children()
_OF_FILLS = [name for name in FillFacts.__dataclass_fields__ if name != "fee_rate"]
_FILLS = (
    select(
        *(
            FillRow.__table__.c[name]
            for name in FillFacts.__dataclass_fields__
            if name != "fee_rate"
        ),
        func.coalesce(FeeValue.rate, 0).label("fee_rate"),
    )
    .outerjoin(FeeValue, FeeValue.fill_id == FillRow.id)
    .order_by(FillRow.id)
)
# a position is made when something is reserved, before anything is traded
_POSITIONS = select(*Position.__table__.columns).where(Position.fill_count != 0)
_IMBALANCES = (
    select(PostingRow.fill_id, PostingRow.asset, func.sum(PostingRow.amount).label("amount"))
    .group_by(PostingRow.fill_id, PostingRow.asset)
    .having(func.sum(PostingRow.amount) != 0)
    .order_by(PostingRow.fill_id, PostingRow.asset)
)
_EXECUTIONS = select(
    ExecutionRow.execution_id,
    ExecutionRow.kind,
    ExecutionRow.status,
    ExecutionRow.venues,
    ExecutionRow.snapshot,
).order_by(ExecutionRow.execution_id)
_WATCHES = select(
    PriceWatch.watch_id,
    PriceWatch.order_id,
    PriceWatch.exchange,
    PriceWatch.symbol,
    PriceWatch.status,
    PriceWatch.spec,
    PriceWatch.fired,
).order_by(PriceWatch.watch_id)
_LOCKS = select(ExecutionLock.execution_id, ExecutionLock.key).order_by(ExecutionLock.key)
_OPENED = select(
    AccountReadiness.exchange, AccountReadiness.account, AccountReadiness.opened_at
).where(AccountReadiness.opened_at.is_not(None))
_OPENING = select(
    OpeningBalance.exchange, OpeningBalance.account, OpeningBalance.asset, OpeningBalance.amount
)
_MOVED = (
    select(
        FillRow.exchange,
        FillRow.account,
        PostingRow.asset,
        func.sum(PostingRow.amount).label("amount"),
    )
    .join(FillRow, FillRow.id == PostingRow.fill_id)
    .where(PostingRow.account == Account.TRADING.value)
    .group_by(FillRow.exchange, FillRow.account, PostingRow.asset)
)
_TRANSFERRED = select(Transfer.exchange, Transfer.account, Transfer.asset, Transfer.amount)
_KEPT = select(
    AccountBalance.exchange, AccountBalance.account, AccountBalance.asset, AccountBalance.amount
)
