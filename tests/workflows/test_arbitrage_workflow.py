"""Arbitrages on scripted venues: what they send, in which order, and what a cancel comes to at each
moment."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.arbitrage_runs import (
    AMOUNT,
    BUY_VENUE,
    SELL_VENUE,
    Run,
    hedges,
    two_venues,
)
from tests.workflows.execution_fakes import Desk, ExecutionWorld, desk_on
from tests.workflows.scripted_answers import (
    after,
    crashes,
    lost,
    not_sent,
    rejects,
    rests,
    takes,
    with_late_fills,
)
from tests.workflows.scripted_venue import SYMBOL, levels, listing
from workflows import names
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.domain.orders import TimeInForce
from workflows.execution_messages import ArbitrageSnapshot

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAITS = {"leg_time_in_force": "GTC", "timeout": "30", "one_sided_timeout": "5"}
SEQUENTIAL = {"mode": "sequential"}
AT_ONCE_S = 1.5
"""What a busy machine may add; below every timer of the workflow that could stand between."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all tests of this module."""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as opened:
        yield opened


# --- as planned -----------------------------------------------------------------------------------


async def test_both_legs_fill_and_the_profit_is_the_gap_less_both_fees(
    client: Client, desk: Desk
) -> None:
    run = await Run(desk, two_venues(), client, {"est_profit": "50"}).start()
    result = await run.end()
    assert (result.status, result.outcome) == (ExecutionStatus.COMPLETED, Outcome.PROFIT)
    assert result.matched_quantity == AMOUNT
    assert result.actual_profit == Decimal("39.95")  # 0.1 x (500 - 50 - 50.5)
    assert result.expected_profit == result.actual_profit
    assert result.fees_total == Decimal("10.05")
    assert (result.compensation, result.compensation_cost) == ((), None)
    assert run.world.saved[-1].status is ExecutionStatus.COMPLETED


async def test_the_limits_sent_are_the_plans_prices_and_a_tolerance(
    client: Client, desk: Desk
) -> None:
    run = await Run(desk, two_venues(), client).start()
    await run.end()
    sent = {submit.intent.side.value: submit.intent for submit in run.world.submits}
    assert sent["buy"].price == Decimal("50050")
    assert sent["sell"].price == Decimal("50449.5")
    assert {each.time_in_force for each in sent.values()} == {TimeInForce.IOC}


async def test_explicit_legs_are_sent_at_their_own_prices(client: Client, desk: Desk) -> None:
    legs = [
        {"exchange": BUY_VENUE, "side": "buy", "price": "50007", "symbol": SYMBOL, "amount": "0.1"},
        {"exchange": SELL_VENUE, "side": "sell", "type": "market", "symbol": SYMBOL}
        | {"amount": "0.1"},
    ]
    run = await Run(desk, two_venues(), client, {"orders": legs}).start()
    assert (await run.end()).status is ExecutionStatus.COMPLETED
    sent = {submit.intent.side.value: submit.intent.price for submit in run.world.submits}
    assert sent == {"buy": Decimal("50007"), "sell": None}


async def test_both_legs_are_scheduled_in_one_workflow_task(client: Client, desk: Desk) -> None:
    run = await Run(desk, two_venues(), client).start()
    await run.end()
    tasks = [
        event.activity_task_scheduled_event_attributes.workflow_task_completed_event_id
        for event in (await run.workflow.fetch_history()).events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "submit"
    ]
    assert len(tasks) == 2
    assert len(set(tasks)) == 1


async def test_both_legs_and_the_pairs_lock_are_asked_for_at_once(
    client: Client, desk: Desk
) -> None:
    run = await Run(desk, two_venues(), client).start()
    await run.end()
    [accepted] = run.world.accepted
    assert [leg.order_id for leg in accepted.legs] == [f"{run.id}:buy", f"{run.id}:sell"]
    assert accepted.locks == (names.pair_lock("main", SYMBOL, (SELL_VENUE, BUY_VENUE)),)


async def test_a_base_fee_makes_the_sell_leg_smaller_and_leaves_only_dust(
    client: Client, desk: Desk
) -> None:
    world = two_venues()
    world.venues[BUY_VENUE].buys_pay_base = True
    run = await Run(desk, world, client).start()
    result = await run.end()
    sent = {submit.intent.side.value: submit.intent.quantity for submit in world.submits}
    assert sent == {"buy": Decimal("0.1"), "sell": Decimal("0.099")}
    assert result.residual_quantity == Decimal("0.0009")  # 0.1 less its fee, less what was sold
    assert result.status is ExecutionStatus.COMPLETED
    assert hedges(world) == []


