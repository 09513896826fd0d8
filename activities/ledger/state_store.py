"""The ledger's writer for kill switches, and the reader of what a sweep needs.

Rule: each method is one transaction and may be called again. Errors of the database propagate
(SQLAlchemyError, OSError): nothing was written, unless a COMMIT was lost; a second call finds out.
It must not know Temporal: it works while that is away.
"""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger import store_states
from activities.ledger.child_rows import stored_child
from activities.ledger.results import StoredChild, TradingState
from activities.ledger.statements import alarm
from activities.ledger.store_states import Setting
from activities.ledger.view_models import TradingStateView
from workflows.domain.alarms import AlarmCode
from workflows.domain.scopes import Scope

__all__ = ["Holding", "Setting", "StateStore", "SweepFacts", "Unanswered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A child whose attempt was claimed and never answered; `signed_at_ms`: the venue's clock."""

    child: StoredChild
    signed_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFacts:
    """What of a scope may be live at a venue, as far as the ledger knows."""

    open: tuple[StoredChild, ...]
    unanswered: tuple[Unanswered, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position that is not zero, in signed base units."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    quantity: Decimal


class StateStore:
    """Sets kill switches."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def set(
        self, scope: Scope, wanted: Setting, *, only_tighter: bool = False
    ) -> TradingState:
        """Set the switch of a scope, audited; what it is now.

        After HALTED no claim of the scope succeeds. `only_tighter` never loosens one.
        """
        async with self._engine.begin() as connection:
            return await store_states.set_state(
                connection, str(scope), wanted, only_tighter=only_tighter
            )

    async def states(self) -> list[TradingStateView]:
        """Every switch that was ever set, by scope."""
        async with self._reader.connect() as connection:
            return await store_states.read_states(connection)

    async def facts(self, scope: Scope) -> SweepFacts:
        """What may be live. Read after HALTED was set, nothing can be missing."""
        async with self._reader.connect() as connection:
            # attempts first: one that is answered in between is an open child then
            claimed = (await connection.execute(store_states.unanswered_attempts(scope))).all()
            resting = (await connection.execute(store_states.open_children(scope))).all()
        return SweepFacts(
            open=tuple(stored_child(row) for row in resting),
            unanswered=tuple(
                Unanswered(child=stored_child(row), signed_at_ms=row.signed_at_ms)
                for row in claimed
            ),
        )

    async def holdings(self, scope: Scope) -> list[Holding]:
        """Positions of the scope that are not zero."""
        async with self._reader.connect() as connection:
            rows = await connection.execute(store_states.held_positions(scope))
            return [Holding(**row._mapping) for row in rows]

    async def alarm_unprotected(self, scope: Scope, *, at_venue_too: bool) -> list[str]:
        """Alarm UNPROTECTED for each order that guards a position in vain now; their ids.

        `at_venue_too`: triggers that rest at their venue are taken off it as well.
        """
        async with self._engine.begin() as connection:
            return await store_states.alarm_unprotected(
                connection, scope, AlarmCode.UNPROTECTED, at_venue_too=at_venue_too
            )

    async def alarm_incomplete(self, scope: Scope, detail: str) -> None:
        """Tell a human that orders of a halted scope may still be executed."""
        async with self._engine.begin() as connection:
            await connection.execute(alarm(AlarmCode.HALT_INCOMPLETE, str(scope), detail))
