"""Arbitrages between two real exchanges: with profit, with a failed leg, locked, and adopted."""

import asyncio
from decimal import Decimal

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.venues.simulator.judge import JudgedOrder
from tests.e2e.arbitrage_world import (
    BTC,
    BUY_VENUE,
    ETH,
    SELL_VENUE,
    Aimed,
    Lane,
    Pair,
    assert_books_agree,
    until_rests,
)
from tests.e2e.proof import assert_tasks_never_failed
from tests.e2e.world import until
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.execution_messages import ArbitrageSnapshot

pytest_plugins = ("tests.e2e.pair_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

HALF, FIVE = Decimal("0.5"), Decimal(5)
BOUND_BPS = Decimal(50)
WAITS = {"leg_time_in_force": "GTC", "timeout": "20", "one_sided_timeout": "10"}
LANES = pytest.mark.parametrize("lane", [BTC, ETH], ids=["btc", "eth"])


@LANES
@pytest.mark.parametrize("mode", ["concurrent", "sequential"])
async def test_an_arbitrage_in_a_real_gap_completes_with_the_profit_that_it_expected(
    pair: Pair, lane: Lane, mode: str
) -> None:
    bid = lane.inside * Decimal("1.006")
    async with pair.baits(lane), pair.gap(lane, bid):
        plan = {"sell_price": str(bid), "min_profit": "0.5", "mode": mode}
        aimed = pair.arbitrage(lane, **plan)
        await aimed.start()
        told = await aimed.end()
    assert (told.status, told.outcome) == (ExecutionStatus.COMPLETED, Outcome.PROFIT), told.error
    assert told.actual_profit == told.expected_profit
    assert told.compensation == ()
    await assert_tasks_never_failed(pair.world, aimed.id)
    await assert_books_agree(pair)


@LANES
async def test_a_rejected_sell_leg_is_unwound_within_its_bound(pair: Pair, lane: Lane) -> None:
    async with pair.baits(lane):
        aimed = pair.arbitrage(lane)
        await aimed.aim(SELL_VENUE, "sell", "refuse", purpose="submit")
        await aimed.start()
        told = await aimed.end()
    assert (told.status, told.outcome) == (ExecutionStatus.UNWOUND, Outcome.UNWOUND), told.error
    [decision] = told.compensation
    assert decision.action == "unwind"
    assert told.actual_profit is not None
    assert -told.actual_profit <= lane.amount * lane.inside * BOUND_BPS / 10_000
    assert aimed.at(SELL_VENUE, "sell") == []
    await assert_books_agree(pair)


@LANES
async def test_a_sell_leg_that_fills_partly_is_completed_by_what_is_cheaper(
    pair: Pair, lane: Lane
) -> None:
    """Half of the bait is gone when the leg arrives; the rest is sold below, within the bound."""
    async with pair.baits(lane) as baits:
        aimed = pair.arbitrage(lane)
        hold = await aimed.aim(SELL_VENUE, "sell", "hold_before", purpose="submit")
        await aimed.start()
        held = await pair.control(SELL_VENUE).held(hold)
        await pair.take_back(SELL_VENUE, baits[SELL_VENUE])
        await pair.bait(SELL_VENUE, lane, "buy", lane.amount * HALF)
        await pair.control(SELL_VENUE).release(held.id)
        told = await aimed.end()
    assert told.status is ExecutionStatus.COMPLETED, told.error
    assert [order.leg for order in told.orders] == ["buy", "sell", "complete-1"]
    assert told.residual_quantity == 0
    assert told.orders[1].filled_amount == lane.amount * HALF
    await assert_books_agree(pair)


async def test_one_arbitrage_at_a_time_for_a_pair_of_venues_and_a_symbol(pair: Pair) -> None:
    async with pair.baits(BTC) as baits:
        first, third = pair.arbitrage(BTC, **WAITS), pair.arbitrage(BTC)
        second = pair.arbitrage(BTC, limit_tolerance="0.001")
        await rest(pair, first, baits)
        await second.start()
        told = await second.end()
        assert (told.status, told.code) == (ExecutionStatus.DENIED, DenialCode.PAIR_BUSY)
        assert first.id in told.error
        await first.workflow.signal("cancel")
        assert (await first.end()).status is ExecutionStatus.CANCELLED
    async with pair.baits(BTC):
        await third.start()
        assert (await third.end()).status is ExecutionStatus.COMPLETED


async def test_a_terminated_workflow_is_adopted_and_what_it_left_is_compensated(
    pair: Pair,
) -> None:
    async with pair.baits(ETH) as baits:
        aimed, after = pair.arbitrage(ETH, **WAITS), pair.arbitrage(ETH)
        hold = await aimed.aim(SELL_VENUE, "sell", "hold_before", purpose="submit")
        await aimed.start()
        held = await pair.control(SELL_VENUE).held(hold)
        await pair.take_back(SELL_VENUE, baits[SELL_VENUE])
        await pair.control(SELL_VENUE).release(held.id)
        await until_rests(aimed, SELL_VENUE, "sell")
        await aimed.workflow.terminate("by hand")
        await until(lambda: is_run_again(aimed), within_s=30)
        told = await aimed.end()
    assert told.residual_quantity == 0
    assert told.status.is_terminal
    assert [order.leg for order in told.orders][:2] == ["buy", "sell"]
    assert {order.leg.partition("-")[0] for order in told.orders[2:]} == {"complete"}
    alarms = {alarm.code for alarm in await pair.world.views.alarms(include_acknowledged=True)}
    assert "EXECUTION_ADOPTED" in alarms
    async with pair.baits(ETH):  # and the pair is free again
        await after.start()
        assert (await after.end()).status is ExecutionStatus.COMPLETED
    await assert_books_agree(pair)


async def test_a_cancel_while_both_legs_wait_leaves_nothing_at_either_exchange(
    pair: Pair,
) -> None:
    async with pair.baits(BTC) as baits:
        aimed = pair.arbitrage(BTC, **WAITS)
        await rest(pair, aimed, baits)
        told = await aimed.workflow.execute_update("cancel", result_type=ArbitrageSnapshot)
        assert told == await aimed.end()
    assert told.status is ExecutionStatus.CANCELLED
    assert {order.status for venue in (BUY_VENUE, SELL_VENUE) for order in at(aimed, venue)} == {
        "CANCELED"
    }


async def rest(pair: Pair, aimed: Aimed, baits: dict[str, int]) -> None:
    """Start it with both legs resting: their baits are gone when they arrive."""
    legs = {BUY_VENUE: "buy", SELL_VENUE: "sell"}
    holds = {
        venue: await aimed.aim(venue, leg, "hold_before", purpose="submit")
        for venue, leg in legs.items()
    }
    await aimed.start()

    async def one(venue: str) -> None:
        held = await pair.control(venue).held(holds[venue])
        await pair.take_back(venue, baits[venue])
        await pair.control(venue).release(held.id)
        await until_rests(aimed, venue, legs[venue])

    await asyncio.gather(*map(one, legs))


def at(aimed: Aimed, venue: str) -> list[JudgedOrder]:
    return [*aimed.at(venue, "buy"), *aimed.at(venue, "sell")]


async def is_run_again(aimed: Aimed) -> bool:
    status = (await aimed.workflow.describe()).status
    return status is not WorkflowExecutionStatus.TERMINATED
