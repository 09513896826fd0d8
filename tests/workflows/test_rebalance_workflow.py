"""Rebalancings on scripted venues: the order of things, and what the cash allows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.execution_fakes import Desk, ExecutionWorld, desk_on
from tests.workflows.fakes import TERMS
from tests.workflows.rebalance_runs import PRICES, Run, one_venue, run, venue, weight
from tests.workflows.scripted_answers import after, lost, rejects, takes, with_late_fills
from tests.workflows.scripted_venue import Answer, Venue, crosses
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import (
    ChildIntent,
    Side,
    TimeInForce,
)
from workflows.domain.reports import SubmitOutcome
from workflows.ports import Submit

pytestmark = pytest.mark.asyncio(loop_scope="session")

SELL, BUY = "1-sell-binance-BTC", "1-buy-binance-ETH"
BUY_AGAIN = "2-buy-binance-ETH"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all tests of this module."""
    async with desk_on(server.client, "binance", "okx") as opened:
        yield opened


# --- as planned ---------------------------------------------------------------------------------


async def test_sells_come_before_buys_and_end_at_the_targets(client: Client, desk: Desk) -> None:
    world = one_venue()
    result = await run(desk, client, world)
    assert result.status is ExecutionStatus.COMPLETED
    assert world.did("submit") == [f"submit {SELL}", f"submit {BUY}"]
    assert [(each.leg, each.filled_amount) for each in result.orders] == [
        (SELL, Decimal("0.1668")),
        (BUY, Decimal("1.9983")),
    ]
    assert result.portfolio_value == 40_000
    assert result.weights_before == {
        "BTC": Decimal("0.75"),
        "ETH": Decimal("0.15"),
        "USDT": Decimal("0.1"),
    }
    assert abs(weight(world, "BTC") - Decimal("0.5")) < Decimal("0.0001")
    assert abs(weight(world, "ETH") - Decimal("0.3")) < Decimal("0.0001")
    for asset, told in result.weights_after.items():
        assert abs(told - weight(world, asset)) < Decimal("0.000000001")
    assert (result.passes, result.buy_scale, result.needs_transfer) == (1, 1, ())
    assert {each.locks for each in world.accepted} == {("rebalance:main:binance",)}


async def test_a_second_run_trades_nothing(client: Client, desk: Desk) -> None:
    world = one_venue()
    await run(desk, client, world)
    sent = len(world.submits)
    again = await run(desk, client, world)
    assert again.status is ExecutionStatus.COMPLETED
    assert again.passes == 0
    assert len(world.submits) == sent


async def test_a_preview_tells_the_plan_and_sends_nothing(client: Client, desk: Desk) -> None:
    world = one_venue()
    result = await run(desk, client, world, preview=True)
    assert result.status is ExecutionStatus.COMPLETED
    assert result.preview
    assert [(each.asset, each.quantity) for each in result.sells] == [("BTC", Decimal("0.1668"))]
    assert [(each.asset, each.quantity) for each in result.buys] == [("ETH", Decimal("1.9983"))]
    assert not result.orders
    assert world.did() == ["save completed"]


async def test_each_order_takes_to_its_limit_and_never_rests(client: Client, desk: Desk) -> None:
    world = one_venue()
    await run(desk, client, world, slippage_tolerance="0.01")
    sent = {each.intent.side: each.intent for each in world.submits}
    assert sent[Side.SELL].price == Decimal(59_400)
    assert sent[Side.BUY].price == Decimal(3_030)
    assert {each.time_in_force for each in sent.values()} == {TimeInForce.IOC}


async def test_over_two_venues_cash_that_lies_elsewhere_needs_a_transfer(
    client: Client, desk: Desk
) -> None:
    here = venue("binance", BTC="0.1", USDT="1000")
    there = venue("okx", USDT="53000")
    del there.listings["ETH/USDT"]
    world = ExecutionWorld({"binance": here, "okx": there})
    result = await run(
        desk, client, world, exchanges=["binance", "okx"], targets={"BTC": "0.1", "ETH": "0.5"}
    )
    assert result.status is ExecutionStatus.COMPLETED
    (needed,) = result.needs_transfer
    assert (needed.asset, needed.side) == ("ETH", Side.BUY)
    (order,) = result.orders
    # 1,000 at binance, at 3,006 and 0.1 % for each; half of 60,000 is 10, less the fees
    assert (order.exchange, order.filled_amount) == ("binance", Decimal("0.3323"))
    assert abs(order.filled_amount + needed.quantity - Decimal("9.995")) < Decimal("0.001")


