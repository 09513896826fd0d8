"""Every fault of an exchange against the whole engine: one order each, once, and its right end.

Single orders meet their faults all at once, aimed by client order id, on one engine; what hits a
whole venue comes after, one by one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

import ccxt
import pytest
import pytest_asyncio

from activities.venues.simulator.faults.client import ControlError
from activities.venues.simulator.judge import VenueLog
from starters.client import OutcomeUnknown, Unavailable
from tests.e2e.fault_cases import Case, cases
from tests.e2e.proof import assert_ledger_is_exchange, assert_one_order_per_child, story_of
from tests.e2e.world import POLL_S, STILL, World, until
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderSnapshot

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

AT_ONCE = 12
END_WITHIN_S = 60.0
MISS_AFTER_S = 2.0
TRIES = 6
CASES = {case.id: case for case in cases()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an order ended, how often its rules acted, and what the exchange then knew."""

    order: OrderSnapshot
    hits: dict[str, int]
    log: VenueLog
    trades_booked: list[tuple[str, Decimal]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outcomes(
    world: World, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, Outcome | BaseException]]:
    """The cases that were selected, run side by side; a case that did not end is its exception."""
    running = asyncio.Semaphore(AT_ONCE)
    chosen = [name for name in CASES if any(f"[{name}]" in i.name for i in request.session.items)]

    async def one(case: Case) -> tuple[OrderSnapshot, dict[str, int]]:
        async with running:
            for _ in range(TRIES - 1):
                order, hits = await run_case(world, case)
                if all(hits.values()) or not case.row.may_miss:
                    return order, hits
            return await run_case(world, case)

    ended = await asyncio.gather(*(one(CASES[name]) for name in chosen), return_exceptions=True)
    await world.faults.clear()
    await assert_ledger_is_exchange(world)
    log = world.log()
    found: dict[str, Outcome | BaseException] = {}
    for name, end in zip(chosen, ended, strict=True):
        found[name] = end if isinstance(end, BaseException) else await judged(world, *end, log)
    yield found


async def judged(
    world: World, order: OrderSnapshot, hits: dict[str, int], log: VenueLog
) -> Outcome:
    fills = await world.views.fills(order.order_id)
    booked = sorted((fill.trade_id, fill.quantity) for fill in fills)
    return Outcome(order=order, hits=hits, log=log, trades_booked=booked)


async def run_case(world: World, case: Case) -> tuple[OrderSnapshot, dict[str, int]]:
    """Aim the faults at an order that is not there yet, and take the order to its end."""
    request = world.request(**case.fields())
    aimed_at = client_order_id(request.order_id, 0)
    rules = {
        f"{number}:{aim.fault}": await world.faults.add(
            aim.fault, client_order_id=aimed_at, **aim.at, **aim.options
        )
        for number, aim in enumerate(case.aims)
    }
    placed = await patiently(lambda: world.orders.submit(request))
    if case.row.cancels:
        await until(lambda: is_resting(world, aimed_at), END_WITHIN_S)
        await patiently(lambda: world.orders.cancel(placed.order_id))
    elif case.order_type == "limit" and case.row.end is OrderStatus.FILLED:
        await have_acted(world, rules, case)
        await fill(world, aimed_at)
    try:
        done = await world.finish(placed, END_WITHIN_S)
    except TimeoutError:
        story = await story_of(world, placed.order_id)
        raise AssertionError(f"{placed.order_id} did not end\n{story}") from None
    hits = {rule.id: rule.hit for rule in await world.faults.rules()}
    return done, {name: hits[rule] for name, rule in rules.items()}


async def patiently(call: Callable[[], Awaitable[OrderSnapshot]]) -> OrderSnapshot:
    """A call that may be repeated, until the server has the time for it."""
    async with asyncio.timeout(END_WITHIN_S):
        while True:
            try:
                return await call()
            except (Unavailable, OutcomeUnknown):
                await asyncio.sleep(POLL_S)


async def is_resting(world: World, client_order_id: str) -> bool:
    try:
        found = await world.hand.fetch_order(None, STILL, {"clientOrderId": client_order_id})
    except ccxt.OrderNotFound:
        return False
    return found["status"] == "open"


async def have_acted(world: World, rules: dict[str, int], case: Case) -> None:
    """Wait until every rule has met the order; where one may miss it, not for long."""

    async def all_have() -> bool:
        acted = {rule.id for rule in await world.faults.rules() if rule.hit}
        return acted >= set(rules.values())

    with contextlib.suppress(AssertionError) if case.row.may_miss else contextlib.nullcontext():
        await until(all_have, MISS_AFTER_S if case.row.may_miss else END_WITHIN_S)


async def fill(world: World, client_order_id: str, quantity: str | None = None) -> None:
    """Let the market trade with an order, all of it by default, as soon as it is in the book."""
    options = {"client_order_id": client_order_id, "quantity": quantity}
    async with asyncio.timeout(END_WITHIN_S):
        while True:
            try:
                await world.faults.act("fill", **options)
            except ControlError:
                await asyncio.sleep(POLL_S)
            else:
                return


@pytest.mark.parametrize("name", CASES)
async def test_an_order_that_meets_a_fault_is_one_order_with_its_right_end(
    world: World, outcomes: dict[str, Outcome | BaseException], name: str
):
    outcome = outcomes[name]
    if isinstance(outcome, BaseException):
        raise outcome
    row, order = CASES[name].row, outcome.order
    assert all(hits >= 1 for hits in outcome.hits.values()), outcome.hits
    assert order.status is row.end, f"{order.reason}\n{await story_of(world, order.order_id)}"
    assert order.filled_quantity == (row.quantity if row.filled is None else row.filled)
    assert_one_order_per_child(world, order, outcome.log)
    trades = [
        (str(trade.trade_id), trade.quantity)
        for child in order.children
        for trade in outcome.log.trades_named(child.client_order_id)
    ]
    assert outcome.trades_booked == sorted(trades)
