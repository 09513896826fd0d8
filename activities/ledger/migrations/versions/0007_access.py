"""API keys and the dashboard's sessions.

Down only while there is no key: what a ledger holds is never destroyed by a command.
"""

from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

TABLES = (
    """
    CREATE TABLE api_keys (
        id TEXT NOT NULL,
        secret_hash BYTEA NOT NULL,
        name TEXT NOT NULL,
        scopes TEXT[] NOT NULL,
        accounts TEXT[],
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        created_by TEXT NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        revoked_at TIMESTAMPTZ,
        revoked_by TEXT,
        PRIMARY KEY (id),
        CONSTRAINT key_may_something CHECK (cardinality(scopes) > 0),
        CONSTRAINT key_expires CHECK (expires_at <= created_at + interval '90 days')
    )
    """,
    """
    CREATE UNIQUE INDEX api_keys_named ON api_keys (name) WHERE revoked_at IS NULL
    """,
    """
    CREATE TABLE api_sessions (
        token_hash BYTEA NOT NULL,
        key_id TEXT NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        ended_at TIMESTAMPTZ,
        PRIMARY KEY (token_hash),
        FOREIGN KEY (key_id) REFERENCES api_keys (id)
    )
    """,
    "CREATE INDEX ix_api_sessions_key_id ON api_sessions (key_id)",
)

REFUSE_IF_USED = """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM api_keys) THEN
            RAISE EXCEPTION 'the ledger holds API keys'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $$
    """


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, if they hold no key."""
    op.execute(REFUSE_IF_USED)
    op.execute("DROP TABLE api_sessions, api_keys")
