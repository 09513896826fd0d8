"""The tables of access: API keys, and the sessions of the dashboard.

Rule: no secret is stored, only its SHA-256: keys and session tokens are 256 random bits, so a hash
without salt or stretching tells nothing. Rows are never deleted: a key that ends is revoked.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from activities.ledger.model_base import Base, Created, Key


class ApiKey(Base):
    """One key: `ek_<id>_<secret>`. Its name is unique among those that are not revoked.

    `accounts` of NULL: bound to none, so good for all. `scopes` are names of
    `workflows.domain.access.Scope`.
    """

    __tablename__ = "api_keys"

    id: Mapped[Key]
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str]
    scopes: Mapped[list[str]]
    accounts: Mapped[list[str] | None]
    created_at: Mapped[Created]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]

    __table_args__ = (
        Index("api_keys_named", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
        CheckConstraint("cardinality(scopes) > 0", name="key_may_something"),
        CheckConstraint("expires_at <= created_at + interval '90 days'", name="key_expires"),
    )


class ApiSession(Base):
    """A browser that signed in with a key, by the hash of its cookie's token."""

    __tablename__ = "api_sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), index=True)
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