async def test_what_is_below_the_threshold_is_told_and_left(client: Client, desk: Desk) -> None:
    result = await run(desk, client, one_venue(), min_trade_value="7000")
    assert [(each.asset, each.side) for each in result.skipped] == [("ETH", Side.BUY)]
    assert [each.leg for each in result.orders] == [SELL]
    assert result.status is ExecutionStatus.COMPLETED


# --- what one order may have --------------------------------------------------------------------


def capped(value: str, **free: str) -> ExecutionWorld:
    """40,000 USDT as in `one_venue`, unless told otherwise; an order is worth `value` at most."""
    held = free or {"BTC": "0.5", "ETH": "2", "USDT": "4000"}
    terms = replace(TERMS, max_order_value=Decimal(value))
    return ExecutionWorld({"binance": venue("binance", **held)}, terms=terms)


def worth(sent: Submit) -> Decimal:
    """As the risk check judges an order; the middle is the one price of its asset."""
    assert sent.intent.price is not None
    middle = PRICES[sent.intent.symbol.partition("/")[0]]
    return sent.intent.quantity * max(sent.intent.price, middle)


async def test_no_order_is_above_the_limit_and_what_is_cut_off_is_told(
    client: Client, desk: Desk
) -> None:
    world = capped("2000")
    result = await run(desk, client, world)
    assert [each.leg for each in result.orders] == [SELL, BUY, "2-sell-binance-BTC", BUY_AGAIN]
    assert all(0 < worth(sent) <= 2_000 for sent in world.submits)
    assert (result.status, result.passes) == (ExecutionStatus.PARTIAL, 2)
    assert [(each.asset, each.side, each.reason) for each in result.skipped] == [
        ("BTC", Side.SELL, "above MAX_ORDER_VALUE=2000"),
        ("ETH", Side.BUY, "above MAX_ORDER_VALUE=2000"),
    ]
    assert "above MAX_ORDER_VALUE=2000" in result.error
    # sold and still to sell are all that was wanted
    sold = sum(each.filled_amount for each in result.orders if each.side is Side.SELL)
    assert abs(sold + result.skipped[0].quantity - Decimal("0.1668")) <= Decimal("0.0002")


async def test_a_preview_tells_what_would_be_cut_off(client: Client, desk: Desk) -> None:
    world = capped("2000")
    result = await run(desk, client, world, preview=True)
    assert (result.status, result.error) == (ExecutionStatus.COMPLETED, "")
    (sold,), (bought,) = result.sells, result.buys
    assert (sold.quantity, bought.quantity) == (Decimal("0.0333"), Decimal("0.6653"))
    assert [(each.asset, each.quantity, each.reason) for each in result.skipped] == [
        ("BTC", Decimal("0.1335"), "above MAX_ORDER_VALUE=2000"),
        ("ETH", Decimal("1.333"), "above MAX_ORDER_VALUE=2000"),
    ]
    assert world.did() == ["save completed"]


async def test_what_the_second_pass_can_still_trade_is_not_left(client: Client, desk: Desk) -> None:
    world = capped("6000")
    result = await run(desk, client, world)
    assert (result.status, result.passes, result.error) == (ExecutionStatus.COMPLETED, 2, "")
    assert all(worth(sent) <= 6_000 for sent in world.submits)
    assert not [each for each in result.skipped if "MAX_ORDER_VALUE" in each.reason]
    assert abs(weight(world, "BTC") - Decimal("0.5")) < Decimal("0.002")


async def test_a_limit_that_no_order_reaches_changes_nothing(client: Client, desk: Desk) -> None:
    free, wide = one_venue(), capped("50000")
    one, other = await run(desk, client, free), await run(desk, client, wide)
    assert [(each.leg, each.amount, each.price) for each in one.orders] == [
        (each.leg, each.amount, each.price) for each in other.orders
    ]
    assert (other.status, other.error, other.skipped) == (one.status, "", one.skipped)


async def test_a_limit_below_the_smallest_order_trades_nothing_and_says_why(
    client: Client, desk: Desk
) -> None:
    world = capped("2")
    result = await run(desk, client, world)
    assert (result.status, result.orders) == (ExecutionStatus.FAILED, ())
    assert "above MAX_ORDER_VALUE=2" in result.error
    assert world.did("accept", "submit") == []


