"""Fills and their postings as rows: inserted together, each trade once.

A fee in a third asset is noted in the same statement as one that is still to be valued.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    DateTime,
    Integer,
    Numeric,
    Row,
    Select,
    Text,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.book_models import FeeToValue
from activities.ledger.models import FillRow, PostingRow
from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.domain.postings import postings_of
from workflows.domain.reports import Fill

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose order the fills belong to. Without `client_order_id` it is not ours."""

    exchange: str
    account: str
    symbol: str
    venue_order_id: str
    side: Side
    base: str
    quote: str
    client_order_id: str | None = None
    strategy_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """`fresh` fills were booked now; `conflicts` are trade ids known with other figures."""

    fresh: tuple[Fill, ...] = ()
    conflicts: tuple[str, ...] = ()


def arrays(**types: Any) -> Any:
    """Parallel arrays as rows: one bind (all_<name>) per column, whatever their number.

    No bind may be named like a column of the table: SQLAlchemy would take it for a value.
    """
    binds = (bindparam(f"all_{name}", type_=ARRAY(kind)) for name, kind in types.items())
    columns = (column(name, kind) for name, kind in types.items())
    return func.unnest(*binds).table_valued(*columns).render_derived()


def _insert() -> Select[Any]:
    """Insert fills that are new with what hangs on them; answers the trade ids that were new."""
    given = arrays(
        trade_id=Text,
        price=Numeric,
        quantity=Numeric,
        fee=Numeric,
        fee_asset=Text,
        is_maker=Boolean,
        traded_at=DateTime(timezone=True),
    )
    owner = ("exchange", "account", "symbol", "venue_order_id", "client_order_id", "strategy_id")
    same = [bindparam(f"of_{name}", type_=Text).label(name) for name in (*owner, "side")]
    booked = (
        insert(FillRow)
        .from_select([*owner, "side", *given.c.keys()], select(*same, *given.c))
        .on_conflict_do_nothing(constraint="fills_once")
        .returning(FillRow.id, FillRow.trade_id, FillRow.fee, FillRow.fee_asset)
        .cte("booked")
    )
    lines = arrays(
        line_trade_id=Text, entry=Integer, entry_account=Text, asset=Text, amount=Numeric
    )
    posted = (
        insert(PostingRow)
        .from_select(
            ["fill_id", "entry", "account", "asset", "amount"],
            select(
                booked.c.id, lines.c.entry, lines.c.entry_account, lines.c.asset, lines.c.amount
            ).join(booked, booked.c.trade_id == lines.c.line_trade_id),
        )
        .cte("posted")
    )
    assets = [bindparam(f"of_{name}", type_=Text) for name in ("base", "quote")]
    in_third_assets = select(booked.c.id).where(
        booked.c.fee != 0, booked.c.fee_asset.not_in(assets)
    )
    to_value = insert(FeeToValue).from_select(["fill_id"], in_third_assets).cte("to_value")
    return select(booked.c.trade_id).add_cte(posted, to_value)


_INSERT = _insert()


async def insert_fills(
    connection: AsyncConnection, owner: Owner, fills: Sequence[Fill]
) -> Inserted:
    """Book what is new; compare what is not."""
    if not fills:
        return Inserted()
    # one order for all writers: two that book the same trades must not wait for each other
    ordered = sorted(fills, key=lambda fill: fill.trade_id)
    unique = {fill.trade_id: fill for fill in ordered}
    binds = _fill_binds(owner, list(unique.values())) | _posting_binds(owner, unique.values())
    new = set((await connection.execute(_INSERT, binds)).scalars())
    fresh = tuple(fill for trade_id, fill in unique.items() if trade_id in new)
    known = [fill for fill in fills if fill not in fresh]
    return Inserted(fresh=fresh, conflicts=await _conflicts(connection, owner, known))


def _fill_binds(owner: Owner, fills: Sequence[Fill]) -> dict[str, Any]:
    return {
        "of_exchange": owner.exchange,
        "of_account": owner.account,
        "of_symbol": owner.symbol,
        "of_venue_order_id": owner.venue_order_id,
        "of_client_order_id": owner.client_order_id,
        "of_strategy_id": owner.strategy_id,
        "of_side": owner.side.value,
        "of_base": owner.base,
        "of_quote": owner.quote,
        "all_trade_id": [fill.trade_id for fill in fills],
        "all_price": [fill.price for fill in fills],
        "all_quantity": [fill.quantity for fill in fills],
        "all_fee": [fill.fee for fill in fills],
        "all_fee_asset": [fill.fee_asset for fill in fills],
        "all_is_maker": [fill.is_maker for fill in fills],
        "all_traded_at": [_EPOCH + timedelta(milliseconds=fill.traded_at_ms) for fill in fills],
    }


def _posting_binds(owner: Owner, fills: Any) -> dict[str, Any]:
    lines = []
    with exact():
        for fill in fills:
            entries = postings_of(fill, side=owner.side, base=owner.base, quote=owner.quote)
            lines += [(fill.trade_id, number, entry) for number, entry in enumerate(entries)]
    return {
        "all_line_trade_id": [trade_id for trade_id, _, _ in lines],
        "all_entry": [number for _, number, _ in lines],
        "all_entry_account": [entry.account.value for _, _, entry in lines],
        "all_asset": [entry.asset for _, _, entry in lines],
        "all_amount": [entry.amount for _, _, entry in lines],
    }


async def _conflicts(
    connection: AsyncConnection, owner: Owner, known: Sequence[Fill]
) -> tuple[str, ...]:
    """Trade ids among the known fills whose stored figures differ."""
    if not known:
        return ()
    stored = await connection.execute(
        select(*FillRow.__table__.columns).where(
            FillRow.exchange == owner.exchange,
            FillRow.account == owner.account,
            FillRow.symbol == owner.symbol,
            FillRow.side == owner.side.value,
            FillRow.trade_id.in_([fill.trade_id for fill in known]),
        )
    )
    rows = {row.trade_id: row for row in stored}
    different = {
        fill.trade_id: None for fill in known if _differs(owner, fill, rows[fill.trade_id])
    }
    return tuple(different)


def _differs(owner: Owner, fill: Fill, row: Row[Any]) -> bool:
    """Price, size, fee and owner count. Time and maker flag do not: answers leave them out.

    A trade that is offered as foreign but was booked as ours is ours.
    """
    told = (fill.price, fill.quantity, fill.fee, fill.fee_asset)
    if told != (row.price, row.quantity, row.fee, row.fee_asset):
        return True
    return owner.client_order_id is not None and owner.client_order_id != row.client_order_id
