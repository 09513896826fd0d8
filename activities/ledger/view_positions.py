"""The only reader of the books for those who ask: positions, lots, PnL over time, fills, balances.

Rule: nothing here writes or locks, and no figure is kept twice: what a position is worth is worked
out from its state and the newest mark. Reads cost the same whatever the number of fills, but for
`fifo`, which reads the fills since the position was last seen flat.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, and_, extract, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.book_models import (
    AccountBalance,
    FeeToValue,
    Mark,
    PositionSnapshot,
    VenueBalance,
)
from activities.ledger.cursors import InvalidCursorError
from activities.ledger.models import FillRow, Position
from activities.ledger.results import EXTERNAL, PositionKey
from activities.ledger.store_positions import (
    fill_in,
    fills_in_order,
    is_position,
    place_of_row,
    state_of,
)
from activities.ledger.view_fills import MAX_PAGE, Wanted, page_of_fills, wanted
from activities.ledger.view_position_models import (
    BalanceView,
    BookedFill,
    FifoPosition,
    PositionView,
    SnapshotView,
    SymbolView,
)
from workflows.domain.exact import exact
from workflows.domain.positions import FifoLots, FifoView, PositionState, average

__all__ = ["MAX_PAGE", "MAX_SNAPSHOTS", "InvalidCursorError", "PositionViews"]

MAX_SNAPSHOTS = 5_000
_FETCH = 1_000
_ZERO = Decimal(0)
_MAIN = "main"
Fees = dict[str, Decimal]


class PositionViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshot = engine.execution_options(isolation_level="REPEATABLE READ")
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")

    # --- positions ---

    async def positions(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        account: Wanted = None,
    ) -> list[PositionView]:
        """Every position that ever had a fill, or those that are asked for."""
        chosen = wanted(
            Position, strategy_id=strategy_id, account=account, exchange=exchange, symbol=symbol
        )
        query = _POSITIONS.where(*chosen, Position.fill_count != 0)
        async with self._reader.connect() as connection:
            rows = (await connection.execute(query)).all()
            fees = await _unvalued(connection, strategy_id)
        return [_position(row, fees.get(_key(row), {})) for row in rows]

    async def position(
        self, strategy_id: str, exchange: str, symbol: str, account: str = _MAIN
    ) -> PositionView | None:
        """One position; None where nothing was ever traded."""
        found = await self.positions(
            strategy_id=strategy_id, exchange=exchange, symbol=symbol, account=account
        )
        return found[0] if found else None

    async def by_symbol(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        account: Wanted = None,
    ) -> list[SymbolView]:
        """Positions summed by symbol."""
        groups: dict[str, list[PositionView]] = defaultdict(list)
        found = await self.positions(strategy_id=strategy_id, exchange=exchange, account=account)
        for each in found:
            groups[each.symbol].append(each)
        return [_summed(symbol, group) for symbol, group in sorted(groups.items())]

    async def fifo(
        self, strategy_id: str, exchange: str, symbol: str, account: str = _MAIN
    ) -> FifoPosition | None:
        """The lots of one position; None where nothing was ever traded."""
        key = PositionKey(strategy_id, account, exchange, symbol)
        async with self._snapshot.connect() as connection:
            row = (await connection.execute(_POSITIONS.where(is_position(Position, key)))).first()
            if row is None or row.fill_count == 0:
                return None
            return _lots(row, await _fifo(connection, key))

    # --- over time ---

    async def snapshots(
        self,
        strategy_id: str,
        *,
        since: datetime,
        until: datetime,
        exchange: str | None = None,
        symbol: str | None = None,
        account: Wanted = None,
        limit: int = MAX_SNAPSHOTS,
    ) -> list[SnapshotView]:
        """Snapshots taken in [since, until), oldest first; go on from the last one's time."""
        chosen = wanted(
            PositionSnapshot,
            strategy_id=strategy_id,
            account=account,
            exchange=exchange,
            symbol=symbol,
        )
        taken_at = PositionSnapshot.taken_at
        query = (
            select(*PositionSnapshot.__table__.columns)
            .where(*chosen, taken_at >= since, taken_at < until)
            .order_by(taken_at, PositionSnapshot.id)
            .limit(min(limit, MAX_SNAPSHOTS))
        )
        async with self._reader.connect() as connection:
            return [_snapshot(row) for row in await connection.execute(query)]

    # --- fills ---

    async def fills(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        account: Wanted = None,
        order_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[BookedFill], str | None]:
        """A page of fills, newest first, and the cursor of the next page.

        `limit` is 1 to MAX_PAGE. Raises InvalidCursorError for a cursor that is not ours.
        """
        names: dict[str, Wanted] = {
            "strategy_id": strategy_id,
            "account": account,
            "exchange": exchange,
            "symbol": symbol,
        }
        async with self._reader.connect() as connection:
            return await page_of_fills(connection, names, order_id, limit=limit, cursor=cursor)

    # --- balances ---

    async def balances(self, exchange: str, account: str = _MAIN) -> list[BalanceView]:
        """Every asset of an account that our books or the venue know, by name."""
        ours = _of_account(AccountBalance, exchange, account)
        theirs = _of_account(VenueBalance, exchange, account)
        query = select(
            func.coalesce(ours.c.asset, theirs.c.asset).label("asset"),
            ours.c.amount.label("ours"),
            theirs.c.total.label("venue_total"),
            theirs.c.free.label("venue_free"),
            theirs.c.read_at,
        ).select_from(ours.join(theirs, ours.c.asset == theirs.c.asset, full=True))
        query = query.order_by("asset")
        async with self._reader.connect() as connection:
            return [BalanceView(**row._mapping) for row in await connection.execute(query)]


