"""Steered, continued and fired orders at their worst moments: each a way to lose money."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.workflows.conftest import engine_on
from tests.workflows.continued_runs import (
    ICEBERG,
    MIDDLE,
    OCO,
    PASSIVE,
    STOP,
    TWAP,
    accepted,
    ended,
    in_seconds,
    new_order_id,
    resting,
    stop_state,
    tips,
    twap_state,
    waiting_run,
    with_resting_child,
)
from tests.workflows.fakes import (
    FakeWorld,
    fills,
    rejects,
    rests,
)
from tests.workflows.orders import LIMIT, run, start, until_working
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reports import RejectionFamily
from workflows.domain.triggers import Fired
from workflows.messages import OrderSnapshot
from workflows.order_state import StopPhase
from workflows.ports import (
    ArmWatch,
    WatchView,
)

# --- a run that begins with a child at the venue ------------------------------------------------

CONTINUED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "iceberg": ("IcebergOrder", ICEBERG, {"iceberg": tips()}),
    "twap": ("TwapOrder", PASSIVE, {"twap": twap_state(10, slice_lots=250)}),
    "oco": ("StopOrder", OCO, {"stop": stop_state(OCO, phase=StopPhase.ARMED)}),
    "stop limit": (
        "StopOrder",
        {**STOP, "price": "48900"},
        {"stop": stop_state(STOP, phase=StopPhase.FIRED, fired=Fired(price=MIDDLE, at_ms=1))},
    ),
    "limit": ("LimitOrder", {**LIMIT, "order_type": "limit", "quantity": "1"}, {}),
}


@pytest.mark.parametrize("name", CONTINUED)
@pytest.mark.parametrize("is_temporals", [False, True], ids=["signal", "temporal"])
async def test_a_cancel_at_the_hand_over_takes_the_child_off_the_venue(
    client: Client, name: str, *, is_temporals: bool
):
    kind, order, known = CONTINUED[name]
    world, order_id = FakeWorld(), new_order_id()
    state = accepted(order, **known)
    state = with_resting_child(state, order_id, world, quantity="0.25", price="49000")
    async with waiting_run(client, kind, order_id, state) as handle:
        await (handle.cancel() if is_temporals else handle.signal(names.CANCEL))
        async with engine_on(client, world):
            result = await ended(handle)
    assert resting(world) == []
    assert (result.status, len(world.submits)) == (OrderStatus.CANCELLED, 0)


@pytest.mark.parametrize("name", ["iceberg", "limit"])
async def test_an_end_that_came_at_the_hand_over_takes_the_child_off_the_venue(
    client: Client, name: str
):
    kind, order, known = CONTINUED[name]
    world, order_id = FakeWorld(), new_order_id()
    over = datetime.now(UTC) - timedelta(seconds=1)
    state = accepted(order, **known, deadline=over)
    state = with_resting_child(state, order_id, world, quantity="0.25", price="49000")
    async with waiting_run(client, kind, order_id, state) as handle, engine_on(client, world):
        result = await ended(handle)
    assert resting(world) == []
    assert (result.status, len(world.submits)) == (OrderStatus.EXPIRED, 0)


async def test_a_passive_child_that_outlived_its_time_is_off_before_the_slice_crosses(
    client: Client,
):
    world, order_id = FakeWorld(), new_order_id()
    live_at_submit: list[int] = []

    def notes(world: FakeWorld, intent: Any) -> Any:
        live_at_submit.append(len(resting(world)))
        return fills()(world, intent)

    world.default = notes
    state = accepted(PASSIVE, twap=twap_state(40, slice_lots=250, sent=1))
    state = with_resting_child(state, order_id, world, quantity="0.25", price="49999.99")
    waiting = waiting_run(client, "TwapOrder", order_id, state)
    async with waiting as handle, engine_on(client, world):
        result = await ended(handle)
    assert set(live_at_submit) == {0}
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))


async def test_a_report_at_the_hand_over_is_not_lost(client: Client):
    world, order_id = FakeWorld(), new_order_id()
    state = accepted({**LIMIT, "order_type": "limit", "quantity": "1"})
    state = with_resting_child(state, order_id, world, quantity="1", price="49000")
    assert state.child is not None
    async with waiting_run(client, "LimitOrder", order_id, state) as handle:
        report = world.fill_now(state.child.intent.client_order_id, Decimal(1))
        await handle.signal(names.EXECUTION_REPORT, report)
        async with engine_on(client, world):
            result = await ended(handle)
    assert result.status is OrderStatus.FILLED
    assert world.reads == []  # nobody had to look


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("price", [None, "48900"], ids=["market", "limit"])
async def test_a_trigger_at_the_hand_over_waits_until_the_profit_leg_is_off(
    client: Client, is_told: bool, price: str | None
):
    world, order_id = FakeWorld(), new_order_id()
    order = OCO if price is None else {**OCO, "price": price}
    known = stop_state(order, phase=StopPhase.ARMED)
    state = with_resting_child(
        accepted(order, stop=known), order_id, world, quantity="1", price="51000"
    )
    watch_id = names.watch_id(order_id, 0)
    armed = ArmWatch(
        watch_id=watch_id,
        order_id=order_id,
        venue="binance",
        account="main",
        symbol="BTC/USDT",
        spec=known.spec,
    )
    await world.arm_watch(armed)
    live_at_submit: list[int] = []

    def notes(world: FakeWorld, intent: Any) -> Any:
        live_at_submit.append(len(resting(world)))
        return fills()(world, intent)

    world.default = notes
    async with waiting_run(client, "StopOrder", order_id, state) as handle:
        news = world.fires(watch_id, "48990")
        if is_told:
            await handle.signal(names.PRICE_TRIGGER, news)
        async with engine_on(client, world):
            result = await ended(handle)
    assert live_at_submit == [0]
    expected = Decimal("49750.00") if price is None else Decimal(price)
    assert world.submits[0].intent.price == expected
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))


# --- updates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "order"),
    [("StopOrder", STOP), ("IcebergOrder", ICEBERG), ("TwapOrder", TWAP), ("LimitOrder", LIMIT)],
)
async def test_an_order_can_be_paused_before_it_is_accepted(
    client: Client, kind: str, order: dict[str, Any]
):
    world = FakeWorld()
    handle = await start(client, kind, order)
    paused = asyncio.create_task(handle.execute_update(names.PAUSE, result_type=OrderSnapshot))
    await asyncio.sleep(0.1)  # only so that it comes first; either order must do
    async with engine_on(client, world):
        assert (await asyncio.wait_for(paused, 20)).status is OrderStatus.PAUSED
        assert world.submits == []
        await handle.signal(names.CANCEL)
        result = await ended(handle)
    assert result.status is OrderStatus.CANCELLED


class SlowToArm(FakeWorld):
    """Arming takes until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_arming, self.may_arm = asyncio.Event(), asyncio.Event()

    @activity.defn(name="arm_watch")
    async def arm_watch(self, request: ArmWatch) -> WatchView:
        self.is_arming.set()
        await self.may_arm.wait()
        return await super().arm_watch(request)


