"""The audit trail for those who ask: who decided what, and whether the chain of its rows is whole.

Rule: nothing here writes or locks. Times are UTC; amounts in `before` and `after` are text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.control_models import AuditRow

MAX_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """One decision. `before` and `after` are what it changed; None: nothing was set."""

    id: int
    at: datetime
    who: str
    action: str
    object: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str


class AuditViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def newest(self, limit: int = MAX_SHOWN) -> list[AuditView]:
        """The newest decisions, the oldest of them first; at most MAX_SHOWN."""
        table = AuditRow.__table__
        columns: list[Any] = [table.c[name] for name in AuditView.__dataclass_fields__]
        query = select(*columns).order_by(AuditRow.id.desc()).limit(min(limit, MAX_SHOWN))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [AuditView(**row) for row in reversed(rows)]

    async def page(
        self,
        *,
        who: str | None = None,
        action: str | None = None,
        object: str | None = None,
        before_id: int | None = None,
        limit: int = MAX_SHOWN,
    ) -> list[AuditView]:
        """Decisions, newest first, of those before the one with `before_id`."""
        table = AuditRow.__table__
        columns: list[Any] = [table.c[name] for name in AuditView.__dataclass_fields__]
        query = select(*columns).order_by(AuditRow.id.desc()).limit(limit)
        for name, value in {"who": who, "action": action, "object": object}.items():
            if value is not None:
                query = query.where(table.c[name] == value)
        if before_id is not None:
            query = query.where(AuditRow.id < before_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [AuditView(**row) for row in rows]

    async def broken_at(self) -> int | None:
        """The first row that was changed, or before which one was taken out; None: it is whole.

        Reads the whole trail.
        """
        async with self._engine.connect() as connection:
            found: int | None = await connection.scalar(select(func.audit_broken_at()))
        return found
