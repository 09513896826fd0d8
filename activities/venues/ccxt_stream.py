"""The private stream of an account over ccxt.pro: two watchers into one bounded queue.

Entered means subscribed: both watchers wait for events that the venue has agreed to send, so
whoever catches up after entering misses nothing. Any doubt (a lost connection, an unreadable
message, a reader too slow) ends the stream; the reader opens a new one and catches up. One ccxt
instance serves one stream, so no stale cache survives. It must not know what events mean.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from activities.venues.ccxt_client import PrivateStreamClient, close_client
from activities.venues.ccxt_errors import ANSWER_ERRORS, Redactor
from activities.venues.dialects import Dialect
from activities.venues.gateway import StreamEvent, VenueUnavailableError

MAX_QUEUED_EVENTS = 10_000

ParseEvent = Callable[[Any], StreamEvent | None]


class _Events:
    """The queue between the watchers and the reader; its last item is the failure."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue(MAX_QUEUED_EVENTS + 1)
        self._failure: str | None = None
        self.failed = asyncio.Event()

    def put(self, event: StreamEvent) -> None:
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
        return VenueUnavailableError(f"private stream lost: {self._failure}")

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        while (event := await self._queue.get()) is not None:
            yield event
        raise self.error()


class _Readiness:
    """Set when ccxt waits for every topic and the venue has agreed to the subscription."""

    def __init__(self, dialect: Dialect) -> None:
        self._missing = set(dialect.stream_topics)
        self._agreed = dialect.stream_agreed
        self.ready = asyncio.Event()

    def watched(self, topic: str) -> None:
        """ccxt waits for `topic` now."""
        self._missing.discard(topic)
        self._look()

    def told(self, message: object) -> None:
        """The venue sent this message."""
        if self._agreed is not None and self._agreed(message):
            self._agreed = None
            self._look()

    def _look(self) -> None:
        if not self._missing and self._agreed is None:
            self.ready.set()


@asynccontextmanager
async def private_stream(
    client: Any,
    dialect: Dialect,
    redactor: Redactor,
    *,
    parse_order: ParseEvent,
    parse_trade: ParseEvent,
    open_deadline_s: float,
) -> AsyncIterator[AsyncIterator[StreamEvent]]:
    """Subscribe with `client` (built with PrivateStreamClient, markets loaded) and own it.

    VenueUnavailableError when the subscription is not live within `open_deadline_s`.
    """
    events, readiness = _Events(), _Readiness(dialect)
    _attach(client, dialect, events, readiness)
    watchers = [
        asyncio.create_task(_watch(client.watch_orders, parse_order, events, redactor)),
        asyncio.create_task(_watch(client.watch_my_trades, parse_trade, events, redactor)),
    ]
    try:
        await _until_ready(events, readiness, open_deadline_s)
        yield aiter(events)
    finally:
        await _stop(client, watchers, events)


def _attach(
    client: PrivateStreamClient, dialect: Dialect, events: _Events, readiness: _Readiness
) -> None:
    client.on_lost = events.fail
    client.on_watched = readiness.watched
    client.on_message = readiness.told
    client.ignored_events = dialect.stream_ignored
    client.ending_events = dialect.stream_ended


async def _until_ready(events: _Events, readiness: _Readiness, deadline_s: float) -> None:
    waits = [
        asyncio.create_task(readiness.ready.wait()),
        asyncio.create_task(events.failed.wait()),
    ]
    try:
        await asyncio.wait(waits, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    if events.failed.is_set():
        raise events.error()
    if not readiness.ready.is_set():
        raise VenueUnavailableError(f"private stream not subscribed within {deadline_s} s")


async def _watch(
    receive: Callable[[], Awaitable[Sequence[Any]]],
    parse: ParseEvent,
    events: _Events,
    redactor: Redactor,
) -> None:
    # Nothing between two receives may suspend: ccxt keeps an event that nobody waits for until
    # the next one comes.
    try:
        while not events.failed.is_set():
            for item in await receive():
                event = parse(item)
                if event is not None:
                    events.put(event)
    except ANSWER_ERRORS as error:
        events.fail(redactor.describe(error))


async def _stop(client: Any, watchers: Sequence[asyncio.Task[None]], events: _Events) -> None:
    events.fail("closed by the reader")
    client.is_stopped = True
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    await close_client(client)
