"""What reconciliation reads of the ledger: fills, books, marks, orders of others. No writes.

Rule: what is compared with each other is read in one statement or one snapshot. Amounts are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.book_models import AccountBalance, ExternalOrder, Mark, Transfer
from activities.ledger.models import (
    AccountReadiness,
    ChildOrder,
    FillRow,
    LedgerMeta,
    OpeningBalance,
    Position,
)
from activities.ledger.store_feed import seconds_ago
from workflows.domain.orders import Side
from workflows.domain.reconciliation import TradeFacts, TradeKey, added
from workflows.domain.reports import VenueStatus
from workflows.durations import epoch_ms

MAX_FILLS_AT_ONCE = 5_000
MAX_FOREIGN_ORDERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LookBackPlace:
    """Where a look back begins: trades of one symbol that the ledger has, None for none such.

    `before` is the newest one older than the look back, `first` the oldest of all.
    """

    before: str | None
    first: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedFill:
    """A fill, its number, and when the database began to write it."""

    number: int
    booked_at_ms: int
    facts: TradeFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsPage:
    """Fills in the order of their numbers; more follow unless it `is_whole`."""

    fills: tuple[NumberedFill, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksNow:
    """One snapshot of an account's books. `positions` by symbol, over all strategies.

    `at_ms` is the database's clock, `newest_fill` the highest number of all accounts.
    """

    epoch: str
    at_ms: int
    newest_fill: int
    page: FillsPage
    positions: dict[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownForeignOrder:
    """An order of somebody else's as far as we know it. Base units."""

    symbol: str
    venue_order_id: str
    side: Side
    quantity: Decimal
    executed_quantity: Decimal


class SyncReader:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._whole = engine.execution_options(isolation_level="REPEATABLE READ")

    async def opened_at(self, exchange: str, account: str) -> datetime | None:
        """When the opening balances were taken; None: the account was never followed."""
        query = select(AccountReadiness.opened_at).where(
            AccountReadiness.exchange == exchange, AccountReadiness.account == account
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def symbols(self, exchange: str, account: str) -> list[str]:
        """Symbols in which the account has traded, or we meant to."""
        held = select(Position.symbol).where(
            Position.exchange == exchange, Position.account == account
        )
        meant = select(ChildOrder.symbol).where(
            ChildOrder.exchange == exchange, ChildOrder.account == account
        )
        async with self._engine.connect() as connection:
            return sorted((await connection.execute(union(held, meant))).scalars())

    # --- fills ---

    async def look_back_place(
        self, exchange: str, account: str, symbol: str, older_than_s: Decimal
    ) -> LookBackPlace:
        """Where trades of the last `older_than_s` seconds begin."""
        trades = select(FillRow.trade_id).where(*_of(exchange, account, symbol)).limit(1)
        before = trades.where(FillRow.traded_at < seconds_ago(older_than_s)).order_by(
            FillRow.traded_at.desc(), FillRow.id.desc()
        )
        async with self._engine.connect() as connection:
            newest = (await connection.execute(before)).scalar_one_or_none()
            first = trades.order_by(FillRow.traded_at, FillRow.id)
            oldest = (await connection.execute(first)).scalar_one_or_none()
        return LookBackPlace(before=newest, first=oldest)

    async def booked(
        self, exchange: str, account: str, symbol: str, trade_ids: Sequence[str]
    ) -> dict[TradeKey, TradeFacts]:
        """Those of the trades that are booked."""
        if not trade_ids:
            return {}
        query = _FILLS.where(*_of(exchange, account, symbol), FillRow.trade_id.in_(list(trade_ids)))
        async with self._engine.connect() as connection:
            facts = [_facts(row) for row in await connection.execute(query)]
        return {each.key: each for each in facts}

    async def fills_of(
        self, exchange: str, account: str, symbol: str, within_s: Decimal
    ) -> list[TradeFacts]:
        """Fills of the last `within_s` seconds, by the venue's time."""
        query = _FILLS.where(
            *_of(exchange, account, symbol), FillRow.traded_at >= seconds_ago(within_s)
        )
        async with self._engine.connect() as connection:
            return [_facts(row) for row in await connection.execute(query)]

    async def books_now(self, exchange: str, account: str, after: int) -> BooksNow:
        """Fills behind a number and what all fills come to, of one moment."""
        async with self._whole.connect() as connection:
            now = (await connection.execute(_NOW)).one()
            return BooksNow(
                epoch=now.epoch,
                at_ms=epoch_ms(now.at),
                newest_fill=now.newest_fill,
                page=await _page(connection, exchange, account, after),
                positions=await _positions(connection, exchange, account),
            )

    # --- balances ---

    async def balances(self, exchange: str, account: str) -> dict[str, Decimal]:
        """What the account holds by our books, by asset."""
        query = select(AccountBalance.asset, AccountBalance.amount).where(
            AccountBalance.exchange == exchange, AccountBalance.account == account
        )
        async with self._engine.connect() as connection:
            return {row.asset: row.amount for row in await connection.execute(query)}

    async def opening_and_transfers(self, exchange: str, account: str) -> dict[str, Decimal]:
        """What the account holds beside what its trades moved, by asset."""
        opening = select(OpeningBalance.asset, OpeningBalance.amount).where(
            OpeningBalance.exchange == exchange, OpeningBalance.account == account
        )
        moved = (
            select(Transfer.asset, func.sum(Transfer.amount).label("amount"))
            .where(Transfer.exchange == exchange, Transfer.account == account)
            .group_by(Transfer.asset)
        )
        async with self._engine.connect() as connection:
            parts = [
                {row.asset: row.amount for row in await connection.execute(query)}
                for query in (opening, moved)
            ]
        return added(*parts)

    async def marks(self, exchange: str) -> dict[str, Decimal]:
        """The last known price of each symbol there, in quote units."""
        query = select(Mark.symbol, Mark.price).where(Mark.exchange == exchange)
        async with self._engine.connect() as connection:
            return {row.symbol: row.price for row in await connection.execute(query)}

    # --- orders that are not ours ---

    async def open_foreign_orders(self, exchange: str, account: str) -> list[KnownForeignOrder]:
        """Those that were open when they were last seen, the oldest sight first."""
        columns: list[Any] = [
            ExternalOrder.symbol,
            ExternalOrder.venue_order_id,
            ExternalOrder.side,
            ExternalOrder.quantity,
            ExternalOrder.executed_quantity,
        ]
        query = (
            select(*columns)
            .where(
                ExternalOrder.exchange == exchange,
                ExternalOrder.account == account,
                ExternalOrder.status == VenueStatus.OPEN.value,
            )
            .order_by(ExternalOrder.last_seen_at)
        )
        return await self._foreign(query)

    async def unrecorded_foreign_orders(
        self, exchange: str, account: str
    ) -> list[KnownForeignOrder]:
        """Orders that are not ours and have fills, but are not recorded themselves."""
        recorded = select(ExternalOrder.venue_order_id).where(
            ExternalOrder.exchange == FillRow.exchange,
            ExternalOrder.account == FillRow.account,
            ExternalOrder.symbol == FillRow.symbol,
            ExternalOrder.venue_order_id == FillRow.venue_order_id,
        )
        traded = func.sum(FillRow.quantity)
        of_order: list[Any] = [FillRow.symbol, FillRow.venue_order_id, FillRow.side]
        query = (
            select(*of_order, traded.label("quantity"), traded.label("executed_quantity"))
            .where(
                FillRow.exchange == exchange,
                FillRow.account == account,
                FillRow.client_order_id.is_(None),
                ~recorded.exists(),
            )
            .group_by(*of_order)
            .order_by(*of_order)
        )
        return await self._foreign(query)

    async def _foreign(self, query: Select[Any]) -> list[KnownForeignOrder]:
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.limit(MAX_FOREIGN_ORDERS))
            return [KnownForeignOrder(**{**row._mapping, "side": Side(row.side)}) for row in rows]


