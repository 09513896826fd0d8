"""An order whose workflow was lost is settled: cancelled, resolved, waited for; never sent."""

import asyncio
import uuid
from contextlib import suppress
from decimal import Decimal

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import TERMS, FakeWorld, report_of
from workflows import names, ports
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import (
    ChildIntent,
    ChildType,
    Side,
    TimeInForce,
    client_order_id,
)
from workflows.domain.reports import VenueStatus
from workflows.messages import OrderRequest

ORDER = "lost-1"


def intent(index: int = 0) -> ChildIntent:
    return ChildIntent(
        client_order_id=client_order_id(ORDER, index),
        order_id=ORDER,
        child_index=index,
        strategy_id="s1",
        account="main",
        venue="binance",
        symbol="BTC/USDT",
        side=Side.BUY,
        child_type=ChildType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(49_000),
        time_in_force=TimeInForce.GTC,
    )


def left(*children: ports.KnownChild) -> ports.TakenOver:
    request = OrderRequest.model_validate(
        {
            "strategy_id": "s1",
            "exchange": "binance",
            "symbol": "BTC/USDT",
            "side": "buy",
            "order_type": "limit",
            "quantity": "0.1",
            "price": "49000",
        }
    )
    return ports.TakenOver(terms=TERMS, epoch="e1", request=request, children=children)


def child(status: ChildStatus, report: bool = False, index: int = 0) -> ports.KnownChild:
    known = report_of(intent(index), Decimal(0), VenueStatus.OPEN) if report else None
    return ports.KnownChild(intent=intent(index), attempt=1, status=status, report=known)


async def settle(client: Client, world: FakeWorld) -> str:
    for known in world.left.children if world.left else ():
        world.intents[known.intent.client_order_id] = known.intent
        if known.report is not None:
            world.reports[known.intent.client_order_id] = known.report
    async with engine_on(client, world):
        handle = await client.start_workflow(
            "SettleOrder",
            ports.LostOrder(order_id=ORDER, how="terminated"),
            id=f"{names.settle_id(ORDER)}-{uuid.uuid4().hex[:8]}",
            task_queue=names.ORDERS_QUEUE,
            result_type=str,
        )
        said = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert world.submits == []
    return said


@pytest.mark.parametrize("status", [ChildStatus.WORKING, ChildStatus.CANCELLING])
async def test_what_rests_is_cancelled_and_the_order_ended(client: Client, status: ChildStatus):
    world = FakeWorld(left=left(child(status, report=True)))
    assert await settle(client, world) == "settled 1 child orders"
    assert [cancel.venue_order_id for cancel in world.cancels] == [
        world.reports[intent().client_order_id].venue_order_id
    ]
    assert [order.order_id for order in world.ended] == [ORDER]


@pytest.mark.parametrize("status", [ChildStatus.SENDING, ChildStatus.UNKNOWN])
async def test_what_may_have_been_sent_is_looked_for_and_given_up_when_absent(
    client: Client, status: ChildStatus
):
    absent = ports.Resolved(kind=ports.ResolveKind.PROVEN_ABSENT, reason="not found")
    world = FakeWorld(left=left(child(status)), resolutions=[absent])
    await settle(client, world)
    assert [given.client_order_id for given in world.given_up] == [intent().client_order_id]
    assert (world.cancels, len(world.ended)) == ([], 1)


async def test_a_fill_that_wins_against_the_cancel_is_waited_for(client: Client):
    world = FakeWorld(left=left(child(ChildStatus.WORKING, report=True)), cancel_fills=True)
    await settle(client, world)
    assert world.reports[intent().client_order_id].status is VenueStatus.FILLED
    assert len(world.ended) == 1


async def test_each_of_several_children_is_settled(client: Client):
    many = left(*(child(ChildStatus.WORKING, report=True, index=index) for index in range(3)))
    world = FakeWorld(left=many)
    assert await settle(client, world) == "settled 3 child orders"
    assert len(world.cancels) == 3


async def test_nothing_is_done_where_nothing_is_left(client: Client):
    world = FakeWorld()
    assert await settle(client, world) == "nothing was left to settle"
    assert (world.cancels, world.ended) == ([], [])


async def test_an_operator_may_decide_on_what_stays_unknown_and_a_cancel_changes_nothing(
    client: Client,
):
    world = FakeWorld(left=left(child(ChildStatus.UNKNOWN)))
    async with engine_on(client, world):
        handle = await client.start_workflow(
            "SettleOrder",
            ports.LostOrder(order_id=ORDER, how="terminated"),
            id=names.settle_id(uuid.uuid4().hex),
            task_queue=names.ORDERS_QUEUE,
            result_type=str,
        )
        await handle.cancel()
        verdict = {"child": 0, "verdict": "absent", "reason": "not there", "requested_by": "ann"}
        async with asyncio.timeout(20):
            while not world.verdicts:
                with suppress(WorkflowUpdateFailedError):  # not before it has found the child
                    await handle.execute_update(names.RESOLVE, verdict)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(names.RESOLVE, verdict | {"child": 3})
        absent = ports.Resolved(kind=ports.ResolveKind.PROVEN_ABSENT, reason="an operator")
        world.resolutions.append(absent)
        said = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert said == "settled 1 child orders"
    assert [each.by for each in world.verdicts] == ["ann"]


async def test_without_an_order_it_fails_at_once(client: Client):
    async with engine_on(client, FakeWorld()):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(
                "SettleOrder", id=f"settle-{uuid.uuid4().hex}", task_queue=names.ORDERS_QUEUE
            )
    assert "order_id is missing" in str(failed.value.cause)
