"""A worker or the API dies, or stands still, at each point of an order's way: the order goes on.

The rows are named as in the table of crash points; each is hit exactly, by a failpoint or by an
exchange that holds the request, with SIGKILL or SIGSTOP on a real process. K2, K3 and K9 are in
`test_api_crash_points`, K15 is in `test_kills`, K21 to K24 are in `test_crash_points_deploy`.
"""

import asyncio
from decimal import Decimal

import httpx
import pytest
import pytest_asyncio

from tests.api_client import open_client
from tests.e2e.crash_world import (
    ALL,
    LIMITS,
    PROOF_MS,
    QUANTITY,
    WINDOW_MS,
    AimedOrder,
    Case,
    Processes,
    again_when_starved,
    all_healthy,
    armed,
    can_begin,
    cases,
    counted,
    passages,
)
from tests.e2e.world import BEST_ASK, BEST_BID, MAIN, VENUE, World, until
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.messages import OrderSnapshot
from workflows.names import venue_queue

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED_AS_TOO_OLD, NO_SUCH_ORDER = -1021, -2011
RESOLVED_WITHIN_S = 30.0
BEFORE_TIMED_OUT = ("", "no answer")
FAR = {"buy": BEST_BID - 100, "sell": BEST_ASK + 100}


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _whole_engine(world: World):
    """A row begins with an engine that can trade and ends with an honest exchange."""
    await can_begin(world)
    yield
    await world.faults.clear()