_FILL_COLUMNS: list[Any] = [
    FillRow.id,
    FillRow.symbol,
    FillRow.trade_id,
    FillRow.side,
    FillRow.price,
    FillRow.quantity,
    FillRow.fee,
    FillRow.fee_asset,
    FillRow.traded_at,
    FillRow.booked_at,
]
_FILLS = select(*_FILL_COLUMNS)
_NOW = select(
    LedgerMeta.epoch,
    func.clock_timestamp().label("at"),
    select(func.coalesce(func.max(FillRow.id), 0)).scalar_subquery().label("newest_fill"),
)


def _of(exchange: str, account: str, symbol: str) -> list[Any]:
    return [FillRow.exchange == exchange, FillRow.account == account, FillRow.symbol == symbol]


def _facts(row: Row[Any]) -> TradeFacts:
    return TradeFacts(
        key=TradeKey(row.symbol, row.trade_id, Side(row.side)),
        price=row.price,
        quantity=row.quantity,
        fee=row.fee,
        fee_asset=row.fee_asset,
        traded_at_ms=epoch_ms(row.traded_at),
    )


async def _page(connection: AsyncConnection, exchange: str, account: str, number: int) -> FillsPage:
    query = (
        _FILLS.where(FillRow.id > number, FillRow.exchange == exchange, FillRow.account == account)
        .order_by(FillRow.id)
        .limit(MAX_FILLS_AT_ONCE)
    )
    rows = (await connection.execute(query)).all()
    return FillsPage(
        fills=tuple(
            NumberedFill(number=row.id, booked_at_ms=epoch_ms(row.booked_at), facts=_facts(row))
            for row in rows
        ),
        is_whole=len(rows) < MAX_FILLS_AT_ONCE,
    )


async def _positions(
    connection: AsyncConnection, exchange: str, account: str
) -> dict[str, Decimal]:
    query = (
        select(Position.symbol, func.sum(Position.quantity).label("quantity"))
        .where(Position.exchange == exchange, Position.account == account)
        .group_by(Position.symbol)
    )
    return {row.symbol: row.quantity for row in await connection.execute(query)}
