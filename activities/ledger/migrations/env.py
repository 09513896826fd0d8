"""Alembic's entry: runs the revisions on the connection that `migrate` hands over.

Rule: one transaction for all revisions, opened and committed by `migrate`, never here.
"""

from alembic import context

from activities.ledger.models import LedgerMeta

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=LedgerMeta.metadata,
    transactional_ddl=True,
)
context.run_migrations()
