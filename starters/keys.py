"""API keys as they are asked for and shown: made, listed, revoked.

Rule: a key's secret is in the answer that makes it, and nowhere else ever after. Whoever reaches
the ledger may make keys, so there is no way to make one over HTTP.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.ledger.audit import ENGINE
from activities.ledger.key_store import MAX_DAYS
from activities.ledger.key_text import new_key
from activities.ledger.view_keys import KeyView, KeyViews
from starters.connections import Connections
from starters.trail import NOBODY
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode, Denied
from workflows.fields import Identifier, WholeNumber, denial_of, in_range

RESERVED = frozenset({ENGINE, NOBODY})
"""Names in the audit trail that are no key's."""


class KeyRequest(BaseModel):
    """A key to be made. Its name stands in the audit trail for whoever holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    scopes: tuple[Scope, ...] = Field(min_length=1)
    accounts: tuple[Identifier, ...] | None = None
    expires_days: Annotated[WholeNumber, in_range(Decimal(1), Decimal(MAX_DAYS))] = MAX_DAYS


class KeyEntry(BaseModel):
    """One key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    accounts: list[str] | None = Field(description="null: every account")
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    is_good: bool


class KeyPage(BaseModel):
    """Keys, newest first."""

    keys: list[KeyEntry]


class NewKey(KeyEntry):
    """A key that was just made; `key` is the whole of it, shown this once."""

    key: str = Field(repr=False)


def validate_key_request(fields: Mapping[str, Any]) -> KeyRequest | Denied:
    """The request, or the first thing wrong with it."""
    known = {scope.value for scope in Scope}
    if any(scope not in known for scope in fields.get("scopes", ())):
        detail = f"scope must be one of {', '.join(sorted(known))}"
        return Denied(code=DenialCode.UNKNOWN_ENUM, field="scopes", detail=detail)
    if fields.get("name") in RESERVED:
        detail = "the audit trail has this name for somebody else"
        return Denied(code=DenialCode.FIELD_NOT_ALLOWED, field="name", detail=detail)
    try:
        return KeyRequest.model_validate(dict(fields))
    except ValidationError as error:
        return denial_of(error)


async def create_key(connections: Connections, asked: KeyRequest, *, by: str) -> NewKey | Denied:
    """Make a key. FIELD_NOT_ALLOWED for a name that a good key has. Raises Unavailable."""
    key = new_key()
    async with connections.desk() as desk:
        denied = await desk.create_key(
            key, asked.name, asked.scopes, accounts=asked.accounts, days=asked.expires_days, by=by
        )
    if denied is not None:
        return denied
    made = await _find(connections, key.key_id)
    return NewKey(key=key.text, **_entry(made).model_dump())


async def list_keys(connections: Connections, *, ended: bool = False) -> KeyPage:
    """Keys that are good; with `ended` revoked and expired ones too. Raises Unavailable."""
    async with connections.reading(KeyViews) as views:
        found = await views.keys(ended=ended)
    return KeyPage(keys=[_entry(each) for each in found])


async def revoke_key(connections: Connections, key: str, *, by: str) -> KeyEntry | Denied:
    """End the key of this id or name within a second, and its sessions. Raises Unavailable."""
    async with connections.desk() as desk:
        ended = await desk.revoke_key(key, by=by)
    return ended if isinstance(ended, Denied) else _entry(await _find(connections, ended))


async def _find(connections: Connections, key_id: str) -> KeyView:
    async with connections.reading(KeyViews) as views:
        return await views.key(key_id)


def _entry(view: KeyView) -> KeyEntry:
    fields = {name: getattr(view, name) for name in KeyEntry.model_fields}
    return KeyEntry.model_validate(fields)
