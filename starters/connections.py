"""The connections of one process that asks: one Temporal client, one engine on the ledger.

Rule: nothing connects before it is needed, so a process starts while Temporal or PostgreSQL is
away; every wait has a bound, and a dependency that does not answer is `Unavailable`. Both
connections heal by themselves.

It must not know who asks: HTTP and the command line use it alike.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.engine import open_engine
from activities.ledger.views import LedgerViews
from starters.callers import Callers
from starters.client import DeltaClient, Unavailable
from starters.trail import Trail
from workers.desk import Desk, open_desk
from workers.settings import Settings, SettingsError

ViewsT = TypeVar("ViewsT")

LEDGER_WAIT_S = 4.0
DESK_WAIT_S = 8.0
"""A decision waits for orders that are being checked against what it changes."""
CLOSE_WAIT_S = 5.0
WRITERS = 2
"""Connections that write the audit trail and sessions; everything else here only reads."""
_LEDGER_AWAY = (
    OSError,
    TimeoutError,
    PoolTimeoutError,
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that the server ends just when it is used
    SettingsError,
)


class Connections:
    """Opened on first use, shared by all tasks, closed once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connecting: asyncio.Task[DeltaClient] | None = None
        self._engine: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None

    @cached_property
    def callers(self) -> Callers:
        """Who a presented key or session stands for."""
        return Callers(self.reading)

    @cached_property
    def trail(self) -> Trail:
        """The audit trail of those who ask."""
        return Trail(self.writing)

    async def orders(self) -> DeltaClient:
        """The client; connects when there is none yet. Raises Unavailable."""
        if self._connecting is None or _has_failed(self._connecting):
            self._connecting = asyncio.create_task(DeltaClient.connect(self._settings))
        # Shared and shielded: one caller that goes away must not fail the others.
        return await asyncio.shield(self._connecting)

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[LedgerViews]:
        """The ledger's views for one question; raises Unavailable after LEDGER_WAIT_S."""
        async with self.reading(LedgerViews) as views:
            yield views

    @asynccontextmanager
    async def reading(self, views: Callable[[AsyncEngine], ViewsT]) -> AsyncIterator[ViewsT]:
        """Other views of the ledger, likewise."""
        try:
            async with asyncio.timeout(LEDGER_WAIT_S):
                yield views(self._open_engine())
        except _LEDGER_AWAY as error:
            raise Unavailable(f"the ledger does not answer: {_one_line(error)}") from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncEngine]:
        """The ledger for one short write; raises Unavailable after LEDGER_WAIT_S."""
        try:
            async with asyncio.timeout(LEDGER_WAIT_S):
                if self._writer is None:
                    self._writer = open_engine(self._settings.dsn(), pool_size=WRITERS)
                yield self._writer
        except _LEDGER_AWAY as error:
            raise Unavailable(f"the ledger does not answer: {_one_line(error)}") from error

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """Where an operator decides one thing; raises Unavailable after DESK_WAIT_S."""
        try:
            async with asyncio.timeout(DESK_WAIT_S), open_desk(self._settings) as desk:
                yield desk
        except _LEDGER_AWAY as error:
            raise Unavailable(f"the ledger does not answer: {_one_line(error)}") from error

    def _open_engine(self) -> AsyncEngine:
        if self._engine is None:
            self._engine = open_engine(self._settings.reader_dsn())
        return self._engine

    async def close(self) -> None:
        """Give the connections back; safe to call when none was opened."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self.trail.close()
        for engine in (self._engine, self._writer):
            if engine is not None:
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await engine.dispose()


def _has_failed(task: asyncio.Task[DeltaClient]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _one_line(error: Exception) -> str:
    """The kind of trouble; a driver's own text may hold statements and addresses."""
    return str(error) if isinstance(error, SettingsError) else type(error).__name__
