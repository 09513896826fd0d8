"""The typed client on a real Temporal server with the real workflows; only the world is fake."""

import asyncio
import uuid
from decimal import Decimal

import pytest
from temporalio.testing import WorkflowEnvironment

from starters import calls as calls_module
from starters import client as client_module
from starters.client import (
    AlreadyTerminal,
    DeltaClient,
    OrderFailed,
    OrderNotFound,
    OutcomeUnknown,
    Unavailable,
)
from tests.integration.client_waits import until_resting
from tests.workflows.conftest import engine_on
from tests.workflows.fakes import FakeWorld, rests
from workers.settings import load_settings
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderRequest, validate_order

pytest_plugins = ["tests.integration.client_server_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def orders(server: WorkflowEnvironment) -> DeltaClient:
    return DeltaClient(server.client)


def an_order(**changes: object) -> OrderRequest:
    fields = {
        "order_id": f"o-{uuid.uuid4().hex[:12]}",
        "strategy_id": "s1",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "side": "buy",
        "order_type": "market",
        "quantity": "0.1",
    }
    order = validate_order(fields | changes)
    assert isinstance(order, OrderRequest), order
    return order


def a_limit(**changes: object) -> OrderRequest:
    return an_order(order_type="limit", price="49000", **changes)


async def test_an_order_is_accepted_followed_and_ends_filled(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    async with engine_on(server.client, FakeWorld()):
        accepted = await orders.submit(an_order())
        seen = [each async for each in orders.watch(accepted.order_id, poll_interval_s=0.05)]
        result = await orders.result(accepted.order_id)
    assert not accepted.status.is_terminal or accepted.status is OrderStatus.FILLED
    assert seen[-1] == result
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal("0.1"))


async def test_an_order_without_an_id_gets_one_before_its_start(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    request = an_order().model_copy(update={"order_id": None})
    async with engine_on(server.client, FakeWorld()):
        accepted = await orders.submit(request)
        assert (await orders.result(accepted.order_id)).order_id == accepted.order_id


async def test_a_denied_order_is_an_answer_with_its_code(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    denial = Denied(code=DenialCode.RISK_MAX_NOTIONAL, detail="too much", field="quantity")
    async with engine_on(server.client, FakeWorld(accept_denial=denial)):
        answer = await orders.submit(an_order())
    assert (answer.status, answer.code) == (OrderStatus.DENIED, DenialCode.RISK_MAX_NOTIONAL)


async def test_the_same_order_again_gets_the_same_answer_and_trades_once(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    world, request = FakeWorld(default=rests), a_limit()
    async with engine_on(server.client, world):
        answers = await asyncio.gather(*(orders.submit(request) for _ in range(20)))
        await orders.cancel(request.order_id or "")
        after_the_end = await orders.submit(request)
    assert {each.model_dump_json() for each in [*answers, after_the_end]} == {
        answers[0].model_dump_json()
    }
    assert len(world.submits) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": Decimal("0.2")},
        {"timeout_s": Decimal(60)},  # a field that no snapshot shows
    ],
)
async def test_another_body_under_a_running_orders_id_is_a_conflict(
    server: WorkflowEnvironment, orders: DeltaClient, change: dict[str, object]
) -> None:
    world, request = FakeWorld(default=rests), a_limit()
    async with engine_on(server.client, world):
        await orders.submit(request)
        answer = await orders.submit(request.model_copy(update=change))
        running = await orders.progress(request.order_id or "")
        await orders.cancel(request.order_id or "")
    assert answer.code is DenialCode.IDEMPOTENCY_CONFLICT
    assert running.status is OrderStatus.WORKING


async def test_another_type_of_order_under_a_running_orders_id_is_a_conflict(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    request = a_limit()
    async with engine_on(server.client, FakeWorld(default=rests)):
        await orders.submit(request)
        answer = await orders.submit(an_order(order_id=request.order_id))
        await orders.cancel(request.order_id or "")
    assert answer.code is DenialCode.IDEMPOTENCY_CONFLICT


async def test_a_cancel_answers_the_final_state_and_a_second_one_that_it_has_ended(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    request = a_limit()
    async with engine_on(server.client, FakeWorld(default=rests)):
        await orders.submit(request)
        first = await orders.cancel(request.order_id or "", "changed my mind")
        with pytest.raises(AlreadyTerminal) as second:
            await orders.cancel(request.order_id or "")
    assert (first.status, first.reason) == (OrderStatus.CANCELLED, "changed my mind")
    assert second.value.snapshot.status is OrderStatus.CANCELLED


async def test_an_unknown_id_is_not_found(server: WorkflowEnvironment, orders: DeltaClient) -> None:
    for ask in (orders.progress, orders.cancel, orders.result):
        with pytest.raises(OrderNotFound):
            await ask("never-seen")


async def test_without_a_worker_the_outcome_is_unknown_until_one_is_there(
    server: WorkflowEnvironment, orders: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "ACCEPT_WAIT_S", 0.5)
    request = an_order()
    with pytest.raises(OutcomeUnknown) as unknown:
        await orders.submit(request)
    assert unknown.value.id == request.order_id
    monkeypatch.undo()
    async with engine_on(server.client, FakeWorld()):
        accepted = await orders.submit(request)
        await orders.result(request.order_id or "")
    assert accepted.status is not OrderStatus.DENIED


async def test_a_cancel_without_a_worker_is_kept_and_obeyed_later(
    server: WorkflowEnvironment, orders: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, request = FakeWorld(default=rests), a_limit()
    async with engine_on(server.client, world):
        await orders.submit(request)
        await until_resting(orders, request.order_id or "")
    monkeypatch.setattr(calls_module, "CANCEL_WAIT", calls_module.READ_WAIT / 4)
    answer = await orders.cancel(request.order_id or "", "while away")
    assert answer.status is OrderStatus.CANCELLING
    async with engine_on(server.client, world):
        result = await asyncio.wait_for(orders.result(request.order_id or ""), 30)
    assert (result.status, result.reason) == (OrderStatus.CANCELLED, "while away")


async def test_a_terminated_order_is_a_failure_that_says_so(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    request = a_limit()
    async with engine_on(server.client, FakeWorld(default=rests)):
        await orders.submit(request)
        await server.client.get_workflow_handle(request.order_id or "").terminate("by hand")
        for ask in (orders.progress, orders.result):
            with pytest.raises(OrderFailed, match="terminated"):
                await ask(request.order_id or "")


async def test_a_server_that_is_away_is_unavailable_within_the_bound() -> None:
    settings = load_settings({"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    with pytest.raises(Unavailable):
        await asyncio.wait_for(DeltaClient.connect(settings), client_module.CONNECT_WAIT_S + 1)
