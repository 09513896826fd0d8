"""Hearing of changes without asking: the database's own notifications.

Rule: a hint. Whoever waits also looks from time to time, and begins again when the connection is
lost: what was said meanwhile is not said again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine


class Notifications:
    """`happened` is set by a change and by the loss of the connection; whoever waits clears it."""

    def __init__(self, connection: Any) -> None:  # asyncpg ships no types
        self._connection = connection
        self.happened = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        """True when nothing will be heard any more."""
        return bool(self._connection.is_closed())

    async def check(self, within_s: int) -> None:
        """Ask the server for a sign of life. Raises what its silence raises."""
        await self._connection.execute("SELECT 1", timeout=within_s)


@asynccontextmanager
async def notifications(
    engine: AsyncEngine, channel: str, about: str | None = None
) -> AsyncIterator[Notifications]:
    """Listen to a channel, on a connection beside the pool; `about`: only to this text.

    Raises SQLAlchemyError or OSError when it cannot be entered.
    """
    pooled = await engine.raw_connection()
    connection: Any = pooled.driver_connection
    pooled.detach()  # it is held for hours, and must not count against the pool
    told = Notifications(connection)

    def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        if about is None or payload == about:
            told.happened.set()

    def lost(_connection: object) -> None:
        told.happened.set()

    try:
        connection.add_termination_listener(lost)
        await connection.add_listener(channel, heard)
        yield told
    finally:
        connection.remove_termination_listener(lost)
        connection.terminate()
