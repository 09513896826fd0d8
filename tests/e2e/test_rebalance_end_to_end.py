"""Rebalancings over two real exchanges: planned, traded in order, repeated, refused, and killed."""

import asyncio
from decimal import Decimal

import pytest

from tests.e2e.arbitrage_world import BTC, BUY_VENUE, ETH, SELL_VENUE, Pair, assert_books_agree
from tests.e2e.proof import assert_tasks_never_failed
from tests.e2e.rebalance_world import (
    Rebalancing,
    arrivals_ms,
    cash_of,
    shifting,
)
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.execution_messages import RebalanceSnapshot

pytest_plugins = ("tests.e2e.pair_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

VALUE = 20_000
LITTLE = Decimal("0.0000001")
"""Far less than the least trade is of the whole portfolio."""
MUCH_BTC, MUCH_ETH = Decimal(1), Decimal(20)
"""More of each than a rebalancing trades here."""


async def best_elsewhere(pair: Pair) -> dict[str, int]:
    """The second exchange bids most for BTC, the first one asks least for ETH; the two orders."""
    return {
        SELL_VENUE: await pair.bait(SELL_VENUE, BTC, "buy", MUCH_BTC),
        BUY_VENUE: await pair.bait(BUY_VENUE, ETH, "sell", MUCH_ETH),
    }


async def take_back(pair: Pair, baits: dict[str, int]) -> None:
    for venue, order_id in baits.items():
        await pair.take_back(venue, order_id)


def orders_at(pair: Pair) -> dict[str, int]:
    """How many orders each exchange has ever had."""
    return {venue: len(pair.log(venue).orders) for venue in (BUY_VENUE, SELL_VENUE)}


async def assert_true(pair: Pair, work: Rebalancing) -> None:
    await assert_tasks_never_failed(pair.world, work.id)
    await assert_books_agree(pair)


async def test_a_preview_plans_over_both_exchanges_and_sends_nothing(pair: Pair) -> None:
    baits = await best_elsewhere(pair)
    work = await shifting(pair, VALUE)
    before = orders_at(pair)
    told = await work.preview()
    assert orders_at(pair) == before
    await take_back(pair, baits)
    assert (told.status, told.preview, told.orders) == (ExecutionStatus.COMPLETED, True, ())
    assert [(each.exchange, each.asset) for each in told.sells] == [(SELL_VENUE, "BTC")]
    assert [(each.exchange, each.asset) for each in told.buys] == [(BUY_VENUE, "ETH")]
    assert told.passes == 0


async def test_it_sells_before_it_buys_and_ends_at_its_targets(pair: Pair) -> None:
    baits = await best_elsewhere(pair)
    work = await shifting(pair, VALUE)
    told = await work.run()
    await take_back(pair, baits)
    assert told.status is ExecutionStatus.COMPLETED, told
    assert [(order.leg, order.status) for order in told.orders] == [
        (f"1-sell-{SELL_VENUE}-BTC", OrderStatus.FILLED),
        (f"1-buy-{BUY_VENUE}-ETH", OrderStatus.FILLED),
    ]
    assert max(arrivals_ms(work, told, Side.SELL)) <= min(arrivals_ms(work, told, Side.BUY))
    for asset in ("BTC", "ETH"):
        assert abs(told.weights_after[asset] - told.targets[asset]) < LITTLE
    assert_fees_are_the_exchanges(work, told)
    await assert_true(pair, work)


def assert_fees_are_the_exchanges(work: Rebalancing, told: RebalanceSnapshot) -> None:
    fees: dict[str, Decimal] = {}
    for order in told.orders:
        for trade in work.pair.log(order.exchange).trades_named(work.child(order.leg)):
            fees[trade.fee_asset] = fees.get(trade.fee_asset, Decimal(0)) + trade.fee
    assert told.fees == fees


async def test_the_same_plan_again_makes_no_trades(pair: Pair) -> None:
    work = await shifting(pair, VALUE)
    verdict = await work.start()
    first = await work.end()
    assert first.status is ExecutionStatus.COMPLETED
    before = orders_at(pair)
    assert await work.start() == verdict
    again = Rebalancing(pair, work.plan)
    told = await again.run()
    assert orders_at(pair) == before
    assert (told.status, told.passes, told.orders) == (ExecutionStatus.COMPLETED, 0, ())
    await assert_true(pair, again)


async def test_a_sell_that_its_exchange_refuses_leaves_less_to_buy_with(pair: Pair) -> None:
    look = await (await shifting(pair, 0)).preview()
    spare = Decimal(VALUE) / 4
    work = await shifting(pair, VALUE, cash_reserve=str((cash_of(look) - spare).quantize(spare)))
    for number in (1, 2):
        await work.refuse(BUY_VENUE, f"{number}-sell-{BUY_VENUE}-BTC")
    planned = await work.preview()
    told = await work.run()
    await pair.clear()
    assert told.status is ExecutionStatus.PARTIAL, told
    refused = [order for order in told.orders if order.side is Side.SELL]
    assert [order.status for order in refused] == [OrderStatus.REJECTED] * 2
    (bought,) = (order for order in told.orders if order.side is Side.BUY)
    assert bought.status is OrderStatus.FILLED
    (wanted,) = planned.buys
    assert bought.avg_price is not None
    assert 0 < bought.filled_amount * bought.avg_price <= spare < wanted.value
    await assert_true(pair, work)


async def test_an_exchange_that_is_not_configured_is_denied(pair: Pair) -> None:
    work = await shifting(pair, VALUE)
    work.plan["exchanges"] = (BUY_VENUE, "nowhere")
    before = orders_at(pair)
    told = await work.start()
    assert (told.status, told.code, told.field) == (
        ExecutionStatus.DENIED,
        DenialCode.UNKNOWN_ENUM,
        "exchanges",
    )
    assert orders_at(pair) == before


async def test_all_workers_killed_before_a_sell_was_answered_trade_nothing_twice(
    pair: Pair,
) -> None:
    work, stack = await shifting(pair, VALUE), pair.world.stack
    rule = await work.aim(BUY_VENUE, f"1-sell-{BUY_VENUE}-BTC", "hold_after")
    await work.start()
    await pair.control(BUY_VENUE).held(rule)
    fleet = [name for name in stack.parts if name.startswith("worker-")]
    await asyncio.gather(*(stack.kill(name) for name in fleet))
    await pair.control(BUY_VENUE).release()
    told = await work.end()
    await pair.clear()
    assert told.status is ExecutionStatus.COMPLETED, told
    sold, bought = told.orders
    assert (sold.status, bought.status) == (OrderStatus.FILLED, OrderStatus.FILLED)
    assert max(arrivals_ms(work, told, Side.SELL)) <= min(arrivals_ms(work, told, Side.BUY))
    await asyncio.gather(*(stack.wait_healthy(name) for name in fleet))
    await assert_true(pair, work)
