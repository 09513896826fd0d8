"""Shared pieces of SQL: locks, alarms, facts for risk checks, and several writes in one trip.

Rule: locks are taken in one order everywhere, so that no two transactions can wait for each
other: the trading-state lock, the position, the child order, what hangs on it, and last limits on
sums, the account's balances by asset, the strategy's counter and the account's count of messages.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Delete,
    Insert,
    Row,
    ScalarSelect,
    Select,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import Block
from activities.ledger.control_models import Alarm, StrategyCounter, TradingStateRow
from activities.ledger.models import (
    AccountReadiness,
    Attempt,
    ChildOrder,
    LedgerMeta,
    Position,
    Reservation,
)
from activities.ledger.results import PositionKey
from workflows.domain.alarms import AlarmCode
from workflows.domain.orders import Side
from workflows.domain.risk import Exposure

TRADING_LOCK = 0x7AD1
"""Advisory lock: shared by claims, exclusive for a change of the trading state."""


def in_one_trip(*writes: Insert | Update | Delete) -> Select[Any]:
    """All writes as one statement. They see the same snapshot, so none may need another's rows."""
    named = (write.cte(f"write_{number}") for number, write in enumerate(writes))
    return select(literal(1)).add_cte(*named)


def alarm(code: AlarmCode, about: str, detail: str) -> Insert:
    """Raise an alarm, unless the same one is open."""
    return (
        insert(Alarm)
        .values(code=code, object=about, detail=detail)
        .on_conflict_do_nothing(
            index_elements=[Alarm.code, Alarm.object], index_where=Alarm.acknowledged_at.is_(None)
        )
    )


# --- locks --------------------------------------------------------------------------------------

_POSITION = (
    select(*Position.__table__.columns)
    .where(
        Position.strategy_id == bindparam("strategy_id"),
        Position.account == bindparam("account"),
        Position.exchange == bindparam("exchange"),
        Position.symbol == bindparam("symbol"),
    )
    .with_for_update(key_share=True)
)


async def lock_position(connection: AsyncConnection, key: PositionKey) -> Decimal:
    """The position (signed base units), held until the transaction ends."""
    quantity: Decimal = (await lock_books(connection, key)).quantity
    return quantity


async def lock_books(connection: AsyncConnection, key: PositionKey) -> Row[Any]:
    """As lock_position, with what the position has cost and earned: its whole row."""
    names = key._asdict()
    found = (await connection.execute(_POSITION, names)).one_or_none()
    if found is None:
        await connection.execute(insert(Position).values(names).on_conflict_do_nothing())
        found = (await connection.execute(_POSITION, names)).one()
    return found


_CHILD_COLUMNS: list[Any] = [
    *ChildOrder.__table__.columns,
    select(LedgerMeta.epoch).scalar_subquery().label("epoch"),
]
_ATTEMPT_COLUMNS: list[Any] = [
    Attempt.state.label("attempt_state"),
    Attempt.signed_at_ms,
    Attempt.outcome_code,
    Attempt.outcome_reason,
    select(StrategyCounter.rejects_in_row)
    .where(StrategyCounter.strategy_id == ChildOrder.strategy_id)
    .correlate(ChildOrder)
    .scalar_subquery()
    .label("rejects_in_row"),
]
_CHILD = (
    select(*_CHILD_COLUMNS)
    .where(ChildOrder.client_order_id == bindparam("client_order_id"))
    .with_for_update(key_share=True)
)
# Both rows are locked: after a wait PostgreSQL reads only locked rows anew, and an attempt that
# was merely joined would be shown as it was before the wait.
_CHILD_WITH_ATTEMPT = (
    select(*_CHILD_COLUMNS, *_ATTEMPT_COLUMNS)
    .join(Attempt, Attempt.client_order_id == ChildOrder.client_order_id)
    .where(
        ChildOrder.client_order_id == bindparam("client_order_id"),
        Attempt.attempt == bindparam("attempt"),
    )
    .with_for_update(key_share=True)
)
_CHILD_FOR_CLAIM = _CHILD_WITH_ATTEMPT.add_columns(
    func.pg_advisory_xact_lock_shared(cast(TRADING_LOCK, BigInteger))
)


