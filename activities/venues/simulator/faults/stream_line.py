"""The disturbed streams: what holds, doubles, loses or cuts, on the rules' behalf.

Rule: only the way from the exchange to the client is disturbed; the journal stays true. Everything
that waits here waits for a bounded time, and `clear` ends it at once: what was held back leaves
then. Knows nothing of HTTP or books.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from activities.venues.simulator.faults.rules import Facts, Fault, RuleBook, Scope
from activities.venues.simulator.stream_seam import Connection, Send, StreamEvent, StreamKind

STORM_CUTS_AFTER_S = (0.0, 0.02, 0.05, 0.1, 0.2)
"""How long connections live in a storm, in turn: some die before they are subscribed."""
REORDER_WITHIN_S = 2.0
DRAIN_WITHIN_S = 2.0
CANCEL_WITHIN_S = 60.0


class Mode(StrEnum):
    """What streams can be told to do."""

    CUT = "cut"
    SILENT = "silent"
    NORMAL = "normal"
    STORM = "storm"


class EventFault(Fault):
    """Base of the faults of single events: lets them pass.

    `kind` is the execution type (or TOUCH) that is meant, None for any; and on which stream.
    """

    scope = Scope.EVENT

    def __init__(self, kind: str | None, stream: StreamKind = StreamKind.PRIVATE) -> None:
        self._kind, self._stream = kind, stream

    def applies(self, facts: Facts) -> bool:
        """See Fault."""
        return self._kind in (None, facts.kind) and self._stream is facts.stream

    async def act(self, _line: "StreamLine", _event: StreamEvent, send: Send, /) -> None:
        """Do to the event what this fault does."""
        await send()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """A mode with its end, in seconds of the monotonic clock."""

    mode: Mode
    until: float
    is_dead: bool

    def is_now(self, mode: Mode) -> bool:
        return self.mode is mode and time.monotonic() < self.until


@dataclass(slots=True)
class _Overtaken:
    """An event that waits until so many others of the account have passed it."""

    left: int
    account: str
    passed: asyncio.Event = field(default_factory=asyncio.Event)


class StreamLine:
    """StreamHooks of an exchange that can be disturbed; one per exchange."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self._connections: set[Connection] = set()
        self._standing: dict[tuple[StreamKind, str | None], _Standing] = {}
        self._lives = itertools.cycle(STORM_CUTS_AFTER_S)
        self._overtaken: list[_Overtaken] = []
        self._cancels: dict[str, asyncio.Event] = {}
        self._cleared = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what the exchange tells ----------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """See StreamHooks. In a storm the connection is doomed."""
        self._connections.add(connection)
        modes = (each for (kind, _), each in self._standing.items() if kind is connection.stream)
        if any(each.is_now(Mode.STORM) for each in modes):
            self._spawn(self._cut_later(connection, next(self._lives)))

    def closed(self, connection: Connection) -> None:
        """See StreamHooks."""
        self._connections.discard(connection)

    def answers_pings(self, connection: Connection) -> bool:
        """See StreamHooks. A dead connection does not."""
        return not any(
            each.is_dead for each in self._silence_of(connection.stream, connection.account)
        )

    async def deliver(self, event: StreamEvent, send: Send) -> None:
        """See StreamHooks. An event that several rules meet suffers the oldest of them."""
        if self._silence_of(event.stream, event.account):
            return
        fault = self._fault_of(event)
        if fault is not None:
            await fault.act(self, event, send)
            return
        await send()
        self._overtake(event.account)

    def cancel_answered(self, client_order_id: str) -> None:
        """The answer to a cancel of this order is about to leave."""
        self._cancel_of(client_order_id).set()

    # --- what a test tells ----------------------------------------------------------------------

    def set_mode(
        self,
        mode: Mode,
        *,
        stream: StreamKind = StreamKind.PRIVATE,
        account: str | None = None,
        for_s: float | None,
        dead: bool = False,
    ) -> int:
        """Change all private streams, or an account's, or all public ones, for a time or for good.

        Answers how many connections there were.
        """
        hit = [
            each
            for each in self._connections
            if each.stream is stream and account in (None, each.account)
        ]
        if mode is Mode.NORMAL:
            self._standing.pop((stream, account), None)
        elif mode is not Mode.CUT:
            until = float("inf") if for_s is None else time.monotonic() + for_s
            self._standing[stream, account] = _Standing(mode=mode, until=until, is_dead=dead)
        if mode in (Mode.CUT, Mode.STORM):
            for connection in hit:
                connection.cut()
        return len(hit)

    def clear(self) -> None:
        """Back to normal; what was held back leaves now."""
        self._standing.clear()
        self._cancels.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def close(self) -> None:
        """Forget what was held back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what faults are made of ----------------------------------------------------------------

    def send_after(self, send: Send, delay_s: float) -> None:
        """Send the event so much later."""
        self._spawn(self._send_when(asyncio.Event(), delay_s, send))

    def send_behind(self, event: StreamEvent, send: Send, others: int) -> None:
        """Send the event once so many of the account have passed it, or REORDER_WITHIN_S later."""
        overtaken = _Overtaken(others, event.account)
        self._overtaken.append(overtaken)
        self._spawn(self._send_when(overtaken.passed, REORDER_WITHIN_S, send))

    def send_after_cancel(self, event: StreamEvent, send: Send, delay_s: float) -> None:
        """Send the event so long after a cancel of its order was answered."""
        answered = self._cancel_of(event.client_order_id or "")
        self._spawn(self._send_when(answered, CANCEL_WITHIN_S, send, then_s=delay_s))

    async def left(self, account: str | None) -> None:
        """Wait until all that is queued for the account has left, up to DRAIN_WITHIN_S."""
        waits = [each.drained() for each in self._connections if each.account == account]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), DRAIN_WITHIN_S)

    # --- helpers --------------------------------------------------------------------------------

    def _fault_of(self, event: StreamEvent) -> EventFault | None:
        facts = Facts(
            scope=Scope.EVENT,
            account=event.account,
            symbol=event.symbol,
            client_order_id=event.client_order_id,
            kind=event.kind,
            stream=event.stream,
        )
        for rule in self._rules.in_force():
            if isinstance(rule.fault, EventFault) and self._rules.meets(rule, facts):
                return rule.fault
        return None

    def _silence_of(self, stream: StreamKind, account: str | None) -> list[_Standing]:
        known = (self._standing.get((stream, None)), self._standing.get((stream, account)))
        return [each for each in known if each is not None and each.is_now(Mode.SILENT)]

    def _cancel_of(self, client_order_id: str) -> asyncio.Event:
        return self._cancels.setdefault(client_order_id, asyncio.Event())

    def _overtake(self, account: str) -> None:
        for overtaken in [each for each in self._overtaken if each.account == account]:
            overtaken.left -= 1
            if overtaken.left <= 0:
                overtaken.passed.set()
                self._overtaken.remove(overtaken)

    async def _send_when(
        self, ready: asyncio.Event, within_s: float, send: Send, *, then_s: float = 0
    ) -> None:
        cleared = self._cleared
        if await _first(ready, cleared, within_s) and then_s:
            await _first(asyncio.Event(), cleared, then_s)
        with contextlib.suppress(ConnectionError):  # the client went away meanwhile
            await send()

    async def _cut_later(self, connection: Connection, after_s: float) -> None:
        await asyncio.sleep(after_s)
        connection.cut()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _first(ready: asyncio.Event, cleared: asyncio.Event, within_s: float) -> bool:
    """Wait for either, at most so long; True if it is `ready`."""
    waits = [asyncio.create_task(each.wait()) for each in (ready, cleared)]
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return ready.is_set()
