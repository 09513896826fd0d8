"""What fills do to positions, snapshots of them and balances, in the transaction that books them.

Rule: the position's row is locked, and its state is the one after all its fills in their order. A
fill that is newer than all of them is one more step. An older one changes what every later step
realised: the position is counted again from the newest snapshot before it, and the snapshots after
it are put right. Balances come last in the lock order, because all strategies share them.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Insert,
    Numeric,
    Row,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    collate,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.book_models import AccountBalance, FeeValue, Mark, PositionSnapshot
from activities.ledger.fill_rows import Owner, arrays
from activities.ledger.models import FillRow, Position
from activities.ledger.results import EXTERNAL, PositionKey
from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.domain.positions import (
    FillPlace,
    PositionFill,
    PositionState,
    book,
    fee_kind,
    place_of,
)
from workflows.domain.postings import Account, postings_of
from workflows.domain.reports import Fill

CHECKPOINT_EVERY = 500
"""Fills between two snapshots that a position can be counted again from."""
_FETCH = 1_000
_FILL = ("symbol", "traded_at", "trade_id", "side", "price", "quantity", "fee", "fee_asset")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = Decimal(0)
STATE = tuple(PositionState.__dataclass_fields__)
"""The columns of a state, in positions and in snapshots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A state, how many fills it took, and the place of the last."""

    state: PositionState
    fill_count: int = 0
    last: FillPlace | None = None


def state_of(row: Row[Any]) -> PositionState:
    """The state in a row of positions or of snapshots."""
    return PositionState(**{name: row._mapping[name] for name in STATE})


def is_position(table: Any, key: PositionKey) -> Any:
    """The rows of one position, in a table that names them as positions does."""
    return and_(*(getattr(table, name) == value for name, value in key._asdict().items()))


def fills_of(key: PositionKey) -> Any:
    """The fills of one position. Those that are not ours have no strategy.

    An order of ours may trade in their place, to close what they left.
    """
    owner = FillRow.strategy_id == key.strategy_id
    return and_(
        or_(FillRow.strategy_id.is_(None), owner) if key.strategy_id == EXTERNAL else owner,
        FillRow.account == key.account,
        FillRow.exchange == key.exchange,
        FillRow.symbol == key.symbol,
    )


# --- positions ----------------------------------------------------------------------------------


async def moves_of(
    connection: AsyncConnection,
    key: PositionKey,
    position: Row[Any] | None,
    side: Side,
    fresh: Sequence[Fill],
) -> list[Insert | Update]:
    """What is left to write once these fills are inserted; `position` is its locked row."""
    if not fresh:
        return []
    assert position is not None, "a fill is booked under the lock of its position"
    ordered = sorted(fresh, key=_place)
    before = counted_of(position)
    if before.fill_count < 0 or not _is_newer(_place(ordered[0]), before.last):
        after = await count_again(connection, key, _place(ordered[0]), before)
    else:
        after = _one_after_another(before, key.symbol, side, ordered)
    return writes_of(key, before, after)


def counted_of(position: Row[Any]) -> Counted:
    """What a row of positions holds."""
    last = None
    if position.traded_at is not None:
        last = place_of_row(position)
    return Counted(state=state_of(position), fill_count=position.fill_count, last=last)


def _place(fill: Fill) -> FillPlace:
    return place_of(EPOCH + timedelta(milliseconds=fill.traded_at_ms), fill.trade_id)


def _is_newer(place: FillPlace, than: FillPlace | None) -> bool:
    """Both without side: the other side of a trade with oneself is counted again."""
    return than is None or place > than


def _one_after_another(
    before: Counted, symbol: str, side: Side, ordered: Sequence[Fill]
) -> Counted:
    state = before.state
    for fill in ordered:
        step = PositionFill(
            side=side,
            quantity=fill.quantity,
            price=fill.price,
            fee=fill.fee,
            fee_kind=fee_kind(fill.fee_asset, symbol),
        )
        state = book(state, step)
    count = before.fill_count + len(ordered)
    return Counted(state=state, fill_count=count, last=_place(ordered[-1]))


def writes_of(key: PositionKey, before: Counted, after: Counted) -> list[Insert | Update]:
    """The position as it is after, and a snapshot where one is due."""
    assert after.last is not None, "a position that was booked on has a last fill"
    values: dict[str, Any] = {
        **asdict(after.state),
        "fill_count": after.fill_count,
        "traded_at": after.last.traded_at,
        "trade_id": after.last.trade_id,
    }
    writes: list[Insert | Update] = [
        update(Position).where(is_position(Position, key)).values(values)
    ]
    if after.fill_count // CHECKPOINT_EVERY > max(before.fill_count, 0) // CHECKPOINT_EVERY:
        of_it = (Mark.exchange == key.exchange, Mark.symbol == key.symbol)
        values |= {
            "mark": select(Mark.price).where(*of_it).scalar_subquery(),
            "marked_at": select(Mark.marked_at).where(*of_it).scalar_subquery(),
            "why": "fills",
        }
        writes.append(insert(PositionSnapshot).values({**key._asdict(), **values}))
    return writes


# --- counting again -----------------------------------------------------------------------------


async def count_again(
    connection: AsyncConnection, key: PositionKey, since: FillPlace, before: Counted
) -> Counted:
    """The state from all fills, counted from the newest snapshot before `since`.

    Snapshots from there on are put right. A position that was never counted (`fill_count` below 0)
    is counted from its first fill.
    """
    start = Counted(state=PositionState())
    if before.fill_count >= 0:
        start = await _checkpoint(connection, key, since) or start
    later = deque(await _snapshots_since(connection, key, since))
    corrected: list[tuple[int, Counted]] = []
    counted = start
    async for row in _rows_after(connection, key, start.last):
        place = place_of_row(row)
        while later and place_of_row(later[0]) < place:
            corrected.append((later.popleft().id, counted))
        counted = Counted(
            state=book(counted.state, fill_in(row)),
            fill_count=counted.fill_count + 1,
            last=place,
        )
    corrected += [(row.id, counted) for row in later]
    if corrected:
        await connection.execute(_CORRECT, _correction_binds(corrected))
    return counted


def place_of_row(row: Row[Any]) -> FillPlace:
    """The place of a stored fill, or of the last fill in a snapshot; without side."""
    return place_of(row.traded_at, row.trade_id)


async def _checkpoint(
    connection: AsyncConnection, key: PositionKey, since: FillPlace
) -> Counted | None:
    found = await connection.execute(
        select(*PositionSnapshot.__table__.columns)
        .where(is_position(PositionSnapshot, key), PositionSnapshot.traded_at < since.traded_at)
        .order_by(PositionSnapshot.traded_at.desc(), PositionSnapshot.fill_count.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else counted_of(row)


async def _snapshots_since(
    connection: AsyncConnection, key: PositionKey, since: FillPlace
) -> list[Row[Any]]:
    """Snapshots of states that a fill at this place belongs to, in their order."""
    columns = PositionSnapshot.__table__.c
    rows = await connection.execute(
        select(*(columns[name] for name in ("id", "traded_at", "trade_id"))).where(
            is_position(PositionSnapshot, key), PositionSnapshot.traded_at >= since.traded_at
        )
    )
    return sorted((row for row in rows if place_of_row(row) >= since), key=place_of_row)


def fills_in_order(key: PositionKey) -> Select[Any]:
    """The fills of a position in their order, each with the rate of its fee where there is one."""
    number = case((FillRow.trade_id.regexp_match("^[0-9]+$"), cast(FillRow.trade_id, Numeric)))
    columns = FillRow.__table__.c
    return (
        select(*(columns[name] for name in _FILL), FeeValue.rate)
        .outerjoin(FeeValue, FeeValue.fill_id == FillRow.id)
        .where(fills_of(key))
        .order_by(
            FillRow.traded_at,
            number.asc().nulls_last(),
            collate(FillRow.trade_id, "C"),
            FillRow.side,
        )
    )


async def _rows_after(
    connection: AsyncConnection, key: PositionKey, last: FillPlace | None
) -> AsyncIterator[Row[Any]]:
    query = fills_in_order(key)
    if last is not None:
        query = query.where(FillRow.traded_at >= last.traded_at)
    rows = await connection.stream(query, execution_options={"yield_per": _FETCH})
    async for row in rows:
        if last is None or place_of_row(row) > last:
            yield row


def fill_in(row: Row[Any]) -> PositionFill:
    """The step of a stored fill; a fee without a rate counts as nothing."""
    return PositionFill(
        side=Side(row.side),
        quantity=row.quantity,
        price=row.price,
        fee=row.fee,
        fee_kind=fee_kind(row.fee_asset, row.symbol),
        fee_rate=_ZERO if row.rate is None else row.rate,
    )


def _correct() -> Update:
    given = arrays(id=BigInteger, fill_count=BigInteger, **dict.fromkeys(STATE, Numeric))
    values = {name: given.c[name] for name in ("fill_count", *STATE)}
    return update(PositionSnapshot).where(PositionSnapshot.id == given.c.id).values(values)


_CORRECT = _correct()


def _correction_binds(corrected: Sequence[tuple[int, Counted]]) -> dict[str, Any]:
    states = {
        f"all_{name}": [getattr(counted.state, name) for _, counted in corrected] for name in STATE
    }
    return {
        "all_id": [number for number, _ in corrected],
        "all_fill_count": [counted.fill_count for _, counted in corrected],
        **states,
    }


# --- balances -----------------------------------------------------------------------------------


def _add() -> Insert:
    given = arrays(asset=Text, amount=Numeric)
    account = [bindparam(f"of_{name}", type_=Text).label(name) for name in ("exchange", "account")]
    new = insert(AccountBalance).from_select(
        ["exchange", "account", "asset", "amount"], select(*account, *given.c)
    )
    return new.on_conflict_do_update(
        index_elements=[AccountBalance.exchange, AccountBalance.account, AccountBalance.asset],
        set_={"amount": AccountBalance.amount + new.excluded.amount},
    )


_ADD = _add()


async def move_balances(
    connection: AsyncConnection, exchange: str, account: str, amounts: Mapping[str, Decimal]
) -> None:
    """Add to what an account holds by our books; its rows are locked in the order of assets."""
    if not amounts:
        return
    ordered = sorted(amounts.items())
    await connection.execute(
        _ADD,
        {
            "of_exchange": exchange,
            "of_account": account,
            "all_asset": [asset for asset, _ in ordered],
            "all_amount": [amount for _, amount in ordered],
        },
    )


def moved_by(owner: Owner, fills: Sequence[Fill]) -> dict[str, Decimal]:
    """What fills add to the account, by asset."""
    moved: dict[str, Decimal] = {}
    with exact():
        for fill in fills:
            for entry in postings_of(fill, side=owner.side, base=owner.base, quote=owner.quote):
                if entry.account is Account.TRADING:
                    moved[entry.asset] = moved.get(entry.asset, _ZERO) + entry.amount
    return moved
