"""The corners of the order protocol: what must not send twice, hang, or loop."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.service import RPCError

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import INSTRUMENT, FakeWorld, fills, lost, not_sent, report_of, rests
from tests.workflows.orders import LIMIT, MARKET, start, until_working
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import SubmitOutcome, VenueStatus
from workflows.messages import OrderSnapshot
from workflows.ports import GivenUp, Resolved, ResolveKind

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def assert_no_task_failed(handle: WorkflowHandle[Any, Any]) -> None:
    history = await handle.fetch_history()
    failed = [
        event.workflow_task_failed_event_attributes.failure.message
        for event in history.events
        if event.HasField("workflow_task_failed_event_attributes")
    ]
    # not a fault: something arrived while the task was being answered
    assert [message for message in failed if message != "UnhandledCommand"] == []
    await assert_replays(history)


async def until_status(handle: WorkflowHandle[Any, Any], status: ChildStatus) -> OrderSnapshot:
    async with asyncio.timeout(20):
        while True:
            now = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
            if now.children and now.children[-1].status is status:
                return now
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("status", [VenueStatus.FILLED, VenueStatus.OPEN])
async def test_a_report_for_a_child_thought_absent_is_adopted_and_nothing_is_sent_again(
    client: Client, status: VenueStatus
) -> None:
    """The late order shows itself while the next attempt waits for its turn."""
    world = FakeWorld(resolutions=[Resolved(kind=ResolveKind.PROVEN_ABSENT)])
    reports = []

    def lost_then_live(_: FakeWorld, intent: ChildIntent) -> SubmitOutcome:
        filled = intent.quantity if status is VenueStatus.FILLED else Decimal("0.04")
        reports.append(report_of(intent, filled, status))
        world.market_fails = True  # no price now: the next attempt has to wait
        return lost(world, intent)

    world.script = [lost_then_live]
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", {**LIMIT, "timeout_s": 3600})
        await until_status(handle, ChildStatus.NEW)
        world.reports[reports[0].client_order_id] = reports[0]
        await handle.signal(names.EXECUTION_REPORT, reports[0])
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_no_task_failed(handle)
    assert len(world.submits) == 1
    assert result.filled_quantity == reports[0].filled_quantity
    filled = status is VenueStatus.FILLED
    assert result.status is (OrderStatus.FILLED if filled else OrderStatus.EXPIRED)


async def test_an_attempt_that_the_ledger_knows_better_is_resolved_not_repeated(
    client: Client,
) -> None:
    """After a reset the workflow asks for an attempt that was sent long ago."""
    world = FakeWorld(must_resolve=[1])

    def remember(intent: ChildIntent) -> Resolved:
        return Resolved(
            kind=ResolveKind.ADOPTED,
            report=report_of(intent, intent.quantity, VenueStatus.FILLED),
        )

    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET)
        async with asyncio.timeout(20):
            while not world.reserved:
                await asyncio.sleep(0.01)
        world.resolutions.append(remember(world.reserved[0].intent))
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_no_task_failed(handle)
    assert result.status is OrderStatus.FILLED
    assert world.submits == []
    assert [(request.attempt, request.epoch) for request in world.resolved] == [(1, "e1")]


async def test_a_child_that_cannot_be_given_up_is_resolved_first(client: Client) -> None:
    world = FakeWorld(
        script=[not_sent("TRADING_HALTED")],
        give_up_answers=[GivenUp(resolve_attempt=1)],
        resolutions=[Resolved(kind=ResolveKind.REJECTED, reason="-2010")],
    )
    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET)
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_no_task_failed(handle)
    assert result.status is OrderStatus.REJECTED
    assert len(world.resolved) == 1


async def test_a_cancel_gets_through_while_reads_of_the_venue_fail(client: Client) -> None:
    world = FakeWorld(script=[rests], reads_fail=True)
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        await handle.signal(names.CANCEL)
        async with asyncio.timeout(30):
            while not world.cancels:
                await asyncio.sleep(0.01)
        world.reads_fail = False
        result = await asyncio.wait_for(handle.result(), 30)
    assert result.status is OrderStatus.CANCELLED
    assert world.cancels[0].intent.client_order_id == child


async def test_broken_symbol_rules_in_the_middle_of_a_twap_are_no_market(client: Client) -> None:
    world = FakeWorld()

    def fill_and_break(_: FakeWorld, intent: ChildIntent) -> SubmitOutcome:
        world.instrument = replace(INSTRUMENT, step=Decimal(0), tick=Decimal(0))
        return fills()(world, intent)

    world.script = [fill_and_break]
    async with engine_on(client, world):
        order = {**MARKET, "quantity": "1", "twap_slices": 5, "twap_interval": 60}
        handle = await start(client, "TwapOrder", order)
        result = await asyncio.wait_for(handle.result(), 60)
        await assert_no_task_failed(handle)
    assert result.status is OrderStatus.EXPIRED
    assert "no market data" in result.reason
    assert len(world.submits) == 1


async def test_a_flood_of_reports_is_handed_over_to_new_runs(client: Client) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", {**LIMIT, "quantity": "1"})
        child = await until_working(handle, world)
        for lots in range(1, 401):
            await handle.signal(
                names.EXECUTION_REPORT, world.fill_now(child, lots * INSTRUMENT.step)
            )
        latest = client.get_workflow_handle(handle.id)
        async with asyncio.timeout(60):
            while (await latest.describe()).run_id == handle.first_execution_run_id:
                await asyncio.sleep(0.05)
        await latest.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal(1)))
        result = await asyncio.wait_for(handle.result(), 30)
    assert result.status is OrderStatus.FILLED
    assert result.filled_quantity == 1
    assert len(world.submits) == 1


async def test_a_promise_that_cannot_be_kept_fails_the_workflow_and_the_ledger_says_so(
    client: Client,
) -> None:
    world = FakeWorld(reserve_fails=True)
    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET)
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(handle.result(), 30)
    assert world.saved[-1].status is OrderStatus.FAILED
    assert "human" in world.saved[-1].reason


@pytest.mark.parametrize(
    "options", [{"retry_policy": RetryPolicy(maximum_attempts=3)}, {"cron_schedule": "@daily"}]
)
async def test_an_order_that_temporal_would_repeat_is_denied(
    client: Client, options: dict[str, Any]
) -> None:
    world = FakeWorld()
    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET, **options)
        first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        async with asyncio.timeout(30):
            while not (await first.describe()).close_time:
                await asyncio.sleep(0.05)
        now = await first.query(names.PROGRESS, result_type=OrderSnapshot)
        with suppress(RPCError):  # a cron workflow has its next run
            await client.get_workflow_handle(handle.id).terminate()
    assert (now.status, now.code) == (OrderStatus.DENIED, DenialCode.INVALID_INPUT)
    assert world.submits == []


async def test_temporals_cancel_of_an_order_that_just_ended_is_ignored(client: Client) -> None:
    """The cancel arrives while the final state is being stored."""
    world = FakeWorld()
    storing = asyncio.Event()
    release = asyncio.Event()
    world.before_save = lambda: _hold(storing, release)
    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET)
        await asyncio.wait_for(storing.wait(), 20)
        await handle.cancel()
        release.set()
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_no_task_failed(handle)
    assert result.status is OrderStatus.FILLED


async def _hold(reached: asyncio.Event, release: asyncio.Event) -> None:
    reached.set()
    await asyncio.wait_for(release.wait(), 20)


async def test_the_end_that_the_ledger_holds_already_is_the_one_that_is_told(
    client: Client,
) -> None:
    """A task that stored the end was lost, and done again after a cancel had come."""
    stored = OrderSnapshot(order_id="o", status=OrderStatus.EXPIRED, reason="timeout")
    world = FakeWorld(saved_before=stored)
    async with engine_on(client, world):
        handle = await start(client, "MarketOrder", MARKET)
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_no_task_failed(handle)
        await assert_replays(await handle.fetch_history())
    assert result == stored
    assert world.saved[-1].status is OrderStatus.FILLED
