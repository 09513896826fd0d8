"""TWAP orders as their workflow runs them: schedule, misses, limits, cancel, continued runs."""

import asyncio
import itertools
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import (
    INSTRUMENT,
    FakeWorld,
    executes_before_its_fills_show,
    fills,
    lost,
    not_sent,
    rejects,
)
from tests.workflows.orders import MARKET, run, start
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import whole_steps
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import TimeInForce
from workflows.domain.reports import RejectionFamily
from workflows.messages import OrderSnapshot
from workflows.ports import Resolved, ResolveKind

pytestmark = pytest.mark.asyncio(loop_scope="session")

TWAP: dict[str, Any] = {**MARKET, "quantity": "1", "twap_slices": 10, "twap_interval": 60}


def lots_sent(world: FakeWorld) -> list[int]:
    """Whole steps of each child that was sent, in order."""
    return [whole_steps(submit.intent.quantity, INSTRUMENT.step) for submit in world.submits]


async def test_slices_are_even_iocs_that_sum_to_the_order_exactly(client: Client) -> None:
    world = FakeWorld()
    result = await run(client, world, "TwapOrder", {**TWAP, "twap_slices": 3})
    assert result.status is OrderStatus.FILLED
    assert lots_sent(world) == [333, 334, 333]
    assert {submit.intent.time_in_force for submit in world.submits} == {TimeInForce.IOC}
    assert result.filled_quantity == 1
    assert result.twap is not None
    assert (result.twap.slices_done, result.twap.slices_sent) == (3, 3)
    assert (result.twap.slices_late, result.twap.percent) == (0, 100)


async def test_slices_start_at_their_own_times_on_the_workflows_clock(client: Client) -> None:
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", TWAP)
        await asyncio.wait_for(handle.result(), 60)
        history = await handle.fetch_history()
    fired = [
        event.event_time.ToDatetime()
        for event in history.events
        if event.HasField("timer_fired_event_attributes")
    ]
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(fired)]
    assert len(fired) == 9
    assert all(59 <= gap <= 61 for gap in gaps)


async def test_a_missed_slice_is_spread_over_the_rest_by_default(client: Client) -> None:
    world = FakeWorld(script=[fills(), fills(), fills("0")])
    result = await run(client, world, "TwapOrder", TWAP)
    assert result.status is OrderStatus.FILLED
    before, after = lots_sent(world)[:3], lots_sent(world)[3:]
    assert before == [100, 100, 100]
    assert sum(after) == 800
    assert max(after) - min(after) <= 1


async def test_a_missed_slice_is_caught_up_at_once_when_asked(client: Client) -> None:
    world = FakeWorld(script=[fills(), fills(), fills("0")])
    await run(client, world, "TwapOrder", {**TWAP, "catch_up": "immediate"})
    assert lots_sent(world) == [100, 100, 100, 200, 100, 100, 100, 100, 100, 100]


async def test_a_market_beyond_the_limit_waits_and_ends_expired_with_the_residual(
    client: Client,
) -> None:
    world = FakeWorld()
    result = await run(client, world, "TwapOrder", {**TWAP, "price": "49990"})
    assert result.status is OrderStatus.EXPIRED
    assert result.remaining_quantity == 1
    assert "residual 1: price" in result.reason
    assert world.submits == []


async def test_children_never_trade_beyond_the_limit_price(client: Client) -> None:
    world = FakeWorld()
    await run(client, world, "TwapOrder", {**TWAP, "price": "50001.5"})
    assert {submit.intent.price for submit in world.submits} == {Decimal("50001.5")}


async def test_an_unknown_slice_is_resolved_before_the_next_one_is_sent(client: Client) -> None:
    world = FakeWorld(
        script=[fills(), lost, fills()], resolutions=[Resolved(kind=ResolveKind.PROVEN_ABSENT)]
    )
    result = await run(client, world, "TwapOrder", TWAP)
    assert result.status is OrderStatus.FILLED
    ids = [submit.intent.client_order_id for submit in world.submits]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 10
    assert sum(lots_sent(world)) == 1100  # the absent one was sent again


async def test_missing_fills_of_a_slice_never_make_its_quantity_tradable_twice(
    client: Client,
) -> None:
    world = FakeWorld(script=[executes_before_its_fills_show] * 2)
    result = await run(client, world, "TwapOrder", TWAP)
    assert result.status is OrderStatus.FILLED
    assert lots_sent(world) == [100] * 10
    assert result.average_price is not None
    assert result.fees["USDT"] > 0
    assert {child.status for child in result.children} == {ChildStatus.FILLED}