async def test_a_query_in_the_middle_of_a_cancel_does_not_spoil_the_replay(client: Client):
    world = SlowToArm()
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        await asyncio.wait_for(world.is_arming.wait(), 20)
        cancelled = asyncio.create_task(handle.execute_update(names.CANCEL))
        shown = asyncio.create_task(handle.query(names.PROGRESS))
        await asyncio.wait([cancelled, shown], timeout=0.05)  # both wait for the next task
        world.may_arm.set()
        await asyncio.wait_for(asyncio.gather(cancelled, shown), 20)
        result = await ended(handle)
    assert result.status is OrderStatus.CANCELLED


async def test_an_update_of_what_cannot_be_steered_is_answered_at_once(client: Client):
    world = FakeWorld(script=[rests])
    handle = await start(
        client, "LimitOrder", {**LIMIT, "time_in_force": "IOC", "timeout_s": "600"}
    )
    asked = asyncio.create_task(handle.execute_update(names.PAUSE, result_type=OrderSnapshot))
    await asyncio.sleep(0.1)
    async with engine_on(client, world):
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await asyncio.wait_for(asked, 20)
        await handle.signal(names.CANCEL)
        await ended(handle)
    assert getattr(failed.value.cause, "type", None) == DenialCode.NOT_STEERABLE


