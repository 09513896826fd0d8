"""What the local stack consists of: each part's command, environment, needs and health check.

Rule: what TEMPORAL_ADDRESS, DATABASE_URL or a venue's credentials name is not embedded; everything
else is a process of its own on loopback. Children get their settings through their environment, a
secret never stands on a command line. The container set-up runs the same commands.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from workers import embedded_postgres, embedded_temporal
from workers.paper_dialects import PAPER_DIALECTS
from workers.ports import WantedPort
from workers.settings import DEFAULT_ACCOUNT, Settings, is_setting
from workers.supervisor import Part
from workers.venue_settings import credentials_of

CHECKOUT = Path(__file__).resolve().parents[1]
ENGINE_KINDS = ("postgres", "temporal", "paper", "migrate", "worker", "api")
"""What trades; the drop copy only looks on."""
ALL_KINDS = (*ENGINE_KINDS, "drop-copy")
COMMANDS = {
    "migrate": ("python", "-m", "workers", "migrate"),
    "worker": ("python", "-m", "workers", "run"),
    "api": ("python", "-m", "starters", "api"),
    "paper": ("python", "-m", "workers", "paper-exchange"),
    "drop-copy": ("python", "-m", "workers", "drop-copy"),
}
WORKER_GRACE_S = 30.0
HTTP_CHECK_TIMEOUT_S = 2.0
TOUCHED_WITHIN_S = 60.0
POLLING = re.compile(r"^temporal_num_pollers\{[^}]*\} [1-9]", re.MULTILINE)


class StackParts:
    """Builds the parts for one set of settings; `kinds` limits which kinds of them."""

    def __init__(self, settings: Settings, kinds: Collection[str] = ALL_KINDS) -> None:
        self._settings = settings
        self._home = settings.home
        self._postgres_wanted = "postgres" in kinds and settings.database_url is None
        self._temporal_wanted = "temporal" in kinds and settings.temporal_address is None
        self._papers = embedded_venues(settings) if "paper" in kinds else ()
        self._kinds = frozenset(kinds)
        self.notes: list[str] = []
        """Lines that the operator should read; filled by `parts`."""

    @property
    def has_own_ledger(self) -> bool:
        """True if the ledger is among the parts, and brought to its newest version by them."""
        return self._postgres_wanted and "migrate" in self._kinds

    def ports(self) -> list[WantedPort]:
        """All ports that the parts will listen on."""
        settings, ports = self._settings, []
        if self._postgres_wanted:
            name = "POSTGRES_PORT"
            ports.append(WantedPort(port=settings.postgres_port, setting=name, part="PostgreSQL"))
        if self._temporal_wanted:
            ports += [
                WantedPort(port=settings.temporal_port, setting="TEMPORAL_PORT", part="Temporal"),
                WantedPort(
                    port=settings.temporal_ui_port, setting="TEMPORAL_UI_PORT", part="Temporal UI"
                ),
            ]
        for venue in self._papers:
            port = settings.paper_port_of(venue)
            ports.append(
                WantedPort(port=port, setting="PAPER_PORT", part=f"paper exchange {venue}")
            )
            control = settings.paper_control_port_of(venue)
            if control is not None:
                part = f"control port of {venue}"
                ports.append(WantedPort(port=control, setting="PAPER_CONTROL_PORT", part=part))
        if "worker" in self._kinds:
            first = settings.metrics_port
            ports += [
                WantedPort(port=first + n, setting="METRICS_PORT", part=f"worker {n}")
                for n in range(settings.worker_count)
            ]
        if "api" in self._kinds:
            host, port = settings.api_host, settings.api_port
            ports.append(WantedPort(port=port, setting="API_PORT", part="API", host=host))
        return ports

    def parts(self, no_restart: Collection[str] = ()) -> list[Part]:
        """The parts, each after those it needs; makes the secrets that they share."""
        parts: list[Part] = []
        if self._postgres_wanted:
            parts.append(self._postgres())
        if self._temporal_wanted:
            parts.append(self._temporal())
        env = self._child_env()
        parts += [self._paper(venue, env) for venue in self._papers]
        if "migrate" in self._kinds:
            database = ("postgres",) if self._postgres_wanted else ()
            owner = env | self._owner_env()
            parts.append(
                _python("migrate", COMMANDS["migrate"], owner, needs=database, runs_once=True)
            )
        needs = tuple(part.name for part in parts)
        if "worker" in self._kinds:
            parts += [self._worker(n, env, needs) for n in range(self._settings.worker_count)]
        if "api" in self._kinds:
            ready = _answers(f"{self._settings.api_url}/health/live")
            parts.append(_python("api", COMMANDS["api"], env, needs=needs, ready=ready))
        if "drop-copy" in self._kinds:
            alive = _was_touched(self._home.drop_copy_alive)
            parts.append(_python("drop-copy", COMMANDS["drop-copy"], env, needs=needs, ready=alive))
        return [replace(p, auto_restart=p.name not in no_restart) for p in parts]

    def _postgres(self) -> Part:
        cluster = embedded_postgres.cluster(self._home, self._settings.postgres_port)
        if cluster.note is not None:
            self.notes.append(cluster.note)
        return Part(
            name="postgres",
            argv=cluster.argv(),
            env=cluster.env(),
            cwd=Path("/"),
            ready=cluster.ready,
            before_start=cluster.before_start,
            user=cluster.user,
            stop_signal=signal.SIGINT,  # its fast shutdown, which does not wait for clients
            stop_timeout_s=30,
        )

    def _temporal(self) -> Part:
        settings, db = self._settings, self._home.temporal_db
        namespace = settings.temporal_namespace
        return Part(
            name="temporal",
            argv=embedded_temporal.argv(
                port=settings.temporal_port,
                ui_port=settings.temporal_ui_port,
                namespace=namespace,
                db=db,
            ),
            env=_inherited(),
            cwd=CHECKOUT,
            ready=partial(
                embedded_temporal.ready,
                address=settings.temporal_target,
                namespace=namespace,
                db=db,
            ),
            before_start=partial(embedded_temporal.forget_half_made, db),
        )

    def _paper(self, venue: str, env: dict[str, str]) -> Part:
        settings = self._settings
        port, dialect = settings.paper_port_of(venue), PAPER_DIALECTS[venue]
        options = ["--name", venue, "--dialect", dialect.name, "--port", str(port)]
        options += ["--data", str(self._home.paper_data(venue))]
        options += ["--seed", str(settings.paper_seed)]
        control = settings.paper_control_port_of(venue)
        if control is not None:
            options += ["--control-port", str(control)]
        if settings.replay_trades is not None:
            options += ["--replay", str(settings.replay_trades.absolute())]
            options += ["--speed", str(settings.replay_speed)]
        ready = _answers(f"http://127.0.0.1:{port}{dialect.time_path}")
        return _python(f"paper-{venue}", (*COMMANDS["paper"], *options), env, ready=ready)

    def _worker(self, number: int, env: dict[str, str], needs: tuple[str, ...]) -> Part:
        port = self._settings.metrics_port + number
        part = _python(
            f"worker-{number}",
            COMMANDS["worker"],
            {**env, "METRICS_PORT": str(port)},
            needs=needs,
            ready=_polls(f"http://127.0.0.1:{port}/metrics"),
        )
        return replace(part, stop_timeout_s=WORKER_GRACE_S)

    def _owner_env(self) -> dict[str, str]:
        """Only who migrates is told how the database's owner logs in."""
        settings = self._settings
        if settings.database_owner_url is None and not self._postgres_wanted:
            return {}
        return {"DATABASE_OWNER_URL": settings.owner_dsn()}

    def _child_env(self) -> dict[str, str]:
        """All settings as variables, the embedded parts' addresses and secret files included."""
        settings = self._settings
        env = _inherited() | settings.as_environ()
        env["DELTA_HOME"] = str(self._home.root)
        env["TEMPORAL_ADDRESS"] = settings.temporal_target
        env["TEMPORAL_UI_URL"] = settings.temporal_ui
        env.pop("DATABASE_OWNER_URL", None)
        if self._postgres_wanted:
            env["DATABASE_URL"] = settings.dsn()
            env["DATABASE_READER_URL"] = settings.reader_dsn()
        for venue in embedded_venues(settings):
            prefix, names = f"EXCHANGE_{venue.upper()}", credentials_of(venue)
            env[f"{prefix}_PAPER_URL"] = f"http://127.0.0.1:{settings.paper_port_of(venue)}"
            files = self._home.ensure_venue_secrets(venue, DEFAULT_ACCOUNT, names)
            for name, file in zip(names, files, strict=True):
                env[f"{prefix}_{name.upper()}_FILE"] = str(file)
        return env


