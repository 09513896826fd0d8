"""What the kill switch stops does not end, and goes on when a human says so."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import FakeWorld, not_sent, rests
from tests.workflows.orders import LIMIT, MARKET, start, until_working
from tests.workflows.test_steering import refusal
from tests.workflows.test_stop_workflow import STOP, until_armed
from workflows import names, ports
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reports import VenueStatus
from workflows.domain.triggers import Fired
from workflows.messages import OrderSnapshot

HALTED = Denied(code=DenialCode.TRADING_HALTED, detail="scope=global reason=drill")
ICEBERG: dict[str, Any] = {**MARKET, "order_type": "iceberg", "quantity": "1", "price": "49000"}
TWAP: dict[str, Any] = {
    **MARKET,
    "quantity": "1",
    "twap_slices": 4,
    "twap_interval": "60",
    "pause_shifts_end": True,  # else the end, which the server's clock skips to, ends the pause
}


async def until_paused(handle: WorkflowHandle[Any, Any]) -> OrderSnapshot:
    async with asyncio.timeout(30):
        while True:
            now: OrderSnapshot = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
            if now.status is OrderStatus.PAUSED:
                return now
            await asyncio.sleep(0.02)


async def resumed(handle: WorkflowHandle[Any, OrderSnapshot]) -> OrderSnapshot:
    await handle.execute_update(names.RESUME, {"requested_by": "ann"}, result_type=OrderSnapshot)
    result = await asyncio.wait_for(handle.result(), 60)
    await assert_replays(await handle.fetch_history())
    return result


@pytest.mark.parametrize(
    ("kind", "order"),
    [("LimitOrder", LIMIT), ("IcebergOrder", ICEBERG), ("TwapOrder", TWAP)],
    ids=["limit", "iceberg", "twap"],
)
@pytest.mark.parametrize("by", ["reserve", "claim"])
async def test_an_order_whose_child_is_stopped_waits_for_a_human(
    client: Client, kind: str, order: dict[str, Any], by: str
):
    world = FakeWorld()
    if by == "reserve":
        world.reserve_denials = [HALTED]
    else:
        world.script = [not_sent(DenialCode.TRADING_HALTED)]
    async with engine_on(client, world):
        handle = await start(client, kind, order)
        paused = await until_paused(handle)
        sent = len(world.submits)
        result = await resumed(handle)
    assert paused.reason.startswith("TRADING_HALTED")
    assert paused.actions[-1].requested_by == "engine"
    assert sent == (0 if by == "reserve" else 1)
    assert result.status is OrderStatus.FILLED
    assert result.filled_quantity == Decimal(order["quantity"])


@pytest.mark.parametrize(
    ("kind", "order"), [("LimitOrder", LIMIT), ("IcebergOrder", ICEBERG)], ids=["limit", "iceberg"]
)
async def test_an_order_that_the_halt_took_off_the_venue_is_placed_again_after_it(
    client: Client, kind: str, order: dict[str, Any]
):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, kind, order)
        child = await until_working(handle, world)
        world.switch = HALTED
        await taken_off(handle, world, child)
        await until_paused(handle)
        world.switch = None
        result = await resumed(handle)
    assert (result.status, result.filled_quantity) == (
        OrderStatus.FILLED,
        Decimal(order["quantity"]),
    )
    assert len(world.submits) > 1
    assert world.cancels == []


async def taken_off(handle: WorkflowHandle[Any, Any], world: FakeWorld, child: str) -> None:
    report = replace(world.reports[child], status=VenueStatus.CANCELLED)
    world.reports[child] = report
    await handle.signal(names.EXECUTION_REPORT, report)


async def test_a_cancel_at_the_venue_while_trading_is_active_ends_the_order(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await taken_off(handle, world, await until_working(handle, world))
        result = await asyncio.wait_for(handle.result(), 30)
    assert result.status is OrderStatus.EXPIRED
    assert result.reason.startswith("cancelled at the venue")


async def test_a_stop_that_fires_while_trading_is_halted_tells_a_human_and_leaves_later(
    client: Client,
):
    world = FakeWorld(reserve_denials=[HALTED])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        watch_id = await until_armed(world)
        news = ports.FiredWatch(watch_id=watch_id, fired=Fired(price=Decimal(48_990), at_ms=1))
        await handle.signal(names.PRICE_TRIGGER, news)
        await until_paused(handle)
        assert [alarm.code for alarm in world.alarms] == ["UNPROTECTED"]
        result = await resumed(handle)
    assert result.status is OrderStatus.FILLED


async def test_a_resume_while_trading_is_still_halted_suspends_it_again(client: Client):
    world = FakeWorld(reserve_denials=[HALTED, HALTED])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_paused(handle)
        await handle.execute_update(names.RESUME, {}, result_type=OrderSnapshot)
        async with asyncio.timeout(30):
            while len(world.actions) < 3:
                await asyncio.sleep(0.02)
        await until_paused(handle)
        assert world.submits == []
        result = await resumed(handle)
    assert [act.kind for act in world.actions] == ["pause", "resume", "pause", "resume"]
    assert result.status is OrderStatus.FILLED


@pytest.mark.parametrize("code", [DenialCode.TRADING_HALTED, DenialCode.LOSS_LIMIT])
async def test_a_resume_of_an_order_that_a_switch_still_stops_is_refused_with_its_code(
    client: Client, code: DenialCode
):
    stops = Denied(code=code, detail="scope=strategy:s1")
    world = FakeWorld(reserve_denials=[stops], switch=stops)
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_paused(handle)
        assert await refusal(handle, names.RESUME) == code
        world.switch = None
        result = await resumed(handle)
    assert [act.kind for act in world.actions] == ["pause", "resume"]
    assert result.status is OrderStatus.FILLED


async def test_a_suspended_order_can_be_cancelled(client: Client):
    world = FakeWorld(reserve_denials=[HALTED])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_paused(handle)
        await handle.signal(names.CANCEL)
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert (result.status, world.submits) == (OrderStatus.CANCELLED, [])


async def test_an_order_that_ends_at_once_is_denied_by_a_halt(client: Client):
    world = FakeWorld(reserve_denials=[HALTED])
    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET)
        result = await asyncio.wait_for(handle.result(), 30)
    assert (result.status, result.code) == (OrderStatus.DENIED, DenialCode.TRADING_HALTED)
