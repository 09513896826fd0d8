"""The audit trail as it is shown: who decided what, when and why, newest first."""

import re
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.cursors import InvalidCursorError
from activities.ledger.view_audit import AuditViews
from starters.connections import Connections

_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)


class AuditEntry(BaseModel):
    """One decision. `before` and `after` are what it changed; null: nothing was set."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    who: str
    action: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str


class AuditPage(BaseModel):
    """Decisions, newest first."""

    entries: list[AuditEntry]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")
    broken_at: int | None = Field(
        description="with verify=true: the first entry whose chain does not hold; null: it holds"
    )


async def list_audit(
    connections: Connections,
    *,
    who: str | None = None,
    action: str | None = None,
    object: str | None = None,
    verify: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> AuditPage:
    """A page of it. `verify` reads the whole trail. Raises InvalidCursorError, Unavailable."""
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise InvalidCursorError
    before = None if cursor is None else int(cursor)
    async with connections.reading(AuditViews) as views:
        found = await views.page(
            who=who, action=action, object=object, before_id=before, limit=limit + 1
        )
        broken_at = await views.broken_at() if verify else None
    following = str(found[limit - 1].id) if len(found) > limit else None
    shown = [AuditEntry.model_validate(each) for each in found[:limit]]
    return AuditPage(entries=shown, next_cursor=following, broken_at=broken_at)
