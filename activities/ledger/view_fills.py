"""Pages of fills, newest first: found by position or by account, as the indexes of fills are.

Rule: reads only, and a page costs the same whatever the number of fills.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, literal, select, true, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.cursors import InvalidCursorError, decode_cursor, encode_cursor
from activities.ledger.models import ChildOrder, FillRow, Position
from activities.ledger.results import EXTERNAL
from activities.ledger.view_position_models import BookedFill

MAX_PAGE = 500
_NUMBER_DIGITS = 18
_PLACE = ("account", "exchange", "symbol")
Wanted = str | frozenset[str] | None
Place = tuple[datetime, int]
"""When a fill traded, and its number in the ledger."""


async def page_of_fills(
    connection: AsyncConnection,
    names: dict[str, Wanted],
    order_id: str | None,
    *,
    limit: int,
    cursor: str | None,
) -> tuple[list[BookedFill], str | None]:
    """See PositionViews.fills. `names`: columns of positions, None where any will do."""
    assert 1 <= limit <= MAX_PAGE, f"limit {limit}"
    after = None if cursor is None else _place(cursor)
    rows = (await connection.execute(_page(names, order_id, after, limit + 1))).all()
    page = rows[:limit]
    following = None
    if len(rows) > limit:
        following = encode_cursor(page[-1].traded_at, str(page[-1].id))
    return [_fill(row) for row in page], following


def wanted(table: Any, **values: Wanted) -> list[Any]:
    """The conditions that a table's columns have these values; None: any, a set: one of them."""
    return [
        getattr(table, name).in_(sorted(value))
        if isinstance(value, frozenset)
        else getattr(table, name) == value
        for name, value in values.items()
        if value is not None
    ]


def _page(
    names: dict[str, Wanted],
    order_id: str | None,
    after: Place | None,
    limit: int,
) -> Select[Any]:
    if order_id is not None:
        chosen = _of_order(names, order_id, after)
    elif names["strategy_id"] is None and names["symbol"] is None:
        chosen = _newest_of_accounts(names, after, limit)
    else:
        chosen = _newest_of_positions(names, after, limit)
    return (
        select(chosen, ChildOrder.order_id)
        .outerjoin(ChildOrder, ChildOrder.client_order_id == chosen.c.client_order_id)
        .order_by(chosen.c.traded_at.desc(), chosen.c.id.desc())
        .limit(limit)
    )


def _of_order(names: dict[str, Wanted], order_id: str, after: Place | None) -> Any:
    is_its = and_(
        ChildOrder.client_order_id == FillRow.client_order_id, ChildOrder.order_id == order_id
    )
    return (
        select(*FillRow.__table__.columns)
        .join(ChildOrder, is_its)
        .where(*wanted(FillRow, **names), *_before(after))
        .subquery("chosen")
    )


def _newest_of_accounts(names: dict[str, Wanted], after: Place | None, limit: int) -> Any:
    accounts = (
        select(Position.exchange, Position.account)
        .where(*wanted(Position, **names))
        .distinct()
        .subquery("accounts")
    )
    its = (FillRow.exchange == accounts.c.exchange, FillRow.account == accounts.c.account)
    return _of_each(accounts, _newest(its, after, limit, accounts).lateral("of_account"))


def _newest_of_positions(names: dict[str, Wanted], after: Place | None, limit: int) -> Any:
    positions = select(Position).where(*wanted(Position, **names)).subquery("positions")
    place = [FillRow.__table__.c[name] == positions.c[name] for name in _PLACE]
    is_ours = FillRow.strategy_id == positions.c.strategy_id
    is_external = and_(FillRow.strategy_id.is_(None), positions.c.strategy_id == EXTERNAL)
    parts = [
        select(*_newest([owner, *place], after, limit, positions).subquery().c)
        for owner in (is_ours, is_external)
    ]
    return _of_each(positions, union_all(*parts).lateral("of_position"))


def _newest(conditions: Iterable[Any], after: Place | None, limit: int, of: Any) -> Any:
    """The newest fills of each row of `of`: one look-up in an index."""
    return (
        select(*FillRow.__table__.columns)
        .where(*conditions, *_before(after))
        .correlate(of)
        .order_by(FillRow.traded_at.desc(), FillRow.id.desc())
        .limit(limit)
    )


def _of_each(rows: Any, found: Any) -> Any:
    return select(*found.c).select_from(rows).join(found, true()).subquery("chosen")


def _before(place: Place | None) -> list[Any]:
    if place is None:
        return []
    return [tuple_(FillRow.traded_at, FillRow.id) < tuple_(*(literal(each) for each in place))]


def _place(cursor: str) -> Place:
    traded_at, number = decode_cursor(cursor)
    if not number.isdigit() or len(number) > _NUMBER_DIGITS:
        raise InvalidCursorError("not a cursor")
    return traded_at, int(number)


def _fill(row: Row[Any]) -> BookedFill:
    values = {name: row._mapping[name] for name in BookedFill.__dataclass_fields__}
    return BookedFill(**values | {"strategy_id": row.strategy_id or EXTERNAL})