# --- statements ---------------------------------------------------------------------------------


def _positions() -> Select[Any]:
    age = extract("epoch", func.clock_timestamp() - Mark.marked_at)
    columns: list[Any] = [
        *Position.__table__.columns,
        Mark.price.label("mark"),
        func.round(age, 3).label("mark_age_s"),
    ]
    is_its = and_(Mark.exchange == Position.exchange, Mark.symbol == Position.symbol)
    return (
        select(*columns)
        .select_from(Position)
        .outerjoin(Mark, is_its)
        .order_by(Position.strategy_id, Position.account, Position.exchange, Position.symbol)
    )


_POSITIONS = _positions()


def _of_account(table: Any, exchange: str, account: str) -> Any:
    return (
        select(*table.__table__.columns)
        .where(table.exchange == exchange, table.account == account)
        .subquery()
    )


async def _unvalued(
    connection: AsyncConnection, strategy_id: str | None
) -> dict[PositionKey, Fees]:
    """Fees without a value, by position and asset."""
    owner = func.coalesce(FillRow.strategy_id, EXTERNAL)
    group: list[Any] = [
        owner.label("strategy_id"),
        FillRow.account,
        FillRow.exchange,
        FillRow.symbol,
        FillRow.fee_asset,
    ]
    query: Select[Any] = (
        select(*group, func.sum(FillRow.fee).label("fee"))
        .join(FeeToValue, FeeToValue.fill_id == FillRow.id)
        .group_by(*group)
    )
    if strategy_id is not None:
        query = query.where(owner == strategy_id)
    found: dict[PositionKey, Fees] = defaultdict(dict)
    for row in await connection.execute(query):
        found[_key(row)][row.fee_asset] = row.fee
    return found


async def _fifo(connection: AsyncConnection, key: PositionKey) -> FifoView:
    """From where the position was last seen flat: both methods have realised the same there."""
    found = await connection.execute(
        select(*PositionSnapshot.__table__.columns)
        .where(is_position(PositionSnapshot, key), PositionSnapshot.quantity == 0)
        .order_by(PositionSnapshot.traded_at.desc(), PositionSnapshot.fill_count.desc())
        .limit(1)
    )
    flat = found.one_or_none()
    lots = FifoLots(None if flat is None else state_of(flat))
    last = None if flat is None else place_of_row(flat)
    query = fills_in_order(key)
    if flat is not None:
        query = query.where(FillRow.traded_at >= flat.traded_at)
    rows = await connection.stream(query, execution_options={"yield_per": _FETCH})
    async for row in rows:
        if last is None or place_of_row(row) > last:
            lots.add(fill_in(row))
    return lots.view()


