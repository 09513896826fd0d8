"""A trade of an account with itself is two fills with one trade id: one of each side.

Down is refused: a ledger is never unmade by a command.
"""

from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Let the side be a part of what makes a fill unique."""
    op.execute("ALTER TABLE fills DROP CONSTRAINT fills_once")
    op.execute(
        "ALTER TABLE fills ADD CONSTRAINT fills_once "
        "UNIQUE (exchange, account, symbol, trade_id, side)"
    )


def downgrade() -> None:
    """Refused."""
    raise RuntimeError("a ledger is not unmade: restore a backup instead")
