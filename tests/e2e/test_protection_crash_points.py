"""Workers die under orders that protect or hide: each goes on, fires once, and trades once.

The first test kills every worker at one moment, with requests under way and prices that pass
through triggers while nobody watches. The second kills a worker at each point between a trigger
and the end of its exit. The third is K19: an order that is moved is sent anew only when the old
one is confirmed dead. The exchange's journal is the judge: no two children of an order were ever
live together.

CRASH_SEED chooses the side; CRASH_ALL=1 runs both, and two more points.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psutil
import pytest
import pytest_asyncio
from sqlalchemy import select

from activities.ledger.watch_models import PriceWatch
from starters.client import DeltaError
from tests.e2e.crash_world import (
    ALL,
    LIMITS,
    Case,
    Processes,
    all_healthy,
    armed,
    can_begin,
    cases,
    passages,
    workers,
)
from tests.e2e.order_types_world import (
    DrivenMarket,
    Placed,
    assert_orders_are_true,
    driven,
    orders_of,
    submit_all,
)
from tests.e2e.world import BEST_BID, MOVING, STILL, World, until
from workflows.domain.triggers import Flag
from workflows.messages import OrderSnapshot
from workflows.ports import WatchStatus
from workflows.steering_messages import AmendRequest

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

BEGIN, ETHER = BEST_BID, Decimal(2_500)
PROFIT = 1_050
"""Where the resting leg of a pair is; a trade with it is the market's best price."""
TRAIL_BPS = 100
STANDS = (WatchStatus.ARMED.value, WatchStatus.FIRED.value)
LOOK_EVERY_S = 0.3
CHILDREN = 4
"""Most children that an order has here."""
KILLED_WITHIN_S = 60.0
NO_SUCH_ORDER = -2011


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _whole_engine(world: World):
    """A row begins with an engine that can trade and leaves one that is whole."""
    await can_begin(world)
    yield
    await world.faults.clear()
    await all_healthy(world)


@dataclass(frozen=True, slots=True)
class Mirror:
    """One story for both sides: `away` is the way that hurts a position, `gain` the other one."""

    side: str

    @property
    def sign(self) -> int:
        return -1 if self.side == "sell" else 1

    def away(self, distance: int, begin: Decimal = BEGIN) -> Decimal:
        """Below the beginning for a sell, above it for a buy."""
        return begin + self.sign * distance

    def gain(self, distance: int, begin: Decimal = BEGIN) -> Decimal:
        return self.away(-distance, begin)

    def trigger_of(self, extreme: Decimal) -> Decimal:
        """Where the trailing order fires that has followed to this price."""
        return extreme * (10_000 + self.sign * TRAIL_BPS) / 10_000


# --- all workers die ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("protection outage", among=LIMITS), ids=str)
async def test_what_happened_while_all_workers_were_dead_is_acted_on_once(world: World, case: Case):
    way = Mirror(case.side)
    orders = Outage(world, way)
    async with (
        driven(world, STILL, BEGIN) as market,
        driven(world, MOVING, ETHER) as ether,
        watched(world, orders.stops) as breaches,
    ):
        await submit_all((*orders.stops, orders.pegged))
        await asyncio.gather(*(order.is_guarding() for order in orders.stops))
        await asyncio.gather(orders.pegged.rests(), orders.pair.rests())
        await orders.kill_all_in_mid_call(ether)
        await market.walk((way.away(100), BEGIN, way.gain(1_000), way.gain(700)))
        await orders.pair.fill(quantity="0.004")
        await world.faults.release()
        await orders.assert_who_fired()
        await orders.finish_what_rests(ether)
        await market.to(way.trigger_of(way.gain(PROFIT)))
        trailed = await orders.trailing.ends()
        assert trailed.stop is not None
        assert trailed.stop.extreme == way.gain(PROFIT), "the path of the outage counts"
        assert (await orders.untouched.stop()).phase == "armed"
        await market.to(way.away(300))
        done = [await order.ends() for order in orders.everything]
    await assert_orders_are_true(world, done)
    assert not breaches, breaches


