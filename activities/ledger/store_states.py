"""The kill switches: how a state is set, and what a sweep of a scope has to look at.

Theory. A change waits for the claims in flight, which hold the trading lock shared, and every later
claim sees it: once HALTED has committed, no claim of the scope succeeds. A worker that froze in a
claim holds the lock until the server ends its transaction, so a change waits longer than that, and
claims that come meanwhile wait behind it.

Rule: the change and its audit row are one transaction. The engine itself only tightens.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, literal, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.alarm_ends import ended_with_switch
from activities.ledger.audit import audit
from activities.ledger.control_models import Alarm, TradingStateRow
from activities.ledger.models import Attempt, ChildOrder, ParentOrder, Position
from activities.ledger.results import TradingState
from activities.ledger.statements import TRADING_LOCK
from activities.ledger.view_models import TradingStateView
from activities.ledger.watch_models import PriceWatch
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.domain.reports import VenueStatus
from workflows.domain.scopes import Scope, ScopeKind

LOCK_WAIT, STATEMENT_WAIT = "15s", "20s"
"""Longer than the server lets a frozen transaction live."""
ACTION = "trading_state"
_TIGHTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
_ENDED = [status.value for status in OrderStatus if status.is_terminal]
_PROTECTIVE = [kind.value for kind in OrderType if kind.is_triggered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a scope's switch shall be, why, and who says so.

    `code`: what orders are denied with, where it is not the state's own.
    """

    state: TradingState
    reason: str
    by: str
    code: str | None = None


async def set_state(
    connection: AsyncConnection, scope: str, wanted: Setting, *, only_tighter: bool = False
) -> TradingState:
    """Set the switch of a scope; the state that it has now.

    `only_tighter`: leave alone what is as tight already; nothing is audited then.
    """
    await connection.execute(
        select(
            func.set_config("lock_timeout", LOCK_WAIT, true()),
            func.set_config("statement_timeout", STATEMENT_WAIT, true()),
        )
    )
    # waits for the claims in flight; those that follow see the new state
    await connection.execute(select(func.pg_advisory_xact_lock(cast(TRADING_LOCK, BigInteger))))
    before = (await connection.execute(_row_of(scope))).one_or_none()
    current = TradingState.ACTIVE if before is None else TradingState(before.state)
    code = None if before is None else before.code
    if only_tighter and _tightness(current, code) >= _tightness(wanted.state, wanted.code):
        return current
    after = {"state": wanted.state.value, "code": wanted.code, "reason": wanted.reason}
    values = {**after, "updated_by": wanted.by}
    new = insert(TradingStateRow).values(scope=scope, **values)
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=[TradingStateRow.scope],
            set_={**values, "updated_at": func.now()},
        )
    )
    if wanted.state is TradingState.ACTIVE:
        for closing in ended_with_switch(scope, code):
            await connection.execute(closing)
    told = None if before is None else dict(before._mapping)
    await connection.execute(
        audit(wanted.by, ACTION, scope, before=told, after=after, reason=wanted.reason)
    )
    return wanted.state


def _tightness(state: TradingState, code: str | None) -> tuple[int, bool]:
    """What has a code of its own may be overridden while it lets reduce: that is less tight."""
    return _TIGHTNESS[state], state is TradingState.REDUCING and code is None


def _row_of(scope: str) -> Select[Any]:
    columns: list[Any] = [TradingStateRow.state, TradingStateRow.code, TradingStateRow.reason]
    return select(*columns).where(TradingStateRow.scope == scope)


async def read_states(connection: AsyncConnection) -> list[TradingStateView]:
    """Every switch that was ever set, by scope."""
    query = select(*TradingStateRow.__table__.columns).order_by(TradingStateRow.scope)
    rows = await connection.execute(query)
    return [TradingStateView(**row._mapping) for row in rows]


# --- what a sweep looks at ----------------------------------------------------------------------


def _within(scope: Scope, table: Any) -> ColumnElement[bool]:
    """Rows of a table with the columns strategy_id, exchange and symbol that the scope covers."""
    if scope.kind is ScopeKind.STRATEGY:
        return table.strategy_id == scope.strategy_id  # type: ignore[no-any-return] # any table
    if scope.kind is ScopeKind.GLOBAL:
        return true()
    at_venue = table.exchange == scope.venue
    if scope.kind is ScopeKind.SYMBOL:
        return at_venue & (table.symbol == scope.symbol)  # type: ignore[no-any-return] # any table
    return at_venue  # type: ignore[no-any-return] # any table


def open_children(scope: Scope) -> Select[Any]:
    """Children that rest at their venue, as far as the ledger knows."""
    columns: list[Any] = list(ChildOrder.__table__.columns)
    return select(*columns).where(
        ChildOrder.venue_status == VenueStatus.OPEN.value,
        ChildOrder.venue_order_id.is_not(None),
        _within(scope, ChildOrder),
    )


def unanswered_attempts(scope: Scope) -> Select[Any]:
    """Children with an attempt that may be on the wire, and when that was signed."""
    columns: list[Any] = [*ChildOrder.__table__.columns, Attempt.signed_at_ms]
    return (
        select(*columns)
        .join(Attempt, Attempt.client_order_id == ChildOrder.client_order_id)
        .where(Attempt.state.in_(["SENDING", "UNKNOWN"]), _within(scope, ChildOrder))
    )


def held_positions(scope: Scope) -> Select[Any]:
    """Positions that are not zero, largest names first in no order that matters."""
    columns: list[Any] = [
        Position.strategy_id,
        Position.account,
        Position.exchange,
        Position.symbol,
        Position.quantity,
    ]
    return (
        select(*columns)
        .where(Position.quantity != 0, _within(scope, Position))
        .order_by(*columns[:-1])
    )


async def alarm_unprotected(
    connection: AsyncConnection, scope: Scope, code: str, *, at_venue_too: bool
) -> list[str]:
    """Alarm for every order of the scope that guards a position and cannot any more; their ids.

    Triggers that the engine keeps; with `at_venue_too` those too that rest at their venue.
    """
    open_guards = (
        ParentOrder.status.not_in(_ENDED),
        ParentOrder.order_type.in_(_PROTECTIVE),
        _within(scope, ParentOrder),
    )
    query = select(ParentOrder.order_id).where(*open_guards)
    if not at_venue_too:
        armed = select(PriceWatch.order_id).where(PriceWatch.status == "armed")
        query = query.where(ParentOrder.order_id.in_(armed))
    guards = list((await connection.execute(query.order_by(ParentOrder.order_id))).scalars())
    if guards:
        chosen = query.subquery()
        detail = literal(f"trading is halted: scope={scope}")
        rows = select(literal(code), chosen.c.order_id, detail)
        await connection.execute(
            insert(Alarm)
            .from_select(["code", "object", "detail"], rows)
            .on_conflict_do_nothing(
                index_elements=[Alarm.code, Alarm.object],
                index_where=Alarm.acknowledged_at.is_(None),
            )
        )
    return guards
