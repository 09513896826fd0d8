"""API keys and sessions for those who check or list them.

Rule: nothing here writes or locks. What is no longer good is told by the database's own clock, so
that all processes agree. A hash leaves only for the comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.access_models import ApiKey, ApiSession
from workflows.domain.access import Caller, Scope

MAX_KEYS = 500
"""The newest keys that a list shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """One key, without its secret."""

    id: str
    name: str
    scopes: Sequence[str]
    accounts: Sequence[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    is_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheck:
    """What a presented key is checked against."""

    caller: Caller
    secret_hash: bytes = field(repr=False)
    expires_at: datetime
    is_good: bool
    """Neither revoked nor expired."""


_IS_GOOD: ColumnElement[bool] = and_(
    ApiKey.revoked_at.is_(None), ApiKey.expires_at > func.clock_timestamp()
)
_COLUMNS: list[Any] = [
    ApiKey.__table__.c[name] for name in KeyView.__dataclass_fields__ if name != "is_good"
]
_SHOWN = select(*_COLUMNS, _IS_GOOD.label("is_good"))
_OF_CALLER = (ApiKey.id, ApiKey.name, ApiKey.scopes, ApiKey.accounts, ApiKey.expires_at)


class KeyViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def key_check(self, key_id: str) -> KeyCheck | None:
        """What a key of this id must match; None for an id that was never given."""
        query = select(*_OF_CALLER, ApiKey.secret_hash, _IS_GOOD.label("is_good"))
        async with self._engine.connect() as connection:
            row = (await connection.execute(query.where(ApiKey.id == key_id))).one_or_none()
        if row is None:
            return None
        return KeyCheck(
            caller=_caller(row),
            secret_hash=row.secret_hash,
            expires_at=row.expires_at,
            is_good=row.is_good,
        )

    async def session_caller(self, token_hash: bytes) -> Caller | None:
        """Who is signed in with a token; None where the session or its key is over."""
        is_open = and_(
            ApiSession.token_hash == token_hash,
            ApiSession.ended_at.is_(None),
            ApiSession.expires_at > func.clock_timestamp(),
        )
        query = select(*_OF_CALLER).join(ApiSession, ApiSession.key_id == ApiKey.id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query.where(is_open, _IS_GOOD))).one_or_none()
        return None if row is None else _caller(row)

    async def keys(self, *, ended: bool = False) -> list[KeyView]:
        """Keys, newest first, at most MAX_KEYS; with `ended` revoked and expired ones too."""
        query = _SHOWN.order_by(ApiKey.created_at.desc(), ApiKey.id).limit(MAX_KEYS)
        if not ended:
            query = query.where(_IS_GOOD)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [KeyView(**row) for row in rows]

    async def key(self, key_id: str) -> KeyView:
        """The key of an id that was given once. Raises NoResultFound for another."""
        async with self._engine.connect() as connection:
            found = await connection.execute(_SHOWN.where(ApiKey.id == key_id))
        return KeyView(**found.mappings().one())


def _caller(row: Row[*tuple[Any, ...]]) -> Caller:
    accounts = None if row.accounts is None else frozenset(row.accounts)
    scopes = frozenset(scope for scope in Scope if scope.value in row.scopes)
    return Caller(key_id=row.id, name=row.name, scopes=scopes, accounts=accounts)
