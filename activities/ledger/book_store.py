"""The ledger's writer for what is kept beside fills: marks, values of fees, snapshots.

Rule: each method may be called again. Errors of the database propagate (SQLAlchemyError, OSError):
of one position everything was written or nothing, unless a COMMIT was lost.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    BigInteger,
    Numeric,
    Row,
    Update,
    delete,
    extract,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.alarm_ends import OF_VALUED_FEE, ended
from activities.ledger.book_models import (
    FeeToValue,
    FeeValue,
    Mark,
    PositionSnapshot,
)
from activities.ledger.fill_rows import arrays
from activities.ledger.models import FillRow, Position, Reservation
from activities.ledger.results import EXTERNAL, PositionKey
from activities.ledger.statements import alarm, in_one_trip, lock_books
from activities.ledger.store_positions import (
    EPOCH,
    STATE,
    count_again,
    counted_of,
    is_position,
    place_of_row,
    state_of,
    writes_of,
)
from workflows.domain.alarms import AlarmCode
from workflows.domain.exact import exact
from workflows.domain.positions import place_of, with_fee_valued

MAX_FEES = 500
"""Fees that are handed out to be valued at a time."""
FRESH_S = 60
"""A fee that has no value for longer is told to a human."""
MarketKey = tuple[str, str]
"""Exchange and symbol."""


class Why(StrEnum):
    """What a snapshot is for; those of every so many fills are made where fills are booked."""

    TIME = "time"
    DAY = "day"
    """The last before a new UTC day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnvaluedFee:
    """A fee in a third asset that has no rate yet. `booked_s` seconds ago we learnt of it."""

    fill_id: int
    exchange: str
    symbol: str
    fee_asset: str
    traded_at: datetime
    booked_s: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRate:
    """Quote units per unit of a fee's asset, and where that was read."""

    rate: Decimal
    source: str


class BookStore:
    """Writes what keeps the books, beside the fills themselves."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")

    # --- marks ---

    async def markets_to_mark(self) -> list[MarketKey]:
        """Markets with a position, or with an order that may still make one."""
        held = select(Position.exchange, Position.symbol).where(Position.quantity != 0)
        working = select(Reservation.exchange, Reservation.symbol).where(
            Reservation.state == "open"
        )
        both = held.union(working).subquery()
        query = select(both.c.exchange, both.c.symbol).order_by(both.c.exchange, both.c.symbol)
        async with self._reader.connect() as connection:
            return [(row.exchange, row.symbol) for row in await connection.execute(query)]

    async def save_marks(self, marks: Mapping[MarketKey, Decimal]) -> None:
        """The middle of the touch of each market, in quote units, as it was now."""
        if not marks:
            return
        rows = [
            {"exchange": exchange, "symbol": symbol, "price": price}
            for (exchange, symbol), price in sorted(marks.items())
        ]
        new = insert(Mark).values(rows)
        changed = new.on_conflict_do_update(
            index_elements=[Mark.exchange, Mark.symbol],
            set_={"price": new.excluded.price, "marked_at": func.now()},
        )
        async with self._engine.begin() as connection:
            await connection.execute(changed)

    # --- fees in third assets ---

    async def fees_to_value(self, *, is_old: bool, limit: int = MAX_FEES) -> list[UnvaluedFee]:
        """Fees that have no value yet: booked within FRESH_S, or those that are older.

        Drawn by chance: those that nobody can value must not stand before the others.
        """
        booked_s = extract("epoch", func.clock_timestamp() - FillRow.booked_at)
        columns: list[Any] = [
            FeeToValue.fill_id,
            FillRow.exchange,
            FillRow.symbol,
            FillRow.fee_asset,
            FillRow.traded_at,
            booked_s.label("booked_s"),
        ]
        query = (
            select(*columns)
            .join(FillRow, FillRow.id == FeeToValue.fill_id)
            .where((booked_s > FRESH_S) if is_old else (booked_s <= FRESH_S))
            .order_by(func.random())
            .limit(limit)
        )
        async with self._reader.connect() as connection:
            return [UnvaluedFee(**row._mapping) for row in await connection.execute(query)]

    async def save_fee_values(self, rates: Mapping[int, FeeRate]) -> int:
        """What a unit of each fee's asset was worth, by fill; how many were not known before."""
        query = select(*FillRow.__table__.columns).where(FillRow.id.in_(list(rates)))
        of_position: dict[PositionKey, list[Row[Any]]] = defaultdict(list)
        async with self._reader.connect() as connection:
            for row in await connection.execute(query):
                owner = row.strategy_id or EXTERNAL
                key = PositionKey(owner, row.account, row.exchange, row.symbol)
                of_position[key].append(row)
        saved = 0
        for key, fills in sorted(of_position.items()):
            async with self._engine.begin() as connection:
                saved += await _value_fees(connection, key, fills, rates)
        return saved

    async def raise_alarm(self, code: AlarmCode, about: str, detail: str) -> None:
        """Tell a human, once per (code, object) until it is acknowledged."""
        async with self._engine.begin() as connection:
            await connection.execute(alarm(code, about, detail))

    # --- snapshots ---

    async def take_snapshots(self, why: Why) -> int:
        """Of every position that is not flat or has changed since its last one; how many."""
        newest = (
            select(PositionSnapshot.fill_count)
            .where(*(getattr(PositionSnapshot, name) == getattr(Position, name) for name in _KEY))
            .order_by(PositionSnapshot.taken_at.desc())
            .limit(1)
            .scalar_subquery()
        )
        is_due = or_(Position.quantity != 0, Position.fill_count != func.coalesce(newest, 0))
        query = select(*_KEY_COLUMNS).where(Position.fill_count > 0, is_due)
        async with self._reader.connect() as connection:
            keys = [PositionKey(*row) for row in await connection.execute(query)]
        for key in keys:
            # one by one: whoever holds several positions waits for nobody here
            async with self._engine.begin() as connection:
                await connection.execute(_snapshot_of(key, why))
        return len(keys)

    # --- positions of which only the quantity is known ---

    async def uncounted(self) -> list[PositionKey]:
        """Positions whose cost is still to be counted from their fills."""
        query = select(*_KEY_COLUMNS).where(Position.fill_count < 0)
        async with self._reader.connect() as connection:
            return [PositionKey(*row) for row in await connection.execute(query)]

    async def count(self, key: PositionKey) -> None:
        """Count such a position; one that is counted is left as it is."""
        async with self._engine.begin() as connection:
            before = counted_of(await lock_books(connection, key))
            if before.fill_count >= 0:
                return
            begin = place_of(EPOCH, "")
            after = await count_again(connection, key, begin, before)
            await connection.execute(in_one_trip(*writes_of(key, before, after)))


