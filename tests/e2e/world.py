"""The whole engine on real parts, for the end-to-end proofs: one local stack and what talks to it.

Rule: nothing is replaced. Temporal, PostgreSQL, the paper exchange, the workers and the API are
the processes that `python -m workers up` runs; only ports, data folder and the protocol's figures
differ, the latter scaled to a tenth as a whole. BTC/USDT stands still, so that a test can say what
an order meets there; ETH/USDT moves by itself. It must not know any single test.
"""

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHistory

from activities.ledger.engine import open_engine
from activities.ledger.views import LedgerViews
from activities.venues.simulator.faults.client import ControlClient
from activities.venues.simulator.judge import VenueLog, read_log
from starters.client import DeltaClient, Unavailable
from tests.contract.paper_venue import ccxt_client
from workers.connection import connect
from workers.local_stack import LocalStack, delete_data
from workers.settings import Settings, load_settings
from workers.stack_parts import ALL_KINDS
from workers.supervisor import RestartBound
from workflows.messages import OrderRequest, OrderSnapshot

VENUE, MAIN, HEDGE = "binance", "main", "hedge"
HEDGE_KEY, HEDGE_SECRET = "key-of-hedge", "secret-of-hedge"
STILL = "BTC/USDT"
MOVING = "ETH/USDT"
BEST_BID, BEST_ASK = Decimal(50_000), Decimal(50_001)
INSIDE = Decimal("50000.50")
"""Between the two: an order here is the best of its side, alone at its price."""
FAILPOINTS = "failpoints"
"""The file that arms failpoints while the engine runs; there is none until a test writes it."""
POLL_S = 0.05
END_WITHIN_S = 30.0

# A tape of one trade too small to count: the price of BTC/USDT never moves.
_STILL_TAPE = """exchange,symbol,timestamp,local_timestamp,id,side,price,amount
binance,BTCUSDT,1582329600000000,1582329600000000,1,buy,50000,0.000001
"""
FIGURES = {
    "VALIDITY_WINDOW_S": "0.5",
    "SKEW_ALLOWANCE_S": "0.1",
    "HTTP_DEADLINE_S": "0.6",
    "SUBMIT_TIMEOUT_S": "0.8",
    "READ_LAG_S": "1",
}
_WORKERS = 2


