"""Rules of an arbitrage that only bite when several things go wrong, or take long, at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, cast

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.arbitrage_runs import (
    AMOUNT,
    BUY_VENUE,
    ENDS_WITHIN_S,
    SELL_VENUE,
    Run,
    hedges,
    two_venues,
)
from tests.workflows.conftest import assert_replays
from tests.workflows.execution_fakes import Desk, ExecutionWorld, desk_on
from tests.workflows.scripted_answers import (
    after,
    not_sent,
    rejects,
    rests,
    takes,
    with_late_fills,
)
from tests.workflows.scripted_venue import SYMBOL, Answer, Order, Venue, acked, levels, listing
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import (
    ChildIntent,
    ChildType,
    OrderType,
    Side,
    TimeInForce,
    client_order_id,
)
from workflows.domain.reports import RejectionFamily, SubmitOutcome, VenueStatus
from workflows.execution_messages import ArbitrageSnapshot, RebalancePlan
from workflows.messages import OrderRequest
from workflows.plans import parse_plan
from workflows.ports import KnownLeg, OpenExecutionKind

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED_FOR_NOW = rejects(RejectionFamily.PRICE, "-5022")
SEQUENTIAL = {"mode": "sequential"}
WAITS = {"leg_time_in_force": "GTC", "timeout": "30", "one_sided_timeout": "5"}
REFUSED = Denied(code=DenialCode.SYMBOL_NOT_TRADING, detail="for now")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all tests of this module."""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as opened:
        yield opened


class Failing:
    """True so many times, then false: a venue that is away for a while."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left >= 0


def away(times: int) -> bool:
    return cast(bool, Failing(times))


def thin(world: ExecutionWorld, venue: str) -> ExecutionWorld:
    """The same world with little in this venue's book, which makes its leg the harder one."""
    known = world.venues[venue].listings[SYMBOL]
    known.bids = levels((known.bids[0].price, "0.2"))
    known.asks = levels((known.asks[0].price, "0.2"))
    return world


