"""What keeps open pages up to date: news of what changed, and reads that pages share.

Rule: one follower of the events serves all pages of the process; it only tells them that something
changed, and each page then reads what its visitor may see. While the events cannot be followed,
pages read again by themselves. Everything here is bounded. It must not know elements.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog

from activities.ledger.view_events import SequenceGoneError
from starters.errors import DeltaError

AnswerT = TypeVar("AnswerT")

TICK_S = 0.5
"""How often an open page looks for news."""
QUIET_S = 10.0
"""A page reads again after this without news: not everything is an event."""
BLIND_S = 1.0
"""The same while the events cannot be followed."""
RETRY_S = 2.0
FRESH_S = 0.4
"""How old an answer may be that another page already has."""
MAX_TOPICS = 5_000
MAX_ANSWERS = 128
_log = structlog.get_logger("delta.dashboard")


class Event(Protocol):
    """What a page needs to know of an event of the stream."""

    @property
    def kind(self) -> str:
        """order, fill, position, execution, alarm, trading_state."""

    @property
    def order_id(self) -> str | None:
        """Whose order it is about."""

    @property
    def execution_id(self) -> str | None:
        """Whose execution it is about."""


Follow = Callable[[], Any]
"""Makes an iterator over batches of events as they come."""


class News:
    """Counts what changed, by topic: a kind of event, an order's or an execution's id."""

    def __init__(self, follow: Follow | None) -> None:
        self._follow = follow
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self.is_live = False

    def start(self) -> None:
        """Begin to follow; needs the running loop."""
        if self._follow is not None and self._task is None:
            self._task = asyncio.create_task(self._run(self._follow))

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def newest(self, topics: Iterable[str]) -> int:
        """A number that grows with each change of one of the topics."""
        return max((self._counts.get(topic, 0) for topic in topics), default=0)

    def tell(self, topics: Iterable[str | None]) -> None:
        """Something about these changed."""
        self._count += 1
        for topic in topics:
            if topic:
                self._counts[topic] = self._count
                self._counts.move_to_end(topic)
        while len(self._counts) > MAX_TOPICS:
            self._counts.popitem(last=False)

    async def _run(self, follow: Follow) -> None:
        while True:
            try:
                async for batch in follow():
                    self.is_live = True
                    for event in batch:
                        self.tell((event.kind, event.order_id, event.execution_id))
            except (DeltaError, SequenceGoneError) as error:
                _log.warning("events_not_followed", error=type(error).__name__)
            finally:
                self.is_live = False
            await asyncio.sleep(RETRY_S)


class Pulse:
    """When one page has to read again."""

    def __init__(
        self, news: News, *topics: str, quiet_s: float = QUIET_S, is_new: bool = False
    ) -> None:
        self._news, self._topics, self._quiet_s = news, topics, quiet_s
        self._seen = -1 if is_new else news.newest(topics)
        self._read_at = time.monotonic()

    def is_due(self) -> bool:
        """True when something changed since the last time this was true, or it was long ago."""
        newest = self._news.newest(self._topics)
        quiet_s = self._quiet_s if self._news.is_live else BLIND_S
        if newest == self._seen and time.monotonic() - self._read_at < quiet_s:
            return False
        self._seen, self._read_at = newest, time.monotonic()
        return True


class Answers:
    """Reads that pages share: one question is asked once at a time, and its answer kept shortly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[float, asyncio.Task[Any]]] = OrderedDict()

    async def get(
        self, key: Hashable, ask: Callable[[], Awaitable[AnswerT]], fresh_s: float = FRESH_S
    ) -> AnswerT:
        """The answer, at most `fresh_s` old; raises what `ask` raises."""
        found = self._known.get(key)
        if found is None or self._is_over(found, fresh_s):
            task = asyncio.create_task(_awaited(ask))
            # whoever asked may go away; nobody else then looks at how it ended
            task.add_done_callback(_look_at)
            found = self._known[key] = (self._clock(), task)
            self._known.move_to_end(key)
            while len(self._known) > MAX_ANSWERS:
                self._known.popitem(last=False)
        answer: AnswerT = await asyncio.shield(found[1])
        return answer

    def forget(self) -> None:
        """What is asked from now on is asked anew: somebody has just changed something."""
        self._known.clear()

    def _is_over(self, found: tuple[float, asyncio.Task[Any]], fresh_s: float) -> bool:
        asked_at, task = found
        return task.done() and (_has_failed(task) or self._clock() - asked_at > fresh_s)


async def _awaited(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    return await ask()


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


def _look_at(task: asyncio.Task[Any]) -> None:
    with suppress(asyncio.CancelledError):
        task.exception()
