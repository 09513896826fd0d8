"""Keeps a set of processes alive: start in order, wait healthy, restart, stop without a trace.

Theory: a `Part` says what to run and how to tell that it is healthy; parts name the parts they
need. One task per part owns its process from spawn to reap, so every state change happens in one
place. A part that dies is started again after a growing pause; one that dies too often fails the
whole set. What runs is recorded in files (`workers.pidfile`), so that the next supervisor can stop
what a killed one left behind.

It must not know what the parts are.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.pidfile import Record, kill_tree

RESTART_PAUSE_FIRST_S = 0.1
READY_POLL_S = 0.05
LOG_SIZE_MAX = 20_000_000


class SupervisorError(Exception):
    """The set of parts cannot be kept running: one line that names the part and its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartBound:
    """More than `deaths` within `window_s` seconds is a failure.

    A part that was never healthy is broken rather than unlucky: `first_deaths` holds for it.
    The pause before the next start doubles with each death, up to `pause_most_s` seconds.
    """

    deaths: int = 10
    first_deaths: int = 3
    window_s: float = 60.0
    pause_most_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process: what to run, what it needs and how to tell that it is healthy."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], Awaitable[bool]] | None = None
    """Asked again and again until it is true; OSError means not yet. None: at once."""
    needs: tuple[str, ...] = ()
    runs_once: bool = False
    """A task: healthy when it has ended with exit code 0."""
    auto_restart: bool = True
    bound: RestartBound = RestartBound()
    ready_timeout_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    user: tuple[int, int] | None = None
    """Numeric user and group to run as; None: ours."""
    before_start: Callable[[str], Awaitable[None]] | None = None
    """Called before each start with what the part logged since its last one."""


