"""Arbitrages whose legs meet chance: whatever fills, fails and is paid, the profit that is told is
the cash that flowed and the marked residual, to the last digit, and nothing is left unreported.

`ARBITRAGE_SEED` names the scripts; a failure prints it.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.arbitrage_runs import (
    AMOUNT,
    BUY_VENUE,
    SELL_VENUE,
    Run,
    assert_true,
    two_venues,
)
from tests.workflows.execution_fakes import Desk, desk_on
from tests.workflows.scripted_answers import (
    crashes,
    lost,
    not_sent,
    rejects,
    rests,
    takes,
    with_late_fills,
)
from tests.workflows.scripted_venue import SYMBOL, Answer, Venue, levels, listing
from workflows.domain.executions import ExecutionStatus
from workflows.domain.reports import RejectionFamily

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = os.environ.get("ARBITRAGE_SEED") or str(date.today().toordinal())  # noqa: DTZ011 - only a seed
SCRIPTS = 40
AT_ONCE = 20
DUST = Decimal("0.0011")
"""One lot, and what a fee in base units makes uneven."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all scripts."""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as opened:
        yield opened


def any_answer(chance: random.Random) -> Answer:
    """What one leg meets."""
    part = str(chance.choice(["0", "0.01", "0.37", "0.5", "0.99", "1"]))
    family = chance.choice(list(RejectionFamily))
    return chance.choice(
        [
            takes(part),
            takes("1"),
            rests(part),
            with_late_fills(takes(part)),
            rejects(family),
            not_sent("TRADING_HALTED"),
            lost(takes(part)),
            lost(rests(part)),
            lost(),
            crashes(takes(part)),
        ]
    )


def disturb(chance: random.Random, venue: Venue) -> None:
    """Fees, answers and a book of chance."""
    venue.fee = Decimal(chance.choice(["0", "0.0001", "0.00075", "0.001", "-0.0001"]))
    venue.buys_pay_base = chance.random() < 0.4
    if chance.random() < 0.2:
        venue.third, venue.free["BNB"] = "BNB", Decimal(100)
        venue.third_rate = Decimal("617.37")
        venue.listings["BNB/USDT"] = listing(venue.name, "BNB/USDT", bid="617.36", ask="617.38")
    known = venue.listings[SYMBOL]
    touch = known.bids[0].price
    known.bids = levels((touch, chance.choice(["0.013", "0.2", "9"])), (touch - 31, "50"))
    for leg in ("buy", "sell"):
        venue.answers[leg] = [any_answer(chance)]
        venue.at_cancel[leg] = Decimal(chance.choice(["0", "0", "0.5", "1"]))
    for action in ("complete", "unwind", "hold", "flatten"):
        venue.answers[action] = [any_answer(chance) for _ in range(chance.randrange(3))]


async def live(client: Client, desk: Desk, number: int) -> None:
    """One script, from its number alone."""
    chance = random.Random(f"{SEED}-{number}")
    world = two_venues()
    for venue in world.venues.values():
        disturb(chance, venue)
    plan = {
        "mode": chance.choice(["concurrent", "sequential"]),
        "leg_time_in_force": chance.choice(["IOC", "GTC"]),
        "timeout": "2",
        "one_sided_timeout": "1",
        "hold_retry": "1",
        "hold_for": "3",
        "hold_end": chance.choice(["hold", "flatten"]),
        "max_loss_bps": chance.choice(["0", "20", "50"]),
        "min_profit_worst": "-1000",
    }
    run = await Run(desk, world, client, plan).start()
    result = await run.end()
    assert_true(world, result)
    assert result.status.is_terminal
    left = abs(world.exposure())
    is_told = (
        result.status is ExecutionStatus.RESIDUAL_HELD and "alarm RESIDUAL_HELD" in world.did()
    )
    assert left <= DUST or is_told, f"{left} is left, {result.status}: {result.compensation}"
    assert left <= AMOUNT


async def test_profit_is_the_cash_that_flowed_whatever_the_legs_meet(
    client: Client, desk: Desk
) -> None:
    running = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> BaseException | None:
        async with running:
            try:
                await live(client, desk, number)
            except (AssertionError, TimeoutError, Exception) as error:  # noqa: BLE001 - told below, with its script
                return error
        return None

    ended = await asyncio.gather(*map(one, range(SCRIPTS)))
    wrong = {number: error for number, error in enumerate(ended) if error is not None}
    assert not wrong, f"ARBITRAGE_SEED={SEED}: {wrong}"
