"""Migrations of the ledger, safe to run twice, from several machines, and to kill.

Rule: all revisions run in one transaction under an advisory lock of the database, so there is
either the old schema or the new one, and the roles' rights go with it. Workers may go on writing:
where the two lock each other out the migration gives way, and comes again. Synchronous: call it
from a command or a thread, never inside a running event loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from activities.failpoints import fp
from activities.ledger import roles
from activities.ledger.engine import open_single

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_WAIT = "60s"
LOCK_KEY = 0x1ED6E5
MAX_TRIES = 10
_DEADLOCK = "40P01"

log = structlog.get_logger(__name__)


def upgrade(owner_url: str, logins: Sequence[tuple[str, str]] = ()) -> None:
    """Bring the schema to the newest revision, and grant the roles their rights; see `roles.grant`.

    Raises when another migration holds the lock > 60 s. Errors of the database propagate; nothing
    is changed then.
    """
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            asyncio.run(_in_transaction(owner_url, partial(_upgrade, logins=logins)))
        except DBAPIError as error:
            if not tries_left or getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                raise
            log.warning("migration_gave_way", tries_left=tries_left)
        else:
            return


def newest_revision() -> str:
    """The revision that `upgrade` leads to."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "there is no revision"
    return head


async def _in_transaction(database_url: str, work: Callable[[Connection], None]) -> None:
    engine = open_single(database_url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, logins: Sequence[tuple[str, str]] = ()) -> None:
    connection.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": LOCK_WAIT})
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    roles.grant(connection, logins)
    fp("migrate.before_commit")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
