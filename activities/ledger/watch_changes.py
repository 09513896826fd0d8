"""Hearing of armed and disarmed watches without asking: the database's own notifications.

Rule: a hint. Whoever waits also looks from time to time, and begins again when the connection is
lost: what was said meanwhile is not said again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL = "price_watches"


class WatchChanges:
    """`happened` is set by a change and by the loss of the connection; whoever waits clears it."""

    def __init__(self, connection: Any) -> None:  # asyncpg ships no types
        self._connection = connection
        self.happened = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        """True when nothing will be heard any more."""
        return bool(self._connection.is_closed())


@asynccontextmanager
async def watch_changes(
    engine: AsyncEngine, venue: str, symbol: str
) -> AsyncIterator[WatchChanges]:
    """Listen for one symbol, on a connection beside the pool.

    Raises SQLAlchemyError or OSError when it cannot be entered.
    """
    pooled = await engine.raw_connection()
    connection: Any = pooled.driver_connection
    pooled.detach()  # it is held for hours, and must not count against the pool
    changes, about = WatchChanges(connection), f"{venue}:{symbol}"

    def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        if payload == about:
            changes.happened.set()

    def lost(_connection: object) -> None:
        changes.happened.set()

    try:
        connection.add_termination_listener(lost)
        await connection.add_listener(CHANNEL, heard)
        yield changes
    finally:
        connection.remove_termination_listener(lost)
        connection.terminate()