async def test_the_second_resume_of_one_pause_is_refused(client: Client):
    world = FakeWorld(script=[rests])
    handle = await start(client, "LimitOrder", LIMIT)
    kinds = (names.PAUSE, names.RESUME, names.RESUME, names.PAUSE)
    asked = []
    for kind in kinds:
        asked.append(asyncio.create_task(handle.execute_update(kind, result_type=OrderSnapshot)))
        await asyncio.sleep(0.05)
    async with engine_on(client, world):
        told = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)
        await handle.signal(names.CANCEL)
        await ended(handle)
    assert sum(isinstance(each, WorkflowUpdateFailedError) for each in told) == 1


async def test_an_end_that_is_put_off_in_a_pause_does_not_end_the_pause(client: Client):
    world = FakeWorld(default=rests)
    later = datetime.now(UTC) + timedelta(days=300)
    handle = await start(client, "LimitOrder", {**LIMIT, "end_at": in_seconds(3_600)})
    paused = asyncio.create_task(handle.execute_update(names.PAUSE))
    await asyncio.sleep(0.1)  # the pause comes first
    put_off = {"end_at": later.isoformat()}
    amended = asyncio.create_task(handle.execute_update(names.AMEND, put_off))
    await asyncio.sleep(0.1)
    async with engine_on(client, world):
        await asyncio.wait_for(asyncio.gather(paused, amended), 20)
        result = await ended(handle)
    assert (result.status, world.submits) == (OrderStatus.EXPIRED, [])
    assert result.updated_at is not None
    assert datetime.fromisoformat(result.updated_at) >= later


async def test_an_end_before_its_start_is_refused(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(
            client, "IcebergOrder", {**ICEBERG, "start_at": in_seconds(86_400 * 200)}
        )
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update(names.AMEND, {"end_at": in_seconds(86_400 * 199)})
        await handle.signal(names.CANCEL)
        await ended(handle)
    assert getattr(failed.value.cause, "type", None) == DenialCode.END_BEFORE_START


# --- schedules ----------------------------------------------------------------------------------


async def test_a_twap_that_is_amended_before_its_start_keeps_its_length(client: Client):
    world = FakeWorld()
    start_at = datetime.now(UTC) + timedelta(days=100)
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", {**TWAP, "start_at": start_at.isoformat()})
        await handle.execute_update(names.AMEND, {"quantity": "0.8"}, result_type=OrderSnapshot)
        result = await ended(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal("0.8"))
    assert result.twap is not None
    assert result.twap.ends_at is not None
    length = datetime.fromisoformat(result.twap.ends_at) - start_at
    assert abs(length - timedelta(seconds=240)) < timedelta(seconds=5)


async def test_a_twap_that_is_paused_before_its_start_ends_with_its_schedule(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", {**TWAP, "start_at": in_seconds(86_400)})
        await handle.execute_update(names.PAUSE, result_type=OrderSnapshot)
        result = await ended(handle)
    assert (result.status, world.submits) == (OrderStatus.EXPIRED, [])
    assert "paused until the end" in result.reason


async def test_a_passive_child_without_permission_ends_the_schedule(client: Client):
    world = FakeWorld(default=rejects(RejectionFamily.PERMISSION))
    result = await run(client, world, "TwapOrder", PASSIVE)
    assert (result.status, len(world.submits)) == (OrderStatus.EXPIRED, 1)


async def test_an_amendment_in_the_last_slice_does_not_lose_the_slice(client: Client):
    world = FakeWorld(default=lambda w, i: (fills() if i.is_immediate else rests)(w, i))
    order = {
        **PASSIVE,
        "twap_slices": 1,
        "twap_interval": "80000",
        "reprice_interval_s": "300",
    }
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", order)
        await until_working(handle, world)
        await handle.execute_update(names.AMEND, {"price": "50500"}, result_type=OrderSnapshot)
        result = await ended(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))
