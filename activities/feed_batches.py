"""Reads the private stream in a task of its own, so that waiting for it can have a time limit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from activities.venues.gateway import StreamEvent, VenueUnavailableError

MAX_BATCH = 500


class Batches:
    """What the stream says, in portions; `close` it before the stream is left."""

    def __init__(self, events: AsyncIterator[StreamEvent]) -> None:
        self._queue: asyncio.Queue[StreamEvent] = asyncio.Queue(MAX_BATCH)
        self._reader = asyncio.create_task(self._read(events))

    async def _read(self, events: AsyncIterator[StreamEvent]) -> None:
        async for event in events:
            await self._queue.put(event)

    async def next(self, *, wait_s: float) -> list[StreamEvent]:
        """What has arrived, oldest first; waits for the first event. Raises when it is lost."""
        getter = asyncio.create_task(self._queue.get())
        await asyncio.wait({getter, self._reader}, timeout=wait_s, return_when="FIRST_COMPLETED")
        batch: list[StreamEvent] = []
        if getter.done():
            batch.append(getter.result())
        else:
            getter.cancel()
        while not self._queue.empty():
            batch.append(self._queue.get_nowait())
        if not batch and self._reader.done():
            self._reader.result()
            raise VenueUnavailableError("the private stream ended")
        return batch

    async def close(self) -> None:
        """Stop reading."""
        self._reader.cancel()
        with suppress(asyncio.CancelledError, VenueUnavailableError):
            await self._reader
