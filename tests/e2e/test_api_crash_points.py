"""Crash points between the API, Temporal and a worker, hit by pausing their connections exactly.

K2: the start reached Temporal and the API never read the answer. K3: the API's answer never
reached its client. K9: a worker stored what the exchange said and never told Temporal. Each dies
by SIGKILL there, and each order is one order. One of {limit, market} x {buy, sell} by the seed
in CRASH_SEED, or all of them with CRASH_ALL=1.
"""

import asyncio
import json
import os
import random
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from temporalio.service import RPCError

from tests.e2e.crash_world import SEED
from tests.e2e.fault_proxy import Trap, Way
from tests.e2e.grpc_wire import grpc_path
from tests.e2e.infra_world import WORKERS, Infra
from tests.e2e.proof import assert_order_is_true, assert_tasks_never_failed
from tests.e2e.world import INSIDE, STILL, World, until
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderSnapshot

pytest_plugins = ("tests.e2e.infra_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

QUANTITY = "0.02"
HIT_WITHIN_S = 20
ALL_CASES = [(kind, side) for kind in ("limit", "market") for side in ("buy", "sell")]
CASES = ALL_CASES if os.environ.get("CRASH_ALL") == "1" else [random.Random(SEED).choice(ALL_CASES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order to be, with its only child's id, which is known before it starts."""

    body: dict[str, Any]
    key: str
    child: str

    @classmethod
    def of(cls, infra: Infra, kind: str, side: str) -> "Order":
        price = {"price": INSIDE} if kind == "limit" else {}
        body = infra.body(order_type=kind, side=side, quantity=QUANTITY, **price)
        order_id = str(body["order_id"])
        return cls(body=body, key=order_id, child=client_order_id(order_id, 0))


@pytest.fixture(params=CASES, ids="-".join)
def order(infra: Infra, request: pytest.FixtureRequest) -> Order:
    print(f"CRASH_SEED={SEED}: {'-'.join(request.param)}")
    return Order.of(infra, *request.param)


async def test_k2_a_start_whose_answer_the_dead_api_never_read_is_one_order(infra, order):
    line = infra.lines["api-0", "temporal"]
    trap = line.trap(re.compile(re.escape(order.key.encode())), Way.UP, holds=Way.DOWN)
    posting = asyncio.create_task(infra.post(order.body, "api-0", order.key))
    await _hit(trap)
    await until(lambda: _is_started(infra.world, order.key))
    await until(lambda: trap.held)
    await _assert_dies(infra, "api-0")
    with pytest.raises(httpx.TransportError):
        await posting
    answer = await infra.post(order.body, "api-0", order.key)
    assert (answer.status_code, answer.json()["order_id"]) == (201, order.key)
    await _assert_one_order(infra, order)


async def test_k3_a_retry_gets_the_answer_that_the_dead_api_did_not_deliver(infra, order):
    trap = infra.doors["api-0"].trap(re.compile(rb"HTTP/1\.1 201 "), Way.DOWN)
    posting = asyncio.create_task(infra.post(order.body, "api-0", order.key))
    await _hit(trap)
    await until(lambda: _body_of(trap) is not None)
    await _assert_dies(infra, "api-0")
    with pytest.raises(httpx.TransportError):
        await posting
    for api in ("api-1", "api-0"):
        answer = await infra.post(order.body, api, order.key)
        assert (answer.status_code, answer.json()) == (201, _body_of(trap))
    await _assert_one_order(infra, order)


async def test_k9_an_answer_that_is_stored_but_unreported_is_not_asked_for_again(infra, order):
    completion = re.escape(grpc_path("RespondActivityTaskCompleted"))
    pattern = re.compile(completion + rb".{0,1000}" + order.child.encode(), re.DOTALL)
    traps = {name: infra.lines[name, "temporal"].trap(pattern, Way.UP) for name in WORKERS}
    answer = await infra.post(order.body, "api-0", order.key)
    assert answer.status_code == 201
    await until(lambda: any(trap.hit.is_set() for trap in traps.values()), HIT_WITHIN_S)
    (victim,) = (name for name, trap in traps.items() if trap.hit.is_set())
    for name in set(WORKERS) - {victim}:
        infra.lines[name, "temporal"].traps.remove(traps[name])
    await _assert_dies(infra, victim)
    done = await _assert_one_order(infra, order)
    assert "resolve" in await _activities(infra.world, done.order_id)
    sent = [
        (request.method, request.path)
        for request in infra.world.log().requests
        if order.child in "\n".join(request.params.values())
    ]
    assert sent == [("POST", "/api/v3/order")]


async def _hit(trap: Trap) -> None:
    async with asyncio.timeout(HIT_WITHIN_S):
        await trap.hit.wait()


async def _assert_dies(infra: Infra, front: str) -> None:
    """SIGKILL while its connection is paused; it is back when this returns."""
    process = infra.fronts.parts[front].process
    assert process is not None
    await infra.kill(front)
    assert process.returncode == -9


async def _is_started(world: World, order_id: str) -> bool:
    try:
        await world.temporal.get_workflow_handle(order_id).describe()
    except RPCError:
        return False
    return True


async def _assert_one_order(infra: Infra, order: Order) -> OrderSnapshot:
    """Traded once, to the end, and the ledger says what the exchange says."""
    world = infra.world
    if order.body["order_type"] == "limit":
        await until(lambda: any(o.is_open for o in world.log().orders_named(order.child)), 30)
        side = "sell" if order.body["side"] == "buy" else "buy"
        terms = {"timeInForce": "IOC"}
        await world.other.create_order(STILL, "limit", side, QUANTITY, str(INSIDE), terms)
    done = await world.finish(OrderSnapshot(order_id=order.key, status=OrderStatus.PENDING))
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal(QUANTITY))
    assert [child.client_order_id for child in done.children] == [order.child]
    assert len(world.log().orders_named(order.child)) == 1
    await assert_order_is_true(world, done)
    await assert_tasks_never_failed(world, done.order_id)
    return done


async def _activities(world: World, order_id: str) -> list[str]:
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in (await world.history(order_id)).events
    ]


def _body_of(trap: Trap) -> Any:
    """The JSON body of the answer that was held; None while it is not complete."""
    _head, _blank, body = bytes(trap.held).partition(b"\r\n\r\n")
    try:
        return json.loads(body)
    except ValueError:
        return None