@pytest.mark.parametrize("case", cases("K1"), ids=str)
async def test_k1_an_api_killed_before_the_start_leaves_nothing_and_a_retry_makes_one_order(
    world: World, case
):
    order, processes = AimedOrder(world, case), Processes(world)
    body = order.request.model_dump(mode="json", exclude_none=True)
    key = f"api.before_start[{order.order_id}]"
    with armed(world, f"{key}:kill"):
        async with open_client(world.stack.settings) as api:
            with pytest.raises(httpx.TransportError):
                await api.post("/api/v1/orders", json=body)
            await processes.killed_at(key)
            assert await world.views.order(order.order_id) is None
            assert not await _is_started(world, order.order_id)
            await world.stack.wait_healthy("api")
            answer = await api.post("/api/v1/orders", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    await order.completes()
    assert len(order.sent()) == 1


@pytest.mark.parametrize("case", cases("K4"), ids=str)
async def test_k4_what_was_not_claimed_is_proven_absent_at_once_and_sent_under_the_same_id(
    world: World, case
):
    await all_healthy(world)  # the figure is that of a fleet with a survivor
    order, processes = AimedOrder(world, case), Processes(world)
    key = f"submit.enter[{order.child}]"
    with armed(world, f"{key}:kill"):
        await order.submit()
        death = await processes.killed_at(key)
        done = await order.completes()
    assert done.children[0].attempt == 2
    assert order.looked_up() == []
    [sent] = order.sent()
    print(f"SIGKILL to the child's send: {sent.ts_ms - death.at_ms} ms")


@pytest.mark.parametrize("case", cases("K5"), ids=str)
@again_when_starved
async def test_k5_what_was_claimed_is_sent_again_only_after_proof_time(world: World, case):
    await all_healthy(world)
    order, processes = AimedOrder(world, case), Processes(world)
    key = f"submit.before_send[{order.child}]"
    with armed(world, f"{key}:kill"):
        await order.submit()
        death = await processes.killed_at(key)
        done = await order.completes()
    assert done.children[0].attempt == 2
    [sent] = order.sent()
    signed_at_ms = (await order.attempt()).signed_at_ms
    assert signed_at_ms is not None
    assert sent.ts_ms > signed_at_ms + PROOF_MS
    print(f"SIGKILL to the child's send, outcome unknown: {sent.ts_ms - death.at_ms} ms")


@pytest.mark.parametrize("case", cases("K5, twice"), ids=str)
@again_when_starved
async def test_k5_a_worker_killed_while_it_resolves_is_followed_by_another(world: World, case):
    order, processes = AimedOrder(world, case), Processes(world)
    keys = [f"{name}[{order.child}]" for name in ("submit.before_send", "resolve.before_look_up")]
    with armed(world, *(f"{key}:kill" for key in keys)):
        await order.submit()
        for key in keys:
            await processes.killed_at(key)
        done = await order.completes()
    assert done.children[0].attempt == 2
    assert len(order.sent()) == 1


@pytest.mark.parametrize("case", cases("K6"), ids=str)
@again_when_starved
async def test_k6_a_request_that_is_under_way_for_too_long_is_never_accepted(world: World, case):
    order = AimedOrder(world, case)
    held = await _killed_while_the_exchange_holds(world, order, "hold_before")
    done = await order.completes()
    assert done.children[0].attempt == 2
    await world.faults.release(held)
    await until(lambda: len(order.sent()) == 2)
    assert [sent.code for sent in order.sent()] == [0, REFUSED_AS_TOO_OLD]
    assert await order.ends() == done


@pytest.mark.parametrize("case", cases("K7"), ids=str)
@again_when_starved
async def test_k7_an_order_whose_answer_was_never_read_is_adopted_and_not_sent_again(
    world: World, case
):
    # resting, it also waits for the account feed, which may have died with the worker
    order = AimedOrder(world, case, rests=ALL)
    await _killed_while_the_exchange_holds(world, order, "hold_after")
    done = await order.completes()
    assert done.children[0].attempt == 1
    assert len(order.sent()) == 1


@pytest.mark.parametrize("case", cases("K8"), ids=str)
@again_when_starved
async def test_k8_an_answer_that_was_read_and_not_stored_is_found_and_adopted(world: World, case):
    order, processes = AimedOrder(world, case), Processes(world)
    key = f"submit.after_response[{order.child}]"
    with armed(world, f"{key}:kill"):
        await order.submit()
        await processes.killed_at(key)
        done = await order.completes()
    assert done.children[0].attempt == 1
    assert len(order.sent()) == 1


@pytest.mark.parametrize("case", cases("K10"), ids=str)
@again_when_starved
async def test_k10_a_reported_outcome_is_not_asked_for_again(world: World, case):
    order, processes = AimedOrder(world, case), Processes(world)
    key = f"workflow.after_submit[{order.order_id}]"
    with armed(world, f"{key}:kill"):
        await order.submit()
        await processes.killed_at(key)
        done = await order.completes()
    assert done.children[0].attempt == 1
    assert len(order.sent()) == 1
    assert order.looked_up() == []
    asked = await _activities(world, order.order_id)
    assert (asked.count("submit"), asked.count("resolve")) == (1, 0)


@pytest.mark.parametrize("case", cases("K11 at K4"), ids=str)
async def test_k11_a_zombie_that_had_not_claimed_sends_nothing_when_it_wakes(world: World, case):
    order, processes = AimedOrder(world, case), Processes(world)
    key = f"submit.enter[{order.child}]"

    async def is_closed() -> bool:
        return (await order.attempt()).state == "CLOSED"

    with armed(world, f"{key}:stop"):
        await order.submit()
        async with processes.stopped_at(key) as zombie:
            await _drop_the_polls_of_frozen_workers(world)
            await until(is_closed, RESOLVED_WITHIN_S)
        await _finishes_its_calls(world, processes.name_of(zombie.pid))
        done = await order.completes()
    assert done.children[0].attempt >= 2
    assert (await order.attempt()).signed_at_ms is None
    assert len(order.sent()) == 1


@pytest.mark.parametrize("case", cases("K11 at K5"), ids=str)
async def test_k11_what_a_zombie_that_had_claimed_sends_late_is_refused_by_its_timestamp(
    world: World, case
):
    order, processes = AimedOrder(world, case), Processes(world)
    key = f"submit.before_send[{order.child}]"
    with armed(world, f"{key}:stop"):
        await order.submit()
        async with processes.stopped_at(key) as zombie:
            await _drop_the_polls_of_frozen_workers(world)
            await until(order.looked_up, RESOLVED_WITHIN_S)
        await _finishes_its_calls(world, processes.name_of(zombie.pid))
        done = await order.completes()
    signed_at_ms = (await order.attempt()).signed_at_ms
    assert signed_at_ms is not None
    late = [sent for sent in order.sent() if sent.params["timestamp"] == str(signed_at_ms)]
    # Temporal's worker cancels what ran out of time; that may be quicker than the send
    print(f"late sends: {len(late)}")
    assert len(late) <= 1
    assert all(sent.code == REFUSED_AS_TOO_OLD for sent in late)
    assert all(sent.ts_ms > signed_at_ms + WINDOW_MS for sent in late)
    assert done.children[0].attempt >= 2


@pytest.mark.parametrize("case", cases("K18", among=LIMITS), ids=str)
async def test_k18_a_cancel_whose_answer_was_lost_is_read_and_a_fill_that_won_is_booked(
    world: World, case
):
    late, lost = AimedOrder(world, case, rests=True), AimedOrder(world, case, price=FAR[case.side])
    raced = AimedOrder(world, case, price=FAR[case.side])
    for order in (late, lost, raced):
        await order.submit()
        await until(order.is_open)
    await world.faults.add("fill_first", client_order_id=raced.child, quantity=QUANTITY / 2)
    await world.faults.add("cancel_unacked", client_order_id=raced.child)
    processes = Processes(world)
    keys = {
        "hold_before": f"cancel.before_send[{late.child}]",
        "hold_after": f"cancel.before_send[{lost.child}]",
    }
    with armed(world, *map(counted, keys.values())):
        holds = [
            await world.faults.add(
                fault, method="DELETE", path="/order", client_order_id=order.child
            )
            for fault, order in zip(keys, (late, lost), strict=True)
        ]
        cancels = [order.cancel() for order in (late, lost, raced)]
        answers = asyncio.gather(*cancels, return_exceptions=True)
        held = [(await world.faults.held(hold)).id for hold in holds]
        pids = {(await processes.reached(key)).pid for key in keys.values()}
        await asyncio.gather(*map(processes.kill, pids))
    await late.trade_against()
    await world.faults.release(held[0])
    ends = [await order.ends() for order in (late, lost, raced)]
    await answers
    assert [_result(done) for done in ends] == [
        (OrderStatus.FILLED, QUANTITY),
        (OrderStatus.CANCELLED, Decimal(0)),
        (OrderStatus.CANCELLED, QUANTITY / 2),
    ]
    assert NO_SUCH_ORDER in [cancel.code for cancel in late.cancels()]


async def test_a_slice_that_is_held_up_beyond_its_window_is_never_sent(world: World):
    twap = {"quantity": QUANTITY * 3, "twap_slices": 3, "twap_interval": "0.5"}
    order = AimedOrder(world, Case(order_type="twap", side="buy"), **twap)
    key = f"submit.enter[{order.child}]"
    with armed(world, f"{key}:sleep:0.7"):
        await order.submit()
        done = await order.ends()
    assert len(passages(world, key)) == 1
    assert done.children[0].status is ChildStatus.NOT_SENT
    assert order.sent() == []


# --- helpers --------------------------------------------------------------------------------------


async def _killed_while_the_exchange_holds(world: World, order: AimedOrder, hold: str) -> int:
    """Submit; SIGKILL the worker that waits for the exchange's answer. The held request's id."""
    processes, key = Processes(world), f"submit.before_send[{order.child}]"
    with armed(world, counted(key)):
        rule = await world.faults.add(
            hold, method="POST", path="/order", client_order_id=order.child
        )
        await order.submit()
        held = await world.faults.held(rule)
        await processes.kill((await processes.reached(key)).pid)
    assert (await order.attempt()).outcome_reason in BEFORE_TIMED_OUT, "killed too late"
    return held.id


def _result(done: OrderSnapshot) -> tuple[OrderStatus, Decimal]:
    return done.status, done.filled_quantity


async def _is_started(world: World, order_id: str) -> bool:
    query = f"WorkflowId='{order_id}'"
    return bool([found async for found in world.temporal.list_workflows(query)])


async def _activities(world: World, order_id: str) -> list[str]:
    """The activities that the order's history asks for."""
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in (await world.history(order_id)).events
    ]


async def _drop_the_polls_of_frozen_workers(world: World) -> None:
    """Each open poll of a frozen worker swallows a task; a new server knows none of them."""
    await world.stack.kill("temporal")
    await world.stack.wait_healthy("temporal")


async def _finishes_its_calls(world: World, worker: str) -> None:
    """Wait until a worker that woke up has no call to the exchange under way any more."""
    url = world.stack.metrics_url(int(worker.removeprefix("worker-")))
    queue = f'task_queue="{venue_queue(VENUE, MAIN)}"'
    async with httpx.AsyncClient(trust_env=False) as client:

        async def is_idle() -> bool:
            lines = (await client.get(url)).text.splitlines()
            used = [
                float(line.rpartition(" ")[2])
                for line in lines
                if line.startswith("temporal_worker_task_slots_used{") and queue in line
            ]
            return bool(used) and max(used) == 0

        await until(is_idle)
