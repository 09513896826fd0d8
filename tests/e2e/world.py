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
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
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
from activities.venues.simulator.judge import VenueLog
from starters.client import DeltaClient, OutcomeUnknown, Unavailable
from tests.api_client import UNLIMITED
from tests.contract.paper_venue import ccxt_client
from tests.e2e.live_log import LiveLog
from workers.connection import connect
from workers.local_stack import LocalStack, delete_data
from workers.settings import Settings, load_settings
from workers.stack_parts import ENGINE_KINDS
from workers.supervisor import RestartBound
from workers.venue_settings import PASSPHRASE_VENUES
from workflows.messages import OrderRequest, OrderSnapshot

VENUE, MAIN, HEDGE = "binance", "main", "hedge"
OKX = "okx"
HEDGE_KEY, HEDGE_SECRET, HEDGE_PASSPHRASE = "key-of-hedge", "secret-of-hedge", "phrase-of-hedge"
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
    "TRADES_EVERY_S": "3",
    "SYNC_EVERY_S": "86400",  # who wants a comparison asks for it: its requests meet faults too
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
    """The first exchange's control port: what shall go wrong there."""
    made: int = field(default=0)
    controls: Mapping[str, ControlClient] = field(default_factory=dict)
    """The control port of each exchange."""
    logs: dict[str, LiveLog] = field(default_factory=dict)

    @property
    def views(self) -> LedgerViews:
        return LedgerViews(self.database)

    def log(self, venue: str = VENUE) -> VenueLog:
        """The exchange's own log, as it is now."""
        if venue not in self.logs:
            self.logs[venue] = LiveLog(self.stack.paper_journal(venue))
        return self.logs[venue].now()

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
        """Submit; the verdict. Where a busy machine was late with it, ask again under the id."""
        request = self.request(**fields)
        try:
            return await self.orders.submit(request)
        except OutcomeUnknown:
            return await self.orders.submit(request)

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


def settings_in(
    folder: Path, venues: Sequence[str] = (VENUE,), changes: Mapping[str, str] | None = None
) -> Settings:
    """Venues with two accounts each, two workers, free ports, everything under `folder`."""
    tape = folder / "still.csv"
    tape.write_text(_STILL_TAPE)
    several = len(venues)
    names = ["POSTGRES_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "API_PORT"]
    widths = {"PAPER_PORT": several, "PAPER_CONTROL_PORT": several, "METRICS_PORT": _WORKERS}
    port = free_ports(len(names) + sum(widths.values()))
    ports = {}
    for name in (*names, *widths):
        ports[name] = str(port)
        port += widths.get(name, 1)
    hedge: dict[str, str] = {}
    for venue in venues:
        prefix = f"EXCHANGE_{venue.upper()}_{HEDGE.upper()}"
        hedge |= {f"{prefix}_API_KEY": HEDGE_KEY, f"{prefix}_SECRET": HEDGE_SECRET}
        if venue in PASSPHRASE_VENUES:
            hedge[f"{prefix}_PASSPHRASE"] = HEDGE_PASSPHRASE
    return load_settings(
        {
            "DELTA_HOME": str(folder / "delta"),
            "EXCHANGES": ",".join(venues),
            "REPLAY_TRADES": str(tape),
            "WORKER_COUNT": str(_WORKERS),
            "EXEC_FAILPOINTS": f"@{folder / FAILPOINTS}",
            **hedge,
            **ports,
            **UNLIMITED,
            **FIGURES,
            **(changes or {}),
        }
    )


@asynccontextmanager
async def open_world(
    folder: Path,
    *,
    kinds: Collection[str] = ENGINE_KINDS,
    bound: RestartBound | None = None,
    venues: Sequence[str] = (VENUE,),
    changes: Mapping[str, str] | None = None,
) -> AsyncIterator[World]:
    """Start everything, wait until all accounts may trade, and leave nothing behind.

    Without workers among `kinds` it is the caller who waits. `bound`: how often a part may die.
    `changes` are settings that differ from the usual ones.
    """
    settings = settings_in(folder, venues, changes)
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
            controls = {venue: _control(opened, settings, venue) for venue in venues}
            faults = controls[VENUE]
            world = World(stack, DeltaClient(temporal), temporal, database, hand, other, faults)
            world.controls = controls
            if "worker" in kinds:
                await until(lambda: all_ready(world), within_s=30)
            yield world
    finally:
        delete_data(settings)


def _control(opened: AsyncExitStack, settings: Settings, venue: str) -> ControlClient:
    client = ControlClient(f"http://127.0.0.1:{settings.paper_control_port_of(venue)}")
    opened.push_async_callback(client.aclose)
    return client


async def _trader(opened: AsyncExitStack, stack: LocalStack, key: str, secret: str) -> Any:
    url = stack.paper_url(VENUE)
    assert url is not None
    client, session = ccxt_client(VENUE, url, key, secret)
    opened.push_async_callback(session.close)
    opened.push_async_callback(client.close)
    await client.load_markets()
    return client


async def all_ready(world: World) -> bool:
    """True once the ledger has all accounts ready to trade."""
    ready = {(view.exchange, view.account) for view in await world.views.readiness() if view.ready}
    return ready == {(venue, name) for venue in world.controls for name in (MAIN, HEDGE)}
