"""A value that is read from elsewhere, shared by all who ask, and read again when it is old.

One load runs at a time; a caller that gives up does not tear it from the others. A failed load
is not kept: whoever waited gets its error and the next caller loads anew. It must not know what
it holds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Refreshed(Generic[T]):
    """The result of `load`, at most `max_age_s` seconds old (monotonic) when it is handed out."""

    def __init__(self, load: Callable[[], Awaitable[T]], *, max_age_s: float) -> None:
        self._load = load
        self._max_age_s = max_age_s
        self._kept: tuple[T, float] | None = None
        self._loading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The value; loads it when it is missing or too old. Raises what `load` raises."""
        if self._kept is not None and time.monotonic() - self._kept[1] <= self._max_age_s:
            return self._kept[0]
        if self._loading is None:
            self._loading = asyncio.create_task(self._load_once())
            self._loading.add_done_callback(retrieve_exception)
        return await asyncio.shield(self._loading)

    def expire(self, *, min_age_s: float = 0) -> None:
        """Forget the value if it is that old, so that the next caller loads it."""
        if self._kept is not None and time.monotonic() - self._kept[1] >= min_age_s:
            self._kept = None

    async def aclose(self) -> None:
        """Stop a load that is under way; its waiters are cancelled."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])

    async def _load_once(self) -> T:
        started = time.monotonic()
        try:
            value = await self._load()
            self._kept = (value, started)
            return value
        finally:
            self._loading = None


def retrieve_exception(done: "asyncio.Future[Any]") -> None:
    """A done-callback for what may fail when all who waited for it were cancelled."""
    if not done.cancelled():
        done.exception()
