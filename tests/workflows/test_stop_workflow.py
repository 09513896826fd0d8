"""Protective orders: armed, fired, out; by the venue or by the engine, never by both at once."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import INSTRUMENT, FakeWorld, fills, rejects, rests
from tests.workflows.orders import MARKET, run, start, until_working
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.instruments import Native, TrailingBounds
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, Placement, TimeInForce
from workflows.domain.reports import RejectionFamily
from workflows.domain.triggers import Direction, Flag, TriggerSource
from workflows.messages import OrderSnapshot

SELL: dict[str, Any] = {**MARKET, "side": "sell", "quantity": "1"}
STOP = {**SELL, "order_type": "stop_loss", "stop_price": "49000"}
PROFIT = {**SELL, "order_type": "take_profit", "take_profit_price": "51000"}
TRAIL = {**SELL, "order_type": "trailing_stop", "trailing_delta_bps": 100}
OCO = {**SELL, "order_type": "oco", "oco_limit_price": "51000", "stop_price": "49000"}
NATIVE = replace(
    INSTRUMENT,
    natives=(Native.STOP, Native.TRAILING, Native.OCO),
    trailing_above=TrailingBounds(least=10, most=2_000),
    trailing_below=TrailingBounds(least=10, most=2_000),
)


async def progress(handle: WorkflowHandle[Any, Any]) -> OrderSnapshot:
    snapshot: OrderSnapshot = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
    return snapshot


async def until_armed(world: FakeWorld) -> str:
    async with asyncio.timeout(20):
        while not world.armed:
            await asyncio.sleep(0.02)
    return world.armed[-1].watch_id


async def until_submits(world: FakeWorld, count: int) -> None:
    async with asyncio.timeout(20):
        while len(world.submits) < count:
            await asyncio.sleep(0.02)


# --- by the engine ------------------------------------------------------------------------------


async def test_a_fired_stop_leaves_by_a_bounded_immediate_order(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        watch = await until_armed(world)
        now = await progress(handle)
        assert now.status is OrderStatus.WAITING_PRICE
        assert now.stop is not None
        assert (now.stop.phase, now.stop.is_protected) == ("armed", True)
        await handle.signal(names.PRICE_TRIGGER, world.fires(watch, "48990"))
        result = await asyncio.wait_for(handle.result(), 20)
        await assert_replays(await handle.fetch_history())
    spec = world.armed[0].spec
    assert (spec.direction, spec.source, spec.price) == (
        Direction.DOWN,
        TriggerSource.BID_ASK,
        Decimal(49_000),
    )
    (exit_,) = world.submits
    assert (exit_.intent.child_type, exit_.intent.time_in_force) == (
        ChildType.LIMIT,
        TimeInForce.IOC,
    )
    assert exit_.intent.price == Decimal("49750.00")  # 0.5 % below the touch of 49999.99
    assert result.status is OrderStatus.FILLED
    assert result.stop is not None
    assert result.stop.fired_price == Decimal(48_990)


async def test_the_bound_widens_with_each_try_and_then_the_market_takes_the_rest(client: Client):
    world = FakeWorld(script=[fills("0")] * 3)
    order = {**STOP, "max_slippage": "0.01", "max_total_slippage": "0.02", "retry_ms": 100}
    result = await fire(client, world, order)
    assert [each.intent.price for each in world.submits[:2]] == [
        Decimal("49500.00"),
        Decimal("49000.00"),
    ]
    assert world.submits[2].intent.child_type is ChildType.MARKET
    assert result.status is OrderStatus.FILLED


async def test_beyond_the_bound_an_alarm_is_raised_where_that_is_the_policy(client: Client):
    world = FakeWorld(script=[fills("0")] * 3)
    order = {**STOP, "max_slippage": "0.01", "max_total_slippage": "0.02", "on_exhausted": "alarm"}
    result = await fire(client, world, order)
    assert [alarm.code for alarm in world.alarms] == ["STOP_EXHAUSTED"]
    assert {each.intent.child_type for each in world.submits} == {ChildType.LIMIT}
    assert result.status is OrderStatus.FILLED


async def fire(client: Client, world: FakeWorld, order: dict[str, Any]) -> OrderSnapshot:
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", order)
        watch = await until_armed(world)
        await handle.signal(names.PRICE_TRIGGER, world.fires(watch, "48990"))
        result: OrderSnapshot = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    return result


async def test_a_stop_limit_rests_at_its_price_after_the_trigger(client: Client):
    world = FakeWorld()
    result = await fire(client, world, {**STOP, "price": "48900"})
    (child,) = world.submits
    assert (child.intent.price, child.intent.time_in_force) == (Decimal(48_900), TimeInForce.GTC)
    assert result.status is OrderStatus.FILLED


async def test_a_stop_limit_that_is_not_filled_in_time_goes_to_the_market_if_asked(client: Client):
    world = FakeWorld(script=[rests])
    order = {
        **STOP,
        "price": "48900",
        "post_trigger_timeout_s": "5",
        "on_unfilled": "market",
    }
    result = await fire(client, world, order)
    first, second = world.submits
    assert (first.intent.price, len(world.cancels)) == (Decimal(48_900), 1)
    assert second.intent.time_in_force is TimeInForce.IOC
    assert result.status is OrderStatus.FILLED


async def test_the_exit_follows_the_position(client: Client):
    world = FakeWorld(free_position=Decimal("0.4"))
    result = await fire(client, world, {**STOP, "reduce_only": True})
    assert world.submits[0].intent.quantity == Decimal("0.4")
    assert world.submits[0].intent.reduce_only
    assert result.filled_quantity >= Decimal("0.4")


async def test_without_a_position_nothing_is_sent(client: Client):
    world = FakeWorld(free_position=Decimal(0))
    result = await fire(client, world, {**STOP, "reduce_only": True})
    assert world.submits == []
    assert result.status is OrderStatus.EXPIRED
    assert result.reason == "1 unused: no position is left to protect"


async def test_a_cancelled_stop_says_that_nothing_protects_any_more(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        await until_armed(world)
        await handle.signal(names.CANCEL)
        result = await asyncio.wait_for(handle.result(), 20)
    assert result.status is OrderStatus.CANCELLED
    assert "1 unprotected" in result.reason
    assert result.stop is not None
    assert not result.stop.is_protected


async def test_a_stop_that_the_market_has_passed_leaves_at_once(client: Client):
    world = FakeWorld()
    result = await run(client, world, "StopOrder", {**STOP, "stop_price": "50100"})
    assert world.armed == []
    assert result.status is OrderStatus.FILLED
    assert result.stop is not None
    assert result.stop.flags == (Flag.GAP_ENTRY,)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({**STOP, "stop_price": "60000"}, DenialCode.STOP_WRONG_SIDE),
        ({**STOP, "side": "buy"}, DenialCode.STOP_WRONG_SIDE),
        ({**OCO, "oco_limit_price": "49500", "stop_price": "49000"}, DenialCode.OCO_PRICES),
        ({**OCO, "oco_limit_price": "48000"}, DenialCode.OCO_PRICES),
        ({**STOP, "trigger_source": "mark"}, DenialCode.TRIGGER_SOURCE),
        ({**STOP, "placement": "native"}, DenialCode.NOT_NATIVE),
    ],
)
async def test_a_wrong_trigger_is_denied(client: Client, order: dict[str, Any], code: DenialCode):
    world = FakeWorld()
    result = await run(client, world, "StopOrder", order)
    assert (result.status, result.code) == (OrderStatus.DENIED, code)
    assert (world.submits, world.armed) == ([], [])


async def test_a_take_profit_that_the_market_has_passed_rests_at_its_trigger(client: Client):
    world = FakeWorld()
    result = await run(client, world, "StopOrder", {**PROFIT, "take_profit_price": "49500"})
    (child,) = world.submits
    assert (child.intent.price, child.intent.time_in_force) == (Decimal(49_500), TimeInForce.GTC)
    assert result.status is OrderStatus.FILLED


async def test_a_take_profit_that_fires_late_rests_at_its_trigger(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", PROFIT)
        watch = await until_armed(world)
        news = world.fires(watch, "51200")
        late = replace(news, fired=replace(news.fired, flags=(Flag.LATE,)))
        world.watches[watch] = replace(world.watches[watch], fired=late.fired)
        await handle.signal(names.PRICE_TRIGGER, late)
        result = await asyncio.wait_for(handle.result(), 20)
    (child,) = world.submits
    assert (child.intent.price, child.intent.time_in_force) == (Decimal(51_000), TimeInForce.GTC)
    assert result.status is OrderStatus.FILLED


# --- one cancels the other ----------------------------------------------------------------------


async def test_the_profit_leg_is_off_the_venue_before_the_stop_leaves(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", OCO)
        watch = await until_armed(world)
        await until_working(handle, world)
        await handle.signal(names.PRICE_TRIGGER, world.fires(watch, "48990"))
        result = await asyncio.wait_for(handle.result(), 20)
        await assert_replays(await handle.fetch_history())
    profit, exit_ = world.submits
    assert profit.intent.price == Decimal(51_000)
    assert world.cancels[0].intent.client_order_id == profit.intent.client_order_id
    assert exit_.intent.quantity == Decimal(1)
    assert result.status is OrderStatus.FILLED


async def test_a_part_of_the_profit_reduces_the_stop(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", OCO)
        watch = await until_armed(world)
        child = await until_working(handle, world)
        report = world.fill_now(child, Decimal("0.3"))
        await handle.signal(names.EXECUTION_REPORT, report)
        await handle.signal(names.PRICE_TRIGGER, world.fires(watch, "48990"))
        result = await asyncio.wait_for(handle.result(), 20)
    assert world.submits[1].intent.quantity == Decimal("0.7")
    assert result.filled_quantity == Decimal(1)


async def test_a_filled_profit_disarms_the_stop(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", OCO)
        watch = await until_armed(world)
        child = await until_working(handle, world)
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal(1)))
        result = await asyncio.wait_for(handle.result(), 20)
    assert result.status is OrderStatus.FILLED
    assert world.watches[watch].status == "disarmed"
    assert len(world.submits) == 1


# --- by the venue -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "child_type"),
    [
        (STOP, ChildType.STOP_LOSS),
        ({**STOP, "price": "48900"}, ChildType.STOP_LOSS_LIMIT),
        (PROFIT, ChildType.TAKE_PROFIT),
        ({**PROFIT, "price": "50900"}, ChildType.TAKE_PROFIT_LIMIT),
        (TRAIL, ChildType.STOP_LOSS),
        ({**TRAIL, "activation_price": "51000"}, ChildType.TAKE_PROFIT),
        (OCO, ChildType.OCO),
    ],
)
async def test_the_venue_keeps_what_it_can(
    client: Client, order: dict[str, Any], child_type: ChildType
):
    world = FakeWorld(instrument=NATIVE)
    result = await run(client, world, "StopOrder", order)
    (child,) = world.submits
    assert child.intent.child_type is child_type
    assert world.armed == []
    assert result.status is OrderStatus.FILLED
    assert result.stop is not None
    assert result.stop.placement is Placement.NATIVE


@pytest.mark.parametrize(
    "option",
    [
        {"trigger_source": "bid_ask"},
        {"confirm_n": 2},
        {"max_slippage": "0.01"},
        {"reduce_only": True},
        {"placement": "engine"},
    ],
)
async def test_the_engine_keeps_what_the_venue_cannot(client: Client, option: dict[str, Any]):
    world = FakeWorld(instrument=NATIVE, free_position=Decimal(1))
    result = await fire(client, world, {**STOP, **option})
    assert result.status is OrderStatus.FILLED
    assert result.stop is not None
    assert result.stop.placement is Placement.ENGINE


async def test_a_delta_out_of_the_venues_bounds_is_denied(client: Client):
    world = FakeWorld(instrument=NATIVE)
    result = await run(client, world, "StopOrder", {**TRAIL, "trailing_delta_bps": 5_000})
    assert (result.code, result.field) == (DenialCode.OUT_OF_RANGE, "trailing_delta_bps")


async def test_a_native_stop_that_would_fire_at_once_leaves_by_our_own_exit(client: Client):
    world = FakeWorld(instrument=NATIVE, script=[rejects(RejectionFamily.PRICE)])
    result = await run(client, world, "StopOrder", STOP)
    assert [each.intent.child_type for each in world.submits] == [
        ChildType.STOP_LOSS,
        ChildType.LIMIT,
    ]
    assert result.status is OrderStatus.FILLED


async def test_what_the_book_could_not_take_of_a_native_stop_leaves_by_our_own_exit(
    client: Client,
):
    world = FakeWorld(instrument=NATIVE, script=[fills("0.4")])
    result = await run(client, world, "StopOrder", STOP)
    assert [each.intent.quantity for each in world.submits] == [Decimal(1), Decimal("0.6")]
    assert result.status is OrderStatus.FILLED


# --- steering -----------------------------------------------------------------------------------


async def test_a_paused_stop_is_disarmed_and_armed_again_where_it_was(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", TRAIL)
        first = await until_armed(world)
        paused = await handle.execute_update(names.PAUSE, result_type=OrderSnapshot)
        assert paused.status is OrderStatus.PAUSED
        assert paused.stop is not None
        assert not paused.stop.is_protected
        assert world.watches[first].status == "disarmed"
        await handle.execute_update(names.RESUME, result_type=OrderSnapshot)
        async with asyncio.timeout(20):
            while len(world.armed) < 2:
                await asyncio.sleep(0.02)
        second = world.armed[-1]
        assert second.watch_id != first
        assert second.state == world.watches[first].state
        await handle.signal(names.PRICE_TRIGGER, world.fires(second.watch_id, "48990"))
        result = await asyncio.wait_for(handle.result(), 20)
        await assert_replays(await handle.fetch_history())
    assert result.status is OrderStatus.FILLED
    assert [action.kind for action in result.actions] == ["pause", "resume"]


async def test_a_paused_native_stop_is_taken_off_the_venue(client: Client):
    world = FakeWorld(instrument=NATIVE, script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        await until_working(handle, world)
        await handle.execute_update(names.PAUSE, result_type=OrderSnapshot)
        assert len(world.cancels) == 1
        await handle.execute_update(names.RESUME, result_type=OrderSnapshot)
        result = await asyncio.wait_for(handle.result(), 20)
    assert [view.status for view in result.children] == [ChildStatus.CANCELLED, ChildStatus.FILLED]
