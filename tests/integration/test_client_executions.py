"""The typed client with arbitrages and rebalancings: a real Temporal server, the real workflows,
scripted venues."""

import asyncio
import uuid
from decimal import Decimal
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from starters import calls as calls_module
from starters.client import DeltaClient
from starters.errors import (
    ExecutionEnded,
    ExecutionFailed,
    ExecutionNotFound,
    OrderNotFound,
    OutcomeUnknown,
)
from starters.kinds import ARBITRAGES, REBALANCES
from tests.unit.execution_samples import ARBITRAGE_PLAN
from tests.workflows.arbitrage_runs import BUY_VENUE, SELL_VENUE, two_venues
from tests.workflows.conftest import engine_on
from tests.workflows.execution_fakes import Desk, ExecutionWorld, desk_on
from tests.workflows.fakes import FakeWorld
from tests.workflows.fakes import rests as rests_in_the_world
from tests.workflows.rebalance_runs import PLAN as REBALANCE_PLAN
from tests.workflows.rebalance_runs import one_venue
from tests.workflows.scripted_answers import rests
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import OrderRequest, validate_order
from workflows.plans import validate_plan

pytest_plugins = ["tests.integration.client_server_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

RESTING = {"leg_time_in_force": "GTC", "timeout": "60"}


@pytest.fixture
def client(server: WorkflowEnvironment) -> DeltaClient:
    return DeltaClient(server.client)


def new_id() -> str:
    return f"e-{uuid.uuid4().hex[:12]}"


def an_arbitrage(**changes: Any) -> ArbitragePlan:
    plan = ARBITRAGE_PLAN | {"id": new_id(), "sell_price": "50500"} | changes
    read = validate_plan(plan, ArbitragePlan)
    assert isinstance(read, ArbitragePlan), read
    return read


def a_rebalancing(**changes: Any) -> RebalancePlan:
    read = validate_plan(REBALANCE_PLAN | {"id": new_id()} | changes, RebalancePlan)
    assert isinstance(read, RebalancePlan), read
    return read


def a_limit(order_id: str | None) -> OrderRequest:
    order = {"strategy_id": "s1", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
    order |= {"order_type": "limit", "quantity": "0.1", "price": "49000"}
    read = validate_order(order | {"order_id": order_id})
    assert isinstance(read, OrderRequest), read
    return read


def resting(desk: Desk, plan: ArbitragePlan) -> ExecutionWorld:
    """Venues at which both legs of this plan rest."""
    world = two_venues(buy={"buy": [rests()]}, sell={"sell": [rests()]})
    desk.worlds[plan.id or ""] = world
    return world


async def test_an_arbitrage_is_accepted_followed_and_ends_with_its_profit(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    plan = an_arbitrage()
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as desk:
        desk.worlds[plan.id or ""] = two_venues()
        accepted = await client.execute_arbitrage(plan)
        changes = client.watch_arbitrage(accepted.execution_id, poll_interval_s=0.05)
        seen = [each async for each in changes]
        result = await client.arbitrage_result(accepted.execution_id)
        described = await server.client.get_workflow_handle(plan.id or "").describe()
    assert accepted.execution_id == plan.id
    assert seen[-1] == result
    assert result.status is ExecutionStatus.COMPLETED
    assert result.actual_profit is not None
    assert result.actual_profit > 0
    said = await described.static_summary()
    assert said == "arbitrage 0.1 BTC/USDT: buy binance 50000, sell okx 50500"


async def test_a_plan_without_an_id_gets_one_before_its_start(
    server: WorkflowEnvironment, client: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "ACCEPT_WAIT_S", 0.3)
    plan = an_arbitrage().model_copy(update={"id": None})
    with pytest.raises(OutcomeUnknown) as unknown:
        await client.execute_arbitrage(plan)
    assert unknown.value.id
    assert unknown.value.id in str(unknown.value)
    await server.client.get_workflow_handle(unknown.value.id).terminate()


async def test_the_same_plan_again_gets_the_same_answer_and_another_one_a_conflict(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    plan = an_arbitrage(**RESTING)
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as desk:
        world = resting(desk, plan)
        answers = await asyncio.gather(*(client.execute_arbitrage(plan) for _ in range(10)))
        other = await client.execute_arbitrage(plan.model_copy(update={"amount": Decimal("0.2")}))
        await client.cancel_arbitrage(plan.id or "")
        after_the_end = await client.execute_arbitrage(plan)
    assert {each.model_dump_json() for each in [*answers, after_the_end]} == {
        answers[0].model_dump_json()
    }
    assert (other.status, other.code) == (ExecutionStatus.DENIED, DenialCode.IDEMPOTENCY_CONFLICT)
    assert len(world.submits) == 2


async def test_a_cancel_answers_the_final_state_and_a_second_one_that_it_has_ended(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    plan = an_arbitrage(**RESTING)
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as desk:
        resting(desk, plan)
        await client.execute_arbitrage(plan)
        first = await client.cancel_arbitrage(plan.id or "", "changed my mind")
        with pytest.raises(ExecutionEnded) as second:
            await client.cancel_arbitrage(plan.id or "")
    assert first.status is ExecutionStatus.CANCELLED
    assert second.value.snapshot.status is ExecutionStatus.CANCELLED


async def test_a_preview_tells_the_plan_and_sends_nothing_and_a_rebalancing_trades_it(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    asked, plan = a_rebalancing(), a_rebalancing()
    async with desk_on(server.client, "binance") as desk:
        only_planned, traded = one_venue(), one_venue()
        desk.worlds |= {asked.id or "": only_planned, plan.id or "": traded}
        preview = await client.preview_rebalance(asked)
        await client.rebalance(plan)
        result = await asyncio.wait_for(client.rebalance_result(plan.id or ""), 30)
    assert preview.preview
    assert [(each.side, each.asset) for each in preview.sells] == [("sell", "BTC")]
    assert only_planned.submits == []
    assert result.status is ExecutionStatus.COMPLETED
    assert result.sells == preview.sells
    assert len(traded.submits) == len(result.orders) == 2


async def test_a_terminated_execution_is_a_failure_that_says_so(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    plan = an_arbitrage(**RESTING)
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as desk:
        resting(desk, plan)
        await client.execute_arbitrage(plan)
        await server.client.get_workflow_handle(plan.id or "").terminate("by hand")
        for ask in (client.arbitrage, client.arbitrage_result, client.cancel_arbitrage):
            with pytest.raises(ExecutionFailed, match="terminated"):
                await ask(plan.id or "")


async def test_an_id_of_another_kind_is_not_found_and_is_not_cancelled(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    plan = an_arbitrage(**RESTING)
    execution_id = plan.id or ""
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as desk:
        resting(desk, plan)
        await client.execute_arbitrage(plan)
        for ask in (client.progress, client.cancel):
            with pytest.raises(OrderNotFound):
                await ask(execution_id)
        with pytest.raises(ExecutionNotFound):
            await client.cancel_rebalance(execution_id)
        assert (await client.arbitrage(execution_id)).status is ExecutionStatus.RUNNING
        await client.cancel_arbitrage(execution_id)
        with pytest.raises(OrderNotFound):  # also once it has ended
            await client.result(execution_id)


async def test_an_id_that_another_kind_has_taken_is_a_conflict_both_ways(
    server: WorkflowEnvironment, client: DeltaClient
) -> None:
    plan, order = an_arbitrage(**RESTING), a_limit(new_id())
    async with desk_on(server.client, BUY_VENUE, SELL_VENUE) as desk:
        resting(desk, plan)
        await client.execute_arbitrage(plan)
        denied_order = await client.submit(a_limit(plan.id))
        await client.cancel_arbitrage(plan.id or "")
    async with engine_on(server.client, FakeWorld(default=rests_in_the_world)):
        await client.submit(order)
        denied = [
            await client.execute_arbitrage(an_arbitrage(id=order.order_id)),
            await client.rebalance(a_rebalancing(id=order.order_id)),
        ]
        still = await client.progress(order.order_id or "")
        await client.cancel(order.order_id or "")
    assert (denied_order.status, denied_order.code) == (
        OrderStatus.DENIED,
        DenialCode.IDEMPOTENCY_CONFLICT,
    )
    assert {(each.status, each.code) for each in denied} == {
        (ExecutionStatus.DENIED, DenialCode.IDEMPOTENCY_CONFLICT)
    }
    assert still.status is OrderStatus.WORKING


async def test_an_unknown_id_is_not_found(client: DeltaClient) -> None:
    for kind in (ARBITRAGES, REBALANCES):
        with pytest.raises(ExecutionNotFound, match=f"no {kind.noun} never-seen"):
            await client.calls(kind).progress("never-seen")