# --- rows to views ------------------------------------------------------------------------------


def _key(row: Row[Any]) -> PositionKey:
    return PositionKey(row.strategy_id, row.account, row.exchange, row.symbol)


def _worth(
    held: PositionState | FifoView, mark: Decimal | None
) -> tuple[Decimal | None, Decimal | None]:
    """Unrealised and total; without a holding no mark is needed."""
    if mark is None and held.quantity:
        return None, None
    worth = held.valued(_ZERO if mark is None else mark)
    return worth.unrealised, worth.total


def _figures(row: Row[Any]) -> dict[str, Any]:
    """What positions and their snapshots show alike."""
    state = state_of(row)
    unrealised, total = _worth(state, row.mark)
    return {
        **_key(row)._asdict(),
        "quantity": state.quantity,
        "average_price": state.average_price,
        "cost": state.cost,
        "realised_gross": state.realised_gross,
        "fees_quote": state.fees_quote,
        "realised_net": state.realised_net,
        "cash": state.cash,
        "mark": row.mark,
        "unrealised": unrealised,
        "total": total,
    }


def _position(row: Row[Any], fees: Fees) -> PositionView:
    return PositionView(
        **_figures(row),
        fees_other=row.fees_other,
        fees_unvalued=fees,
        mark_age_s=row.mark_age_s,
        fill_count=max(row.fill_count, 0),
        traded_at=row.traded_at,
    )


def _snapshot(row: Row[Any]) -> SnapshotView:
    return SnapshotView(**_figures(row), taken_at=row.taken_at, why=row.why)


def _lots(row: Row[Any], view: FifoView) -> FifoPosition:
    unrealised, total = _worth(view, row.mark)
    return FifoPosition(
        **_key(row)._asdict(),
        lots=view.lots,
        quantity=view.quantity,
        average_price=view.average_price,
        cost=view.cost,
        realised_gross=view.realised_gross,
        fees_quote=view.fees_quote,
        realised_net=view.realised_net,
        mark=row.mark,
        mark_age_s=row.mark_age_s,
        unrealised=unrealised,
        total=total,
    )


def _summed(symbol: str, group: Sequence[PositionView]) -> SymbolView:
    exchanges = tuple(sorted({each.exchange for each in group}))
    ages = [each.mark_age_s for each in group if each.mark_age_s is not None]
    quantity, cost = _sum(each.quantity for each in group), _sum(each.cost for each in group)
    is_one_way = len({each.quantity > 0 for each in group if each.quantity}) == 1
    fees: Fees = {}
    for each in group:
        for asset, fee in each.fees_unvalued.items():
            fees[asset] = _sum((fees.get(asset, _ZERO), fee))
    return SymbolView(
        symbol=symbol,
        exchanges=exchanges,
        positions=len(group),
        quantity=quantity,
        average_price=average(cost, quantity) if is_one_way else None,
        cost=cost,
        realised_gross=_sum(each.realised_gross for each in group),
        fees_quote=_sum(each.fees_quote for each in group),
        fees_other=_sum(each.fees_other for each in group),
        fees_unvalued=fees,
        realised_net=_sum(each.realised_net for each in group),
        cash=_sum(each.cash for each in group),
        mark=group[0].mark if len(exchanges) == 1 else None,
        mark_age_s=max(ages) if ages else None,
        unrealised=_sum_if_all(each.unrealised for each in group),
        total=_sum_if_all(each.total for each in group),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    with exact():
        return sum(amounts, _ZERO)


def _sum_if_all(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = list(amounts)
    told = [each for each in known if each is not None]
    return _sum(told) if len(told) == len(known) else None