@pytest.mark.parametrize(
    "miss",
    [rejects(RejectionFamily.BALANCE), rejects(RejectionFamily.FILTER), not_sent("RECONCILING")],
)
async def test_a_slice_that_could_not_trade_is_carried(client: Client, miss: Any) -> None:
    world = FakeWorld(script=[miss])
    result = await run(client, world, "TwapOrder", TWAP)
    assert result.status is OrderStatus.FILLED
    assert result.filled_quantity == 1


async def test_a_denied_slice_is_carried_and_the_denial_is_named_when_it_never_fits(
    client: Client,
) -> None:
    denied = Denied(code=DenialCode.RISK_MAX_POSITION, detail="max=1")
    world = FakeWorld(reserve_denials=[denied] * 10)
    result = await run(client, world, "TwapOrder", TWAP)
    assert result.status is OrderStatus.EXPIRED
    assert "max=1" in result.reason
    assert world.submits == []


async def test_a_venue_that_forbids_trading_stops_the_schedule(client: Client) -> None:
    world = FakeWorld(script=[fills(), rejects(RejectionFamily.PERMISSION)])
    result = await run(client, world, "TwapOrder", TWAP)
    assert result.status is OrderStatus.EXPIRED
    assert len(world.submits) == 2
    assert result.filled_quantity == Decimal("0.1")


async def until_slice(handle: WorkflowHandle[Any, Any], sent: int) -> None:
    async with asyncio.timeout(20):
        while True:
            now = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
            if now.twap is not None and now.twap.slices_sent >= sent:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("by", ["signal", "update", "temporal"])
async def test_a_cancel_stops_the_schedule_and_reports_what_filled(
    server: WorkflowEnvironment, client: Client, by: str
) -> None:
    world = FakeWorld()
    async with engine_on(client, world):
        with server.with_time_skipping_disabled():  # or it would be through before the cancel
            handle = await start(client, "TwapOrder", TWAP)
        await until_slice(handle, 1)
        if by == "signal":
            await handle.signal(names.CANCEL, "enough")
        elif by == "update":
            await handle.execute_update(names.CANCEL, result_type=OrderSnapshot)
        else:
            await handle.cancel()
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert result.status is OrderStatus.CANCELLED
    assert result.filled_quantity == Decimal("0.1")
    assert len(world.submits) == 1


async def test_a_long_schedule_continues_in_new_runs_and_loses_nothing(client: Client) -> None:
    world = FakeWorld()
    order = {**TWAP, "quantity": "2", "twap_slices": 100}
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", order)
        result = await asyncio.wait_for(handle.result(), 90)
        last = await client.get_workflow_handle(handle.id).describe()
    assert last.run_id != handle.first_execution_run_id
    assert result.status is OrderStatus.FILLED
    assert result.filled_quantity == 2
    assert lots_sent(world) == [20] * 100
    assert len({submit.intent.client_order_id for submit in world.submits}) == 100
    assert result.children_total == 100
    assert result.twap is not None
    assert result.twap.slices_filled == 100


@pytest.mark.parametrize(
    ("fields", "code", "name"),
    [
        ({"twap_slices": 1_000_000}, "OUT_OF_RANGE", "twap_slices"),
        ({"twap_slices": 0}, "OUT_OF_RANGE", "twap_slices"),
        ({"twap_interval": 0}, "OUT_OF_RANGE", "twap_interval"),
        ({"twap_slices": 2.5}, "INVALID_TYPE", "twap_slices"),
        ({"quantity": "0.001", "price": "50"}, "MIN_NOTIONAL", "quantity"),
        ({"time_in_force": "IOC"}, "FIELD_NOT_ALLOWED", "time_in_force"),
        ({"size_jitter": "0.6"}, "OUT_OF_RANGE", "size_jitter"),
    ],
)
async def test_a_schedule_that_cannot_be_is_denied(
    client: Client, fields: dict[str, Any], code: str, name: str
) -> None:
    world = FakeWorld()
    result = await run(client, world, "TwapOrder", {**TWAP, **fields})
    assert (result.status, result.code, result.field) == (OrderStatus.DENIED, code, name)
    assert world.submits == []