async def test_a_fee_in_a_third_asset_is_counted_at_its_price(client: Client, desk: Desk) -> None:
    world = two_venues()
    for venue in world.venues.values():
        venue.third = "BNB"
        venue.free["BNB"] = Decimal(10)
        venue.listings["BNB/USDT"] = listing(venue.name, "BNB/USDT", bid="600", ask="600")
    run = await Run(desk, world, client).start()
    result = await run.end()
    assert result.fees_total == Decimal("10.05")
    assert result.actual_profit == Decimal("39.95")


async def test_fills_that_show_late_are_waited_for_before_the_profit_is_told(
    client: Client, desk: Desk
) -> None:
    world = two_venues({"buy": [with_late_fills(takes())]}, {"sell": [with_late_fills(takes())]})
    result = await (await Run(desk, world, client).start()).end()
    assert result.actual_profit == Decimal("39.95")


# --- one after the other --------------------------------------------------------------------------


def thin(world: ExecutionWorld, venue: str) -> ExecutionWorld:
    """The same world with little in this venue's book, which makes its leg the harder one."""
    known = world.venues[venue].listings[SYMBOL]
    known.bids = levels((known.bids[0].price, "0.2"))
    known.asks = levels((known.asks[0].price, "0.2"))
    return world


@pytest.mark.parametrize(
    ("harder", "order"), [(BUY_VENUE, ["buy", "sell"]), (SELL_VENUE, ["sell", "buy"])]
)
async def test_the_harder_leg_goes_first_and_the_other_one_follows_its_fill(
    client: Client, desk: Desk, harder: str, order: list[str]
) -> None:
    answer = asyncio.Event()
    first = [after(answer, takes())]
    world = thin(two_venues({"buy": list(first)}, {"sell": list(first)}), harder)
    run = await Run(desk, world, client, SEQUENTIAL).start()
    await run.until_did(f"submit {order[0]}")
    await run.progress()
    assert world.did("submit") == [f"submit {order[0]}"]
    answer.set()
    result = await run.end()
    assert result.status is ExecutionStatus.COMPLETED
    assert world.did("submit") == [f"submit {leg}" for leg in order]


async def test_the_second_leg_follows_the_first_at_once(client: Client, desk: Desk) -> None:
    world = thin(two_venues({"buy": [takes()]}), BUY_VENUE)
    run = await Run(desk, world, client, SEQUENTIAL).start()
    result = await run.end()
    assert run.seconds_between("submit buy", "submit sell") < AT_ONCE_S
    assert result.naked_seconds < AT_ONCE_S


async def test_the_second_leg_is_sized_by_what_the_first_one_brought_net_of_its_fee(
    client: Client, desk: Desk
) -> None:
    world = thin(two_venues({"buy": [takes("0.5")]}), BUY_VENUE)
    world.venues[BUY_VENUE].buys_pay_base = True
    run = await Run(desk, world, client, SEQUENTIAL).start()
    result = await run.end()
    sold = [submit.intent.quantity for submit in world.submits if submit.intent.side == "sell"]
    assert sold == [Decimal("0.049")]  # 0.05 less 0.1 %, on the lot of 0.001
    assert result.status is ExecutionStatus.PARTIAL
    assert result.residual_quantity == Decimal("0.00095")


async def test_the_rest_of_the_first_leg_is_cancelled_before_the_second_is_sent(
    client: Client, desk: Desk
) -> None:
    world = thin(two_venues({"buy": [rests("0.5")]}), BUY_VENUE)
    run = await Run(desk, world, client, SEQUENTIAL | WAITS).start()
    result = await run.end()
    steps = [step for step in world.did("submit", "cancel") if step != "submit buy"]
    assert steps[0] == "cancel buy"
    assert steps[1].startswith("submit sell")
    assert len(steps) == 2
    assert result.status is ExecutionStatus.PARTIAL
    assert result.matched_quantity == AMOUNT / 2


@pytest.mark.parametrize("first", [rests(), rejects(), takes("0"), not_sent(), lost()])
async def test_the_second_leg_is_never_sent_when_the_first_brought_nothing(
    client: Client, desk: Desk, first: Any
) -> None:
    world = thin(two_venues({"buy": [first]}), BUY_VENUE)
    run = await Run(desk, world, client, SEQUENTIAL | WAITS).start()
    result = await run.end()
    assert world.did("submit") == ["submit buy"]
    assert (result.status, result.outcome) == (ExecutionStatus.FAILED, Outcome.ABORTED)
    assert {leg.leg for leg in result.orders} == {"buy", "sell"}
    assert f"{run.id}:sell" in {each.order_id for each in world.saved[-1].legs}