async def lock_child(connection: AsyncConnection, client_order_id: str) -> Row[Any] | None:
    """The child order and the ledger's epoch, held until the end."""
    return (await connection.execute(_CHILD, {"client_order_id": client_order_id})).one_or_none()


async def lock_attempt(
    connection: AsyncConnection, client_order_id: str, attempt: int, *, to_claim: bool = False
) -> Row[Any] | None:
    """As lock_child, with one attempt of the child; None where there is no such attempt.

    `to_claim`: the trading state cannot change either until the transaction ends.
    """
    names = {"client_order_id": client_order_id, "attempt": attempt}
    query = _CHILD_FOR_CLAIM if to_claim else _CHILD_WITH_ATTEMPT
    return (await connection.execute(query, names)).one_or_none()


# --- facts for checks ---------------------------------------------------------------------------


def working(side: Side) -> ScalarSelect[Decimal]:
    """Open reservations of a position on one side, in base units, without one child's own.

    Binds strategy_id, account, exchange, symbol and client_order_id.
    """
    return (
        select(func.coalesce(func.sum(Reservation.quantity), 0))
        .where(
            Reservation.state == "open",
            Reservation.side == side.value,
            Reservation.strategy_id == bindparam("strategy_id"),
            Reservation.account == bindparam("account"),
            Reservation.exchange == bindparam("exchange"),
            Reservation.symbol == bindparam("symbol"),
            Reservation.client_order_id != bindparam("client_order_id"),
        )
        .scalar_subquery()
    )


def strictest_state() -> Select[Any]:
    """The kill switch that binds most. Binds `scopes`."""
    row = TradingStateRow
    columns: list[Any] = [row.state, row.scope, row.reason, row.code]
    return (
        select(*columns)
        .where(
            TradingStateRow.scope == any_(bindparam("scopes", type_=ARRAY(Text))),
            TradingStateRow.state != "active",
        )
        # halted comes before reducing in the alphabet too; what has a code may be overridden
        .order_by(row.state, row.code.asc().nulls_first(), row.scope)
        .limit(1)
    )


def is_ready() -> Any:
    """Whether the feed vouches for an account now. Binds of_exchange and of_account."""
    return exists().where(
        AccountReadiness.exchange == bindparam("of_exchange"),
        AccountReadiness.account == bindparam("of_account"),
        AccountReadiness.state == "READY",
        AccountReadiness.ready_until > func.clock_timestamp(),
    )


def gate() -> Select[Any]:
    """The kill switch, the account's readiness and the exposure of one position, in one row.

    Binds what `working`, `strictest_state` and `is_ready` bind.
    """
    one = select(literal(1).label("n")).subquery("one")
    block = strictest_state().lateral("block")
    position = select(Position.quantity).where(
        Position.strategy_id == bindparam("strategy_id"),
        Position.account == bindparam("account"),
        Position.exchange == bindparam("exchange"),
        Position.symbol == bindparam("symbol"),
    )
    return (
        select(
            block.c.state.label("block_state"),
            block.c.scope.label("block_scope"),
            block.c.reason.label("block_reason"),
            block.c.code.label("block_code"),
            is_ready().label("account_ready"),
            func.coalesce(position.scalar_subquery(), 0).label("position"),
            working(Side.BUY).label("working_buy"),
            working(Side.SELL).label("working_sell"),
        )
        .select_from(one)
        .outerjoin(block, true())
    )


def exposure_of(facts: Row[Any]) -> Exposure:
    """The exposure in a row of facts."""
    return Exposure(
        position=facts.position, working_buy=facts.working_buy, working_sell=facts.working_sell
    )


def block_of(facts: Row[Any]) -> Block:
    """The kill switch in a row of facts."""
    return Block(
        state=facts.block_state,
        scope=facts.block_scope,
        reason=facts.block_reason,
        code=facts.block_code,
    )