@dataclass
class World:
    """A running engine, a client of each interface, and a second trader at its exchange."""

    stack: LocalStack
    orders: DeltaClient
    temporal: Client
    database: AsyncEngine
    hand: Any
    """Plain ccxt on our own account: a person on the exchange's page."""
    other: Any
    """Plain ccxt on the account `hedge`: the other side of our orders."""
    faults: ControlClient
    """The exchange's control port: what shall go wrong there."""
    made: int = field(default=0)

    @property
    def views(self) -> LedgerViews:
        return LedgerViews(self.database)

    def log(self) -> VenueLog:
        """The exchange's own log, as it is now."""
        return read_log(self.stack.paper_journal(VENUE))

    def request(self, **fields: Any) -> OrderRequest:
        """A market buy of 0.01 BTC by a strategy of its own, unless changed."""
        self.made += 1
        name = f"e2e-{os.getpid()}-{self.made}"
        defaults = {
            "order_id": name,
            "strategy_id": name,
            "exchange": VENUE,
            "symbol": STILL,
            "side": "buy",
            "order_type": "market",
            "quantity": "0.01",
        }
        return OrderRequest.model_validate(defaults | fields)

    async def place(self, **fields: Any) -> OrderSnapshot:
        """Submit; the verdict."""
        return await self.orders.submit(self.request(**fields))

    async def rest(self, **fields: Any) -> OrderSnapshot:
        """A limit buy inside the spread unless changed, once it is open at the exchange."""
        placed = await self.place(**{"order_type": "limit", "price": INSIDE} | fields)
        await until(lambda: any(order.is_open for order in self.at_exchange(placed)))
        return placed

    async def finish(self, order: OrderSnapshot, within_s: float = END_WITHIN_S) -> OrderSnapshot:
        """The order's end; a server that is away meanwhile is waited for."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await self.orders.result(order.order_id)
                except Unavailable:
                    await asyncio.sleep(POLL_S)

    def at_exchange(self, order: OrderSnapshot) -> list[Any]:
        """The exchange's orders that bear an id of this order's children."""
        return [
            judged
            for child in order.children
            for judged in self.log().orders_named(child.client_order_id)
        ]

    async def sell(self, quantity: str, price: Decimal = INSIDE, symbol: str = STILL) -> None:
        """The other account sells at `price` or better, at once or not at all."""
        await self.other.create_order(
            symbol, "limit", "sell", quantity, str(price), {"timeInForce": "IOC"}
        )

    async def history(self, order_id: str) -> WorkflowHistory:
        return await self.temporal.get_workflow_handle(order_id).fetch_history()


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Poll a condition, which may be a coroutine function, up to a deadline."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        await asyncio.sleep(POLL_S)


def free_ports(count: int) -> int:
    """The first of `count` neighbouring free ports.

    Below the ports that the system gives to outgoing connections: one of those could take a
    killed server's port before it comes back.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        if all(_is_free(first + n) for n in range(count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def settings_in(folder: Path) -> Settings:
    """One venue with two accounts, two workers, free ports, everything under `folder`."""
    tape = folder / "still.csv"
    tape.write_text(_STILL_TAPE)
    base = free_ports(7 + _WORKERS)
    names = ("POSTGRES_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "API_PORT", "PAPER_PORT")
    names += ("PAPER_CONTROL_PORT",)
    ports = {name: str(base + n) for n, name in enumerate(names)}
    return load_settings(
        {
            "DELTA_HOME": str(folder / "delta"),
            "EXCHANGES": VENUE,
            "EXCHANGE_BINANCE_HEDGE_API_KEY": HEDGE_KEY,
            "EXCHANGE_BINANCE_HEDGE_SECRET": HEDGE_SECRET,
            "REPLAY_TRADES": str(tape),
            "WORKER_COUNT": str(_WORKERS),
            "METRICS_PORT": str(base + len(names)),
            "EXEC_FAILPOINTS": f"@{folder / FAILPOINTS}",
            **ports,
            **FIGURES,
        }
    )


@asynccontextmanager
async def open_world(
    folder: Path, *, kinds: Collection[str] = ALL_KINDS, bound: RestartBound | None = None
) -> AsyncIterator[World]:
    """Start everything, wait until both accounts may trade, and leave nothing behind.

    Without workers among `kinds` it is the caller who waits. `bound`: how often a part may die.
    """
    settings = settings_in(folder)
    try:
        async with AsyncExitStack() as opened:
            stack = await opened.enter_async_context(LocalStack(settings, kinds=kinds, bound=bound))
            database = open_engine(settings.dsn())
            opened.push_async_callback(database.dispose)
            keys = settings.home.venue_secrets(VENUE, MAIN)
            assert keys is not None
            hand = await _trader(opened, stack, *(key.get_secret_value() for key in keys))
            other = await _trader(opened, stack, HEDGE_KEY, HEDGE_SECRET)
            temporal = await connect(settings)
            control_port = settings.paper_control_port_of(VENUE)
            faults = ControlClient(f"http://127.0.0.1:{control_port}")
            opened.push_async_callback(faults.aclose)
            world = World(stack, DeltaClient(temporal), temporal, database, hand, other, faults)
            if "worker" in kinds:
                await until(lambda: all_ready(world), within_s=30)
            yield world
    finally:
        delete_data(settings)


async def _trader(opened: AsyncExitStack, stack: LocalStack, key: str, secret: str) -> Any:
    url = stack.paper_url(VENUE)
    assert url is not None
    client, session = ccxt_client(VENUE, url, key, secret)
    opened.push_async_callback(session.close)
    opened.push_async_callback(client.close)
    await client.load_markets()
    return client


async def all_ready(world: World) -> bool:
    """True once the ledger has both accounts ready to trade."""
    ready = {view.account for view in await world.views.readiness() if view.ready}
    return ready == {MAIN, HEDGE}
