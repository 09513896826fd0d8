"""Following what happens in the ledger: one tail per process, and any number of readers on it.

Theory. The tail reads each new event once, when the database calls or at the latest after POLL_S,
and keeps the newest in a ring. A reader pulls at its own pace: from the ring while it is close to
the end, else from the table, never more than BATCH at a time. So a slow reader costs a position,
not memory; and whatever is lost on the way (a call, a connection, the server) costs time only,
because the next read goes on from a number, and numbers have no gaps.

It must not know who reads, nor what HTTP is.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.notifications import Notifications, notifications
from activities.ledger.view_events import Event, EventViews, Kept, SequenceGoneError
from starters.connections import Connections
from starters.errors import Unavailable

CHANNEL = "delta_events"
BATCH = 500
RING = 2_000
POLL_S = 1.0
RETRY_S = 0.5
ANSWER_WITHIN_S = 4
_AWAY = (Unavailable, *LEDGER_AWAY)

log = structlog.get_logger("delta.stream")


class EventTail:
    """The newest events of the ledger, read while anybody follows them."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._ring: deque[Event] = deque(maxlen=RING)
        self._head: int | None = None
        self._changed = asyncio.Event()
        self._restored = 0
        """How often the ledger was found behind what had been read of it."""
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def reader(self, since: int | None = None) -> AsyncIterator["Reader"]:
        """A reader of what follows `since`; None: of what follows now.

        Raises Unavailable, and SequenceGoneError for a number whose followers are not kept.
        """
        kept = await self.kept()
        start = kept.head if since is None else since
        if start + 1 < kept.oldest or start > kept.head:
            raise SequenceGoneError(start, kept)
        self._readers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield Reader(self, start, kept)
        finally:
            self._readers -= 1
            if not self._readers:
                await self.close()

    async def follow(
        self,
        *,
        since: int | None = None,
        accept: Callable[[Event], bool] = lambda _event: True,
        idle_s: float | None = None,
    ) -> AsyncGenerator[list[Event], None]:
        """Batches of the events that `accept` takes, in order, without a gap, for ever.

        With `idle_s` an empty batch says that nothing was given for so long (seconds). Raises as
        `reader` does; a ledger that goes away later is waited for.
        """
        async with self.reader(since) as reader:
            async for batch in reader.batches(accept, idle_s=idle_s):
                yield batch

    async def kept(self) -> Kept:
        """The oldest and the newest number of the ledger. Raises Unavailable."""
        async with self._connections.reading(EventViews) as views:
            return await views.kept()

    async def read(self, seq: int) -> list[Event]:
        """What follows a number, from the table; at most BATCH. Raises Unavailable."""
        async with self._connections.reading(EventViews) as views:
            return await views.after(seq, BATCH)

    async def close(self) -> None:
        """Stop reading; whoever follows hears nothing any more."""
        task, self._task = self._task, None
        self._ring.clear()
        self._head = None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    # --- for readers ---

    @property
    def restored(self) -> int:
        """Another number than before: the ledger was set back, and numbers mean other events."""
        return self._restored

    def has_news(self, seq: int) -> bool:
        """True if something follows the number. Raises what ended the tail."""
        if self._task is not None and self._task.done():
            self._task.result()
        return self._head is not None and self._head > seq

    def at_hand(self, seq: int) -> list[Event] | None:
        """What follows the number, at most BATCH; None where that is in the table only."""
        if not self._ring or seq + 1 < self._ring[0].seq:
            return None
        skip = seq + 1 - self._ring[0].seq
        return list(itertools.islice(self._ring, skip, skip + BATCH))

    async def changed(self) -> None:
        """Wait until there is news, or the end of the tail."""
        await self._changed.wait()

    # --- reading on ---

    async def _run(self) -> None:
        was_away = False
        try:
            while True:
                try:
                    async with notifications(await self._engine(), CHANNEL) as heard:
                        was_away = False
                        await self._read_while_heard(heard)
                except _AWAY as error:
                    if not was_away:
                        log.warning("events are not heard of", why=type(error).__name__)
                    was_away = True
                    await asyncio.sleep(RETRY_S)
        finally:
            self._wake()

    async def _engine(self) -> AsyncEngine:
        async with self._connections.reading(lambda engine: engine) as engine:
            return engine

    async def _read_while_heard(self, heard: Notifications) -> None:
        """Read on at each call, and each POLL_S, until the connection is lost."""
        while not heard.is_lost:
            heard.happened.clear()
            await self._read_on()
            try:
                async with asyncio.timeout(POLL_S):
                    await heard.happened.wait()
            except TimeoutError:
                await heard.check(ANSWER_WITHIN_S)  # a server may be gone without a word

    async def _read_on(self) -> None:
        async with self._connections.reading(EventViews) as views:
            if self._head is None:
                self._head = (await views.kept()).head
                self._wake()  # what is older is in the table
            while found := await views.after(self._head, BATCH):
                if found[-1].seq == self._head + len(found):
                    self._ring.extend(found)
                else:  # what lies between was taken away: the table says so to who asks
                    self._ring.clear()
                self._head = found[-1].seq
                self._wake()
                if len(found) < BATCH:
                    return
            if (await views.kept()).head < self._head:
                log.warning("the ledger was set back: readers must begin again")
                self._restored += 1
                self._ring.clear()
                self._head = None
                self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Reader:
    """One reader's place: `seq` is the last number that it has looked at."""

    def __init__(self, tail: EventTail, seq: int, kept: Kept) -> None:
        self._tail = tail
        self._restored = tail.restored
        self.seq = seq
        self.kept = kept
        """As it was when the reader began."""

    async def batches(
        self, accept: Callable[[Event], bool], *, idle_s: float | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """See EventTail.follow."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            left_s = None if idle_s is None else last + idle_s - loop.time()
            found = await self._next(left_s)
            chosen = [event for event in found if accept(event)]
            if chosen or (left_s is not None and left_s <= 0):
                yield chosen
                last = loop.time()

    async def _next(self, within_s: float | None) -> list[Event]:
        """The next events, whatever they are; none if there are none within the time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if self._tail.restored != self._restored:
                        raise SequenceGoneError(self.seq, self.kept)
                    if self._tail.has_news(self.seq):
                        return await self._take()
                    await self._tail.changed()
        except TimeoutError:
            return []

    async def _take(self) -> list[Event]:
        found = self._tail.at_hand(self.seq)
        if found is None:
            found = await self._from_table()
        self.seq = found[-1].seq
        return found

    async def _from_table(self) -> list[Event]:
        while True:
            try:
                found = await self._tail.read(self.seq)
                break
            except Unavailable:
                await asyncio.sleep(RETRY_S)
        if not found or found[-1].seq != self.seq + len(found):
            raise SequenceGoneError(self.seq, self.kept)
        return found