class Outage:
    """The orders that are under way when all workers die."""

    def __init__(self, world: World, way: Mirror) -> None:
        self._world, self._way = world, way
        self.untouched = self._stop("stop_loss", stop_price=way.away(300))
        self.gapped = self._stop("stop_loss", stop_price=way.away(100))
        self.trailing = self._stop("trailing_stop", trailing_delta_bps=TRAIL_BPS)
        self.pair = self._stop("oco", oco_limit_price=way.gain(PROFIT), stop_price=way.away(100))
        self.native = self._stop(
            "stop_loss", stop_price=way.away(100), placement="native", trigger_source=None
        )
        self.stops = (self.untouched, self.gapped, self.trailing, self.pair, self.native)
        tips = {"order_type": "iceberg", "side": way.side, "placement": "engine"}
        self.tip = Placed(
            world,
            **tips,
            quantity="0.02",
            iceberg_display="0.012",
            price=way.gain(PROFIT - 10),
        )
        self.pegged = Placed(
            world,
            **tips,
            symbol=MOVING,
            quantity="0.2",
            iceberg_display="0.12",
            price=way.away(40, ETHER),
            peg_offset="1",
            reprice_interval_s="0.1",
        )
        self.everything = (*self.stops, self.tip, self.pegged)

    def _stop(self, kind: str, **fields: Any) -> Placed:
        engine = {"placement": "engine", "trigger_source": "last"}
        terms = {"order_type": kind, "side": self._way.side, "quantity": "0.01"}
        return Placed(self._world, **terms | engine | fields)

    async def kill_all_in_mid_call(self, ether: DrivenMarket) -> None:
        """SIGKILL, while a cancel and a tip are done at the exchange and nobody knows it."""
        faults, processes = self._world.faults, Processes(self._world)
        cancel = await faults.add(
            "hold_after",
            method="DELETE",
            path="/order",
            client_order_id=self.pegged.child(),
            times=0,
        )
        sent = await faults.add(
            "hold_after", method="POST", path="/order", client_order_id=self.tip.child()
        )
        await ether.to(self._way.away(5, ETHER))
        await faults.held(cancel)
        await self.tip.submit()
        await faults.held(sent)
        parts = [self._world.stack.parts[name].process for name in workers(self._world)]
        await asyncio.gather(*(processes.kill(part.pid) for part in parts if part is not None))
        await faults.remove(cancel)

    async def assert_who_fired(self) -> None:
        """The triggers that the price passed while nobody watched, late, and nobody else's."""
        for order in (self.gapped, self.pair, self.native):
            done = await order.ends()
            assert done.stop is not None
            if order is not self.native:
                assert done.stop.fired_price == self._way.away(100)
                assert Flag.LATE in done.stop.flags, done.stop
        paid = await self.pair.now()
        assert [child.filled_quantity for child in paid.children] == [
            Decimal("0.004"),
            Decimal("0.006"),
        ]
        for order in (self.untouched, self.trailing):
            told = await order.stop()
            assert told.phase == "armed", told

    async def finish_what_rests(self, ether: DrivenMarket) -> None:
        """The tip was adopted, the pegged order moved: each has one order at the exchange."""
        log = self._world.log()
        assert len(orders_of(log, self.tip.child())) == 1
        await self.tip.fill()
        await self.tip.rests(1)
        await self.tip.fill(1)
        judged = await self.pegged.rests(1)
        touch = Decimal(str(ether.price)) + self._way.sign * -Decimal("0.01")
        assert judged.price == touch - self._way.sign
        await self.pegged.fill(1)
        await self.pegged.rests(2)
        await self.pegged.fill(2)


# --- a worker dies at each point from the trigger to the end of the exit --------------------------


@pytest.mark.parametrize("case", cases("protection points", among=LIMITS), ids=str)
async def test_a_worker_that_dies_between_a_trigger_and_its_exit_costs_neither_or_two(
    world: World, case: Case
):
    way = Mirror(case.side)
    terms = {
        "side": way.side,
        "quantity": "0.01",
        "placement": "engine",
        "trigger_source": "last",
        "stop_price": way.away(100),
    }
    stops = [Placed(world, order_type="stop_loss", **terms) for _ in range(4)]
    profit = way.gain(PROFIT)
    pairs = [Placed(world, order_type="oco", oco_limit_price=profit, **terms) for _ in range(3)]
    pairs = pairs if ALL else pairs[:1]
    keys = [
        f"trigger.before_mark[{stops[0].order_id}]",
        f"trigger.after_mark[{stops[1].order_id}]",
        f"trigger.after_telling[{stops[2].order_id}]",
        f"submit.enter[{stops[3].child()}]",
        f"cancel.after_response[{pairs[0].child()}]",
    ]
    if ALL:
        keys += [
            f"cancel.before_send[{pairs[1].child()}]",
            f"submit.before_send[{pairs[2].child(1)}]",
        ]
    orders = (*stops, *pairs)
    async with driven(world, STILL, BEGIN) as market, watched(world, orders) as breaches:
        await submit_all(orders)
        await asyncio.gather(*(order.is_guarding() for order in orders))
        await asyncio.gather(*(pair.rests() for pair in pairs))
        async with AsyncExitStack() as points:
            points.enter_context(armed(world, *(f"{key}:kill" for key in keys)))
            await market.to(way.away(100))
            await asyncio.gather(*(_was_killed_at(world, key) for key in keys))
        done = [await order.ends() for order in orders]
    await assert_orders_are_true(world, done)
    for order in done:
        assert order.stop is not None
        assert order.stop.fired_price == way.away(100)
        exits = [child for child in order.children if child.filled_quantity]
        assert len(exits) == 1, "one exit, of everything"
    assert not breaches, breaches


