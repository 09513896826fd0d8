"""What was lost since midnight where that is limited, and the kill switch that follows from it.

Rule: the day's result is what positions are worth now less what they were worth at the last
snapshot before 00:00 UTC. Without one they began at nothing, or, where fills are older than that,
with their first snapshot: what a ledger lost before it kept any is not today's loss. A market
without a mark is worth what it cost. A switch that is as tight already is left alone, and only a
human loosens one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, and_, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.audit import ENGINE
from activities.ledger.book_models import Mark, PositionSnapshot
from activities.ledger.control_models import RiskLimit
from activities.ledger.models import FillRow, Position
from activities.ledger.results import EXTERNAL, TradingState
from activities.ledger.statements import alarm
from activities.ledger.store_states import Setting, set_state
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode
from workflows.domain.exact import exact
from workflows.domain.limits import LimitName, ScopeKind
from workflows.fields import plain

HALTS_BEYOND = Decimal("1.5")
"""Times the limit."""
_ZERO = Decimal(0)
_PLACE = ("account", "exchange", "symbol")
_WORTH = ("quantity", "cost", "realised_gross", "fees_quote")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A limit on losses and the loss since 00:00 UTC, in quote value; a profit is below zero."""

    scope: str
    limit: Decimal
    loss: Decimal

    @property
    def state(self) -> TradingState:
        """What trading is to be, as far as this limit says."""
        with exact():
            if self.loss > self.limit * HALTS_BEYOND:
                return TradingState.HALTED
        return TradingState.REDUCING if self.loss > self.limit else TradingState.ACTIVE

    @property
    def switch(self) -> str:
        """The kill switch that it sets: the strategy's, or that of the account's venue."""
        kind, *names = self.scope.split(":")
        return self.scope if kind == ScopeKind.STRATEGY else f"venue:{names[0]}"


class LossStore:
    """Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def losses(self) -> list[Loss]:
        """Every limit on losses, with the loss of today."""
        columns: list[Any] = [RiskLimit.scope, RiskLimit.value]
        query = select(*columns).where(RiskLimit.name == LimitName.LOSS_LIMIT.value)
        async with self._engine.connect() as connection:
            limits = (await connection.execute(query.order_by(RiskLimit.scope))).all()
            if not limits:
                return []
            results = (await connection.execute(_RESULTS)).all()
        return [
            Loss(scope=row.scope, limit=row.value, loss=_loss_of(row.scope, results))
            for row in limits
        ]

    async def act_on(self, found: Loss) -> TradingState | None:
        """Tighten the switch and tell a human; None while the loss is within its limit.

        Answers the state of the switch afterwards.
        """
        if found.state is TradingState.ACTIVE:
            return None
        reason = f"loss={plain(found.loss)} limit={plain(found.limit)} of {found.scope}"
        wanted = Setting(
            state=found.state, reason=reason, by=ENGINE, code=DenialCode.LOSS_LIMIT.value
        )
        async with self._engine.begin() as connection:
            # before the audit, which is last: whoever acknowledges this alarm waits for that
            await connection.execute(alarm(AlarmCode.LOSS_LIMIT, found.scope, reason))
            return await set_state(connection, found.switch, wanted, only_tighter=True)


def _loss_of(scope: str, results: Iterable[Row[Any]]) -> Decimal:
    with exact():
        return -sum((row.result for row in results if _is_within(scope, row)), _ZERO)


def _is_within(scope: str, row: Row[Any]) -> bool:
    return scope in (f"strategy:{row.strategy_id}", f"account:{row.exchange}:{row.account}")


def _worth(table: Any, mark: Any) -> Any:
    """Realised and unrealised: what was earned net of fees, and what is held above its cost."""
    unrealised = func.coalesce(table.quantity * mark - table.cost, 0)
    return table.realised_gross - table.fees_quote + unrealised


_MIDNIGHT: Any = func.timezone("UTC", func.date_trunc("day", func.timezone("UTC", func.now())))


def _is_of_position(table: Any) -> list[Any]:
    return [getattr(table, name) == getattr(Position, name) for name in _PLACE]


def _snapshot(*conditions: Any, first: Any) -> Any:
    """The first of a position's snapshots, in that order."""
    return (
        select(*(getattr(PositionSnapshot, name) for name in _WORTH), PositionSnapshot.mark)
        .where(
            PositionSnapshot.strategy_id == Position.strategy_id,
            *_is_of_position(PositionSnapshot),
            *conditions,
        )
        .order_by(first)
        .limit(1)
        .lateral()
    )


def _has_older_fills() -> Any:
    older = (*_is_of_position(FillRow), FillRow.traded_at < _MIDNIGHT)
    ours = exists().where(FillRow.strategy_id == Position.strategy_id, *older)
    of_others = exists().where(FillRow.strategy_id.is_(None), *older)
    return or_(
        ours.correlate(Position),
        and_(Position.strategy_id == EXTERNAL, of_others.correlate(Position)),
    )


def _results() -> Select[Any]:
    """The result since midnight of each strategy in each account."""
    taken_at = PositionSnapshot.taken_at
    before = _snapshot(taken_at < _MIDNIGHT, first=taken_at.desc())
    earliest = _snapshot(_has_older_fills(), first=taken_at)
    began = func.coalesce(*(_worth(each.c, each.c.mark) for each in (before, earliest)), 0)
    result = func.sum(_worth(Position, Mark.price) - began).label("result")
    owner: list[Any] = [Position.strategy_id, Position.exchange, Position.account]
    return (
        select(*owner, result)
        .outerjoin(Mark, and_(Mark.exchange == Position.exchange, Mark.symbol == Position.symbol))
        .outerjoin(before, true())
        .outerjoin(earliest, true())
        # of one that is still to be counted only the quantity is known
        .where(Position.fill_count >= 0)
        .group_by(*owner)
    )


_RESULTS = _results()