def collapsing(bid: str, *, refusal: Answer = REFUSED_FOR_NOW) -> ExecutionWorld:
    """The buy leg fills, the sell leg is refused, and all bids are at this price by then."""
    world = two_venues()

    async def answer(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        outcome = await refusal(venue, intent)
        for each in world.venues.values():
            each.listings[SYMBOL].bids = levels((bid, "100"))
        return outcome

    world.venues[SELL_VENUE].answers["sell"] = [answer]
    world.venues[BUY_VENUE].answers["hold"] = [rests() for _ in range(999)]
    return world


async def ended(run: Run) -> ArbitrageSnapshot:
    """The result of an arbitrage whose residual could not be marked."""
    result = await asyncio.wait_for(run.workflow.result(), ENDS_WITHIN_S)
    await assert_replays(await run.workflow.fetch_history())
    return result


# --- two legs -------------------------------------------------------------------------------------


async def test_the_second_leg_follows_the_first_at_once(client: Client, desk: Desk) -> None:
    run = await Run(desk, thin(two_venues(), BUY_VENUE), client, SEQUENTIAL).start()
    assert (await run.end()).status is ExecutionStatus.COMPLETED
    assert run.seconds_between("submit buy", "submit sell") < 1.5


async def test_a_second_leg_is_not_sent_on_the_market_of_long_ago(
    client: Client, desk: Desk
) -> None:
    world = thin(two_venues(), BUY_VENUE)

    async def fills_unseen(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        order = venue.open_order(intent)
        told = acked(order)
        venue.trade(order, intent.quantity / 2)
        order.status = VenueStatus.EXPIRED
        return told  # the next look at it is after 10 s

    world.venues[BUY_VENUE].answers["buy"] = [fills_unseen]
    result = await (await Run(desk, world, client, SEQUENTIAL | WAITS).start()).end()
    assert world.did("submit") == ["submit buy", "submit complete-1"]
    assert hedges(world) == ["complete-1 sell 0.05 at okx"]
    assert result.residual_quantity == 0


# --- fills and prices that come late --------------------------------------------------------------


async def test_a_base_fee_that_shows_after_the_hedge_is_compensated_too(
    client: Client, desk: Desk
) -> None:
    world = two_venues({"buy": [with_late_fills(takes())]}, {"sell": [REFUSED_FOR_NOW]})
    buy_venue = world.venues[BUY_VENUE]
    buy_venue.buys_pay_base, buy_venue.reads_fail = True, True
    run = await Run(desk, world, client, {"amount": "10"}).start()
    await run.until_leg("complete-1", "filled")
    buy_venue.reads_fail = False
    result = await run.end()
    assert hedges(world) == ["complete-1 sell 10 at okx", "complete-2 buy 0.01 at binance"]
    assert result.residual_quantity == Decimal("-0.00001")


async def test_the_price_of_a_fee_is_asked_for_until_its_venue_tells_it(
    client: Client, desk: Desk
) -> None:
    world = two_venues()
    venue = world.venues[BUY_VENUE]
    venue.third, venue.third_rate, venue.free["BNB"] = "BNB", Decimal(500), Decimal(100)
    venue.listings["BNB/USDT"] = listing(BUY_VENUE, "BNB/USDT", bid="499", ask="501")

    async def goes_away(place: Venue, intent: ChildIntent) -> SubmitOutcome:
        outcome = await takes()(place, intent)
        place.views_fail = away(8)
        return outcome

    venue.answers["buy"] = [goes_away]
    result = await (await Run(desk, world, client).start()).end()
    assert result.status is ExecutionStatus.COMPLETED
    assert result.fees_total == Decimal("10.05")  # 5 in BNB at 500, and 5.05 in USDT
    assert "alarm FEE_WITHOUT_PRICE" not in world.did()


# --- what cannot be compensated -------------------------------------------------------------------


async def test_a_residual_that_may_not_be_traded_is_held_and_told_after_the_time_for_that(
    client: Client, desk: Desk
) -> None:
    world = collapsing("50400")
    world.denials = {f"complete-{number}": [REFUSED] for number in range(1, 99)}
    plan = {"hold_retry": "10", "hold_for": "90"}
    result = await (await Run(desk, world, client, plan).start()).end()
    assert result.status is ExecutionStatus.RESIDUAL_HELD
    assert result.residual_quantity == AMOUNT
    assert 8 <= world.did().count("alarm COMPENSATION_DENIED") <= 11
    assert "alarm RESIDUAL_HELD" in world.did()


async def test_a_cancel_ends_the_asking_for_what_is_denied(client: Client, desk: Desk) -> None:
    world = collapsing("50400")
    world.denials = {f"complete-{number}": [REFUSED] for number in range(1, 999)}
    plan = {"hold_retry": "3600", "hold_for": "86400"}
    run = await Run(desk, world, client, plan).start()
    await run.until_did("alarm COMPENSATION_DENIED")
    await run.workflow.signal(names.CANCEL)
    result = await run.end()
    assert result.status is ExecutionStatus.RESIDUAL_HELD
    assert len([step for step in world.did("accept") if "complete" in step]) < 30


async def test_a_market_that_stays_away_ends_in_a_residual_that_is_held(
    client: Client, desk: Desk
) -> None:
    world = two_venues()

    async def goes_away(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        for each in world.venues.values():
            each.views_fail = True
        return await REFUSED_FOR_NOW(venue, intent)

    world.venues[SELL_VENUE].answers["sell"] = [goes_away]
    run = await Run(desk, world, client, {"hold_retry": "60", "hold_for": "120"}).start()
    result = await ended(run)
    assert (result.status, result.residual_quantity) == (ExecutionStatus.RESIDUAL_HELD, AMOUNT)
    assert "alarm RESIDUAL_HELD" in world.did()


async def test_a_venue_that_is_away_does_not_stop_the_other_one_from_unwinding(
    client: Client, desk: Desk
) -> None:
    world = two_venues()

    async def goes_away(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        venue.views_fail = True
        return await not_sent("VENUE_UNAVAILABLE")(venue, intent)

    world.venues[SELL_VENUE].answers["sell"] = [goes_away]
    result = await (await Run(desk, world, client).start()).end()
    assert hedges(world) == ["unwind-1 sell 0.1 at binance"]
    assert (result.status, result.residual_quantity) == (ExecutionStatus.UNWOUND, Decimal(0))


async def test_a_cancel_while_the_market_is_away_ends_the_waiting_for_it(
    client: Client, desk: Desk
) -> None:
    world = collapsing("49000")

    async def then_away(venue: Venue, intent: ChildIntent) -> SubmitOutcome:
        for each in world.venues.values():
            each.views_fail = True
        return await rests()(venue, intent)

    world.venues[BUY_VENUE].answers["hold"] = [then_away]
    run = await Run(desk, world, client, {"hold_retry": "3600", "hold_for": "86400"}).start()
    await run.until_did("submit hold-1")
    await run.workflow.signal(names.CANCEL)
    result = await ended(run)
    assert result.status is ExecutionStatus.RESIDUAL_HELD


async def test_orders_that_never_fill_end_in_a_residual_that_is_held(
    client: Client, desk: Desk
) -> None:
    world = collapsing("50400")
    for venue in world.venues.values():
        for action in ("complete", "unwind"):
            venue.answers[action] = [takes("0") for _ in range(999)]
    run = await Run(desk, world, client, {"hold_for": "60"}).start()
    result = await run.end()
    assert result.status is ExecutionStatus.RESIDUAL_HELD
    assert len(hedges(world)) < 20


async def test_a_second_cancel_ends_a_hold_that_began_after_the_first(
    client: Client, desk: Desk
) -> None:
    answer = asyncio.Event()
    world = collapsing("49000", refusal=after(answer, REFUSED_FOR_NOW))
    plan = {"hold_retry": "3600", "hold_for": "86400"}
    run = await Run(desk, world, client, plan).start()
    await run.until_did("submit sell")
    await run.workflow.signal(names.CANCEL)
    answer.set()
    await run.until_did("submit hold-1")
    await run.workflow.signal(names.CANCEL)
    result = await run.end()
    assert result.status is ExecutionStatus.RESIDUAL_HELD
    assert hedges(world)[0].startswith("hold-1 ")
    assert len(hedges(world)) < 20


async def test_a_cancelled_arbitrage_with_a_long_hold_goes_on_in_new_runs_and_stays_cancelled(
    client: Client, desk: Desk
) -> None:
    answer = asyncio.Event()
    world = collapsing("49000", refusal=after(answer, REFUSED_FOR_NOW))
    world.venues[BUY_VENUE].answers["hold"] = [*(rests() for _ in range(99)), rests("1")]
    plan = {"hold_retry": "10", "hold_for": "86400"}
    run = await Run(desk, world, client, plan).start()
    await run.until_did("submit sell")
    await run.workflow.cancel()
    async with asyncio.timeout(ENDS_WITHIN_S):
        while (await run.progress()).status is not ExecutionStatus.CANCELLING:
            await asyncio.sleep(0.01)
    answer.set()
    result = await asyncio.wait_for(run.workflow.result(), 120)
    latest = await client.get_workflow_handle(run.id).describe()
    assert latest.run_id != run.workflow.first_execution_run_id
    assert (result.status, result.residual_quantity) == (ExecutionStatus.CANCELLED, Decimal(0))


async def test_a_resting_order_at_a_wide_bound_stays_within_the_price_collar(
    client: Client, desk: Desk
) -> None:
    world = two_venues({"unwind": [rejects()]}, {"sell": [rejects()]})
    plan = {"max_loss_bps": "1000", "hold_for": "60"}
    result = await (await Run(desk, world, client, plan).start()).end()
    held = [submit.intent.price for submit in world.submits if "hold" in submit.intent.order_id]
    assert held
    assert all(price and price >= Decimal("49995") * Decimal("0.98") for price in held)
    assert result.residual_quantity == 0


async def test_a_flattening_order_stays_within_the_price_collar_of_a_wide_spread(
    client: Client, desk: Desk
) -> None:
    world = collapsing("49000")  # the asks stay at 50,000, so the middle is at 49,500
    plan = {"hold_for": "0", "hold_end": "flatten"}
    result = await (await Run(desk, world, client, plan).start()).end()
    [sent] = [submit.intent for submit in world.submits if "flatten" in submit.intent.order_id]
    assert sent.price is not None
    assert sent.price >= Decimal("49500") * Decimal("0.98")
    assert result.residual_quantity == 0


# --- a lost workflow ------------------------------------------------------------------------------


def lost_market_leg(venue: Venue, execution_id: str) -> KnownLeg:
    """A market order that has ended, and whose fills have not come."""
    order_id = f"{execution_id}:buy"
    request = OrderRequest(
        strategy_id="arbitrage",
        exchange=venue.name,
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=AMOUNT,
    )
    intent = ChildIntent(
        client_order_id=client_order_id(order_id, 0),
        order_id=order_id,
        child_index=0,
        strategy_id="arbitrage",
        account="main",
        venue=venue.name,
        symbol=SYMBOL,
        side=Side.BUY,
        child_type=ChildType.MARKET,
        quantity=AMOUNT,
        time_in_force=TimeInForce.GTC,
    )
    order = venue.orders[intent.client_order_id] = Order(intent)
    venue.trade(order, AMOUNT)
    order.are_fills_shown = False
    return KnownLeg(
        order_id=order_id,
        request=request,
        intent=intent,
        attempt=1,
        status=ChildStatus.SETTLING,
        report=order.report,
    )


async def test_an_adopted_market_order_is_not_compensated_before_its_price_is_known(
    client: Client, desk: Desk
) -> None:
    world = two_venues()
    for venue in world.venues.values():
        venue.listings[SYMBOL].bids = levels(("40000", "100"))
    world.venues[BUY_VENUE].reads_fail = away(5)
    world.venues[BUY_VENUE].answers["hold"] = [rests() for _ in range(99)]
    run = Run(desk, world, client, {"hold_for": "60"})
    world.opened_as = OpenExecutionKind.ADOPTED
    world.legs = (lost_market_leg(world.venues[BUY_VENUE], run.id),)
    result = await (await run.start()).end()
    assert (result.status, result.residual_quantity) == (ExecutionStatus.RESIDUAL_HELD, AMOUNT)
    assert {each.split("-")[0] for each in hedges(world)} == {"hold"}


async def test_a_plan_is_the_same_in_whatever_order_its_targets_come() -> None:
    body: dict[str, Any] = {"exchanges": ["binance"], "targets": {"USDT": "0.5", "BTC": "0.5"}}
    turned = replace_targets(body, {"BTC": "0.5", "USDT": "0.5"})
    one, other = (parse_plan(json.dumps(each).encode(), RebalancePlan) for each in (body, turned))
    assert isinstance(one, RebalancePlan)
    assert isinstance(other, RebalancePlan)
    assert one.body_hash() == other.body_hash()
    changed = replace_targets(body, {"BTC": "0.4", "USDT": "0.6"})
    third = parse_plan(json.dumps(changed).encode(), RebalancePlan)
    assert isinstance(third, RebalancePlan)
    assert third.body_hash() != one.body_hash()


def replace_targets(body: dict[str, Any], targets: dict[str, str]) -> dict[str, Any]:
    return {**body, "targets": targets}
