"""The open streams of one process: how many there may be, and the end of those whose key ends.

Rule: a stream lives no longer than its key, or than the session that it came with. Both are asked
for again each CHECK_S while a stream is open; a ledger that is away tells no news either. It must
not know what is streamed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starters.api.errors import ApiError, Code
from starters.connections import Connections
from starters.errors import Unavailable
from workflows.domain.access import Caller
from workflows.domain.denials import DenialCode

MAX_STREAMS = 100
MAX_OF_KEY = 10
CHECK_S = 0.5
NORMAL, POLICY, BROKEN, TRY_LATER = 1000, 1008, 1011, 1013


_Holder = tuple[Caller, str | None]
"""Whose stream it is, and the token of the session that it came with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Why a stream ends: the WebSocket's code, and what its reader is told before it."""

    status: int
    code: Code | None = None
    message: str = ""


KEY_ENDED = Closing(status=POLICY, message="the key or session is not good any more")
CHECK_BROKE = Closing(status=BROKEN, message="keys cannot be checked any more")


class OpenStreams:
    """Admits streams, and ends them."""

    def __init__(
        self,
        connections: Connections,
        *,
        max_streams: int = MAX_STREAMS,
        max_of_key: int = MAX_OF_KEY,
    ) -> None:
        self._connections = connections
        self._max_streams = max_streams
        self._max_of_key = max_of_key
        self._open: dict[_Holder, set[asyncio.Future[Closing]]] = defaultdict(set)
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def admit(
        self, caller: Caller, token: str | None = None
    ) -> Iterator["asyncio.Future[Closing]"]:
        """Room for one stream of the caller, who may be one of a session's `token`; the future
        says why it must end.

        Raises ApiError RATE_LIMITED.
        """
        if sum(map(len, self._open.values())) >= self._max_streams:
            raise ApiError(DenialCode.RATE_LIMITED, "too many streams are open")
        of_key = (each for of, each in self._open.items() if of[0].key_id == caller.key_id)
        if sum(map(len, of_key)) >= self._max_of_key:
            raise ApiError(DenialCode.RATE_LIMITED, "the key has too many streams open")
        ended: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        holder = (caller, token)
        self._open[holder].add(ended)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watch_keys())
        try:
            yield ended
        finally:
            self._open[holder].discard(ended)
            if not self._open[holder]:
                del self._open[holder]
            if not self._open and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _watch_keys(self) -> None:
        try:
            while True:
                await asyncio.sleep(CHECK_S)
                try:
                    await self._check()
                except Unavailable:
                    continue  # asked again; until then nothing is told
        finally:  # a check that broke must not leave streams open that nobody checks
            for holder in list(self._open):
                self._end(holder, CHECK_BROKE)

    async def _check(self) -> None:
        for holder in list(self._open):
            if not await self._is_good(*holder):
                self._end(holder, KEY_ENDED)

    async def _is_good(self, caller: Caller, token: str | None) -> bool:
        callers = self._connections.callers
        if token is not None:
            return await callers.of_token(token) is not None
        return await callers.is_good(caller)

    def _end(self, holder: _Holder, why: Closing) -> None:
        for ended in self._open.get(holder, ()):
            if not ended.done():
                ended.set_result(why)
