"""Triggers, exits and hidden size at their worst moments: each a way to lose money."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client

from tests.workflows.conftest import engine_on
from tests.workflows.continued_runs import (
    ICEBERG,
    MIDDLE,
    STOP,
    ended,
    new_order_id,
    resting,
    stop_state,
    until,
)
from tests.workflows.fakes import (
    FakeWorld,
    executes_before_its_fills_show,
    not_sent,
    rejects,
    rests,
)
from tests.workflows.orders import run, start, until_working
from tests.workflows.races import NATIVE
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reports import RejectionFamily
from workflows.domain.triggers import Fired
from workflows.messages import OrderRequest, OrderSnapshot, validate_order
from workflows.ports import (
    ArmWatch,
    FiredWatch,
    Protected,
    ProtectRequest,
    WatchStatus,
)

# --- triggers -----------------------------------------------------------------------------------


async def test_a_watch_that_somebody_disarmed_is_armed_again_at_once(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        order_id = new_order_id()
        given_up = names.watch_id(order_id, 0)
        request = validate_order(STOP)
        assert isinstance(request, OrderRequest)
        await world.arm_watch(
            ArmWatch(
                watch_id=given_up,
                order_id=order_id,
                venue="binance",
                account="main",
                symbol="BTC/USDT",
                spec=stop_state(STOP).spec,
            )
        )
        world.watches[given_up] = replace(world.watches[given_up], status=WatchStatus.DISARMED)
        handle = await client.start_workflow(
            "StopOrder",
            STOP,
            id=order_id,
            task_queue=names.ORDERS_QUEUE,
            result_type=OrderSnapshot,
        )
        await until(lambda: names.watch_id(order_id, 1) in world.watches)
        await handle.signal(names.CANCEL)
        result = await ended(handle)
    armed_after = _armed_at(await handle.fetch_history())
    assert armed_after < timedelta(seconds=30)
    assert result.status is OrderStatus.CANCELLED


def _armed_at(history: Any) -> timedelta:
    """Time from the start of the run to its second arming."""
    begun = history.events[0].event_time.ToDatetime()
    armed = [
        event.event_time.ToDatetime()
        for event in history.events
        if b"arm_watch" in event.marker_recorded_event_attributes.SerializeToString()
        and b"disarm_watch" not in event.marker_recorded_event_attributes.SerializeToString()
    ]
    return timedelta(seconds=(armed[1] - begun).total_seconds())


async def test_a_fired_stop_that_is_paused_does_not_say_that_it_protects(client: Client):
    world = FakeWorld(default=rests)
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", {**STOP, "price": "48900"})
        await until(lambda: world.armed)
        await handle.signal(names.PRICE_TRIGGER, world.fires(world.armed[-1].watch_id, "48990"))
        await until_working(handle, world)
        paused = await handle.execute_update(names.PAUSE, result_type=OrderSnapshot)
        assert paused.stop is not None
        assert (paused.stop.phase, paused.stop.is_protected) == ("fired", False)
        await handle.signal(names.CANCEL)
        await ended(handle)
    assert resting(world) == []


@pytest.mark.parametrize("price", ["1E+999999", "NaN"])
async def test_a_trigger_that_cannot_be_is_not_believed(client: Client, price: str):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        await until(lambda: world.armed)
        watch_id = world.armed[-1].watch_id
        await handle.signal(
            names.PRICE_TRIGGER,
            FiredWatch(watch_id=watch_id, fired=Fired(price=Decimal(price), at_ms=1)),
        )
        await handle.signal(
            names.PRICE_TRIGGER,
            FiredWatch(watch_id=watch_id, fired=Fired(price=MIDDLE, at_ms=10**30)),
        )
        await handle.signal(names.PRICE_TRIGGER, world.fires(watch_id, "48990"))
        result = await ended(handle)
    assert result.stop is not None
    assert result.stop.fired_price == Decimal(48_990)


async def test_an_exit_that_is_refused_for_a_while_is_tried_again(client: Client):
    world = FakeWorld(reserve_denials=[Denied(code=DenialCode.RISK_STALE_REF)] * 2)
    result = await run(client, world, "StopOrder", {**STOP, "stop_price": "50100"})
    assert (result.status, len(world.submits)) == (OrderStatus.FILLED, 1)


async def test_an_emergency_exit_follows_a_limit_that_the_venue_refused(client: Client):
    world = FakeWorld(script=[rejects(RejectionFamily.FILTER)])
    order = {
        **STOP,
        "stop_price": "50100",
        "price": "48900",
        "post_trigger_timeout_s": "5",
        "on_unfilled": "market",
    }
    result = await run(client, world, "StopOrder", order)
    assert (result.status, len(world.submits)) == (OrderStatus.FILLED, 2)


@pytest.mark.parametrize("by", ["venue", "limits"])
async def test_what_the_venue_hides_no_more_is_hidden_by_the_engine(client: Client, by: str):
    world = FakeWorld(instrument=NATIVE)
    if by == "venue":
        world.script = [rejects(RejectionFamily.FILTER)]
    else:
        world.reserve_denials = [Denied(code=DenialCode.RISK_MAX_NOTIONAL)]
    result = await run(client, world, "IcebergOrder", ICEBERG)
    shown = [submit.intent.quantity for submit in world.submits][-4:]
    assert shown == [Decimal("0.3"), Decimal("0.3"), Decimal("0.3"), Decimal("0.1")]
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))


async def test_a_pause_is_answered_while_an_exit_cannot_be_sent(client: Client):
    world = FakeWorld(default=not_sent("NO_WORKER"))
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", {**STOP, "stop_price": "50100"})
        await until(lambda: len(world.submits) > 2)
        paused = await asyncio.wait_for(
            handle.execute_update(names.PAUSE, result_type=OrderSnapshot), 20
        )
        assert paused.status is OrderStatus.PAUSED
        await handle.signal(names.CANCEL)
        await ended(handle)


class Positions(FakeWorld):
    """A position of 0.4, less the fills that are booked."""

    @activity.defn(name="read_protected")
    async def read_protected(self, request: ProtectRequest) -> Protected:
        free = Decimal("0.4") - sum(each.filled_quantity for each in self.reports.values())
        return Protected(position=free, free=free)


async def test_an_exit_does_not_close_again_what_has_no_fills_yet(client: Client):
    world = Positions(default=executes_before_its_fills_show)
    order = {**STOP, "stop_price": "50100", "reduce_only": True}
    result = await run(client, world, "StopOrder", order)
    assert (result.filled_quantity, len(world.submits)) == (Decimal("0.4"), 1)
