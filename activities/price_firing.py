"""From a trigger that fired in memory to the signal that its owner gets.

Rule: the ledger decides. Only the follower whose mark it took (once per trigger) signals, so two
followers do no harm; a signal that could not be sent is sent again until the ledger knows that
it was. One owner that cannot be told must not keep prices from the others.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.failpoints import fp
from activities.ledger.watch_rows import UntoldWatch
from activities.ledger.watch_store import WatchStore
from activities.watch_table import Hit
from workflows import names
from workflows.domain.alarms import AlarmCode
from workflows.ports import FiredWatch

log = structlog.get_logger(__name__)

AT_ONCE = 1_000
"""Signals in flight. Owners that were told begin to work at once, on the same machine: a signal
that waits for another one's end waits for that work too."""
_TELL_AGAIN_AFTER_S = 1.0


class Firing:
    """Triggers of one symbol that fired: marked in the ledger in batches, then told."""

    def __init__(self, store: WatchStore, client: Client, venue: str, symbol: str) -> None:
        self._store, self._client = store, client
        self._venue, self._symbol = venue, symbol
        self._waiting: list[Hit] = []
        self._marking: list[Hit] = []
        self._came = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._telling: set[asyncio.Task[None]] = set()
        self._has_untold = True  # what an earlier turn left

    @property
    def is_idle(self) -> bool:
        """True when everything that fired is marked in the ledger."""
        return not self._waiting and not self._marking

    @property
    def in_progress(self) -> frozenset[str]:
        """Triggers that fired here and are not marked in the ledger yet."""
        return frozenset(hit.watch_id for hit in (*self._marking, *self._waiting))

    def fire(self, hits: Sequence[Hit]) -> None:
        """Take these over; `run` does the rest."""
        if hits:
            self._waiting += hits
            self._came.set()

    async def run(self) -> None:
        """Mark and tell what comes, for ever. SQLAlchemyError, OSError: the ledger is away."""
        while True:
            await self._tell_the_untold()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_AGAIN_AFTER_S):
                    await self._came.wait()
            self._came.clear()
            await self._mark()

    async def finish(self) -> None:
        """Mark what waits, and let the signals under way end."""
        await self._mark()
        await asyncio.gather(*self._telling)

    async def _mark(self) -> None:
        # a mark that was cancelled is tried again; if it had worked, the next turn tells
        self._marking, self._waiting = [*self._marking, *self._waiting], []
        if not self._marking:
            return
        order_ids = [hit.order_id for hit in self._marking]
        fp("trigger.before_mark", *order_ids)
        taken = await self._store.fire_watches([(hit.watch_id, hit.fired) for hit in self._marking])
        fp("trigger.after_mark", *order_ids)
        pairs = zip(self._marking, taken, strict=True)
        won = [
            UntoldWatch(watch_id=hit.watch_id, order_id=hit.order_id, fired=hit.fired)
            for hit, is_ours in pairs
            if is_ours
        ]
        self._marking = []
        self._tell(won)

    async def _tell_the_untold(self) -> None:
        """What this follower, or one before it, could not tell."""
        if not self._has_untold or self._telling:
            return
        untold = await self._store.untold_watches(self._venue, self._symbol)
        self._has_untold = False
        self._tell(untold)

    def _tell(self, news: Sequence[UntoldWatch]) -> None:
        if news:
            task = asyncio.create_task(self._tell_all(news))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell_all(self, news: Iterable[UntoldWatch]) -> None:
        told = await asyncio.gather(*map(self._tell_owner, news))
        reached = [watch_id for watch_id in told if watch_id is not None]
        try:
            if reached:
                await self._store.watch_told(reached)
        except (SQLAlchemyError, OSError) as error:  # then they are told once more
            log.warning("told_not_noted", symbol=self._symbol, why=str(error))
            self._has_untold = True

    async def _tell_owner(self, news: UntoldWatch) -> str | None:
        """The trigger's id if its owner was told, or is no more; else None."""
        handle = self._client.get_workflow_handle(names.owner_of(news.order_id))
        signal = FiredWatch(watch_id=news.watch_id, fired=news.fired)
        async with self._gate:
            try:
                await handle.signal(names.PRICE_TRIGGER, signal)
            except RPCError as error:
                return await self._not_told(news, error)
        fp("trigger.after_telling", news.order_id)
        return news.watch_id

    async def _without_owner(self, news: UntoldWatch) -> str | None:
        """An order that ended meanwhile needs no word; one whose workflow is gone needs a human."""
        log.warning("trigger_without_owner", watch_id=news.watch_id, order_id=news.order_id)
        try:
            if not await self._store.is_over(news.order_id):
                about = f"order_id={news.order_id}"
                await self._store.raise_alarm(AlarmCode.TRIGGER_WITHOUT_OWNER, news.watch_id, about)
        except (SQLAlchemyError, OSError) as error:  # then it is found out once more
            log.warning("owner_not_read", order_id=news.order_id, why=str(error))
            self._has_untold = True
            return None
        return news.watch_id

    async def _not_told(self, news: UntoldWatch, error: RPCError) -> str | None:
        if error.status is RPCStatusCode.NOT_FOUND:
            return await self._without_owner(news)
        log.warning("trigger_not_told", watch_id=news.watch_id, why=str(error))
        self._has_untold = True
        return None
