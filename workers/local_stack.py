"""The local stack: every part of Delta Executor on this machine, on loopback, from one call.

Rule: who leaves `async with LocalStack(settings)` leaves nothing running, and one DELTA_HOME has
one supervisor. What the parts are stands in `workers.stack_parts`. `python -m workers up`, the
demo and the tests all use this class.
"""

import asyncio
import shutil
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from workers import embedded_postgres
from workers.local_key import ensure_local_key
from workers.pidfile import stop_leftovers, take_lock
from workers.ports import hold_ports
from workers.settings import Settings
from workers.stack_parts import ENGINE_KINDS, StackParts
from workers.supervisor import RestartBound, RunningPart, Supervisor

LOCK = "supervisor.lock"


class StackRunningError(Exception):
    """Another supervisor runs this DELTA_HOME."""


class LocalStack:
    """The parts that the settings ask for; see the module's docstring.

    `kinds` says which kinds of parts run (default: what trades), `no_restart` names parts that stay
    down when they die, `bound` says how often a part may die. Raises StackRunningError,
    PortTakenError, SettingsError, SupervisorError.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        kinds: Collection[str] = ENGINE_KINDS,
        no_restart: Collection[str] = (),
        bound: RestartBound | None = None,
        on_event: Callable[[str, str], None] = lambda _part, _event: None,
    ) -> None:
        self.settings = settings
        self.home = settings.home
        self.notes: list[str] = []
        """Lines that the operator should read."""
        self._kinds = frozenset(kinds)
        self._no_restart = frozenset(no_restart)
        self._bound = bound or RestartBound()
        self._on_event = on_event
        self._lock: IO[str] | None = None
        self._ports = ExitStack()
        self._supervisor: Supervisor | None = None

    async def __aenter__(self) -> Self:
        self.home.make()
        self._lock = take_lock(self.home.run / LOCK)
        if self._lock is None:
            raise StackRunningError(f"the local stack in {self.home.root} is already running")
        try:
            if names := await stop_leftovers(self.home.run):
                self.notes.append(f"stopped what an earlier run left behind: {', '.join(names)}")
            wanted = StackParts(self.settings, self._kinds)
            self._ports = hold_ports(wanted.ports())
            parts = [
                replace(part, bound=self._bound)
                for part in wanted.parts(no_restart=self._no_restart)
            ]
            self.notes += wanted.notes
            self._supervisor = Supervisor(
                parts, logs=self.home.logs, run=self.home.run, on_event=self._on_event
            )
            await self._supervisor.start()
            if wanted.has_own_ledger:
                await ensure_local_key(self.settings)
        except BaseException:
            # Ctrl-C may arrive at any await above, and nothing may be left running then.
            await asyncio.shield(self._close())
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        if self._supervisor is not None:
            await self._supervisor.stop()
        self._ports.close()
        if self._lock is not None:
            self._lock.close()

    # What runs, and handling it

    @property
    def parts(self) -> dict[str, RunningPart]:
        """The parts by name: `postgres`, `temporal`, `paper-<venue>`, `worker-<n>`, `api`,
        `drop-copy`."""
        return self._running().parts

    async def failed(self) -> None:
        """Wait until a part has died too often, and raise SupervisorError then."""
        await self._running().failed()

    async def kill(self, name: str) -> None:
        """SIGKILL a part; returns when it is dead. It restarts unless in `no_restart`."""
        await self._running().kill(name)

    async def stop_part(self, name: str) -> None:
        """Stop a part in its orderly way; it stays down until `start_part`."""
        await self._running().stop_part(name)

    async def start_part(self, name: str) -> None:
        """Start a part that is down; returns when it is healthy."""
        await self._running().start_part(name)

    async def wait_healthy(self, name: str) -> None:
        """Wait until a part is healthy (again)."""
        await self._running().wait_healthy(name)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack is not started: use `async with`")
        return self._supervisor

    # Where things are

    @property
    def api_url(self) -> str:
        """Base URL of the HTTP API."""
        return self.settings.api_url

    @property
    def temporal_address(self) -> str:
        """HOST:PORT of Temporal's front end."""
        return self.settings.temporal_target

    @property
    def temporal_ui_url(self) -> str:
        """Base URL of Temporal's pages."""
        return self.settings.temporal_ui

    @property
    def database_url(self) -> str:
        """The ledger's SQLAlchemy URL."""
        return self.settings.dsn()

    def paper_url(self, venue: str) -> str | None:
        """Base URL of a venue's paper exchange; None for a live venue."""
        return self.settings.venue(venue).paper_url

    def paper_journal(self, venue: str) -> Path:
        """The append-only log of a venue's embedded paper exchange."""
        return self.home.paper_journal(venue)

    def metrics_url(self, worker: int) -> str:
        """Where one worker's Prometheus metrics are."""
        return f"http://127.0.0.1:{self.settings.metrics_port + worker}/metrics"


def delete_data(settings: Settings) -> None:
    """Delete a DELTA_HOME and what belongs to it outside; raises StackRunningError."""
    home = settings.home
    if not (home.run / LOCK).exists():
        return  # nothing of ours: an arbitrary folder is never deleted
    lock = take_lock(home.run / LOCK)
    if lock is None:
        raise StackRunningError(f"the local stack in {home.root} is running: stop it first")
    with lock:
        embedded_postgres.remove(home)
        shutil.rmtree(home.root)
