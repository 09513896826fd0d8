"""What all measures share: the engine as it runs in production, bare workers, and raw ccxt.

Rule: the protocol's figures are the production ones, nothing is scaled and nothing is replaced.
BTC/USDT stands still, so that every order meets the same market. The stack lives in a folder of
its own below DELTA_HOME's default, on free ports, and is gone at the end.

It must not know any measure.
"""

import asyncio
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.ledger.engine import open_engine
from activities.ledger.models import Attempt
from activities.ledger.views import LedgerViews
from activities.venues.simulator.faults.client import ControlClient
from activities.venues.simulator.judge import VenueLog, read_log
from starters.client import DeltaClient, OrderNotFound, OutcomeUnknown, Unavailable
from starters.demo_settings import empty_home, on_free_ports
from tests.api_client import UNLIMITED
from tests.bench import bare
from tests.contract.paper_venue import ccxt_client
from workers.connection import connect
from workers.local_stack import LocalStack, delete_data
from workers.settings import Settings, load_settings
from workers.stack_parts import CHECKOUT
from workers.supervisor import Part, Supervisor
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderRequest, OrderSnapshot

VENUE, OTHER = "binance", "okx"
SYMBOL = "BTC/USDT"
SYMBOLS = (SYMBOL, "ETH/USDT")
MAIN, HEDGE = "main", "hedge"
ACCOUNTS = (MAIN, HEDGE)
INSIDE = Decimal("50000.50")
"""Between the best bid and the best ask: an order here rests, alone at its price."""
WORKERS = 2
"""One per core of the machine that the targets are for."""
READY_WITHIN_S = 60.0
VERDICT_WITHIN_S = 120.0
"""Far more than an order needs: a loaded machine makes a measure bad, not impossible."""
POLL_S = 0.1
_HEDGE_KEY, _HEDGE_SECRET = "key-of-hedge", "secret-of-hedge"
_FOLDER = Path(".delta/bench")
_CONTROL_PORT = 8_191
_HEDGE_PASSPHRASE = "passphrase-of-hedge"
_STILL_TAPE = """exchange,symbol,timestamp,local_timestamp,id,side,price,amount
binance,BTCUSDT,1582329600000000,1582329600000000,1,buy,50000,0.000001
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """The best prices of one symbol at one exchange, which do not move."""

    bid: Decimal
    ask: Decimal


class BenchError(Exception):
    """A measure could not be taken: one line that says why."""


class DeniedError(BenchError):
    """An order was denied; `code` says why."""

    def __init__(self, order: OrderSnapshot) -> None:
        super().__init__(f"order {order.order_id} was denied: {order.code} {order.reason}")
        self.code = order.code


@dataclass(frozen=True, slots=True, kw_only=True)
class BareRun:
    """A bare workflow that was run; times in milliseconds since 1970."""

    workflow_id: str
    called_at: float
    begun_at: float

    @property
    def latency_ms(self) -> float:
        """Start call to the activity's begin, read in whole milliseconds as the exchange's log."""
        return math.floor(self.begun_at) - self.called_at


@dataclass
class Rig:
    """A running engine and everything that measures it."""

    stack: LocalStack
    bare_workers: Supervisor
    orders: DeltaClient
    temporal: Client
    database: AsyncEngine
    hand: Any
    """Plain ccxt on the account `hedge`."""
    other_hand: Any
    """The same at the other exchange."""
    control: dict[str, ControlClient]
    """The control port of each exchange."""
    touch: dict[tuple[str, str], Touch]
    """By exchange and symbol."""
    console: Console
    made: int = field(default=0)

    def request(self, **fields: Any) -> OrderRequest:
        """A market order of 0.001 BTC by one of a few strategies; buys and sells take turns."""
        self.made += 1
        defaults = {
            "order_id": f"bench-{os.getpid()}-{self.made}",
            "strategy_id": f"bench-{self.made % 8}",
            "exchange": VENUE,
            "symbol": SYMBOL,
            "side": "buy" if self.made // 8 % 2 else "sell",
            "order_type": "market",
            "quantity": "0.001",
        }
        return OrderRequest.model_validate(defaults | fields)

    async def place(self, request: OrderRequest) -> OrderSnapshot:
        """Submit; the verdict, also where a loaded machine gives it after the client's patience.

        Raises DeniedError.
        """
        assert request.order_id is not None, "made by `request`"
        try:
            placed = await self.orders.submit(request)
        except OutcomeUnknown:
            placed = await self.look_at(request.order_id)
        if placed.status is OrderStatus.DENIED:
            raise DeniedError(placed)
        return placed

    async def look_at(self, order_id: str) -> OrderSnapshot:
        """The order as it is now, once there is a verdict on it; silence is waited for.

        Raises BenchError when there is none for very long.
        """
        deadline = time.monotonic() + VERDICT_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(Unavailable, OrderNotFound):
                order = await self.orders.progress(order_id)
                if order.status is not OrderStatus.PENDING:
                    return order
            await asyncio.sleep(POLL_S)
        raise BenchError(f"order {order_id}: no verdict within {VERDICT_WITHIN_S:g} s")

    async def trade(self, request: OrderRequest) -> None:
        """Place an order and wait for its end. Raises BenchError unless it is filled."""
        placed = await self.place(request)
        done = await self.orders.result(placed.order_id)
        if done.status is not OrderStatus.FILLED:
            raise BenchError(f"order {done.order_id} is {done.status}: {done.reason}")

    def log(self, venue: str = VENUE) -> VenueLog:
        """The exchange's own log, as it is now."""
        return read_log(self.stack.paper_journal(venue))

    def arrivals_ms(self) -> dict[str, int]:
        """When each order arrived at its exchange, by client order id."""
        return {
            order.client_order_id: order.ts_ms
            for venue in (VENUE, OTHER)
            for order in self.log(venue).orders.values()
        }

    async def claims(self, client_order_ids: Iterable[str]) -> dict[str, datetime]:
        """When each child was first claimed, by client order id; those never claimed are left out.

        The claim is the last step before the first byte leaves.
        """
        query = (
            select(Attempt.client_order_id, func.min(Attempt.claimed_at))
            .where(
                Attempt.client_order_id.in_(list(client_order_ids)),
                Attempt.claimed_at.is_not(None),
            )
            .group_by(Attempt.client_order_id)
        )
        async with self.database.connect() as connection:
            rows = (await connection.execute(query)).tuples().all()
        return {child: at for child, at in rows if at is not None}

    async def bare_order(self) -> BareRun:
        """Run one bare workflow to its end."""
        self.made += 1
        name = f"bench-{os.getpid()}-bare-{self.made}"
        called_ns = time.time_ns()
        begun_ns = await self.temporal.execute_workflow(
            bare.BareOrder.run, id=name, task_queue=bare.QUEUE
        )
        return BareRun(workflow_id=name, called_at=called_ns / 1e6, begun_at=begun_ns / 1e6)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Any]:
        """Show a bar on stderr; yields a function to call at each step."""
        self.console.print(what)
        with Progress(console=self.console, transient=True) as shown:
            task = shown.add_task(what, total=total)
            yield lambda: shown.advance(task)


