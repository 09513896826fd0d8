"""All workers, an exchange or Temporal die at each point of an arbitrage: it ends as it would have,
with one order for each intent.

Each row is hit exactly, by a failpoint or by an exchange that holds the request, with SIGKILL on
real processes. K16 and K17 are named as in the table of crash points.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.e2e.arbitrage_world import (
    BTC,
    BUY_VENUE,
    ETH,
    SELL_VENUE,
    Aimed,
    Pair,
    assert_books_agree,
    until_rests,
)
from tests.e2e.crash_world import ALL, SEED, Processes, all_healthy, armed, can_begin, workers
from tests.e2e.proof import assert_tasks_never_failed
from workflows.domain.executions import ExecutionStatus
from workflows.execution_messages import ArbitrageSnapshot

pytest_plugins = ("tests.e2e.pair_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

BOTH = ["submit.before_send", "submit.after_response"]
POINTS = BOTH if ALL else [random.Random(f"{SEED}-K17").choice(BOTH)]
WAITS = {"leg_time_in_force": "GTC", "timeout": "20", "one_sided_timeout": "2"}
SETTLED = {ExecutionStatus.COMPLETED, ExecutionStatus.PARTIAL, ExecutionStatus.UNWOUND}
EXPOSURE_ALARM_WITHIN_S = 5


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _whole_engine(pair: Pair) -> AsyncIterator[None]:
    """A row begins with an engine that can trade and ends with honest exchanges."""
    await can_begin(pair.world)
    yield
    await pair.clear()


async def kill_all_workers(pair: Pair) -> None:
    """SIGKILL every worker at once."""
    for name in workers(pair.world):
        process = pair.world.stack.parts[name].process
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


async def ends_well(pair: Pair, aimed: Aimed) -> ArbitrageSnapshot:
    """Its end, which leaves nothing; the books agree and no task of it ever failed."""
    told = await aimed.end(60)
    assert abs(told.residual_quantity) <= aimed.lane.amount / 100
    await assert_tasks_never_failed(pair.world, aimed.id)
    await assert_books_agree(pair)
    return told


async def test_both_legs_sent_and_neither_answered(pair: Pair) -> None:
    async with pair.baits(BTC):
        aimed = pair.arbitrage(BTC)
        holds = {
            venue: await aimed.aim(venue, leg, "hold_after", purpose="submit")
            for venue, leg in ((BUY_VENUE, "buy"), (SELL_VENUE, "sell"))
        }
        await aimed.start()
        await asyncio.gather(*(pair.control(v).held(rule) for v, rule in holds.items()))
        await kill_all_workers(pair)
        told = await ends_well(pair, aimed)
    assert told.status is ExecutionStatus.COMPLETED
    assert [order.leg for order in told.orders] == ["buy", "sell"]


async def test_k16_one_leg_filled_and_the_other_unsent(pair: Pair) -> None:
    """One after the other, so that the first one has filled when the second is on its way."""
    async with pair.baits(ETH, sell=Decimal(5)):
        aimed = pair.arbitrage(ETH, mode="sequential", slippage_tolerance="0", timeout="60")
        processes = Processes(pair.world)
        key = f"submit.enter[{aimed.child('sell')}]"
        with armed(pair.world, f"{key}:kill"):
            await aimed.start()
            await processes.killed_at(key)
            await kill_all_workers(pair)
            told = await ends_well(pair, aimed)
    assert told.status in SETTLED
    assert aimed.at(SELL_VENUE, "sell") == []
    assert {order.leg.partition("-")[0] for order in told.orders[2:]} == {"complete"}
    alarms = await pair.world.views.alarms(include_acknowledged=True)
    mine = [alarm.code for alarm in alarms if aimed.id in alarm.object]
    assert float(told.naked_seconds) <= EXPOSURE_ALARM_WITHIN_S or "NAKED_LEG" in mine


@pytest.mark.parametrize("point", POINTS)
async def test_k17_a_compensation_killed_before_or_after_its_acceptance_is_sent_once(
    pair: Pair, point: str
) -> None:
    async with pair.baits(BTC):
        aimed, processes = pair.arbitrage(BTC), Processes(pair.world)
        await aimed.aim(SELL_VENUE, "sell", "refuse", purpose="submit")
        key = f"{point}[{aimed.child('unwind-1')}]"
        with armed(pair.world, f"{key}:kill"):
            await aimed.start()
            await processes.killed_at(key)
            await kill_all_workers(pair)
            told = await ends_well(pair, aimed)
    assert told.status is ExecutionStatus.UNWOUND
    sent = [order.leg for order in told.orders if order.filled_amount]
    assert sent == ["buy", "unwind-1" if point == "submit.after_response" else "unwind-2"]


async def test_a_worker_killed_during_a_cancel_of_both_legs(pair: Pair) -> None:
    async with pair.baits(ETH) as baits:
        aimed, processes = pair.arbitrage(ETH, **WAITS), Processes(pair.world)
        legs = {BUY_VENUE: "buy", SELL_VENUE: "sell"}
        holds = {
            venue: await aimed.aim(venue, leg, "hold_before", purpose="submit")
            for venue, leg in legs.items()
        }
        key = f"cancel.before_send[{aimed.child('sell')}]"
        with armed(pair.world, f"{key}:kill"):
            await aimed.start()
            for venue, leg in legs.items():
                held = await pair.control(venue).held(holds[venue])
                await pair.take_back(venue, baits[venue])
                await pair.control(venue).release(held.id)
                await until_rests(aimed, venue, leg)
            await aimed.workflow.signal("cancel")
            await processes.killed_at(key)
            await kill_all_workers(pair)
            told = await ends_well(pair, aimed)
    assert told.status is ExecutionStatus.CANCELLED
    assert not any(order.filled_amount for order in told.orders)


async def test_the_sell_exchange_is_away_while_its_leg_is_under_way(pair: Pair) -> None:
    async with pair.baits(BTC):
        aimed = pair.arbitrage(BTC)
        hold = await aimed.aim(SELL_VENUE, "sell", "hold_before", purpose="submit")
        await aimed.start()
        await pair.control(SELL_VENUE).held(hold)
        await pair.world.stack.kill(f"paper-{SELL_VENUE}")
        await pair.world.stack.wait_healthy(f"paper-{SELL_VENUE}")
        told = await ends_well(pair, aimed)
    assert told.status in SETTLED
    assert aimed.at(SELL_VENUE, "sell") == []
    await pair.shape_again()


async def test_temporal_restarted_while_both_legs_are_under_way(pair: Pair) -> None:
    async with pair.baits(ETH):
        aimed = pair.arbitrage(ETH)
        holds = {
            venue: await aimed.aim(venue, leg, "hold_after", purpose="submit")
            for venue, leg in ((BUY_VENUE, "buy"), (SELL_VENUE, "sell"))
        }
        await aimed.start()
        await asyncio.gather(*(pair.control(v).held(rule) for v, rule in holds.items()))
        await pair.world.stack.kill("temporal")
        await asyncio.gather(*(pair.control(venue).release() for venue in holds))
        await pair.world.stack.wait_healthy("temporal")
        told = await ends_well(pair, aimed)
    assert told.status is ExecutionStatus.COMPLETED
    assert [order.leg for order in told.orders] == ["buy", "sell"]
    await all_healthy(pair.world)