async def test_what_is_cut_to_the_exchanges_largest_order_is_told_too(
    client: Client, desk: Desk
) -> None:
    world = one_venue()
    listed = world.venues["binance"].listings
    btc = listed["BTC/USDT"]
    rules = replace(btc.instrument, max_quantity=Decimal("0.05"))
    listed["BTC/USDT"] = replace(btc, instrument=rules)
    result = await run(desk, client, world)
    assert result.status is ExecutionStatus.PARTIAL
    assert [each.amount for each in result.orders if each.side is Side.SELL] == [
        Decimal("0.05"),
        Decimal("0.05"),
    ]
    reason = "above the exchange's largest order: max=0.05 exchange=binance"
    assert reason in [each.reason for each in result.skipped]
    assert reason in result.error


# --- the cash of the sells ----------------------------------------------------------------------


async def test_nothing_is_bought_before_every_sell_is_over(client: Client, desk: Desk) -> None:
    answered = asyncio.Event()
    world = ExecutionWorld(
        {
            "binance": venue(
                "binance",
                {SELL: [after(answered, crosses)]},
                BTC="0.5",
                SOL="100",
                USDT="0",
            )
        }
    )
    going = await Run(desk, world, client, {"targets": {"BTC": "0.3", "ETH": "0.5"}}).start()
    await going.until_leg("1-sell-binance-SOL", OrderStatus.FILLED)
    assert not any("buy" in step for step in world.did("accept", "submit"))
    answered.set()
    result = await going.end()
    assert result.status is ExecutionStatus.COMPLETED
    assert world.did("submit")[-1] == f"submit {BUY}"


async def test_the_buys_wait_for_the_fills_of_the_sells(client: Client, desk: Desk) -> None:
    result = await run(desk, client, one_venue({SELL: [with_late_fills(crosses)]}))
    assert result.status is ExecutionStatus.COMPLETED
    assert [each.filled_amount for each in result.orders] == [Decimal("0.1668"), Decimal("1.9983")]


async def test_a_sell_that_fills_partly_shrinks_the_buys_and_is_corrected_once(
    client: Client, desk: Desk
) -> None:
    world = ExecutionWorld({"binance": venue("binance", {SELL: [takes("0.5")]}, BTC="1", USDT="0")})
    result = await run(desk, client, world, targets={"BTC": "0.5", "ETH": "0.5"})
    assert result.status is ExecutionStatus.COMPLETED
    assert [each.leg for each in result.orders] == [
        SELL,
        BUY,
        "2-sell-binance-BTC",
        "2-buy-binance-ETH",
    ]
    assert result.orders[1].amount < result.buys[0].quantity * Decimal("0.51")
    assert result.passes == 2
    assert abs(weight(world, "ETH") - Decimal("0.5")) < Decimal("0.002")


async def test_a_sell_that_fails_twice_leaves_it_partial(client: Client, desk: Desk) -> None:
    script = {SELL: [rejects()], "2-sell-binance-BTC": [rejects()]}
    world = one_venue(script)
    result = await run(desk, client, world)
    assert result.status is ExecutionStatus.PARTIAL
    assert result.passes == 2
    assert {each.leg: each.status for each in result.orders}[SELL] is OrderStatus.REJECTED
    assert result.buy_scale is not None
    assert weight(world, "BTC") > Decimal("0.7")


async def test_nothing_traded_although_something_was_to_is_a_failure(
    client: Client, desk: Desk
) -> None:
    script: dict[str, list[Answer]] = {
        f"{number}-{side}-binance": [rejects()] for number in (1, 2) for side in ("sell", "buy")
    }
    result = await run(desk, client, one_venue(script))
    assert result.status is ExecutionStatus.FAILED
    assert not result.fees


async def test_an_unknown_sell_is_resolved_before_anything_is_bought(
    client: Client, desk: Desk
) -> None:
    world = one_venue({SELL: [lost(crosses)]})
    result = await run(desk, client, world)
    assert result.status is ExecutionStatus.COMPLETED
    assert world.did("submit", "resolve") == [
        f"submit {SELL}",
        f"resolve {SELL}",
        f"submit {BUY}",
    ]


async def test_a_venue_that_falls_silent_after_the_sells_gets_no_buys(
    client: Client, desk: Desk
) -> None:
    world = one_venue({SELL: [then_silent]})
    result = await run(desk, client, world)
    assert result.status is ExecutionStatus.PARTIAL
    assert [each.leg for each in result.orders] == [SELL]
    assert [(each.asset, each.side) for each in result.skipped] == [("ETH", Side.BUY)]
    assert not result.weights_after


async def then_silent(place: Venue, intent: ChildIntent) -> SubmitOutcome:
    place.views_fail = True
    return await crosses(place, intent)
