"""The audit trail: one row for each decision of a human, or of the engine in a human's place.

Rule: written in the transaction that changes what it tells of, never after it, and as its last
write: the database chains the rows, so one writer waits for another until that commits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Insert, Text, column, func, insert, literal, null, select
from sqlalchemy.dialects.postgresql import JSONB

from activities.ledger.control_models import AuditRow

ENGINE = "engine"
"""Who acts when nobody asked: a rule of the engine."""


def audit(
    who: str,
    action: str,
    about: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Insert:
    """The row that tells it. `before` and `after` are JSON values: amounts as text."""
    return insert(AuditRow).values(
        who=who,
        action=action,
        object=about,
        before=null() if before is None else dict(before),
        after=null() if after is None else dict(after),
        reason=reason,
    )


def audit_all(rows: Sequence[Mapping[str, Any]]) -> Insert:
    """One row for each, in this order: who, action, object, after. One statement, so one wait."""
    told = func.jsonb_to_recordset(literal([dict(row) for row in rows], JSONB)).table_valued(
        column("who", Text), column("action", Text), column("object", Text), column("after", JSONB)
    )
    each = told.render_derived(name="told", with_types=True)
    return insert(AuditRow).from_select(["who", "action", "object", "after"], select(*each.c))
