"""Faults that hit a whole venue, one by one: its clock, its rules, its fees, its being away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.e2e.fault_cases import FAR
from tests.e2e.proof import assert_ledger_is_exchange, assert_order_is_true
from tests.e2e.test_faults import fill
from tests.e2e.world import MAIN, STILL, World, until
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderSnapshot

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

END_WITHIN_S = 60.0
HOUR_MS = 3_600_000


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def all_is_well_again(world: World) -> AsyncIterator[None]:
    """Each test leaves the venue as it should be."""
    yield
    await world.faults.clear()


async def one_of_each(world: World, **fields: object) -> list[OrderSnapshot]:
    """An order of every kind, each taken to its end; limit orders are filled.

    Market orders first: one that would meet the account's own resting limit order is denied.
    """

    async def one(kind: str, side: str) -> OrderSnapshot:
        price = {"price": FAR[side]} if kind == "limit" else {}
        request = world.request(order_type=kind, side=side, **price, **fields)
        placed = await world.orders.submit(request)
        if kind == "limit":
            await fill(world, client_order_id(request.order_id, 0))
        return await world.finish(placed, END_WITHIN_S)

    ended = []
    for kind in ("market", "limit"):
        ended += await asyncio.gather(*(one(kind, side) for side in ("buy", "sell")))
    return ended


async def assert_all_filled(world: World, orders: list[OrderSnapshot]) -> None:
    for order in orders:
        assert order.status is OrderStatus.FILLED, order.reason
    await assert_order_is_true(world, orders[0])
    for order in orders[1:]:
        [judged] = world.at_exchange(order)
        assert judged.executed == order.filled_quantity


@pytest.mark.parametrize("offset_ms", [-HOUR_MS, -1_000, 1_000, HOUR_MS])
async def test_a_venue_whose_clock_jumps_is_followed(world: World, offset_ms: int):
    await world.faults.act("clock", offset_ms=offset_ms)
    meanwhile = await one_of_each(world)
    await world.faults.act("clock", offset_ms=0)
    await assert_all_filled(world, meanwhile + await one_of_each(world))


async def test_fees_in_a_third_asset_are_booked_in_it(world: World):
    await world.faults.act("fee_asset", asset="ETH", rate="0.001")
    orders = await one_of_each(world)
    assert {asset for order in orders for asset, fee in order.fees.items() if fee} == {"ETH"}
    for order in orders:
        await assert_order_is_true(world, order)


async def test_a_halted_symbol_takes_no_order_and_gives_back_what_rests(world: World):
    resting = await world.rest(price=FAR["buy"])
    await world.faults.act("halt_symbol", symbol=STILL)
    refused = [await world.finish(await world.place(side=side)) for side in ("buy", "sell")]
    for order in refused:
        assert order.status in (OrderStatus.REJECTED, OrderStatus.DENIED), order
        assert world.at_exchange(order) == []
    cancelled = await world.orders.cancel(resting.order_id)
    assert cancelled.status is OrderStatus.CANCELLED
    await world.faults.act("resume_symbol", symbol=STILL)
    await until(lambda: trades_again(world), END_WITHIN_S)


async def trades_again(world: World) -> bool:
    return (await world.finish(await world.place())).status is OrderStatus.FILLED


async def test_rules_that_change_while_an_order_rests_hold_for_the_next_one(world: World):
    resting = await world.rest(price=Decimal("49900.01"))
    await world.faults.act("change_rules", symbol=STILL, tick="0.1", lot="0.001")
    ends: list[OrderStatus] = []

    async def is_denied() -> bool:
        placed = await world.place(order_type="limit", price=Decimal("49900.01"))
        ends.append((await world.finish(placed)).status)
        return ends[-1] is OrderStatus.DENIED

    await until(is_denied, END_WITHIN_S)  # once each worker has read the new rules
    assert set(ends[:-1]) <= {OrderStatus.REJECTED}
    await assert_all_filled(world, await one_of_each(world))
    await fill(world, client_order_id(resting.order_id, 0))
    done = await world.finish(resting, END_WITHIN_S)
    assert done.status is OrderStatus.FILLED


async def test_a_venue_in_maintenance_is_waited_for(world: World):
    await assert_waited_for(world, lambda: world.faults.add("maintenance", html=True, times=0))


async def test_a_venue_that_serves_a_firewall_page_is_waited_for(world: World):
    await assert_waited_for(world, lambda: world.faults.add("firewall", times=0))


async def assert_waited_for(world: World, begin: Callable[[], Awaitable[int]]) -> None:
    """Nothing gets through for some seconds; then everything ends as it should."""
    resting = await world.rest(price=FAR["sell"], side="sell")
    rule = await begin()
    orders = asyncio.create_task(one_of_each(world))
    await until(lambda: acted(world, rule, 5))
    await world.faults.remove(rule)
    await assert_all_filled(world, await orders)
    await fill(world, client_order_id(resting.order_id, 0))
    assert (await world.finish(resting, END_WITHIN_S)).status is OrderStatus.FILLED


async def acted(world: World, rule: int, times: int) -> bool:
    return await world.faults.hits(rule) >= times


async def test_a_ban_is_sat_out(world: World):
    request = world.request()
    rule = await world.faults.add(
        "banned",
        client_order_id=client_order_id(request.order_id, 0),
        method="POST",
        retry_after_s=2,
        for_s=2,
    )
    placed = await world.orders.submit(request)
    done = await world.finish(placed, END_WITHIN_S)
    assert done.status is OrderStatus.FILLED
    assert await world.faults.hits(rule) >= 2
    await assert_order_is_true(world, done)


@pytest.mark.parametrize("fault", ["page_gap", "page_overlap", "missing_fields"])
async def test_a_bad_page_of_trades_loses_no_fill_and_books_none_twice(world: World, fault: str):
    orders = [
        await world.rest(side=side, price=FAR[side], quantity="0.3") for side in ("buy", "sell")
    ]
    rule = await world.faults.add(
        fault, method="GET", path="/myTrades", account=MAIN, symbol=STILL, times=3
    )
    await world.faults.act("stream", mode="cut", account=MAIN)  # so that pages must be read
    for quantity in ("0.1", "0.2"):
        for order in orders:
            await fill(world, client_order_id(order.order_id, 0), quantity)
    for order in orders:
        done = await world.finish(order, END_WITHIN_S)
        assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.3"))
        await assert_order_is_true(world, done)
    await until(lambda: acted(world, rule, 1), END_WITHIN_S)
    await assert_ledger_is_exchange(world)
