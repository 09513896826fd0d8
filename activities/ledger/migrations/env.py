"""Alembic's entry: runs the revisions on the connection that `migrate` hands over.

Rule: one transaction for all revisions, opened and committed by `migrate`, never here.
"""

from alembic import context

from activities.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
context.run_migrations()
