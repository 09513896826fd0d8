"""What the risk checks said of one order and its children, for those who ask.

Rule: nothing here writes or locks. Times are UTC; `detail` holds figures as text.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.models import ChildOrder, RiskCheck

MAX_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """One verdict, of the order or of one attempt at a child. `code` of None: approved."""

    kind: str
    subject: str
    attempt: int
    verdict: str
    code: str | None
    field: str | None
    detail: str
    checked_at: datetime


class CheckViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def of_order(self, order_id: str) -> list[CheckView]:
        """The newest verdicts, at most MAX_SHOWN, newest first. A leg has none of its own: all legs
        of an execution are checked together, under their ids joined."""
        children = select(ChildOrder.client_order_id).where(ChildOrder.order_id == order_id)
        wanted = or_(
            and_(RiskCheck.kind == "parent", RiskCheck.subject == order_id),
            and_(RiskCheck.kind == "child", RiskCheck.subject.in_(children)),
        )
        names = CheckView.__dataclass_fields__
        columns: list[Any] = [RiskCheck.__table__.c[name] for name in names]
        query = select(*columns).where(wanted).order_by(RiskCheck.checked_at.desc())
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.limit(MAX_SHOWN))).all()
        return [CheckView(**row._mapping) for row in rows]
