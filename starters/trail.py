"""The audit trail of those who ask: what was asked by whom, and what came of it.

Rule: a row is written before the answer leaves, but for WAIT_S at most: then it is written later,
and what is never written is in the log as an error. What repeats is told once a minute, with its
count. Rows that are told at the same time share one statement and one commit: the database chains
the trail, so one writer waits for another, and a process is one writer.

It must not know HTTP.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.audit import audit_all
from activities.ledger.key_text import holds_key
from starters.errors import Unavailable

WAIT_S = 1.0
CLOSE_WAIT_S = 2.0
MAX_BATCH = 500
MAX_WAITING = 10_000
REPEATS_WITHIN_S = 60.0
MAX_REMEMBERED = 10_000
MAX_TEXT = 500
NOBODY = "unauthenticated"
"""Who is told where the key was not good."""
_log = structlog.get_logger("delta.audit")

Writing = Callable[[], AbstractAsyncContextManager[AsyncEngine]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One row. Its texts may be anybody's: the row has them as one harmless line each."""

    who: str
    action: str
    about: str
    after: Mapping[str, Any] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """What the ledger's row says."""
        after = {
            name: harmless(value) if isinstance(value, str) else value
            for name, value in self.after.items()
        }
        about = harmless(self.about)
        return {"who": self.who, "action": self.action, "object": about, "after": after}


def harmless(text: str) -> str:
    """One line without a secret or anything that a terminal or the database minds.

    One row that the database refuses would take those with it that share its statement.
    """
    if holds_key(text):
        return "(a key)"
    shown = text[:MAX_TEXT]
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in shown
    )


class Trail:
    """The trail as one process writes it. `writing` opens the ledger and raises Unavailable."""

    def __init__(self, writing: Writing, clock: Callable[[], float] = time.monotonic) -> None:
        self._writing = writing
        self._waiting: list[tuple[Told, asyncio.Event]] = []
        self._writer: asyncio.Task[None] | None = None
        self._repeats = _Repeats(clock)

    async def tell(self, told: Told) -> None:
        """Write a row, with those that others tell meanwhile. Never raises for a ledger away."""
        if len(self._waiting) >= MAX_WAITING:
            _log_lost(told, "too many wait")
            return
        done = asyncio.Event()
        self._waiting.append((told, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), WAIT_S)

    async def close(self) -> None:
        """Write what still waits, for CLOSE_WAIT_S at most."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=CLOSE_WAIT_S)

    async def tell_once(self, told: Told, about: str) -> None:
        """As `tell`, but once a minute for the same action and `about`; the row has the count."""
        count = self._repeats.count(f"{told.action} {about}")
        if count is not None:
            after = {**told.after, "count": count}
            row = Told(who=told.who, action=told.action, about=told.about, after=after)
            await self.tell(row)

    async def _write_all(self) -> None:
        while self._waiting:
            batch = self._waiting[:MAX_BATCH]
            del self._waiting[:MAX_BATCH]
            try:
                async with self._writing() as engine, engine.begin() as connection:
                    await connection.execute(audit_all([told.as_row() for told, _ in batch]))
            except Unavailable as error:
                for told, _ in batch:
                    _log_lost(told, str(error))
            finally:
                for _, done in batch:
                    done.set()


class _Repeats:
    """How often the same was told since its last row."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, what: str) -> int | None:
        """How many a row tells of that is due now; None where one was written just before."""
        now = self._clock()
        since, kept_back = self._since.get(what, (now - REPEATS_WITHIN_S, 0))
        if now - since < REPEATS_WITHIN_S:
            self._since[what] = since, kept_back + 1
            return None
        self._since[what] = now, 0
        self._since.move_to_end(what)
        while len(self._since) > MAX_REMEMBERED:
            self._since.popitem(last=False)
        return kept_back + 1


def _log_lost(told: Told, why: str) -> None:
    _log.error("not in the audit trail", why=why, **told.as_row())
