"""The engine with a fault proxy on every line: two workers and two APIs, each cut off by itself.

Rule: the same processes as in `world`, started the same way; only the addresses that they are
given are those of proxies. The test itself asks Temporal, the database and the exchange directly.
It must not know any single test.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api_client import UNLIMITED, open_client
from tests.e2e.fault_proxy import FaultProxy, Verbatim
from tests.e2e.grpc_wire import GrpcReader
from tests.e2e.world import (
    FIGURES,
    HEDGE_KEY,
    HEDGE_SECRET,
    MAIN,
    VENUE,
    World,
    all_ready,
    free_ports,
    open_world,
    until,
)
from workers.settings import Settings, load_settings
from workers.stack_parts import StackParts
from workers.supervisor import Part, RestartBound, Supervisor

ACCEPT_TIMEOUT_S = 3
RATE_LIMIT = 20
"""Calls per second to the exchange that change something, of all workers together."""
API_ANSWERS_WITHIN_S = 5.5
"""What an API may take at most, with what a busy machine adds."""
BACKENDS = ("postgres", "temporal", "paper", "migrate")
WORKERS, APIS = ("worker-0", "worker-1"), ("api-0", "api-1")
LINES = ("temporal", "postgres", "exchange")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
CLOCK_CACHED_S = 1
"""How long a worker may still see its clock of before."""
_OFTEN = RestartBound(deaths=1000, first_deaths=20)


@dataclass
class Infra:
    """The backends, the processes before them, and the switches of every line between."""

    world: World
    fronts: Supervisor
    lines: dict[tuple[str, str], FaultProxy]
    """By process and line, such as ("worker-0", "temporal")."""
    doors: dict[str, FaultProxy]
    """Before each API, where its clients are."""
    apis: dict[str, httpx.AsyncClient]
    clock: Path
    """What the workers' clock says: an offset in seconds, read at every look at it."""
    made: int = field(default=0)

    def to(self, line: str, *fronts: str) -> list[FaultProxy]:
        """The proxies on one kind of line, of some processes or of all."""
        return [p for (front, name), p in self.lines.items() if name == line and front in fronts]

    def heal(self) -> None:
        for proxy in (*self.lines.values(), *self.doors.values()):
            proxy.heal()

    def set_clock(self, offset_s: float) -> None:
        """Move the workers' clocks, all at once; they are `offset_s` from the true time then."""
        aside = self.clock.with_suffix(".new")
        aside.write_text(f"{offset_s:+.3f}\n")
        aside.replace(self.clock)

    async def fake_clocks(self) -> None:
        """Restart the workers under libfaketime."""
        fake = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_CACHE_DURATION": str(CLOCK_CACHED_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # with its fix, which glibc no longer needs, Python's threads spin on their lock
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }
        for name in WORKERS:
            running = self.fronts.parts[name]
            running.part = replace(running.part, env={**running.part.env, **fake})
        await asyncio.gather(*map(self.kill, WORKERS))

    async def kill(self, front: str) -> None:
        """SIGKILL a process and wait until it serves again."""
        await self.fronts.kill(front)
        await self.fronts.wait_healthy(front)

    def body(self, **fields: Any) -> dict[str, Any]:
        """An order as JSON: see World.request."""
        return self.world.request(**fields).model_dump(mode="json", exclude_none=True)

    async def post(self, body: dict[str, Any], api: str = APIS[0], key: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.apis[api].post("/api/v1/orders", json=body, headers=headers)


def needs_faketime() -> pytest.MarkDecorator:
    """Skips by name where apt's faketime is not there, unless tools are required."""
    missing = not FAKETIME.exists()
    if missing and os.environ.get("REQUIRE_TOOLS") == "1":
        raise RuntimeError("faketime is not installed: make tools")
    return pytest.mark.skipif(missing, reason="NOT RUN: needs faketime (make tools)")


@asynccontextmanager
async def open_infra(folder: Path) -> AsyncIterator[Infra]:
    """Start everything, wait until both accounts may trade, and leave nothing behind."""
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(open_world(folder, kinds=BACKENDS))
        clock = folder / "clock"
        clock.write_text("+0\n")
        lines, parts = {}, []
        for front in (*WORKERS, *APIS):
            for line, port in _targets(world.stack.settings).items():
                reader = GrpcReader if line == "temporal" else Verbatim
                proxy = FaultProxy(port, reader)
                lines[front, line] = await opened.enter_async_context(proxy)
            parts.append(_part(front, world, {n: lines[front, n].port for n in LINES}))
        fronts = Supervisor(parts, logs=folder / "logs", run=folder / "run")
        (folder / "logs").mkdir()
        (folder / "run").mkdir()
        opened.push_async_callback(fronts.stop)
        await fronts.start()
        doors, apis = {}, {}
        for part, front in zip(parts[len(WORKERS) :], APIS, strict=True):
            doors[front] = await opened.enter_async_context(FaultProxy(int(part.env["API_PORT"])))
            apis[front] = await opened.enter_async_context(
                open_client(
                    world.stack.settings,
                    base_url=f"http://127.0.0.1:{doors[front].port}",
                    timeout=20,
                )
            )
        await until(lambda: all_ready(world), within_s=30)
        yield Infra(world, fronts, lines, doors, apis, clock)


def _targets(settings: Settings) -> dict[str, int]:
    return {
        "temporal": settings.temporal_port,
        "postgres": settings.postgres_port,
        "exchange": settings.paper_port_of(VENUE),
    }


def _part(front: str, world: World, ports: dict[str, int]) -> Part:
    """One process as the local stack would run it, with the proxies' addresses."""
    kind = front.partition("-")[0]
    settings = _settings(front, world, ports)
    (part,) = StackParts(settings, kinds=(kind,)).parts()
    return replace(
        part, name=front, env={**part.env, "API_PORT": str(settings.api_port)}, bound=_OFTEN
    )


def _settings(front: str, world: World, ports: dict[str, int]) -> Settings:
    base = world.stack.settings
    keys = base.home.venue_secrets(VENUE, MAIN)
    assert keys is not None
    password = base.home.postgres_password("delta_app")
    first = free_ports(2)
    return load_settings(
        {
            "DELTA_HOME": str(base.home.root.parent / front),
            "EXCHANGES": VENUE,
            "TEMPORAL_ADDRESS": f"127.0.0.1:{ports['temporal']}",
            "DATABASE_URL": f"postgresql://delta_app:{password}@127.0.0.1:{ports['postgres']}/delta",
            "EXCHANGE_BINANCE_PAPER_URL": f"http://127.0.0.1:{ports['exchange']}",
            "EXCHANGE_BINANCE_API_KEY": keys[0].get_secret_value(),
            "EXCHANGE_BINANCE_SECRET": keys[1].get_secret_value(),
            "EXCHANGE_BINANCE_HEDGE_API_KEY": HEDGE_KEY,
            "EXCHANGE_BINANCE_HEDGE_SECRET": HEDGE_SECRET,
            "ACCEPT_TIMEOUT": str(ACCEPT_TIMEOUT_S),
            "EXCHANGE_BINANCE_RATE_LIMIT": str(RATE_LIMIT),
            "WORKER_COUNT": "1",
            **UNLIMITED,
            "METRICS_PORT": str(first),
            "API_PORT": str(first + 1),
            **FIGURES,
        }
    )
