"""What the proofs of icebergs, triggers and steered orders share: a market that a test drives.

Rule: a driven symbol moves by public trades of the test alone, so it can say at which price an
order fires, and wait until the engine has seen a price instead of hoping that it has. What an
order did is judged by the exchange's own log; a native pair counts as the one child that it is.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx

from activities.ledger.watch_store import WatchStore
from activities.venues.simulator.journal import read_records
from activities.venues.simulator.judge import JudgedOrder, JudgedTrade, VenueLog
from starters.client import Unavailable
from tests.api_client import open_client
from tests.e2e.proof import assert_ledger_is_exchange, assert_tasks_never_failed
from tests.e2e.world import POLL_S, VENUE, World, until
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_views import StopProgress

ENDS_WITHIN_S = 60.0
SEEN_WITHIN_S = 30.0
LEGS = ("", "a", "b")
"""A child of ours is one order at the exchange, or the two legs of a native pair."""
_OPEN = ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True)
class DrivenMarket:
    """One symbol whose price is where the test put it last."""

    world: World
    symbol: str
    price: Decimal | str

    async def to(self, price: Decimal | str) -> None:
        """One public trade at exactly this price; quotes stand one tick beside it."""
        self.price = price
        await self.world.faults.act("trade", symbol=self.symbol, price=price)

    async def again(self, quantity: Decimal) -> None:
        """Others trade so much at the price of now."""
        price = self.price
        await self.world.faults.act("trade", symbol=self.symbol, price=price, quantity=quantity)

    async def walk(self, prices: Iterable[Decimal | str]) -> None:
        """Trade by trade."""
        for price in prices:
            await self.to(price)

    async def newest_ms(self) -> int:
        """When the newest public trade was, by the exchange's clock."""
        trades = await self.world.other.fetch_trades(self.symbol)
        return int(max(trade["timestamp"] for trade in trades))

    async def is_seen(self) -> None:
        """Return when whoever follows the symbol has shown its triggers the newest price.

        At once where none is armed: then nobody keeps account.
        """
        store, newest_ms = WatchStore(self.world.database), await self.newest_ms()

        async def has_seen() -> bool:
            is_seen = (await store.seen_until(VENUE, self.symbol) or 0) >= newest_ms
            return is_seen or not await store.armed_watches(VENUE, self.symbol)

        await until(has_seen, SEEN_WITHIN_S)


@asynccontextmanager
async def driven(world: World, symbol: str, price: Decimal | str) -> AsyncIterator[DrivenMarket]:
    """Take a symbol's market over, beginning at this price; it moves by itself again at the end."""
    await world.faults.act("freeze_market", symbol=symbol)
    market = DrivenMarket(world, symbol, price)
    try:
        await market.to(price)
        yield market
    finally:
        await world.faults.act("thaw_market", symbol=symbol)


class Placed:
    """An order of ours, by the ids that are known before it starts."""

    def __init__(self, world: World, **fields: Any) -> None:
        self.world = world
        self.request: OrderRequest = world.request(**fields)
        assert self.request.order_id is not None
        self.order_id = self.request.order_id

    def __str__(self) -> str:
        return f"{self.request.order_type} {self.request.side} {self.order_id}"

    def child(self, index: int = 0) -> str:
        """The id of one of its children."""
        return client_order_id(self.order_id, index)

    async def submit(self) -> "Placed":
        """Start it; it is accepted."""
        placed = await self.world.orders.submit(self.request)
        assert placed.code is None, f"{self}: {placed.code}: {placed.reason}"
        return self

    async def post(self) -> "Placed":
        """As `submit`, over HTTP."""
        body = self.request.model_dump(mode="json", exclude_none=True)
        async with http(self.world) as api:
            answer = await api.post("/api/v1/orders", json=body)
        assert answer.status_code == httpx.codes.CREATED, f"{self}: {answer.text}"
        return self

    async def now(self) -> OrderSnapshot:
        """What its workflow says; workers that are away meanwhile are waited for."""
        return await told_by_workflow(self.world, self.order_id)

    async def stop(self) -> StopProgress:
        """Where its trigger is, as its workflow says."""
        told = (await self.now()).stop
        assert told is not None
        return told

    async def is_guarding(self) -> None:
        """Return when its trigger is armed, at the venue or in the engine."""

        async def is_armed() -> bool:
            told = await self.now()
            assert not told.status.is_terminal, f"{self}: {told.status} {told.reason}"
            armed = told.stop is not None and told.stop.phase == "armed" and told.stop.is_protected
            return armed and told.status is OrderStatus.WAITING_PRICE

        await until(is_armed, SEEN_WITHIN_S)

    async def rests(self, index: int = 0) -> JudgedOrder:
        """Return when this child is open in the exchange's book."""
        found: list[JudgedOrder] = []

        def is_open() -> bool:
            judged = orders_of(self.world.log(), self.child(index))
            found[:] = [each for each in judged if each.is_open]
            return bool(found)

        await until(is_open, SEEN_WITHIN_S)
        return found[0]

    async def fill(self, index: int = 0, quantity: Decimal | str | None = None) -> None:
        """The market trades with this resting child, wholly unless a quantity is given."""
        child = self.child(index)
        await self.world.faults.act("fill", client_order_id=child, quantity=quantity)

    async def ends(self, status: OrderStatus = OrderStatus.FILLED) -> OrderSnapshot:
        """Its end, which must be this one, told by everybody alike; its books are true."""
        known = OrderSnapshot(order_id=self.order_id, status=OrderStatus.WORKING)
        try:
            done = await self.world.finish(known, ENDS_WITHIN_S)
        except TimeoutError:
            raise AssertionError(f"{self} does not end: {await self.now()}") from None
        assert done.status is status, f"{self}: {done.status} {done.reason}"
        if status is OrderStatus.FILLED:
            assert done.filled_quantity == self.request.quantity, str(self)
        await assert_told_alike(self.world, done)
        await assert_tasks_never_failed(self.world, self.order_id)
        return done