async def test_the_second_leg_is_held_back_while_the_first_is_unknown(
    client: Client, desk: Desk
) -> None:
    world = thin(two_venues({"buy": [crashes(takes())]}), BUY_VENUE)
    world.venues[BUY_VENUE].resolves.clear()
    run = await Run(desk, world, client, SEQUENTIAL).start()
    await run.until_did("resolve buy")
    assert world.did("submit") == ["submit buy"]
    world.venues[BUY_VENUE].resolves.set()
    assert (await run.end()).status is ExecutionStatus.COMPLETED
    assert world.did("submit", "resolve") == ["submit buy", "resolve buy", "submit sell"]


# --- cancelled ------------------------------------------------------------------------------------


async def test_a_cancel_while_both_legs_wait_takes_both_off_and_nothing_is_traded(
    client: Client, desk: Desk
) -> None:
    run = await Run(
        desk, two_venues({"buy": [rests()]}, {"sell": [rests()]}), client, WAITS
    ).start()
    await run.until_resting("buy")
    await run.until_resting("sell")
    told = await run.workflow.execute_update(
        names.CANCEL, {"reason": "enough"}, result_type=ArbitrageSnapshot
    )
    result = await run.end()
    assert told == result
    assert (result.status, result.error) == (ExecutionStatus.CANCELLED, "enough")
    assert sorted(run.world.did("cancel")) == ["cancel buy", "cancel sell"]


async def test_a_cancel_before_the_venues_have_answered_is_minded_once_they_have(
    client: Client, desk: Desk
) -> None:
    answer = asyncio.Event()
    world = two_venues({"buy": [after(answer, takes())]}, {"sell": [after(answer, rests())]})
    run = await Run(desk, world, client, WAITS).start()
    await run.until_did("submit buy", "submit sell")
    await run.workflow.signal(names.CANCEL)
    answer.set()
    result = await run.end()
    assert "cancel sell" in world.did("cancel")
    assert hedges(world) == ["complete-1 sell 0.1 at okx"]
    assert result.residual_quantity == 0


async def test_a_cancel_while_one_leg_is_filled_settles_and_compensates_it(
    client: Client, desk: Desk
) -> None:
    world = two_venues(sell={"sell": [rests()]})
    run = await Run(desk, world, client, WAITS).start()
    await run.until_leg("buy", "filled")
    await run.workflow.cancel()
    result = await run.end()
    assert len(hedges(world)) == 1
    assert result.residual_quantity == 0
    assert result.status.is_terminal


async def test_a_fill_that_wins_the_race_against_the_cancel_counts(
    client: Client, desk: Desk
) -> None:
    world = two_venues({"buy": [rests()]}, {"sell": [rests()]})
    world.venues[BUY_VENUE].at_cancel["buy"] = Decimal(1)
    world.venues[SELL_VENUE].at_cancel["sell"] = Decimal(1)
    run = await Run(desk, world, client, WAITS).start()
    await run.until_resting("buy")
    await run.until_resting("sell")
    await run.workflow.signal(names.CANCEL)
    result = await run.end()
    assert result.status is ExecutionStatus.COMPLETED
    assert hedges(world) == []


async def test_a_cancel_while_it_compensates_lets_the_compensation_end(
    client: Client, desk: Desk
) -> None:
    answer = asyncio.Event()
    world = two_venues({"unwind": [after(answer, takes())]}, {"sell": [rejects()]})
    run = await Run(desk, world, client).start()
    await run.until_did("submit unwind-1")
    await run.workflow.signal(names.CANCEL)
    answer.set()
    result = await run.end()
    assert hedges(world) == ["unwind-1 sell 0.1 at binance"]
    assert result.residual_quantity == 0
    assert result.status in (ExecutionStatus.CANCELLED, ExecutionStatus.UNWOUND)


async def test_a_cancel_of_what_is_held_back_in_sequence_sends_no_second_leg(
    client: Client, desk: Desk
) -> None:
    world = thin(two_venues({"buy": [rests()]}), BUY_VENUE)
    run = await Run(desk, world, client, SEQUENTIAL | WAITS).start()
    await run.until_resting("buy")
    await run.workflow.signal(names.CANCEL)
    result = await run.end()
    assert result.status is ExecutionStatus.CANCELLED
    assert world.did("submit") == ["submit buy"]


async def test_a_cancel_is_asked_for_again_until_the_venue_is_reached(
    client: Client, desk: Desk
) -> None:
    world = two_venues({"buy": [rests()]}, {"sell": [rejects()]})
    world.venues[BUY_VENUE].refused_cancels = 3
    result = await (await Run(desk, world, client, WAITS).start()).end()
    assert world.did("cancel").count("cancel buy") == 4
    assert result.status is ExecutionStatus.FAILED
