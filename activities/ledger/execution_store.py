"""The ledger's writer for executions of several orders; see `store` for orders and fills.

Rule: each method is one transaction, and may be called again with the same arguments. Errors of
the database propagate (SQLAlchemyError, OSError): nothing was written, unless a COMMIT was lost,
which a second call finds out.
"""

from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger import store_execution_ends, store_executions
from activities.ledger.results import LostExecution, StoredExecution
from activities.ledger.statements import alarm
from activities.ledger.store_feed import seconds_ago
from workflows.domain.alarms import AlarmCode
from workflows.domain.risk import Limits
from workflows.ports import AcceptLegs, LegsVerdict, OpenExecution, SaveExecution


class ExecutionStore:
    """Writes executions, their legs as a whole, and their locks."""

    def __init__(self, engine: AsyncEngine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    async def open_execution(self, execution: OpenExecution) -> StoredExecution:
        """Register an execution under its id, once.

        The same run chain again is NEW again. Another chain with the same body is FINISHED with
        the stored end, or ADOPTED with all legs while there is none; it is ADOPTED again when it
        asks again. Another body or kind, or the id of an order, is DENIED.
        """
        async with self._engine.begin() as connection:
            return await store_executions.open_execution(connection, execution)

    async def accept_legs(self, request: AcceptLegs) -> LegsVerdict:
        """Register, check and reserve all legs and take the locks, or nothing of it.

        The same legs again get the same answer, a denial too: a new try needs legs of new names.
        Legs that were approved with other figures are to be resolved, all of them. Raises
        UnknownExecutionError, and LedgerError for a leg that is known otherwise.
        """
        async with self._engine.begin() as connection:
            return await store_executions.accept_legs(connection, request, self._limits)

    async def save_execution(self, request: SaveExecution) -> str | None:
        """Store the execution and the ends of its legs. A terminal one never changes again.

        Returns the end (JSON text) that was stored before, None when there was none. The end
        releases the locks and what nobody can have sent of the legs.
        """
        async with self._engine.begin() as connection:
            return await store_execution_ends.save_execution(connection, request)

    async def take_open(self, *, older_than_s: Decimal, every_s: Decimal) -> list[LostExecution]:
        """Executions without an end that nobody has looked at for `every_s`, each given once.

        Only those that were registered `older_than_s` seconds ago.
        """
        async with self._engine.begin() as connection:
            return await store_execution_ends.take_open(
                connection, seconds_ago(older_than_s), seconds_ago(every_s)
            )

    async def note_adoption(self, execution_id: str, detail: str, *, has_failed: bool) -> bool:
        """Count and tell that its workflow is begun again; False when it has ended meanwhile."""
        async with self._engine.begin() as connection:
            return await store_execution_ends.note_adoption(
                connection, execution_id, detail, has_failed=has_failed
            )

    async def raise_alarm(self, code: AlarmCode, about: str, detail: str) -> None:
        """Tell a human, once per (code, object) until it is acknowledged."""
        async with self._engine.begin() as connection:
            await connection.execute(alarm(code, about, detail))