async def _was_killed_at(world: World, key: str) -> None:
    """A process came to this point and is no more."""
    await until(lambda: passages(world, key), KILLED_WITHIN_S)
    pid = passages(world, key)[0].pid
    await until(lambda: not psutil.pid_exists(pid), KILLED_WITHIN_S)


# --- K19: the old one is dead before the new one is sent ------------------------------------------


@pytest.mark.parametrize("case", cases("K19", among=LIMITS), ids=str)
async def test_k19_what_a_lost_or_refused_cancel_left_is_known_before_the_new_order_is_sent(
    world: World, case: Case
):
    way, faults = Mirror(case.side), world.faults
    price, better = way.gain(2_000), way.gain(1_900)
    moved = lost, partly, gone, alive = [_limit(world, way, price) for _ in range(4)]
    await submit_all(moved)
    await asyncio.gather(*(order.rests() for order in moved))
    await faults.add("cancel_unacked", client_order_id=lost.child())
    await faults.add("fill_first", client_order_id=partly.child(), quantity="0.004")
    await faults.add("cancel_unacked", client_order_id=partly.child())
    await faults.add("fill_first", client_order_id=gone.child())
    refusing = await faults.add(
        "server_error", method="DELETE", client_order_id=alive.child(), times=2
    )
    amend = AmendRequest(price=better)
    answers = await asyncio.gather(
        *(world.orders.amend(order.order_id, amend) for order in moved),
        return_exceptions=True,
    )
    assert all(isinstance(each, OrderSnapshot | DeltaError) for each in answers), answers
    ended = await gone.ends()
    assert [child.filled_quantity for child in ended.children] == [gone.request.quantity]
    assert NO_SUCH_ORDER in _codes_of_cancels(world, gone)
    whole, rest_of_it = gone.request.quantity, Decimal("0.006")
    for order, rest in ((lost, whole), (partly, rest_of_it), (alive, whole)):
        judged = await order.rests(1)
        assert (judged.price, judged.quantity) == (better, rest)
        await order.fill(1)
    assert await faults.hits(refusing) == 2
    done = [await order.ends() for order in moved]
    await assert_orders_are_true(world, done)


def _limit(world: World, way: Mirror, price: Decimal) -> Placed:
    return Placed(world, order_type="limit", side=way.side, quantity="0.01", price=price)


def _codes_of_cancels(world: World, order: Placed) -> list[int]:
    log = world.log()
    ids = {str(judged.order_id) for judged in orders_of(log, order.child())}
    return [
        each.code
        for each in log.requests
        if each.method == "DELETE" and each.params.get("orderId") in ids
    ]


# --- who says that something protects -------------------------------------------------------------


@dataclass(slots=True)
class Breaches:
    """Orders that were called protected while nothing stood between them and the market."""

    world: World
    told: list[str] = field(default_factory=list)
    looks: int = 0

    async def look(self, order: Placed) -> None:
        """Ask, between two looks at what stands: it must have stood at one of them."""
        before = await self._stands(order)
        try:
            now = await self.world.orders.progress(order.order_id)
        except DeltaError:
            return  # nobody is there to ask
        self.looks += 1
        if now.stop is None or not now.stop.is_protected:
            return
        if not before and not await self._stands(order):
            self.told.append(f"{order}: {now.stop}")

    async def _stands(self, order: Placed) -> bool:
        """An armed or fired watch, an order that is open at the exchange, or nothing is left."""
        query = select(PriceWatch.watch_id).where(
            PriceWatch.order_id == order.order_id, PriceWatch.status.in_(STANDS)
        )
        async with self.world.database.connect() as connection:
            if (await connection.execute(query)).first() is not None:
                return True
        log = self.world.log()
        found = [each for n in range(CHILDREN) for each in orders_of(log, order.child(n))]
        left = order.request.quantity - sum(each.executed for each in found)
        return left <= 0 or any(each.is_open for each in found)


@asynccontextmanager
async def watched(world: World, orders: Iterable[Placed]) -> AsyncIterator[list[str]]:
    """Look at these orders all the time; what was wrong is in the list."""
    breaches, orders = Breaches(world), list(orders)

    async def keep_looking() -> None:
        while True:
            for order in orders:
                if await world.views.order(order.order_id) is not None:
                    await breaches.look(order)
            await asyncio.sleep(LOOK_EVERY_S)

    looking = asyncio.create_task(keep_looking())
    try:
        yield breaches.told
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert breaches.looks
