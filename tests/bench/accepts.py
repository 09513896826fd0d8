"""How many orders a second the HTTP API accepts, and how soon it answers, beside a bare route.

Clients ask for one order after the other, each on a connection of its own. An answer comes when the
order is durable and judged; the bare route's when a workflow that does nothing is started. A client
that is told that the outcome is not known yet asks again under the same id, as the contract says:
its time runs on, and how often that was needed is a figure too. Any other answer but 201 makes the
measure fail.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from starters.api.errors import ApiCode
from tests.api_client import bearer
from tests.bench import bare_api
from tests.bench.figures import Measure, percentile
from tests.bench.rig import POLL_S, READY_WITHIN_S, BenchError, Rig
from workers.stack_parts import CHECKOUT
from workers.supervisor import Part, Supervisor

CLIENTS = (1, 10, 50)
WARM_S = 1.0
WINDOW_S = 8.0
ANSWER_WITHIN_S = 30.0
CREATED, UNAVAILABLE = httpx.codes.CREATED, httpx.codes.SERVICE_UNAVAILABLE
UNKNOWN = ApiCode.OUTCOME_UNKNOWN.value
Ask = Callable[[], tuple[str, dict[str, Any]]]
"""The path and the body of the next request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What some clients came to: answers per second, and how long each took in milliseconds.

    `asked_again`: answers that came before the outcome was known.
    """

    per_second: float
    took_ms: list[float]
    asked_again: int


async def api_accepts(rig: Rig) -> list[Measure]:
    """Accepted orders per second and the times of the answers, for a few numbers of clients."""
    settings, found = rig.stack.settings, []
    async with bare_route(rig) as bare_url:
        sides: tuple[tuple[str, dict[str, str], Ask], ...] = (
            (bare_url, {}, lambda: ("/orders", {})),
            (settings.api_url, bearer(settings), lambda: ("/api/v1/orders", _order(rig))),
        )
        with rig.progress("API: clients of both routes in turn", 2 * len(CLIENTS)) as step:
            for clients in CLIENTS:
                both = []
                for url, headers, ask in sides:
                    both.append(await window(url, headers, ask, clients))
                    step()
                found += _measures(clients, *both)
    return found


def _measures(clients: int, bare: Accepted, ours: Accepted) -> list[Measure]:
    name = f"api_accepts_{clients}"
    times = [
        Measure(
            name=f"{name}_p{percent}",
            value=percentile(ours.took_ms, percent),
            unit="ms",
            baseline=percentile(bare.took_ms, percent),
        )
        for percent in (50, 99)
    ]
    rate = Measure(
        name=f"{name}_per_second", value=ours.per_second, unit="1/s", baseline=bare.per_second
    )
    again = Measure(name=f"{name}_asked_again", value=ours.asked_again, unit="answers")
    return [rate, *times, again]


async def window(url: str, headers: dict[str, str], ask: Ask, clients: int) -> Accepted:
    """Let clients ask for a while, and count what was answered after the first second.

    Raises BenchError for an answer that is no acceptance.
    """
    begins = time.monotonic() + WARM_S
    ends = begins + WINDOW_S
    answered: list[tuple[float, float]] = []
    asked_again = 0

    async def client() -> None:
        nonlocal asked_again
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=ANSWER_WITHIN_S, trust_env=False
        ) as http:
            while (asked := time.monotonic()) < ends:
                path, body = ask()
                while (answer := await http.post(path, json=body)).status_code != CREATED:
                    is_open = answer.status_code == UNAVAILABLE and UNKNOWN in answer.text
                    if not is_open or time.monotonic() - asked > ANSWER_WITHIN_S:
                        raise BenchError(f"{url} answered {answer.status_code}: {answer.text}")
                    asked_again += 1
                answered.append((time.monotonic(), time.monotonic() - asked))

    await asyncio.gather(*(client() for _ in range(clients)))
    took_ms = [1_000 * took for at, took in answered if begins <= at < ends]
    if not took_ms:
        raise BenchError(f"{url} answered nothing within {WINDOW_S:g} s")
    return Accepted(per_second=len(took_ms) / WINDOW_S, took_ms=took_ms, asked_again=asked_again)


def _order(rig: Rig) -> dict[str, Any]:
    request = rig.request()
    body = request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return body | {"allow_similar": True}


@asynccontextmanager
async def bare_route(rig: Rig) -> AsyncIterator[str]:
    """A process that serves the bare route; its address."""
    settings = rig.stack.settings
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    arguments = (str(port), settings.temporal_target, settings.temporal_namespace)
    part = Part(
        name="bare-api",
        argv=(sys.executable, "-m", bare_api.__name__, *arguments),
        env=dict(os.environ),
        cwd=CHECKOUT,
    )
    process = Supervisor([part], logs=settings.home.logs, run=settings.home.run)
    url = f"http://127.0.0.1:{port}"
    try:
        await process.start()
        await _until_served(url)
        yield url
    finally:
        await asyncio.shield(process.stop())


async def _until_served(url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    async with httpx.AsyncClient(trust_env=False) as http:
        while time.monotonic() < deadline:
            try:
                await http.get(f"{url}/health")
            except httpx.TransportError:
                await asyncio.sleep(POLL_S)
            else:
                return
    raise BenchError(f"the bare route was not served within {READY_WITHIN_S:g} s")