async def told_by_workflow(world: World, order_id: str) -> OrderSnapshot:
    """The order as its workflow has it."""
    async with asyncio.timeout(SEEN_WITHIN_S):
        while True:
            try:
                return await world.orders.progress(order_id)
            except Unavailable:
                await asyncio.sleep(POLL_S)


async def assert_told_alike(world: World, told: OrderSnapshot) -> None:
    """The workflow, the ledger and the HTTP API say the same of an order that stands still."""
    query = await told_by_workflow(world, told.order_id)
    stored = await world.views.order(told.order_id)
    async with http(world) as api:
        answer = await api.get(f"/api/v1/orders/{told.order_id}")
    assert answer.status_code == httpx.codes.OK, answer.text
    shown = answer.json()
    assert stored is not None
    assert {query.status, stored.status, OrderStatus(shown["status"])} == {told.status}
    filled = {query.filled_quantity, stored.filled_quantity, Decimal(shown["filled_quantity"])}
    assert filled == {told.filled_quantity}


def http(world: World) -> httpx.AsyncClient:
    """A caller of the engine's API."""
    return open_client(world.stack.settings, timeout=30)


def orders_of(log: VenueLog, child: str) -> list[JudgedOrder]:
    """What the exchange has of one child: one order, or the legs of a pair."""
    return [order for leg in LEGS for order in log.orders_named(child + leg)]


def trades_of(log: VenueLog, child: str) -> list[JudgedTrade]:
    """What of a child was traded."""
    return [trade for leg in LEGS for trade in log.trades_named(child + leg)]


async def assert_orders_are_true(world: World, orders: Iterable[OrderSnapshot]) -> None:
    """Ledger, exchange and the tellings of these ended orders are one, and nothing overlapped."""
    await assert_ledger_is_exchange(world)
    log, lives = world.log(), lives_of(world)
    for order in orders:
        await _assert_executed(world, order, log)
        assert_one_at_a_time(order, lives)


async def _assert_executed(world: World, order: OrderSnapshot, log: VenueLog) -> None:
    total, fees = Decimal(0), defaultdict[str, Decimal](Decimal)
    for child in order.children:
        found, trades = orders_of(log, child.client_order_id), trades_of(log, child.client_order_id)
        assert len(found) <= 1 or {each.list_id for each in found} != {-1}, child
        assert not any(each.is_open for each in found), child
        executed = sum((each.quantity for each in trades), Decimal(0))
        assert child.filled_quantity == executed <= child.quantity, child
        assert executed == sum((each.executed for each in found), Decimal(0)), child
        total += executed
        for trade in trades:
            fees[trade.fee_asset] += trade.fee
    assert order.children_total == len(order.children)
    assert order.quantity is not None
    assert order.filled_quantity == total <= order.quantity
    assert {asset: fee for asset, fee in order.fees.items() if fee} == dict(fees)
    fills = await world.views.fills(order.order_id)
    assert sum((fill.quantity for fill in fills), Decimal(0)) == total


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """When an order was live at the exchange, in lines of its journal; `end` None: it still is."""

    begin: int
    end: int | None


def lives_of(world: World) -> dict[str, list[Life]]:
    """The lives of all orders at the exchange by client order id, in the order of the journal."""
    begun: dict[int, int] = {}
    ended: dict[int, int] = {}
    named: dict[int, str] = {}
    for line, record in enumerate(read_records(world.stack.paper_journal(VENUE))):
        if record["kind"] == "order":
            begun[record["order_id"]] = line
            named[record["order_id"]] = record["client_order_id"]
        elif record["kind"] == "order_update" and record["status"] not in _OPEN:
            ended.setdefault(record["order_id"], line)
    lives: dict[str, list[Life]] = defaultdict(list)
    for order_id, name in named.items():
        lives[name].append(Life(begin=begun[order_id], end=ended.get(order_id)))
    return lives


def assert_one_at_a_time(order: OrderSnapshot, lives: dict[str, list[Life]]) -> None:
    """No two children of one order were ever live at the exchange together."""
    spans: list[Life] = []
    for child in order.children:
        own = [life for leg in LEGS for life in lives.get(child.client_order_id + leg, [])]
        if own:
            ends = [life.end for life in own if life.end is not None]
            assert len(ends) == len(own), f"{child.client_order_id} is live at the end"
            spans.append(Life(begin=min(life.begin for life in own), end=max(ends)))
    spans.sort(key=lambda life: life.begin)
    for one, other in pairwise(spans):
        assert one.end is not None
        assert one.end < other.begin, f"{order.order_id}: two of its children were live together"


async def submit_all(orders: Iterable[Placed]) -> None:
    """Start them by client and HTTP in turn, one by one: verdicts have to come in time."""
    for number, order in enumerate(orders):
        await (order.post() if number % 2 else order.submit())


async def end_all(*orders: Placed, status: OrderStatus = OrderStatus.FILLED) -> list[OrderSnapshot]:
    """All end so, and all books are true."""
    done = await asyncio.gather(*(order.ends(status) for order in orders))
    await assert_orders_are_true(orders[0].world, done)
    return list(done)


def follower_id(symbol: str) -> str:
    """The workflow that follows a symbol's prices."""
    return names.price_watch_id(VENUE, symbol)
