"""API keys and sessions: made, ended, and each of it told in the audit trail.

Rule: the ledger is given hashes, never a secret. A name is one good key's at a time: a new key may
take the name of one that is revoked or has expired.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.access_models import ApiKey, ApiSession
from activities.ledger.audit import audit
from activities.ledger.key_text import KeyText, hash_of
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode, Denied

MAX_DAYS = 90
"""Longest life of a key."""
SESSION_HOURS = 12
_NAMING = 0x0AC3
"""Advisory lock: one key is made at a time."""


class KeyStore:
    """Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(
        self,
        key: KeyText,
        name: str,
        scopes: Collection[Scope],
        *,
        accounts: Collection[str] | None = None,
        days: int = MAX_DAYS,
        by: str,
        replace: bool = False,
    ) -> Denied | None:
        """Make a key known, good for `days`. FIELD_NOT_ALLOWED for a name that a good key has.

        With `replace` that one is revoked instead. `accounts` of None: good for every account.
        """
        async with self._engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(_NAMING)))
            named = ApiKey.name == name, ApiKey.revoked_at.is_(None)
            is_over = ApiKey.expires_at <= func.clock_timestamp()
            holder = await connection.scalar(select(ApiKey.id).where(*named, ~is_over))
            if holder is not None and not replace:
                detail = f"a key named {name} exists: revoke it first, or take another name"
                return Denied(code=DenialCode.FIELD_NOT_ALLOWED, field="name", detail=detail)
            await connection.execute(
                update(ApiKey)
                .where(*named)
                .values(revoked_at=func.clock_timestamp(), revoked_by=by)
            )
            now = func.now()
            row = {
                "id": key.key_id,
                "secret_hash": key.hash,
                "name": name,
                "scopes": sorted(scopes),
                "accounts": None if accounts is None else sorted(accounts),
                "created_at": now,
                "created_by": by,
                "expires_at": now + timedelta(days=days),
            }
            await connection.execute(insert(ApiKey).values(row))
            told = {"id": key.key_id, "scopes": row["scopes"], "accounts": row["accounts"]}
            about = f"key:{name}"
            await connection.execute(audit(by, "create_key", about, after=told | {"days": days}))
        return None

    async def revoke(self, key: str, *, by: str) -> str | Denied:
        """End the good key of this id or name at once, with its sessions; its id. Twice is no
        error."""
        async with self._engine.begin() as connection:
            is_it = or_(ApiKey.id == key, ApiKey.name == key)
            query = select(ApiKey.id, ApiKey.name, ApiKey.revoked_at).where(is_it)
            query = query.order_by(ApiKey.revoked_at.is_not(None), ApiKey.created_at.desc())
            row = (await connection.execute(query.limit(1).with_for_update())).one_or_none()
            if row is None:
                detail = "no key has this id or name"
                return Denied(code=DenialCode.NOT_FOUND, field="key", detail=detail)
            key_id: str = row.id
            if row.revoked_at is not None:
                return key_id
            ended = {"revoked_at": func.clock_timestamp(), "revoked_by": by}
            await connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(ended))
            after = {"id": key_id}
            await connection.execute(audit(by, "revoke_key", f"key:{row.name}", after=after))
        return key_id

    async def sign_in(self, key_id: str, name: str, token: str, *, peer: str) -> None:
        """Remember a browser by its token's hash, for SESSION_HOURS."""
        row = {
            "token_hash": hash_of(token),
            "key_id": key_id,
            "expires_at": func.now() + timedelta(hours=SESSION_HOURS),
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(ApiSession).values(row))
            await _tell(connection, name, "sign_in", key_id, peer)

    async def sign_out(self, token: str, *, peer: str) -> None:
        """Forget a browser. A token that is not known, or twice, is no error."""
        ended = (
            update(ApiSession)
            .where(ApiSession.token_hash == hash_of(token), ApiSession.ended_at.is_(None))
            .values(ended_at=func.clock_timestamp())
            .returning(ApiSession.key_id)
        )
        async with self._engine.begin() as connection:
            key_id = await connection.scalar(ended)
            if key_id is not None:
                name = await connection.scalar(select(ApiKey.name).where(ApiKey.id == key_id))
                await _tell(connection, name or "", "sign_out", key_id, peer)


async def _tell(
    connection: AsyncConnection, name: str, action: str, key_id: str, peer: str
) -> None:
    after = {"id": key_id, "peer": peer}
    await connection.execute(audit(name, action, f"key:{name}", after=after))
