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
from activities.venues.ccxt_events import StreamEvents
from activities.venues.dialects import Dialect
from activities.venues.gateway import StreamEvent

ParseEvent = Callable[[Any], StreamEvent | None]
_Events = StreamEvents[StreamEvent]


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
    events: _Events = StreamEvents("private stream")
    readiness = _Readiness(dialect)
    _attach(client, dialect, events, readiness)
    watchers = [
        asyncio.create_task(_watch(client.watch_orders, parse_order, events, redactor)),
        asyncio.create_task(_watch(client.watch_my_trades, parse_trade, events, redactor)),
    ]
    try:
        await events.until(readiness.ready, open_deadline_s)
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