_KEY = PositionKey._fields
_KEY_COLUMNS: list[Any] = [getattr(Position, name) for name in _KEY]


def _snapshot_of(key: PositionKey, why: Why) -> Any:
    """The position as it is, with the mark of its market; no fill can be booked meanwhile."""
    same = (*_KEY, "traded_at", "trade_id", "fill_count", *STATE)
    columns: list[Any] = [getattr(Position, name) for name in same]
    is_its = (Mark.exchange == Position.exchange) & (Mark.symbol == Position.symbol)
    now = (
        select(*columns, Mark.price, Mark.marked_at, literal(why.value))
        .select_from(Position)
        .outerjoin(Mark, is_its)
        .where(is_position(Position, key))
        .with_for_update(read=True, of=Position)
    )
    return insert(PositionSnapshot).from_select([*same, "mark", "marked_at", "why"], now)


# --- values of fees -----------------------------------------------------------------------------


async def _value_fees(
    connection: AsyncConnection,
    key: PositionKey,
    fills: Sequence[Row[Any]],
    rates: Mapping[int, FeeRate],
) -> int:
    """Fees only add up, so nothing needs to be counted again for them."""
    position = await lock_books(connection, key)
    rows = [
        {"fill_id": fill.id, "rate": rates[fill.id].rate, "source": rates[fill.id].source}
        for fill in fills
    ]
    new = insert(FeeValue).values(rows).on_conflict_do_nothing().returning(FeeValue.fill_id)
    fresh = set((await connection.execute(new)).scalars())
    await connection.execute(delete(FeeToValue).where(FeeToValue.fill_id.in_(fresh)))
    paid = [(fill, rates[fill.id].rate) for fill in fills if fill.id in fresh]
    if paid and position.fill_count >= 0:
        it = is_position(Position, key)
        await connection.execute(update(Position).where(it).values(_with_fees(position, paid)))
        await _value_in_snapshots(connection, key, paid)
    assets = {(key.exchange, key.symbol, fill.fee_asset) for fill, _ in paid}
    await _close_alarms(connection, assets)
    return len(paid)


async def _close_alarms(
    connection: AsyncConnection, markets: Collection[tuple[str, str, str]]
) -> None:
    """Of assets (exchange, symbol, asset) of which no fee waits for its value any more."""
    for exchange, symbol, asset in sorted(markets):
        waiting = (
            select(FeeToValue.fill_id)
            .join(FillRow, FillRow.id == FeeToValue.fill_id)
            .where(
                FillRow.exchange == exchange, FillRow.symbol == symbol, FillRow.fee_asset == asset
            )
            .limit(1)
        )
        if (await connection.execute(waiting)).first() is None:
            await connection.execute(ended(OF_VALUED_FEE, f"{exchange}/{symbol}/{asset}"))


async def _value_in_snapshots(
    connection: AsyncConnection, key: PositionKey, paid: Sequence[tuple[Row[Any], Decimal]]
) -> None:
    """In those that were taken after the fill; in one step, however many they are."""
    with exact():
        ordered = sorted((place_of_row(fill), fill.fee * rate) for fill, rate in paid)
        sums = list(accumulate(value for _, value in ordered))
    places = [place for place, _ in ordered]
    columns = PositionSnapshot.__table__.c
    found = await connection.execute(
        select(*(columns[name] for name in ("id", "traded_at", "trade_id"))).where(
            is_position(PositionSnapshot, key), PositionSnapshot.traded_at >= places[0].traded_at
        )
    )
    counts = {row.id: bisect_right(places, place_of_row(row)) for row in found}
    added = {number: sums[count - 1] for number, count in counts.items() if count}
    if added:
        binds = {"all_id": list(added), "all_value": list(added.values())}
        await connection.execute(_ADD_FEES, binds)


def _add_fees() -> Update:
    given = arrays(id=BigInteger, value=Numeric)
    names = ("fees_quote", "fees_other")
    values = {name: getattr(PositionSnapshot, name) + given.c.value for name in names}
    return update(PositionSnapshot).where(PositionSnapshot.id == given.c.id).values(values)


_ADD_FEES = _add_fees()


def _with_fees(row: Row[Any], paid: Sequence[tuple[Row[Any], Decimal]]) -> dict[str, Any]:
    state = state_of(row)
    for fill, rate in paid:
        state = with_fee_valued(state, fill.fee, rate)
    return {"fees_quote": state.fees_quote, "fees_other": state.fees_other}