def bench_settings(tape: Path) -> Settings:
    """Production figures, two venues with two accounts each, two workers, free ports.

    The tape of trades is written to `tape`.
    """
    tape.write_text(_STILL_TAPE)
    settings = load_settings(
        {
            "DELTA_HOME": str(CHECKOUT / _FOLDER),
            "EXCHANGES": f"{VENUE},{OTHER}",
            "EXCHANGE_BINANCE_HEDGE_API_KEY": _HEDGE_KEY,
            "EXCHANGE_BINANCE_HEDGE_SECRET": _HEDGE_SECRET,
            "EXCHANGE_OKX_HEDGE_API_KEY": _HEDGE_KEY,
            "EXCHANGE_OKX_HEDGE_SECRET": _HEDGE_SECRET,
            "EXCHANGE_OKX_HEDGE_PASSPHRASE": _HEDGE_PASSPHRASE,
            "PAPER_CONTROL_PORT": str(_CONTROL_PORT),
            "REPLAY_TRADES": str(tape),
            "WORKER_COUNT": str(WORKERS),
            **UNLIMITED,
        }
    )
    return on_free_ports(settings)[0]


@asynccontextmanager
async def open_rig(console: Console) -> AsyncIterator[Rig]:
    """Start everything, wait until both accounts may trade, and leave nothing behind."""
    async with AsyncExitStack() as opened:
        folder = opened.enter_context(TemporaryDirectory(prefix="delta-bench-"))
        settings = bench_settings(Path(folder) / "still.csv")
        await empty_home(settings)
        opened.callback(delete_data, settings)
        console.print("starting the stack ...")
        stack = await opened.enter_async_context(LocalStack(settings))
        bare_workers = _bare_workers(settings)
        opened.push_async_callback(_stop, bare_workers)
        await bare_workers.start()
        database = open_engine(settings.owner_dsn())  # one measure makes a table of its own
        opened.push_async_callback(database.dispose)
        temporal = await connect(settings)
        hands = [await open_hand(opened, stack, venue) for venue in (VENUE, OTHER)]
        control = {venue: await _control_of(opened, settings, venue) for venue in (VENUE, OTHER)}
        await _until_ready(LedgerViews(database))
        yield Rig(
            stack=stack,
            bare_workers=bare_workers,
            orders=DeltaClient(temporal),
            temporal=temporal,
            database=database,
            hand=hands[0],
            other_hand=hands[1],
            control=control,
            touch=await _touches(dict(zip((VENUE, OTHER), hands, strict=True))),
            console=console,
        )


