"""What reconciliation has found, for those who ask: breaks, orders of others, when it last looked.

Rule: nothing here writes or locks. Ages are by the database's clock.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.ages import age_s
from activities.ledger.book_models import Break, ExternalOrder, VenueBalance
from activities.ledger.control_models import Chore
from activities.ledger.sync_store import synced_name
from activities.ledger.view_accounts import Accounts, seen

MAX_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakView:
    """One open break. `ours` and `theirs` in the unit of the object, `value` in quote units."""

    observer: str
    exchange: str
    account: str
    kind: str
    object: str
    ours: Decimal | None
    theirs: Decimal | None
    value: Decimal | None
    detail: str
    first_seen_at: datetime
    last_seen_at: datetime
    alarmed_at: datetime | None
    acted_at: datetime | None
    age_s: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalOrderView:
    """An order of the account that is not ours. Base units, price in quote units."""

    exchange: str
    account: str
    symbol: str
    venue_order_id: str
    side: str
    quantity: Decimal
    price: Decimal | None
    executed_quantity: Decimal
    status: str
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBalanceView:
    """What the venue said it holds, in the asset's units."""

    exchange: str
    account: str
    asset: str
    total: Decimal
    free: Decimal
    read_at: datetime


class SyncViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def open_breaks(
        self, exchange: str | None = None, accounts: Accounts = None
    ) -> list[BreakView]:
        """The oldest first, at most MAX_SHOWN."""
        columns: list[Any] = [
            *(column for name, column in Break.__table__.columns.items() if name in _OF_BREAK),
            age_s(Break.first_seen_at).label("age_s"),
        ]
        query = select(*columns).where(Break.resolved_at.is_(None), *seen(Break.account, accounts))
        if exchange is not None:
            query = query.where(Break.exchange == exchange)
        rows = await self._rows(query.order_by(Break.first_seen_at, Break.id).limit(MAX_SHOWN))
        return [BreakView(**row) for row in rows]

    async def external_orders(
        self, exchange: str | None = None, accounts: Accounts = None
    ) -> list[ExternalOrderView]:
        """Those seen last come first, at most MAX_SHOWN."""
        query = select(*ExternalOrder.__table__.columns).where(
            *seen(ExternalOrder.account, accounts)
        )
        if exchange is not None:
            query = query.where(ExternalOrder.exchange == exchange)
        newest = query.order_by(
            ExternalOrder.last_seen_at.desc(), ExternalOrder.venue_order_id.desc()
        )
        rows = await self._rows(newest.limit(MAX_SHOWN))
        return [ExternalOrderView(**row) for row in rows]

    async def venue_balances(self, exchange: str, account: str) -> list[VenueBalanceView]:
        """By asset."""
        query = (
            select(*VenueBalance.__table__.columns)
            .where(VenueBalance.exchange == exchange, VenueBalance.account == account)
            .order_by(VenueBalance.asset)
        )
        return [VenueBalanceView(**row) for row in await self._rows(query)]

    async def synced_at(self, exchange: str, account: str) -> datetime | None:
        """When the account was last compared to its end; None: never."""
        query = select(Chore.begun_at).where(Chore.name == synced_name(exchange, account))
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def _rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]


_OF_BREAK = frozenset(BreakView.__dataclass_fields__)
