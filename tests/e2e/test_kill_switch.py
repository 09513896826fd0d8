"""The kill switch with real processes: what leaves after it, what it takes back, who goes on.

Judged by the exchanges' own logs. Two hundred orders rest at two exchanges while others keep being
sent; then `halt` is said on the command line, once with everything at work and once with Temporal
frozen. In between all of them go on, by re-arm and their own resume.
"""

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from starters.client import DeltaClient
from starters.errors import DeltaError, OutcomeUnknown
from tests.e2e.arbitrage_world import BTC, BUY_VENUE, SELL_VENUE, Pair, assert_books_agree
from tests.e2e.pair_stack import pair
from tests.e2e.world import MAIN, until
from tests.integration.starters_stack import cli
from workers import emergency
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.domain.scopes import Scope, ScopeKind
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.steering_messages import SteerRequest

__all__ = ["pair"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

GLOBAL = Scope(kind=ScopeKind.GLOBAL)
VENUES = (BUY_VENUE, SELL_VENUE)
EACH = 100 if os.environ.get("ALL_HALTS") else 30
FAR_BELOW = Decimal(45_000)
AT_ONCE = 8
WITHIN_S = 60.0
BLOCKED_WITHIN_MS, CANCELLED_WITHIN_MS = 1_000, 5_000


class Crowd:
    """Orders that rest far from the market, and others that are sent all the time."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.client: DeltaClient = pair.world.orders
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.ids = [
            f"crowd-{os.getpid()}-{venue}-{number}" for venue in VENUES for number in range(EACH)
        ]

    def request(self, order_id: str, **changes: Any) -> OrderRequest:
        fields = {
            "order_id": order_id,
            "strategy_id": order_id,
            "exchange": order_id.split("-")[2],
            "symbol": BTC.symbol,
            "side": "buy",
            "order_type": "limit",
            "quantity": "0.001",
            "price": FAR_BELOW,
            "timeout_s": 600,
        }
        return OrderRequest.model_validate(fields | changes)

    async def rest(self) -> None:
        """All rest at the exchanges."""
        self.ids = await asyncio.gather(*map(self._rest, self.ids))
        await until(lambda: _is(self.working, len(self.ids)), within_s=WITHIN_S)

    async def _rest(self, name: str) -> str:
        """One order that was accepted; its id. What a busy machine was too slow for is repeated."""
        numbers = itertools.count()
        while True:
            order_id = f"{name}-{next(numbers)}"
            placed = await self.submit(self.request(order_id))
            if placed.status is not OrderStatus.DENIED:
                return order_id
            assert placed.code is DenialCode.NOT_ACCEPTED_IN_TIME, placed

    async def submit(self, request: OrderRequest) -> OrderSnapshot:
        """The verdict; asking again for the same is safe."""
        async with self.gate:
            while True:
                with suppress(OutcomeUnknown):
                    return await self.client.submit(request)

    async def resume(self) -> None:
        async def one(order_id: str) -> None:
            async with self.gate:
                with suppress(DeltaError):  # those that take a little longer go on all the same
                    await self.client.resume(order_id, SteerRequest(requested_by="test"))

        await asyncio.gather(*map(one, self.ids))

    async def over(self, order_id: str) -> OrderSnapshot:
        """The order's end, which is asked for."""
        async with self.gate:
            with suppress(DeltaError):
                await self.client.cancel(order_id, "over")
            return await self.client.result(order_id)

    async def end(self) -> list[OrderSnapshot]:
        return await asyncio.gather(*map(self.over, self.ids))

    async def working(self) -> int:
        """How many rest, by the ledger."""
        query = "SELECT count(*) FROM child_orders WHERE venue_status = 'open' AND order_id LIKE $1"
        return int(await self._value(query))

    async def paused(self) -> int:
        query = "SELECT count(*) FROM parent_orders WHERE status = 'paused' AND order_id LIKE $1"
        return int(await self._value(query))

    async def _value(self, query: str) -> Any:
        async with self.pair.world.database.connect() as connection:
            rows = await connection.exec_driver_sql(query, (f"crowd-{os.getpid()}-%",))
            return rows.scalar_one()

    @asynccontextmanager
    async def others(self) -> AsyncIterator[None]:
        """Market orders at both exchanges, one after the other, whatever becomes of them."""
        over = asyncio.Event()
        tasks = [asyncio.create_task(self._send(venue, over)) for venue in VENUES]
        try:
            yield
        finally:
            over.set()
            await asyncio.wait(tasks)

    async def _send(self, venue: str, over: asyncio.Event) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            order_id = f"others-{os.getpid()}-{venue}-{number}"
            with suppress(DeltaError):
                await self.client.submit(
                    self.request(order_id, order_type="market", price=None, timeout_s=None)
                )


@contextmanager
def frozen(pair: Pair, part: str) -> Iterator[None]:
    """A process of the stack is stopped for as long as this lasts."""
    pid = pair.world.stack.parts[part].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def slowness() -> float:
    """Work that waits for each processor, at least one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def say(pair: Pair, *words: str) -> dict[str, Any]:
    """A command of the kill switch as a user types it; what it answered, with its exit code."""
    environ = pair.world.stack.settings.as_environ()
    code, out, err = await cli(environ, "trading-state", *words, "--json")
    assert code in (0, 1), err
    told: dict[str, Any] = json.loads(out)
    return told | {"exit_code": code}


def submits(pair: Pair, venue: str) -> list[int]:
    """When requests for an order of ours came, by the exchange."""
    return [
        each.ts_ms
        for each in pair.log(venue).requests
        if (each.method, each.account) == ("POST", MAIN) and each.path.endswith("/order")
    ]


def cancels(pair: Pair, venue: str) -> list[int]:
    return [
        each.ts_ms
        for each in pair.log(venue).requests
        if each.account == MAIN and (each.method == "DELETE" or each.path.endswith("/cancel-order"))
    ]


def judge(pair: Pair, crowd: Crowd, told: dict[str, Any], slowness: float) -> None:
    """Nothing was sent after the halt, all cancels were in time, all that is told is true.

    `slowness`: how many times as long everything takes on a machine that has too much to do.
    """
    set_at_ms = int(datetime.fromisoformat(told["set_at"]).timestamp() * 1000)
    assert (told["exit_code"], told["confirmed"], told["unproven"]) == (0, True, []), told
    for venue in VENUES:
        assert max(submits(pair, venue)) <= set_at_ms + BLOCKED_WITHIN_MS
        sent = [each for each in cancels(pair, venue) if each >= set_at_ms - 50]
        assert len(sent) >= EACH
        assert sorted(sent)[EACH - 1] <= set_at_ms + CANCELLED_WITHIN_MS * slowness
        log = pair.log(venue)
        assert not [each for each in log.orders.values() if each.account == MAIN and each.is_open]
        by_id = {str(each.order_id): each for each in log.orders.values()}
        mine = [each for each in told["orders"] if each["exchange"] == venue]
        assert len([each for each in mine if each["order_id"] in crowd.ids]) == EACH
        for each in mine:
            judged = by_id[each["exchange_order_id"]]
            assert Decimal(each["executed_quantity"]) == judged.executed


async def test_a_halt_stops_all_orders_and_they_go_on_only_when_they_are_asked_to(
    pair: Pair,
) -> None:
    crowd, settings = Crowd(pair), pair.world.stack.settings
    try:
        await crowd.rest()
        async with crowd.others():
            await asyncio.sleep(1)
            told = await say(pair, "halt", "--reason", "a test")
            await asyncio.sleep(1)
        judge(pair, crowd, told, slowness())
        await until(lambda: _is(crowd.paused, 2 * EACH), within_s=WITHIN_S)
        before = {venue: len(submits(pair, venue)) for venue in VENUES}
        await emergency.resume(settings, GLOBAL, "checked", "test")
        await asyncio.sleep(1)
        assert before == {venue: len(submits(pair, venue)) for venue in VENUES}
        await crowd.resume()
        await until(lambda: _is(crowd.working, 2 * EACH), within_s=WITHIN_S)
        with frozen(pair, "temporal"):
            told = await say(pair, "halt", "--reason", "again")
        judge(pair, crowd, told, slowness())
        await until(lambda: _is(crowd.paused, 2 * EACH), within_s=WITHIN_S)
        await emergency.resume(settings, GLOBAL, "checked", "test")
        ended = await crowd.end()
        assert {each.status for each in ended} == {OrderStatus.CANCELLED}
    finally:
        await emergency.resume(settings, GLOBAL, "the test is over", "test")
    await assert_books_agree(pair)


async def _is(count: Any, wanted: int) -> bool:
    return bool(await count() == wanted)


async def test_a_halt_finds_what_was_on_its_way_and_proves_what_never_arrived(pair: Pair) -> None:
    """A submission is held at the exchange: before its effect, after it, or for ever."""
    crowd, settings, control = Crowd(pair), pair.world.stack.settings, pair.control(BUY_VENUE)
    late, held, lost = (f"k20-{os.getpid()}-{BUY_VENUE}-{how}" for how in ("late", "held", "lost"))
    rules = {}
    for order_id, fault in ((late, "hold_before"), (held, "hold_after"), (lost, "drop_before")):
        child = client_order_id(order_id, 0)
        rules[order_id] = await control.add(fault, client_order_id=child, purpose="submit")
    scope = Scope(kind=ScopeKind.VENUE, venue=BUY_VENUE)
    placing = [asyncio.create_task(crowd.submit(crowd.request(each))) for each in rules]
    try:
        await asyncio.gather(*(control.held(rules[each]) for each in (late, held)))
        await until(lambda: _was_hit(pair, rules[lost]))
        halting = asyncio.create_task(
            emergency.halt(settings, scope, "a test", "test", within_s=Decimal(30))
        )
        await until(lambda: _is_halted(pair, scope))
        await control.release()
        report = await halting
        told = {each.order_id: each for each in report.orders}
        assert report.is_confirmed, report
        # what is not told was settled by its own workflow first
        ends = {late: "cancelled", held: "cancelled", lost: "absent"}
        assert {name: told[name].status for name in ends if name in told}.items() <= ends.items()
        assert pair.log(BUY_VENUE).orders_named(client_order_id(lost, 0)) == []
        assert not [
            each
            for each in pair.log(BUY_VENUE).orders.values()
            if each.account == MAIN and each.is_open
        ]
    finally:
        await pair.clear()
        await emergency.resume(settings, scope, "the test is over", "test")
        await asyncio.gather(*placing)
    ended = await asyncio.gather(*(crowd.over(each) for each in rules))
    assert {each.filled_quantity for each in ended} == {Decimal(0)}
    await assert_books_agree(pair)


async def _was_hit(pair: Pair, rule: int) -> bool:
    return await pair.control(BUY_VENUE).hits(rule) > 0


async def _is_halted(pair: Pair, scope: Scope) -> bool:
    states = await pair.world.views.trading_states()
    return any((each.scope, each.state) == (str(scope), "halted") for each in states)
