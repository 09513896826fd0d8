"""Who a presented key or session stands for, in one process: looked up, compared, counted.

Rule: what is not proven is refused. An unknown id, a wrong secret, a revoked and an expired key
cannot be told apart, by their answers or by their time; a ledger that does not answer lets nobody
in. A row is believed for `FRESH_S`, so a revoked key is dead within a second everywhere.

Lock-out is per process: after `MAX_FAILURES` wrong keys within a minute from one address, each
pair of that address and the id that was tried is refused for 15 minutes. Other keys from there
go on. It must not know HTTP.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from activities.ledger.key_text import hash_of, parse_key
from activities.ledger.view_keys import KeyCheck, KeyViews
from starters.errors import Unavailable
from workflows.domain.access import Caller

FRESH_S = 0.5
WAIT_S = 2.0
MAX_REMEMBERED = 10_000
MAX_FAILURES = 5
FAILURES_WITHIN_S = 60.0
LOCKED_FOR_S = 900.0

Reading = Callable[[type[KeyViews]], AbstractAsyncContextManager[KeyViews]]
FoundT = TypeVar("FoundT")


class NotAuthenticated(Exception):  # noqa: N818 - it is named as the state that it is
    """The key is not good. `key_id`: of the key that was tried, empty for one without form.

    `locks`: with this one its pair of address and id was locked.
    """

    def __init__(self, key_id: str, *, locks: bool) -> None:
        super().__init__("the key is not good")
        self.key_id, self.locks = key_id, locks


class LockedOut(NotAuthenticated):
    """Too many wrong keys came from the address; ask again after `wait_s`."""

    def __init__(self, key_id: str, wait_s: float, *, locks: bool) -> None:
        super().__init__(key_id, locks=locks)
        self.wait_s = wait_s


class Callers:
    """The door of one process. `reading` opens the ledger's views and raises Unavailable."""

    def __init__(self, reading: Reading, clock: Callable[[], float] = time.monotonic) -> None:
        self._reading = reading
        self._keys: _Fresh[KeyCheck] = _Fresh(clock)
        self._sessions: _Fresh[Caller] = _Fresh(clock)
        self._lockout = LockOut(clock)

    async def of_key(self, text: str, peer: str) -> Caller:
        """Who presents the key from address `peer`.

        Raises NotAuthenticated, LockedOut, Unavailable.
        """
        key = parse_key(text)
        key_id = "" if key is None else key.key_id
        self._lockout.check(peer, key_id)
        stored = None if key is None else await self._keys.get(key.key_id, self._key_check)
        is_same = key is not None and key.is_of(None if stored is None else stored.secret_hash)
        if stored is None or not is_same or not stored.is_good:
            raise self._lockout.failed(peer, key_id)
        return stored.caller

    async def of_token(self, token: str) -> Caller | None:
        """Who is signed in with a session's token; None for nobody. Raises Unavailable."""
        hashed = hash_of(token)
        return await self._sessions.get(hashed.hex(), lambda _hex: self._session_caller(hashed))

    async def is_good(self, caller: Caller) -> bool:
        """True while the caller's key is neither revoked nor expired. Raises Unavailable."""
        stored = await self._keys.get(caller.key_id, self._key_check)
        return stored is not None and stored.is_good

    def forget(self, token: str) -> None:
        """The session was ended here: do not believe in it any longer."""
        self._sessions.forget(hash_of(token).hex())

    async def _key_check(self, key_id: str) -> KeyCheck | None:
        async with self._reading(KeyViews) as views:
            return await views.key_check(key_id)

    async def _session_caller(self, token_hash: bytes) -> Caller | None:
        async with self._reading(KeyViews) as views:
            return await views.session_caller(token_hash)


class LockOut:
    """Wrong keys by address, and the pairs of address and key id that are locked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._locked: OrderedDict[tuple[str, str], float] = OrderedDict()

    def check(self, peer: str, key_id: str) -> None:
        """Raises LockedOut for a locked pair, before anything is looked up."""
        until = self._locked.get((peer, key_id))
        if until is None:
            return
        wait_s = until - self._clock()
        if wait_s > 0:
            raise LockedOut(key_id, wait_s, locks=False)
        del self._locked[peer, key_id]

    def failed(self, peer: str, key_id: str) -> NotAuthenticated:
        """Count a wrong key; LockedOut if the address had its share before this one."""
        now = self._clock()
        recent = self._failures.setdefault(peer, deque(maxlen=MAX_FAILURES))
        self._failures.move_to_end(peer)
        while recent and recent[0] <= now - FAILURES_WITHIN_S:
            recent.popleft()
        had_its_share = len(recent) == MAX_FAILURES
        recent.append(now)
        _bound(self._failures)
        locks = len(recent) == MAX_FAILURES
        if locks:
            self._locked[peer, key_id] = now + LOCKED_FOR_S
            self._locked.move_to_end((peer, key_id))
            _bound(self._locked)
        if had_its_share:
            return LockedOut(key_id, LOCKED_FOR_S, locks=True)
        return NotAuthenticated(key_id, locks=locks)


class _Fresh(Generic[FoundT]):
    """Answers of the ledger, each believed for FRESH_S from when it was asked for.

    Those who ask for the same meanwhile share one question.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: OrderedDict[str, tuple[float, asyncio.Task[FoundT | None]]] = OrderedDict()

    async def get(
        self, name: str, ask: Callable[[str], Coroutine[Any, Any, FoundT | None]]
    ) -> FoundT | None:
        now = self._clock()
        at, task = self._asked.get(name, (now, None))
        if task is None or now - at > FRESH_S or _has_failed(task):
            task = asyncio.create_task(ask(name))
            task.add_done_callback(_has_failed)  # whoever asked may be gone: that is no warning
            self._asked[name] = now, task
            self._asked.move_to_end(name)
            _bound(self._asked)
        try:
            async with asyncio.timeout(WAIT_S):
                # shielded: a caller that goes away must not fail the others
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise Unavailable("the ledger does not answer in time") from error

    def forget(self, name: str) -> None:
        self._asked.pop(name, None)


def _has_failed(task: asyncio.Task[FoundT | None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    """The oldest make room."""
    while len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)
