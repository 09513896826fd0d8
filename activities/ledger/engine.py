"""Connections to the ledger's database: one pool per process, with every wait bounded.

Rule: READ COMMITTED, UTC, durable commits. A connection that the server has closed is noticed
when it is taken from the pool, so a restarted database costs no failed transaction.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

POOL_SIZE = 10
POOL_WAIT_S = 5
CONNECT_TIMEOUT_S = 5
SESSION_SETTINGS = {
    "application_name": "delta-executor",
    "timezone": "UTC",
    "synchronous_commit": "on",
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    # short statements only: compiling one costs more than it saves
    "jit": "off",
}

LEDGER_AWAY = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that the server ends just when it is used
    OSError,
)
"""What is raised while the database does not answer as it should; TimeoutError is an OSError."""
MUST_BE_ON = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings of the server without which a commit that was acknowledged may be lost."""
UNSAFE = "SELECT name FROM pg_settings WHERE name = ANY($1) AND setting = 'off'"


class NotDurableError(Exception):
    """The database's server may lose what it has acknowledged."""


def open_engine(database_url: str, *, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """A pool on `database_url` (postgresql://...); connects on first use.

    Statements are prepared once per connection. Waits for a connection at most POOL_WAIT_S.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=_connector(database_url, SESSION_SETTINGS),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        pool_use_lifo=True,
    )
    event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)
    return engine


async def check_durable(engine: AsyncEngine) -> None:
    """Raises NotDurableError where a commit may be lost; whatever else a dead database raises."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None, "a connection from the pool is open"
        off = [row["name"] for row in await driver.fetch(UNSAFE, list(MUST_BE_ON))]
    if off:
        raise NotDurableError(f"PostgreSQL runs with {', '.join(sorted(off))} off")


def open_single(database_url: str) -> AsyncEngine:
    """Without pool and time limits, for migrations: one connection per use."""
    settings = {"timezone": "UTC", "synchronous_commit": "on"}
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=_connector(database_url, settings),
        poolclass=NullPool,
    )


def _connector(database_url: str, settings: dict[str, str]) -> Callable[[], Awaitable[Any]]:
    """asyncpg reads the address itself: it understands libpq's options, such as sslmode."""
    url = make_url(database_url).set(drivername="postgresql")
    dsn = url.render_as_string(hide_password=False)

    async def connect() -> Any:  # asyncpg ships no types
        return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, server_settings=settings)

    return connect


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Costs no round trip: the event loop has already seen the server hang up."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed this connection")
