"""The locks of a risk decision, taken before its facts are read.

Rule: a sum is limited by whoever holds its lock. The order is: the position, the limits on sums by
their scopes, the balance that is drawn on, and for a whole order the strategy's counter; see also
`statements`. Nobody who holds a limit, a balance or a counter waits for a position.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Date,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.book_models import AccountBalance
from activities.ledger.control_models import RiskLimit, StrategyCounter
from activities.ledger.models import Position
from activities.ledger.results import PositionKey
from activities.ledger.statements import in_one_trip
from workflows.domain.limits import GLOBAL, LimitName, account_scope, scopes_of
from workflows.domain.orders import Side


def today() -> ColumnElement[Any]:
    """The day in UTC, by the database's clock."""
    return cast(func.timezone("UTC", func.now()), Date)


def binds_of(key: PositionKey, side: Side) -> dict[str, Any]:
    """The binds of an order on `side` of a position."""
    return {
        **key._asdict(),
        "scopes": key.scopes,
        "limit_scopes": scopes_of(key.strategy_id, key.account, key.exchange, key.symbol),
        "funds_asset": asset_of(key, side),
        "other_side": side.opposite.value,
    }


def of_position() -> ColumnElement[bool]:
    """The position of the order."""
    return and_(
        Position.strategy_id == bindparam("strategy_id"),
        Position.account == bindparam("account"),
        Position.exchange == bindparam("exchange"),
        Position.symbol == bindparam("symbol"),
    )


def of_scopes(scope: Any) -> ColumnElement[bool]:
    """Rows of a scope that the order is in."""
    return scope == any_(bindparam("limit_scopes", type_=ARRAY(Text)))  # type: ignore[no-any-return] # any column


def _after(before: CTE) -> ColumnElement[bool]:
    """True, once all rows of `before` are locked."""
    return select(func.count()).select_from(before).scalar_subquery() >= 0


def _locks(*, of_order: bool) -> Select[Any]:
    """All rows that a decision locks, one kind after the other, in one trip."""
    position = select(Position.quantity).where(of_position()).with_for_update(key_share=True)
    first = position.cte("held_position")
    caps = (
        select(RiskLimit.scope)
        .where(of_scopes(RiskLimit.scope), RiskLimit.name == LimitName.MAX_EXPOSURE.value)
        .where(_after(first))
        .order_by(RiskLimit.scope)
        .with_for_update(key_share=True)
        .cte("held_caps")
    )
    funds = (
        select(AccountBalance.asset)
        .where(of_account(AccountBalance), AccountBalance.asset == bindparam("funds_asset"))
        .where(_after(caps))
        .with_for_update(key_share=True)
        .cte("held_funds")
    )
    counted: Any = select(func.count()).select_from(first).scalar_subquery().label("positions")
    if not of_order:
        return select(counted, _after(funds).label("funds"), literal(1).label("counters"))
    counter = (
        select(StrategyCounter.strategy_id)
        .where(StrategyCounter.strategy_id == bindparam("strategy_id"))
        .where(_after(funds))
        .with_for_update(key_share=True)
        .cte("held_counter")
    )
    counters: Any = select(func.count()).select_from(counter).scalar_subquery().label("counters")
    return select(counted, counters)


def of_account(table: Any) -> ColumnElement[bool]:
    """Rows of the order's account."""
    return and_(table.exchange == bindparam("exchange"), table.account == bindparam("account"))


_CHILD_LOCKS, _ORDER_LOCKS = _locks(of_order=False), _locks(of_order=True)


async def lock_for_child(connection: AsyncConnection, key: PositionKey, side: Side) -> None:
    """What reserving a child locks, held until the end."""
    await _lock(connection, _CHILD_LOCKS, key, side)


async def lock_for_order(connection: AsyncConnection, key: PositionKey, side: Side) -> None:
    """What accepting an order and reserving its first child lock, held until the end."""
    await _lock(connection, _ORDER_LOCKS, key, side)


async def _lock(
    connection: AsyncConnection, locks: Select[Any], key: PositionKey, side: Side
) -> None:
    binds = binds_of(key, side)
    held = (await connection.execute(locks, binds)).one()
    if held.positions and held.counters:
        return
    counter = insert(StrategyCounter).values(strategy_id=key.strategy_id, day=today())
    await connection.execute(
        in_one_trip(
            insert(Position).values(key._asdict()).on_conflict_do_nothing(),
            counter.on_conflict_do_nothing(),
        )
    )
    await connection.execute(locks, binds)


async def lock_for_legs(
    connection: AsyncConnection, legs: Sequence[tuple[PositionKey, Side]]
) -> None:
    """What all legs of an execution lock beside their positions, which are held already.

    In one order for all of them, or two executions could wait for each other.
    """
    scopes = {scope for key, _ in legs for scope in cap_scopes(key)}
    await connection.execute(
        select(RiskLimit.scope)
        .where(RiskLimit.scope.in_(scopes), RiskLimit.name == LimitName.MAX_EXPOSURE.value)
        .order_by(RiskLimit.scope)
        .with_for_update(key_share=True)
    )
    places = sorted({(key.exchange, key.account, asset_of(key, side)) for key, side in legs})
    which = [
        and_(
            AccountBalance.exchange == exchange,
            AccountBalance.account == account,
            AccountBalance.asset == asset,
        )
        for exchange, account, asset in places
    ]
    await connection.execute(
        select(AccountBalance.asset)
        .where(or_(*which))
        .order_by(AccountBalance.exchange, AccountBalance.account, AccountBalance.asset)
        .with_for_update(key_share=True)
    )


def cap_scopes(key: PositionKey) -> list[str]:
    """Where a sum of exposures can be limited, the widest first."""
    return [GLOBAL, account_scope(key.exchange, key.account)]


def asset_of(key: PositionKey, side: Side) -> str:
    """What an order draws on."""
    base, _, quote = key.symbol.partition("/")
    return quote if side is Side.BUY else base
