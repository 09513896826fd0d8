"""Rebalancings on scripted venues: what is refused, cancelled, lost, or known."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.execution_fakes import Desk, desk_on
from tests.workflows.rebalance_runs import PLAN, Run, one_venue, run
from tests.workflows.scripted_answers import after, rests
from tests.workflows.scripted_venue import Order, crosses
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import (
    ChildIntent,
    ChildType,
    OrderType,
    Side,
    client_order_id,
)
from workflows.execution_messages import RebalanceSnapshot
from workflows.messages import OrderRequest
from workflows.ports import KnownLeg, OpenExecutionKind

pytestmark = pytest.mark.asyncio(loop_scope="session")

SELL, BUY = "1-sell-binance-BTC", "1-buy-binance-ETH"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: WorkflowEnvironment) -> AsyncIterator[Desk]:
    """One set of workers for all tests of this module."""
    async with desk_on(server.client, "binance", "okx") as opened:
        yield opened


# --- refused ------------------------------------------------------------------------------------

TOO_LARGE = Denied(code=DenialCode.RISK_MAX_NOTIONAL, detail="value=10008 limit=5000")


async def test_a_denied_order_is_told_with_its_code_and_the_others_go_on(
    client: Client, desk: Desk
) -> None:
    world = one_venue()
    world.denials[SELL] = [TOO_LARGE]
    result = await run(desk, client, world)
    assert result.status is ExecutionStatus.PARTIAL
    assert [each.leg for each in result.orders] == [BUY]
    (told,) = [each for each in result.skipped if each.asset == "BTC"]
    assert "RISK_MAX_NOTIONAL" in told.reason
    assert (told.side, told.quantity) == (Side.SELL, Decimal("0.1668"))
    assert world.did("accept").count(f"accept {SELL}") == 1
    assert not any("2-sell-binance-BTC" in step for step in world.did())


async def test_when_all_orders_are_denied_so_is_the_rebalancing(client: Client, desk: Desk) -> None:
    world = one_venue()
    halted = Denied(code=DenialCode.TRADING_HALTED, detail="scope=global")
    world.denials = {SELL: [halted], BUY: [halted]}
    result = await run(desk, client, world)
    assert (result.status, result.code) == (ExecutionStatus.DENIED, DenialCode.TRADING_HALTED)
    assert world.did("submit") == []


@pytest.mark.parametrize(
    ("plan", "code", "field"),
    [
        ({"targets": {"BTC": "0.6", "USDT": "0.5"}}, DenialCode.INVALID_WEIGHTS, "targets"),
        ({"targets": {"BTC": "-0.1"}}, DenialCode.OUT_OF_RANGE, "targets"),
        ({"exchanges": ["binance", "binance"]}, DenialCode.SAME_VENUE, "exchanges"),
        ({"targets": {"DOGE": "0.5"}}, DenialCode.MISSING_PRICE, "targets"),
        ({"id": "another"}, DenialCode.FIELD_NOT_ALLOWED, "id"),
    ],
)
async def test_a_bad_plan_is_denied_with_its_code_and_sends_nothing(
    client: Client, desk: Desk, plan: dict[str, Any], code: DenialCode, field: str
) -> None:
    world = one_venue()
    result = await run(desk, client, world, **plan)
    assert result.status is ExecutionStatus.DENIED
    assert (result.code, result.field) == (code, field)
    assert world.did("submit", "accept") == []


async def test_a_held_asset_without_a_price_refuses_all_unless_it_is_left_out(
    client: Client, desk: Desk
) -> None:
    world = one_venue()
    world.venues["binance"].free["FOO"] = Decimal(5)
    denied = await run(desk, client, world)
    assert (denied.code, denied.error) == (DenialCode.MISSING_PRICE, "asset=FOO")
    result = await run(desk, client, world, assets=["BTC", "ETH"])
    assert result.status is ExecutionStatus.COMPLETED
    assert world.venues["binance"].free["FOO"] == 5


async def test_a_venue_that_does_not_answer_in_time_denies_the_plan(
    client: Client, desk: Desk
) -> None:
    world = one_venue()
    world.venues["binance"].views_fail = True
    result = await run(desk, client, world)
    assert (result.status, result.code) == (
        ExecutionStatus.DENIED,
        DenialCode.NOT_ACCEPTED_IN_TIME,
    )


# --- cancelled, adopted, known ------------------------------------------------------------------


@pytest.mark.parametrize("way", ["signal", "update", "temporal"])
async def test_a_cancel_takes_live_orders_off_and_sends_no_more(
    client: Client, desk: Desk, way: str
) -> None:
    world = one_venue({SELL: [rests("0.5")]})
    going = await Run(desk, world, client).start()
    await going.until_leg(SELL, OrderStatus.WORKING)
    if way == "temporal":
        await going.workflow.cancel()
    elif way == "signal":
        await going.workflow.signal(names.CANCEL, {"reason": "enough"})
    else:
        await going.workflow.execute_update(names.CANCEL, result_type=RebalanceSnapshot)
    result = await going.end()
    assert result.status is ExecutionStatus.CANCELLED
    assert [(each.leg, each.status) for each in result.orders] == [(SELL, OrderStatus.CANCELLED)]
    assert result.orders[0].filled_amount == Decimal("0.0834")
    assert world.did("submit", "cancel") == [f"submit {SELL}", f"cancel {SELL}"]


async def test_a_cancel_before_the_first_order_trades_nothing(client: Client, desk: Desk) -> None:
    world = one_venue()
    going = Run(desk, world, client)
    world.venues["binance"].views_fail = True
    await going.start()
    async with asyncio.timeout(20):
        while not world.opened:
            await asyncio.sleep(0.01)
    await going.workflow.signal(names.CANCEL)
    world.venues["binance"].views_fail = False
    result = await going.end()
    assert result.status is ExecutionStatus.CANCELLED
    assert world.did("submit", "accept") == []


async def test_what_a_lost_workflow_left_is_settled_and_nothing_new_is_sent(
    client: Client, desk: Desk
) -> None:
    world = one_venue()
    world.opened_as = OpenExecutionKind.ADOPTED
    going = Run(desk, world, client)
    left = known_leg(going.id)
    place = world.venues["binance"]
    place.orders[left.intent.client_order_id] = Order(left.intent)
    place.trade(place.order(SELL), Decimal("0.05"))
    world.legs = (left,)
    result = await (await going.start()).end()
    assert result.status is ExecutionStatus.CANCELLED
    assert result.error == "its workflow was lost"
    assert [(each.leg, each.filled_amount) for each in result.orders] == [(SELL, Decimal("0.05"))]
    assert world.did("submit", "accept") == []


def known_leg(execution_id: str) -> KnownLeg:
    order_id = names.leg_order_id(execution_id, SELL)
    request = OrderRequest(
        strategy_id="rebalance",
        exchange="binance",
        symbol="BTC/USDT",
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(60_000),
    )
    intent = ChildIntent(
        client_order_id=client_order_id(order_id, 0),
        order_id=order_id,
        child_index=0,
        strategy_id="rebalance",
        account="main",
        venue="binance",
        symbol="BTC/USDT",
        side=Side.SELL,
        child_type=ChildType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(60_000),
    )
    return KnownLeg(
        order_id=order_id,
        request=request,
        intent=intent,
        attempt=1,
        status=ChildStatus.SENDING,
        report=None,
    )


async def test_an_id_that_ended_before_answers_what_it_ended_with(
    client: Client, desk: Desk
) -> None:
    first = await run(desk, client, one_venue())
    world = replace(
        one_venue(), opened_as=OpenExecutionKind.FINISHED, stored=first.model_dump_json()
    )
    going = await Run(desk, world, client).start()
    assert await going.workflow.result() == first
    assert world.did() == []


async def test_a_cancel_that_loses_against_the_last_fill_changes_nothing(
    client: Client, desk: Desk
) -> None:
    answered = asyncio.Event()
    world = one_venue({BUY: [after(answered, crosses)]})
    going = await Run(desk, world, client).start()
    await going.until_did(f"submit {BUY}")
    await going.workflow.signal(names.CANCEL)
    answered.set()
    result = await going.end()
    assert result.status is ExecutionStatus.COMPLETED
    assert [each.status for each in result.orders] == [OrderStatus.FILLED] * 2


async def test_a_second_plan_under_the_same_id_is_a_conflict(client: Client, desk: Desk) -> None:
    answered = asyncio.Event()
    world = one_venue({SELL: [after(answered, crosses)]})
    going = await Run(desk, world, client).start()
    for plan, status in (
        (PLAN, ExecutionStatus.RUNNING),
        (PLAN | {"band_abs": "0.1"}, ExecutionStatus.DENIED),
    ):
        told = await going.workflow.execute_update(
            names.ACCEPT, plan, result_type=RebalanceSnapshot
        )
        assert told.status is status
    answered.set()
    assert (await going.end()).status is ExecutionStatus.COMPLETED
