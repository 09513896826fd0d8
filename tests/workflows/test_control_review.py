"""Corners of the kill switch and of lost orders: what a halt meets in the middle of its work."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import FakeWorld, fills, not_sent, report_of, rests
from tests.workflows.orders import LIMIT, run, start, until_working
from tests.workflows.test_settle_order import ORDER, child, left, settle
from tests.workflows.test_stop_workflow import NATIVE, OCO, STOP, until_armed
from tests.workflows.test_suspended_orders import (
    HALTED,
    ICEBERG,
    TWAP,
    resumed,
    taken_off,
    until_paused,
)
from workflows import names, ports
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import SubmitOutcome, VenueStatus
from workflows.domain.triggers import Fired
from workflows.messages import OrderSnapshot

REDUCING = Denied(code=DenialCode.TRADING_REDUCING, detail="scope=global reason=drill")


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def fills_half_and_is_cancelled(world: FakeWorld, intent: ChildIntent) -> SubmitOutcome:
    """As some venues end an immediate order that the book could not fill."""
    half = (intent.quantity / 2).quantize(Decimal("0.001"))
    return world.acked(report_of(intent, half, VenueStatus.CANCELLED))


@pytest.mark.parametrize("kind", ["twap", "stop"])
async def test_an_immediate_order_that_its_venue_cut_short_suspends_nothing(
    client: Client, kind: str
):
    world = FakeWorld(script=[fills_half_and_is_cancelled], switch=REDUCING)
    if kind == "twap":
        result = await run(client, world, "TwapOrder", TWAP)
    else:
        async with engine_on(client, world):
            handle = await start(client, "StopOrder", STOP)
            watch = await until_armed(world)
            await handle.signal(names.PRICE_TRIGGER, world.fires(watch, "48990"))
            result = await asyncio.wait_for(handle.result(), 30)
    assert (result.status, world.actions, world.alarms) == (OrderStatus.FILLED, [], [])


@pytest.mark.parametrize("by", ["reserve", "claim"])
async def test_the_last_slice_of_a_twap_is_not_lost_to_a_halt(client: Client, by: str):
    world = FakeWorld(script=[fills()])
    if by == "reserve":
        world.reserve_denials = [None, HALTED]
    else:
        world.script.append(not_sent(DenialCode.TRADING_HALTED))
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", {**TWAP, "twap_slices": 2})
        await until_paused(handle)
        result = await resumed(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))
    assert result.twap is not None
    assert (result.twap.slices_sent, result.twap.slices_filled) == (2, 2)


async def test_a_twap_whose_end_comes_while_it_is_suspended_ends_with_what_it_has(client: Client):
    world = FakeWorld(script=[fills()], reserve_denials=[None, HALTED])
    order = {**TWAP, "twap_slices": 2, "pause_shifts_end": False}
    result = await run(client, world, "TwapOrder", order)
    assert (result.status, result.filled_quantity) == (OrderStatus.EXPIRED, Decimal("0.5"))
    assert [act.by for act in world.actions] == ["engine"]


async def test_a_suspended_limit_order_whose_time_is_over_says_so(client: Client):
    world = FakeWorld(reserve_denials=[HALTED])
    result = await run(client, world, "LimitOrder", {**LIMIT, "timeout_s": "60"})
    assert (result.status, world.submits) == (OrderStatus.EXPIRED, [])
    assert result.reason.startswith("timeout")


async def test_what_a_halt_says_of_itself_never_breaks_an_order(client: Client):
    halted = Denied(
        code=DenialCode.TRADING_HALTED, detail="reason=line one\nline\x00two" + "x" * 900
    )
    world = FakeWorld(reserve_denials=[halted])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        paused = await until_paused(handle)
        await resumed(handle)
    assert paused.reason.startswith("TRADING_HALTED: reason=line one line two")


async def test_a_halt_does_not_widen_the_bound_of_an_exit(client: Client):
    world = FakeWorld(reserve_denials=[HALTED, HALTED])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        news = ports.FiredWatch(
            watch_id=await until_armed(world), fired=Fired(price=Decimal(48_990), at_ms=1)
        )
        await handle.signal(names.PRICE_TRIGGER, news)
        await until_paused(handle)
        await handle.execute_update(names.RESUME, {}, result_type=OrderSnapshot)
        await until(lambda: len(world.actions) == 3)
        await until_paused(handle)
        result = await resumed(handle)
    assert result.status is OrderStatus.FILLED
    assert [each.intent.price for each in world.submits] == [Decimal("49750.00")]


async def test_the_profit_leg_that_a_halt_took_off_comes_back_with_its_watch(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", {**OCO, "placement": "engine"})
        leg = await until_working(handle, world)
        world.switch = HALTED
        await taken_off(handle, world, leg)
        await until_paused(handle)
        assert [alarm.code for alarm in world.alarms] == ["UNPROTECTED"]
        world.switch = None
        result = await resumed(handle)
    assert result.status is OrderStatus.FILLED
    assert len({each.watch_id for each in world.armed}) == 2
    assert not any(view.status is ports.WatchStatus.ARMED for view in world.watches.values())


async def test_a_native_stop_that_a_halt_took_off_is_placed_again(client: Client):
    world = FakeWorld(script=[rests], instrument=NATIVE)
    async with engine_on(client, world):
        handle = await start(client, "StopOrder", STOP)
        stop = await until_working(handle, world)
        world.switch = HALTED
        await taken_off(handle, world, stop)
        await until_paused(handle)
        world.switch = None
        result = await resumed(handle)
    assert result.status is OrderStatus.FILLED
    assert [each.intent.trigger_price for each in world.submits] == [Decimal(49_000)] * 2


async def test_a_passive_slice_that_a_halt_took_off_goes_on_with_what_is_left(client: Client):
    world = FakeWorld(script=[rests])
    order = {**TWAP, "twap_slices": 1, "passive_fraction": "0.9", "reprice_interval_s": "3600"}
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", order)
        passive = await until_submitted(world)
        world.switch = HALTED
        report = replace(world.fill_now(passive, Decimal("0.4")), status=VenueStatus.CANCELLED)
        world.reports[passive] = report
        await handle.signal(names.EXECUTION_REPORT, report)
        await until_paused(handle)
        world.switch = None
        result = await resumed(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))
    assert sum(each.intent.quantity for each in world.submits[1:]) == Decimal("0.6")


async def until_submitted(world: FakeWorld) -> str:
    await until(lambda: world.submits)
    return world.submits[0].intent.client_order_id


@pytest.mark.parametrize("kind", ["LimitOrder", "IcebergOrder"])
async def test_an_amendment_that_comes_with_the_halt_holds_when_it_goes_on(
    client: Client, kind: str
):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, kind, LIMIT if kind == "LimitOrder" else ICEBERG)
        name = await until_working(handle, world)
        world.switch, world.reserve_denials = HALTED, [HALTED]
        amended, _ = await asyncio.gather(
            handle.execute_update(names.AMEND, {"price": "48000"}, result_type=OrderSnapshot),
            taken_off(handle, world, name),
        )
        await until_paused(handle)
        world.switch, world.reserve_denials = None, []
        result = await resumed(handle)
    assert (amended.price, result.price) == (Decimal(48_000), Decimal(48_000))
    assert (result.status, world.submits[-1].intent.price) == (OrderStatus.FILLED, Decimal(48_000))


async def test_a_child_that_stays_unknown_keeps_no_other_one_live(client: Client):
    unknown, resting = child(ChildStatus.UNKNOWN), child(ChildStatus.WORKING, True, 1)
    world = FakeWorld(left=left(unknown, resting))
    settling = asyncio.create_task(settle(client, world))
    await until(lambda: world.cancels)
    assert world.cancels[0].intent.child_index == 1
    assert not settling.done()
    world.resolutions.append(ports.Resolved(kind=ports.ResolveKind.PROVEN_ABSENT, reason="gone"))
    assert await settling == "settled 2 child orders"


@pytest.mark.parametrize("status", [ChildStatus.WORKING, ChildStatus.SETTLING])
async def test_a_lost_child_without_the_venues_word_is_looked_for(
    client: Client, status: ChildStatus
):
    absent = ports.Resolved(kind=ports.ResolveKind.PROVEN_ABSENT, reason="not found")
    world = FakeWorld(left=left(child(status)), resolutions=[absent])
    assert await settle(client, world) == "settled 1 child orders"
    assert len(world.resolved) == 1


async def test_a_verdict_reaches_the_child_that_it_names(client: Client):
    world = FakeWorld(left=left(*(child(ChildStatus.UNKNOWN, index=index) for index in range(2))))
    async with engine_on(client, world):
        handle = await client.start_workflow(
            "SettleOrder",
            ports.LostOrder(order_id=ORDER, how="terminated"),
            id=names.settle_id(uuid.uuid4().hex),
            task_queue=names.ORDERS_QUEUE,
            result_type=str,
        )
        absent = ports.Resolved(kind=ports.ResolveKind.PROVEN_ABSENT, reason="an operator")
        verdict = {"child": 1, "verdict": "absent", "reason": "not there"}
        async with asyncio.timeout(20):
            while not world.verdicts:
                with suppress(WorkflowUpdateFailedError):  # not before it has found the children
                    await handle.execute_update(names.RESOLVE, verdict)
        world.resolutions += [absent, absent]
        await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    second = child(ChildStatus.UNKNOWN, index=1).intent.client_order_id
    assert [each.client_order_id for each in world.verdicts] == [second]