@dataclass(slots=True)
class RunningPart:
    """A part and its present process."""

    part: Part
    log: Path
    level: int
    process: asyncio.subprocess.Process | None = None
    healthy: asyncio.Event = field(default_factory=asyncio.Event)
    deaths: deque[float] = field(default_factory=deque)
    ever_healthy: bool = False
    starts: int = 0
    task: asyncio.Task[None] | None = None
    stopping: bool = False
    log_from: int = 0

    @property
    def pid(self) -> int:
        """The process id; raises ProcessLookupError when it does not run."""
        if self.process is None or self.process.returncode is not None:
            raise ProcessLookupError(f"{self.part.name} does not run")
        return self.process.pid

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self.process is not None and self.process.returncode is None

    def logged(self) -> str:
        """The last 64 KiB that it wrote since its last start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(self.log_from, self.log.stat().st_size - 65_536))
            return file.read().decode(errors="replace")


class Supervisor:
    """Runs parts; create it inside a running event loop."""

    def __init__(
        self,
        parts: Iterable[Part],
        *,
        logs: Path,
        run: Path,
        on_event: Callable[[str, str], None] = lambda _part, _event: None,
    ) -> None:
        self._run_dir = run
        self._on_event = on_event
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.parts: dict[str, RunningPart] = {}
        for part in parts:
            level = 1 + max((self.parts[name].level for name in part.needs), default=-1)
            self.parts[part.name] = RunningPart(part, logs / f"{part.name}.log", level)

    async def start(self) -> None:
        """Start all parts, each after those it needs; returns when all are healthy.

        Raises SupervisorError when one does not come up; the caller then calls `stop`.
        """
        for name in self.parts:
            self._own(self.parts[name])
        await self._unless_failed(*(each.healthy.wait() for each in self.parts.values()))

    async def stop(self) -> None:
        """Stop all parts, those that need others first; nothing is left running."""
        for level in sorted({each.level for each in self.parts.values()}, reverse=True):
            same = [name for name, each in self.parts.items() if each.level == level]
            await asyncio.gather(*(self.stop_part(name) for name in same))
        if self._failure.done() and not self._failure.cancelled():
            self._failure.exception()  # marks it as seen
        self._failure.cancel()

    async def failed(self) -> None:
        """Wait until a part has died too often, and raise SupervisorError then."""
        await asyncio.shield(self._failure)

    async def wait_healthy(self, name: str) -> None:
        """Wait until the part is healthy; raises SupervisorError if the set fails meanwhile."""
        await self._unless_failed(self.parts[name].healthy.wait())

    async def start_part(self, name: str) -> None:
        """Start a part that was stopped or has died, and wait until it is healthy."""
        running = self.parts[name]
        if running.task is None or running.task.done():
            self._own(running)
        await self.wait_healthy(name)

    async def stop_part(self, name: str) -> None:
        """Stop one part with its stop signal, later SIGKILL; it is not started again."""
        running = self.parts[name]
        running.stopping = True
        if running.process is not None:
            await self._end(running)
        if running.task is not None:
            running.task.cancel()
            await asyncio.gather(running.task, return_exceptions=True)
            if running.running:  # the task was cancelled between its spawn and our signal
                await self._end(running)
        running.healthy.clear()

    async def kill(self, name: str) -> None:
        """SIGKILL one part's process, as a crash would; it restarts if it is meant to."""
        running = self.parts[name]
        process, pid = running.process, running.pid
        running.healthy.clear()
        os.kill(pid, signal.SIGKILL)
        if process is not None:
            await process.wait()

    async def _unless_failed(self, *waits: Awaitable[object]) -> None:
        """Wait for all, or raise what made the set of parts fail meanwhile."""
        everything = asyncio.ensure_future(asyncio.gather(*waits))
        try:
            await asyncio.wait((everything, self._failure), return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                await self._failure
            await everything
        finally:
            everything.cancel()
            await asyncio.gather(everything, return_exceptions=True)

    def _own(self, running: RunningPart) -> None:
        running.stopping = False
        running.healthy.clear()
        running.task = asyncio.create_task(self._keep(running), name=running.part.name)
        running.task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def _keep(self, running: RunningPart) -> None:
        """The life of one part: start, wait healthy, reap, and again while it is wanted."""
        part = running.part
        for name in part.needs:
            await self.parts[name].healthy.wait()
        while True:
            code = await self._one_life(running)
            if running.stopping or (part.runs_once and code == 0):
                return
            if part.runs_once:
                raise SupervisorError(f"{part.name} failed ({_ending(code)}): {_hint(running)}")
            self._on_event(part.name, f"ended ({_ending(code)})")
            if not part.auto_restart:
                return
            await asyncio.sleep(self._pause_s(running, code))

    async def _one_life(self, running: RunningPart) -> int:
        """Start the process and follow it to its end; returns its exit code."""
        part = running.part
        if part.before_start is not None:
            await part.before_start(running.logged())
        process = await self._spawn(running)
        try:
            if not part.runs_once:
                await self._become_healthy(running, process)
            code = await process.wait()
        finally:
            if process.returncode is not None:
                Record.path_of(self._run_dir, part.name).unlink(missing_ok=True)
        running.healthy.clear()
        if part.runs_once and code == 0:
            running.healthy.set()
            self._on_event(part.name, "done")
        return code

    async def _spawn(self, running: RunningPart) -> asyncio.subprocess.Process:
        part = running.part
        _rotate(running.log)
        uid, gid = part.user or (None, None)
        with running.log.open("ab") as log:
            running.log_from = log.tell()
            running.process = await asyncio.create_subprocess_exec(
                *part.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(part.env),
                cwd=part.cwd,
                start_new_session=True,  # Ctrl-C at the terminal is ours to pass on, in order
                user=uid,
                group=gid,
                extra_groups=None if part.user is None else [],
            )
        running.starts += 1
        record = Record.of_process(
            running.process.pid,
            part.argv,
            name=part.name,
            level=running.level,
            stop_signal=part.stop_signal,
            stop_timeout_s=part.stop_timeout_s,
        )
        if record is not None:
            record.write(self._run_dir)
        return running.process

    async def _become_healthy(
        self, running: RunningPart, process: asyncio.subprocess.Process
    ) -> None:
        part = running.part
        deadline = time.monotonic() + part.ready_timeout_s
        while process.returncode is None:
            with contextlib.suppress(OSError, TimeoutError):
                if part.ready is None or await asyncio.wait_for(part.ready(), 5):
                    running.healthy.set()
                    running.ever_healthy = True
                    self._on_event(part.name, "healthy")
                    return
            if time.monotonic() > deadline:
                self._on_event(part.name, f"not healthy after {part.ready_timeout_s:g} s")
                await kill_tree(process.pid)
                return
            await asyncio.sleep(READY_POLL_S)

    async def _end(self, running: RunningPart) -> None:
        """Signal the process, wait, then kill what is left of its tree."""
        process = running.process
        if process is None or process.returncode is not None:
            return
        await kill_tree(process.pid, running.part.stop_signal, running.part.stop_timeout_s)
        await process.wait()
        Record.path_of(self._run_dir, running.part.name).unlink(missing_ok=True)

    def _pause_s(self, running: RunningPart, code: int) -> float:
        """Count a death; the pause before the next start, or SupervisorError at the bound."""
        bound, now = running.part.bound, time.monotonic()
        running.deaths.append(now)
        while running.deaths and running.deaths[0] < now - bound.window_s:
            running.deaths.popleft()
        count = len(running.deaths)
        most = bound.deaths if running.ever_healthy else min(bound.deaths, bound.first_deaths)
        if count > most:
            raise SupervisorError(
                f"{running.part.name} died {count} times in {bound.window_s:g} s "
                f"({_ending(code)}): {_hint(running)}"
            )
        pause_s: float = min(RESTART_PAUSE_FIRST_S * 2.0 ** (count - 1), bound.pause_most_s)
        return pause_s


def _rotate(log: Path) -> None:
    """Keep one older log beside the present one, so that logs cannot fill the disk."""
    if log.exists() and log.stat().st_size > LOG_SIZE_MAX:
        log.replace(log.with_suffix(".log.1"))


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def _hint(running: RunningPart) -> str:
    lines = [line.strip() for line in running.logged().splitlines() if line.strip()]
    return f"{lines[-1][:200] if lines else 'no output'} (log: {running.log})"
