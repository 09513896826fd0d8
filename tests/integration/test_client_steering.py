"""Steering and previews through the typed client, with the real workflows on a real server."""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from temporalio import activity
from temporalio.testing import WorkflowEnvironment

from starters import order_calls
from starters.client import (
    AlreadyTerminal,
    DeltaClient,
    EffectPending,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from tests.integration.client_waits import until_resting
from tests.unit.order_bodies import KINDS
from tests.workflows.conftest import engine_on
from tests.workflows.fakes import FakeWorld, rests
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderRequest, validate_order
from workflows.ports import CancelChild
from workflows.steering_messages import ActionKind, AmendRequest, SteerRequest

pytest_plugins = ["tests.integration.client_server_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class SlowToCancel(FakeWorld):
    """A venue that takes nothing back until it may."""

    may_cancel: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name="cancel_child")
    async def cancel_child(self, request: CancelChild) -> None:
        await self.may_cancel.wait()
        await super().cancel_child(request)


@pytest.fixture
def orders(server: WorkflowEnvironment) -> DeltaClient:
    return DeltaClient(server.client)


def an_order(kind: str = "limit", **changes: object) -> OrderRequest:
    fields = KINDS[kind] | {"order_id": f"s-{uuid.uuid4().hex[:12]}"} | changes
    order = validate_order(fields)
    assert isinstance(order, OrderRequest), order
    return order


async def started(orders: DeltaClient, request: OrderRequest) -> str:
    snapshot = await orders.submit(request)
    assert snapshot.status is not OrderStatus.DENIED, snapshot
    return snapshot.order_id


async def test_an_order_is_paused_amended_and_resumed_and_tells_who_did_it(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    async with engine_on(server.client, FakeWorld(default=rests)):
        order_id = await started(orders, an_order())
        paused = await orders.pause(order_id, SteerRequest(requested_by="ann", reason="news"))
        again = await orders.pause(order_id)
        amended = await orders.amend(order_id, AmendRequest(quantity=Decimal("0.2")))
        resumed = await orders.resume(order_id)
        await orders.cancel(order_id)
    assert (paused.status, paused.reason) == (OrderStatus.PAUSED, "news")
    assert (again.status, len(again.actions)) == (OrderStatus.PAUSED, 1)
    assert (amended.quantity, amended.status) == (Decimal("0.2"), OrderStatus.PAUSED)
    assert resumed.status is OrderStatus.WORKING
    told = [(each.kind, each.requested_by) for each in resumed.actions]
    kinds = (ActionKind.PAUSE, ActionKind.AMEND, ActionKind.RESUME)
    assert told == list(zip(kinds, ("ann", "unknown", "unknown"), strict=True))


@pytest.mark.parametrize(
    ("ask", "code", "field"),
    [
        (lambda orders, id: orders.resume(id), "NOT_PAUSED", None),
        (
            lambda orders, id: orders.amend(id, AmendRequest(max_participation=Decimal("0.1"))),
            "FIELD_NOT_ALLOWED",
            "max_participation",
        ),
        (
            lambda orders, id: orders.amend(id, AmendRequest(price=Decimal("49000.001"))),
            "PRECISION",
            "price",
        ),
    ],
)
async def test_a_refusal_has_its_code_field_and_words_and_changes_nothing(
    server: WorkflowEnvironment, orders: DeltaClient, ask: object, code: str, field: str | None
) -> None:
    async with engine_on(server.client, FakeWorld(default=rests)):
        order_id = await started(orders, an_order())
        with pytest.raises(Refused) as refused:
            await ask(orders, order_id)  # type: ignore[operator] # a lambda of the table
        after = await orders.progress(order_id)
        await orders.cancel(order_id)
    denied = refused.value.denied
    assert (denied.code, denied.field) == (code, field)
    assert denied.detail
    assert not str(refused.value).startswith(code)
    assert after.status is OrderStatus.WORKING


async def test_what_has_ended_cannot_be_steered_and_what_never_was_is_not_found(
    server: WorkflowEnvironment, orders: DeltaClient
) -> None:
    async with engine_on(server.client, FakeWorld()):
        order_id = await started(orders, an_order("market"))
        await orders.result(order_id)
        for asked in (
            orders.pause(order_id),
            orders.amend(order_id, AmendRequest(price=Decimal(1))),
        ):
            with pytest.raises(AlreadyTerminal) as ended:
                await asked
            assert ended.value.snapshot.status is OrderStatus.FILLED
        with pytest.raises(OrderNotFound):
            await orders.pause("never-seen")


async def test_without_a_worker_nobody_knows_and_asking_again_is_safe(
    server: WorkflowEnvironment, orders: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = FakeWorld(default=rests)
    async with engine_on(server.client, world):
        order_id = await started(orders, an_order())
        await until_resting(orders, order_id)
    monkeypatch.setattr(order_calls, "STEER_WAIT_S", 0.5)
    with pytest.raises(OutcomeUnknown):
        await orders.pause(order_id)
    monkeypatch.undo()
    async with engine_on(server.client, world), asyncio.timeout(40):
        paused = None
        while paused is None:  # the server still offers the order to the worker that went away
            with suppress(OutcomeUnknown, EffectPending):
                paused = await orders.pause(order_id)
        await orders.cancel(order_id)
    assert (paused.status, len(paused.actions)) == (OrderStatus.PAUSED, 1)


async def test_an_action_that_takes_long_is_kept_and_takes_effect_by_itself(
    server: WorkflowEnvironment, orders: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SlowToCancel(default=rests)
    async with engine_on(server.client, world):
        order_id = await started(orders, an_order())
        monkeypatch.setattr(order_calls, "STEER_WAIT_S", 1.0)
        with pytest.raises(EffectPending) as pending:
            await orders.pause(order_id)
        world.may_cancel.set()
        async with asyncio.timeout(30):
            async for seen in orders.watch(order_id, poll_interval_s=0.05):
                if seen.status is OrderStatus.PAUSED:
                    break
        await orders.cancel(order_id)
    assert pending.value.snapshot.status is OrderStatus.WORKING


@pytest.mark.parametrize("kind", KINDS)
async def test_a_preview_of_each_type_tells_the_plan_and_starts_no_order(
    server: WorkflowEnvironment, orders: DeltaClient, kind: str
) -> None:
    world, request = FakeWorld(), an_order(kind)
    async with engine_on(server.client, world):
        told = await orders.preview(request)
        with pytest.raises(OrderNotFound):
            await orders.progress(request.order_id or "")
    assert told.accepted, told
    assert (told.order_type, told.quantity) == (kind, request.quantity)
    assert told.schedule_total >= len(told.schedule) > 0
    assert world.submits == []


async def test_a_preview_without_a_worker_is_unavailable_and_leaves_nothing(
    server: WorkflowEnvironment, orders: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_calls, "PREVIEW_WAIT", order_calls.READ_WAIT / 4)
    request = an_order()
    with pytest.raises(Unavailable):
        await orders.preview(request)
    monkeypatch.undo()
    async with engine_on(server.client, FakeWorld()):
        handle = server.client.get_workflow_handle(names.preview_id(request.order_id or ""))
        async with asyncio.timeout(20):
            while (await handle.describe()).close_time is None:
                await asyncio.sleep(0.05)
        assert (await orders.preview(request)).accepted
