"""Pause, resume and amend: refused at once or recorded first, and in effect within one child."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import FakeWorld, fills, lost, rests
from tests.workflows.orders import LIMIT, MARKET, start, until_working
from workflows import names, ports
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reports import VenueStatus
from workflows.messages import OrderSnapshot

ICEBERG: dict[str, Any] = {**MARKET, "quantity": "1", "price": "49000"}
TWAP: dict[str, Any] = {**MARKET, "quantity": "1", "twap_slices": 10, "twap_interval": "60"}


async def update(handle: WorkflowHandle[Any, Any], name: str, **fields: Any) -> OrderSnapshot:
    snapshot: OrderSnapshot = await asyncio.wait_for(
        handle.execute_update(name, fields, result_type=OrderSnapshot), 30
    )
    return snapshot


async def refusal(handle: WorkflowHandle[Any, Any], name: str, **fields: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await update(handle, name, **fields)
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type is not None
    return cause.type


async def ended(handle: WorkflowHandle[Any, OrderSnapshot]) -> OrderSnapshot:
    result = await asyncio.wait_for(handle.result(), 30)
    await assert_replays(await handle.fetch_history())
    return result


async def test_a_limit_order_is_taken_back_while_it_is_paused_and_placed_again(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        paused = await update(handle, names.PAUSE, requested_by="ann", reason="news")
        assert (paused.status, paused.reason) == (OrderStatus.PAUSED, "news")
        assert [cancel.intent.client_order_id for cancel in world.cancels] == [child]
        assert len(world.submits) == 1
        await update(handle, names.RESUME, requested_by="bob")
        result = await ended(handle)
    assert result.status is OrderStatus.FILLED
    assert [(act.kind, act.by, act.reason) for act in world.actions] == [
        ("pause", "ann", "news"),
        ("resume", "bob", ""),
    ]
    assert [action.requested_by for action in result.actions] == ["ann", "bob"]


async def test_an_amended_limit_order_trades_the_rest_at_its_new_price(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal("0.04")))
        amended = await update(handle, names.AMEND, price="49500", quantity="0.2")
        assert (amended.price, amended.quantity) == (Decimal(49_500), Decimal("0.2"))
        result = await ended(handle)
    assert world.submits[1].intent.price == Decimal(49_500)
    assert world.submits[1].intent.quantity == Decimal("0.16")
    assert world.reserved[1].parent_quantity == Decimal("0.2")
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal("0.2"))
    assert "49000 -> 49500" in result.actions[0].detail


async def test_an_order_amended_to_what_is_filled_is_filled(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal("0.04")))
        await update(handle, names.AMEND, quantity="0.04")
        result = await ended(handle)
    assert (result.status, result.remaining_quantity) == (OrderStatus.FILLED, Decimal(0))
    assert len(world.submits) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, DenialCode.MISSING_FIELD),
        ({"quantity": "0.01"}, DenialCode.AMEND_BELOW_FILLED),
        ({"quantity": "-1"}, DenialCode.NOT_POSITIVE),
        ({"price": "1e400"}, DenialCode.INVALID_DECIMAL),
        ({"colour": "red"}, DenialCode.UNKNOWN_FIELD),
        ({"end_at": "2001-01-01T00:00:00Z"}, DenialCode.END_BEFORE_START),
        ({"max_participation": "0.1"}, DenialCode.FIELD_NOT_ALLOWED),
        ({"price": "49500.001"}, DenialCode.PRECISION),
        ({"quantity": "0.1005"}, DenialCode.PRECISION),
    ],
)
async def test_an_amendment_that_cannot_be_is_refused_and_the_order_goes_on(
    client: Client, fields: dict[str, str], code: DenialCode
):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal("0.04")))
        assert await refusal(handle, names.AMEND, **fields) == code
        await handle.signal(names.CANCEL)
        result = await ended(handle)
    assert result.actions == ()
    assert world.actions == []


async def test_a_change_beyond_the_limits_is_refused_by_the_ledger_and_shown(client: Client):
    world = FakeWorld(script=[rests])
    world.action_denial = Denied(code=DenialCode.RISK_MAX_POSITION)
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        assert await refusal(handle, names.AMEND, quantity="5") == DenialCode.RISK_MAX_POSITION
        result = await ended(handle)
    assert result.quantity == Decimal("0.1")
    assert "RISK_MAX_POSITION" in result.actions[0].detail


async def test_what_ends_at_once_cannot_be_steered(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", {**LIMIT, "time_in_force": "IOC"})
        await until_working(handle, world)
        assert await refusal(handle, names.PAUSE) == DenialCode.NOT_STEERABLE
        await handle.signal(names.CANCEL)
        await ended(handle)


async def test_a_verdict_on_an_unknown_child_is_shown_once_among_the_actions(client: Client):
    world = FakeWorld(script=[lost])
    verdict = {"child": 0, "verdict": "absent", "reason": "not there", "requested_by": "ann"}
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        async with asyncio.timeout(30):
            while not world.verdicts:
                with suppress(WorkflowUpdateFailedError):  # not before it is unknown
                    await update(handle, names.RESOLVE, **verdict)
        again = await update(handle, names.RESOLVE, **verdict)
        absent = ports.Resolved(kind=ports.ResolveKind.PROVEN_ABSENT, reason="an operator")
        world.resolutions.append(absent)
        result = await ended(handle)
    assert (again.actions, result.status) == (result.actions, OrderStatus.FILLED)
    (action,) = result.actions
    assert (action.index, action.kind, action.at) == (0, "resolve", "2030-01-31T12:00:00Z")
    assert (action.requested_by, action.reason) == ("ann", "not there")
    assert action.detail == "child 0 absent"


async def test_a_resume_of_what_is_not_paused_is_refused(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        assert await refusal(handle, names.RESUME) == DenialCode.NOT_PAUSED
        await handle.signal(names.CANCEL)
        await ended(handle)


async def test_a_cancel_ends_a_pause(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        await update(handle, names.PAUSE)
        await handle.signal(names.CANCEL)
        result = await ended(handle)
    assert result.status is OrderStatus.CANCELLED


async def test_an_iceberg_shows_nothing_while_it_is_paused(client: Client):
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "IcebergOrder", {**ICEBERG, "iceberg_display": "0.5"})
        await until_working(handle, world)
        paused = await update(handle, names.PAUSE)
        assert paused.iceberg is not None
        assert (paused.iceberg.current_tip, len(world.submits)) == (None, 1)
        await update(handle, names.AMEND, price="48000", quantity="0.8")
        assert len(world.submits) == 1
        await update(handle, names.RESUME)
        result = await ended(handle)
    assert {submit.intent.price for submit in world.submits[1:]} == {Decimal(48_000)}
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal("0.8"))


async def test_a_paused_twap_sends_nothing_and_ends_later_where_that_was_asked(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", {**TWAP, "pause_shifts_end": True})
        paused = await update(handle, names.PAUSE)
        sent = len(world.submits)
        assert paused.status is OrderStatus.PAUSED
        await asyncio.sleep(0.2)
        assert len(world.submits) == sent < 10
        await update(handle, names.RESUME)
        result = await ended(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))
    assert result.twap is not None
    assert result.twap.slices_late == 0


async def test_a_twap_that_is_paused_until_its_end_says_what_is_left(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", TWAP)
        await update(handle, names.PAUSE)
        result = await ended(handle)
    assert result.status is OrderStatus.EXPIRED
    assert "paused until the end" in result.reason


async def test_a_twap_amended_to_less_trades_less_and_ends_exactly(client: Client):
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", {**TWAP, "start_at": _in(3_600)})
        amended = await update(handle, names.AMEND, quantity="0.6", price="50500")
        assert amended.quantity == Decimal("0.6")
        result = await ended(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal("0.6"))
    assert sum(submit.intent.quantity for submit in world.submits) == Decimal("0.6")


async def test_a_twap_amended_half_way_plans_the_rest_anew(client: Client):
    world = FakeWorld(script=[fills("0")] * 3, default=fills())
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", TWAP)
        async with asyncio.timeout(30):
            while len(world.submits) < 5:
                await asyncio.sleep(0.005)
        amended = await update(handle, names.AMEND, quantity="1.5")
        assert amended.twap is not None
        result = await ended(handle)
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal("1.5"))


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


# --- reads that hang ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel", "report"])
async def test_a_venue_that_does_not_answer_a_read_holds_nobody_up(client: Client, how: str):
    world = FakeWorld(script=[rests], reads_hang=True)
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        async with asyncio.timeout(20):
            while not world.reads:
                await asyncio.sleep(0.01)
        if how == "cancel":
            await handle.signal(names.CANCEL)
            async with asyncio.timeout(10):
                while not world.cancels:
                    await asyncio.sleep(0.01)
            world.reads_hang = False
            report = replace(world.reports[child], status=VenueStatus.CANCELLED)
        else:
            report = world.fill_now(child, Decimal("0.1"))
        await handle.signal(names.EXECUTION_REPORT, report)
        result = await asyncio.wait_for(handle.result(), 10)
        await assert_replays(await handle.fetch_history())
    expected = OrderStatus.CANCELLED if how == "cancel" else OrderStatus.FILLED
    assert result.status is expected