def embedded_venues(settings: Settings) -> tuple[str, ...]:
    """The venues whose exchange is the local stack's: no credentials, no address of their own."""
    known = {name: settings.venues.get((name, DEFAULT_ACCOUNT)) for name in settings.exchanges}
    return tuple(
        name
        for name, venue in known.items()
        if venue is None or not (venue.api_key or venue.paper_url)
    )


def _python(
    name: str,
    command: tuple[str, ...],
    env: dict[str, str],
    *,
    needs: tuple[str, ...] = (),
    ready: Callable[[], Awaitable[bool]] | None = None,
    runs_once: bool = False,
) -> Part:
    return Part(
        name=name,
        argv=(sys.executable, *command[1:]),
        env=env,
        cwd=CHECKOUT,
        needs=needs,
        ready=ready,
        runs_once=runs_once,
    )


def _inherited() -> dict[str, str]:
    """Our environment without any setting: a child gets those from our settings object."""
    return {name: value for name, value in os.environ.items() if not is_setting(name)}


def _answers(url: str) -> Callable[[], Awaitable[bool]]:
    """A check that is true once the address answers 200."""

    async def check() -> bool:
        return (await _get(url)).status_code == httpx.codes.OK

    return check


def _was_touched(path: Path) -> Callable[[], Awaitable[bool]]:
    """A check that is true while a file is touched again and again."""

    async def check() -> bool:
        changed_at = (await asyncio.to_thread(path.stat)).st_mtime
        return time.time() - changed_at < TOUCHED_WITHIN_S

    return check


def _polls(url: str) -> Callable[[], Awaitable[bool]]:
    """A check that is true once a worker's metrics say that it polls its task queues."""

    async def check() -> bool:
        return POLLING.search((await _get(url)).text) is not None

    return check


async def _get(url: str) -> httpx.Response:
    """One request; raises ConnectionError for whatever goes wrong."""
    try:
        async with httpx.AsyncClient(
            trust_env=False,
            timeout=HTTP_CHECK_TIMEOUT_S,
            verify=False,  # noqa: S501 - our own part, whose certificate may name another host
        ) as client:
            return await client.get(url)
    except httpx.HTTPError as error:
        raise ConnectionError(str(error)) from error
