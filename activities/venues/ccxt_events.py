"""The queue between a stream's connection and its one reader.

Its last item is the failure: a reader gets everything that came before, then the reason. Any doubt
ends a stream, a reader that is too slow included. It must not know what the events mean.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from activities.venues.gateway import VenueUnavailableError

MAX_QUEUED_EVENTS = 10_000

E = TypeVar("E")


class StreamEvents(Generic[E]):
    """What a stream told, in order. `what` names the stream in errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._queue: asyncio.Queue[E | None] = asyncio.Queue(MAX_QUEUED_EVENTS + 1)
        self._failure: str | None = None
        self.failed = asyncio.Event()

    def put(self, event: E) -> None:
        """Hand an event over; a full queue ends the stream."""
        if self._failure is not None:
            return
        if self._queue.qsize() >= MAX_QUEUED_EVENTS:
            self.fail(f"more than {MAX_QUEUED_EVENTS} events unread")
            return
        self._queue.put_nowait(event)

    def fail(self, reason: str) -> None:
        """End the stream; the first reason is told."""
        if self._failure is None:
            self._failure = reason
            self.failed.set()
            self._queue.put_nowait(None)

    def error(self) -> VenueUnavailableError:
        """Why the stream ended."""
        return VenueUnavailableError(f"{self._what} lost: {self._failure}")

    async def until(self, ready: asyncio.Event, deadline_s: float) -> None:
        """Wait until the stream is `ready`. VenueUnavailableError if it ends, or is not in time."""
        waits = [asyncio.create_task(ready.wait()), asyncio.create_task(self.failed.wait())]
        try:
            await asyncio.wait(waits, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if self.failed.is_set():
            raise self.error()
        if not ready.is_set():
            raise VenueUnavailableError(f"{self._what} not subscribed within {deadline_s} s")

    async def __aiter__(self) -> AsyncIterator[E]:
        while (event := await self._queue.get()) is not None:
            yield event
        raise self.error()