async def _control_of(opened: AsyncExitStack, settings: Settings, venue: str) -> ControlClient:
    port = settings.paper_control_port_of(venue)
    return await opened.enter_async_context(ControlClient(f"http://127.0.0.1:{port}"))


async def _touches(hands: dict[str, Any]) -> dict[tuple[str, str], Touch]:
    found = {}
    for venue, hand in hands.items():
        for symbol in SYMBOLS:
            book = await hand.fetch_order_book(symbol, 5)
            bid, ask = (Decimal(str(book[side][0][0])) for side in ("bids", "asks"))
            found[venue, symbol] = Touch(bid=bid, ask=ask)
    return found


async def open_hand(opened: AsyncExitStack, stack: LocalStack, venue: str = VENUE) -> Any:
    """The raw ccxt.pro class on the account `hedge`, its markets loaded."""
    url = stack.paper_url(venue)
    assert url is not None, "the stack runs the paper exchange"
    client, session = ccxt_client(venue, url, _HEDGE_KEY, _HEDGE_SECRET, _HEDGE_PASSPHRASE)
    opened.push_async_callback(session.close)
    opened.push_async_callback(client.close)
    await client.load_markets()
    return client


def _bare_workers(settings: Settings) -> Supervisor:
    """As many processes as the engine has workers, kept by the stack's own means."""
    arguments = (settings.temporal_target, settings.temporal_namespace)
    parts = [
        Part(
            name=f"bare-{number}",
            argv=(sys.executable, "-m", bare.__name__, *arguments),
            env=dict(os.environ),
            cwd=CHECKOUT,
        )
        for number in range(WORKERS)
    ]
    return Supervisor(parts, logs=settings.home.logs, run=settings.home.run)


async def _stop(supervisor: Supervisor) -> None:
    await asyncio.shield(supervisor.stop())


async def _until_ready(views: LedgerViews) -> None:
    """Wait until all accounts may trade. Raises BenchError."""
    deadline = time.monotonic() + READY_WITHIN_S
    wanted = {(venue, account) for venue in (VENUE, OTHER) for account in ACCOUNTS}
    while not wanted <= {(v.exchange, v.account) for v in await views.readiness() if v.ready}:
        if time.monotonic() > deadline:
            raise BenchError(f"the accounts were not ready to trade within {READY_WITHIN_S:g} s")
        await asyncio.sleep(POLL_S)
