"""Executions of several orders: their rows, their locks, and which orders are their legs.

Down is refused: a ledger is never unmade by a command.
"""

from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

STATEMENTS = (
    """
    CREATE TABLE executions (
        execution_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        run_chain TEXT NOT NULL,
        adopted_by TEXT,
        failures INTEGER DEFAULT 0 NOT NULL,
        body_hash TEXT NOT NULL,
        strategy_id TEXT NOT NULL,
        account TEXT NOT NULL,
        venues TEXT[] NOT NULL,
        plan JSONB NOT NULL,
        status TEXT NOT NULL,
        snapshot JSONB,
        code TEXT,
        field TEXT,
        reason TEXT DEFAULT '' NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        accepted_at TIMESTAMPTZ,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        finished_at TIMESTAMPTZ,
        looked_at TIMESTAMPTZ,
        PRIMARY KEY (execution_id)
    )
    """,
    "CREATE INDEX executions_newest ON executions (kind, created_at, execution_id)",
    "CREATE INDEX executions_open ON executions (created_at) WHERE finished_at IS NULL",
    """
    CREATE TABLE execution_locks (
        key TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        taken_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (key),
        FOREIGN KEY (execution_id) REFERENCES executions (execution_id)
    )
    """,
    "CREATE INDEX ix_execution_locks_execution_id ON execution_locks (execution_id)",
    """
    ALTER TABLE parent_orders
    ADD COLUMN execution_id TEXT REFERENCES executions (execution_id)
    """,
    """
    CREATE INDEX parent_orders_of_execution ON parent_orders (execution_id)
    WHERE execution_id IS NOT NULL
    """,
    """
    ALTER TABLE child_orders
    ADD COLUMN compensates TEXT REFERENCES executions (execution_id)
    """,
    "ALTER TABLE risk_checks DROP CONSTRAINT risk_check_kind",
    """
    ALTER TABLE risk_checks ADD CONSTRAINT risk_check_kind
    CHECK (kind IN ('parent', 'child', 'execution'))
    """,
)


def upgrade() -> None:
    """Add what executions need; what is there is not touched."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refused."""
    raise RuntimeError("a ledger is not unmade: restore a backup instead")
