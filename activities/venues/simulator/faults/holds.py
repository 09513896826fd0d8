"""Requests that are held until a test releases them.

Rule: a held request stays where it is, its connection too, whatever becomes of the client. Knows
nothing of rules or books.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from activities.venues.simulator.faults.options import FaultError


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One held request; `hold` is the token of whatever holds it."""

    id: int
    hold: object
    method: str
    path: str
    params: Mapping[str, str]
    released: asyncio.Event = field(default_factory=asyncio.Event)


class HoldBoard:
    """All requests that are held now."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._last_id = 0
        self._changed = asyncio.Condition()

    async def hold(self, hold: object, method: str, path: str, params: Mapping[str, str]) -> None:
        """Hold a request until it is released."""
        self._last_id += 1
        held = Held(id=self._last_id, hold=hold, method=method, path=path, params=params)
        self._held[held.id] = held
        async with self._changed:
            self._changed.notify_all()
        try:
            await held.released.wait()
        finally:
            self._held.pop(held.id, None)

    async def wait_for(self, hold: object, within_s: float) -> Held | None:
        """The oldest request that `hold` holds, as soon as there is one; None in time."""

        def found() -> Held | None:
            return next((each for each in self._held.values() if each.hold is hold), None)

        async with self._changed:
            try:
                async with asyncio.timeout(within_s):
                    await self._changed.wait_for(lambda: found() is not None)
            except TimeoutError:
                return None
            return found()

    def release(self, held_id: int | None = None) -> None:
        """Let one go on, or all of them. Raises FaultError if there is no such one."""
        if held_id is not None and held_id not in self._held:
            raise FaultError(f"no request {held_id} is held")
        for each in list(self._held.values()):
            if held_id in (None, each.id):
                each.released.set()
