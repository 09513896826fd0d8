"""What the tests of the starters need beside a stack: orders, ports, waits, the command line."""

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

import httpx

from activities.venues.simulator.judge import read_log
from tests.api_client import open_client
from tests.e2e.world import free_ports as neighbours
from workers.local_stack import LocalStack
from workers.settings import is_setting

CHECKOUT = Path(__file__).resolve().parents[2]
PORTS = (
    "POSTGRES_PORT",
    "TEMPORAL_PORT",
    "TEMPORAL_UI_PORT",
    "API_PORT",
    "PAPER_PORT",
    "METRICS_PORT",
)
READY_WITHIN_S = 60.0
APART = 4
ORDER = {
    "strategy_id": "strategy_001",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "0.01",
}
RESTING = {**ORDER, "order_type": "limit", "price": "49250"}
ORDERS = "/api/v1/orders"


def free_ports(names: tuple[str, ...]) -> dict[str, str]:
    """A free port for each name, with room behind it: a second exchange or worker of a stack
    takes the port after its first one's."""
    first = neighbours(len(names) * APART)
    return {name: str(first + APART * place) for place, name in enumerate(names)}


async def until_ready(stack: LocalStack) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    said = "nothing"
    async with open_client(stack.settings) as client:
        while time.monotonic() < deadline:
            try:
                answer = await client.get("/health/ready", timeout=10)
            except httpx.HTTPError as error:
                said = repr(error)
            else:
                said = answer.text
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.2)
    raise TimeoutError(f"not ready within {READY_WITHIN_S} s: {said}")


async def until_status(http: httpx.AsyncClient, order_id: str, *wanted: str) -> dict:
    deadline = time.monotonic() + 30
    while True:
        order = (await http.get(f"{ORDERS}/{order_id}")).json()
        if order.get("status") in wanted:
            return order
        assert time.monotonic() < deadline, order
        await asyncio.sleep(0.1)


async def until_taken(http: httpx.AsyncClient) -> None:
    """An order is taken: workers may come back later than the API, and give no verdict in time."""
    deadline = time.monotonic() + 30
    while True:
        order = ORDER | {"order_id": new_id(), "allow_similar": True}
        answer = await http.post(ORDERS, json=order)
        if answer.status_code == 201:
            return
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text


async def cli(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """One command as a user runs it."""
    process = await start_cli(environ, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def start_cli(environ: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "starters",
        *arguments,
        env={**inherited, **environ, "ENV_FILE": os.devnull},
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def sent(stack: LocalStack, venue: str = "binance") -> int:
    """How many order requests the exchange has received, by its own log."""
    requests = read_log(stack.paper_journal(venue)).requests
    return sum(each.method == "POST" and each.path.endswith("/order") for each in requests)


def new_id() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"
