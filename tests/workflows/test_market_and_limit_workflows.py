"""Market and limit orders as their workflows run them, on a real server with a fake venue."""

import asyncio
import uuid
from decimal import Decimal
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import RawValue, WorkflowIDConflictPolicy

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import (
    FakeWorld,
    crashes,
    executes_before_its_fills_show,
    fills,
    lost,
    not_sent,
    rejects,
    report_of,
    rests,
)
from tests.workflows.orders import LIMIT, MARKET, run, start, until_working
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildType, TimeInForce, client_order_id
from workflows.domain.reports import RejectionFamily, VenueStatus
from workflows.messages import OrderSnapshot
from workflows.ports import Resolved, ResolveKind

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_market_order_fills_and_tells_average_price_and_fees(client: Client) -> None:
    world = FakeWorld()
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.status is OrderStatus.FILLED
    assert result.filled_quantity == Decimal("0.1")
    assert result.remaining_quantity == 0
    assert result.average_price == Decimal(50_000)
    assert result.fees == {"USDT": Decimal(5)}
    assert [submit.intent.child_type for submit in world.submits] == [ChildType.MARKET]
    assert world.saved[-1].status is OrderStatus.FILLED


async def test_a_market_order_with_a_tolerance_is_a_bounded_ioc(client: Client) -> None:
    world = FakeWorld()
    await run(client, world, "MarketOrder", {**MARKET, "slippage_tolerance": "0.002"})
    intent = world.submits[0].intent
    assert (intent.child_type, intent.time_in_force) == (ChildType.LIMIT, TimeInForce.IOC)
    assert intent.price == Decimal("50100.01")  # 50000.01 x 1.002 floored to the tick


async def test_what_a_market_order_cannot_fill_ends_expired_with_the_reason(
    client: Client,
) -> None:
    result = await run(client, FakeWorld(script=[fills("0.4")]), "MarketOrder", MARKET)
    assert result.status is OrderStatus.EXPIRED
    assert result.filled_quantity == Decimal("0.04")
    assert "liquidity" in result.reason


@pytest.mark.parametrize("accident", [lost, crashes])
async def test_an_unknown_submission_that_is_found_is_adopted_and_not_sent_again(
    client: Client, accident: Any
) -> None:
    world = FakeWorld()

    def found(_: FakeWorld, intent: Any) -> Any:
        report = report_of(intent, intent.quantity, VenueStatus.FILLED)
        world.resolutions.append(Resolved(kind=ResolveKind.ADOPTED, report=report))
        return accident(world, intent)

    world.script = [found]
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.status is OrderStatus.FILLED
    assert len(world.submits) == 1


async def test_an_unknown_submission_proven_absent_is_sent_again_under_the_same_id(
    client: Client,
) -> None:
    world = FakeWorld(
        script=[lost, fills()], resolutions=[Resolved(kind=ResolveKind.PROVEN_ABSENT)]
    )
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.status is OrderStatus.FILLED
    assert [submit.attempt for submit in world.submits] == [1, 2]
    ids = {submit.intent.client_order_id for submit in world.submits}
    assert ids == {client_order_id(result.order_id, 0)}
    assert [reserve.attempt for reserve in world.reserved] == [1, 2]


async def test_a_rejection_ends_the_order_rejected_and_nothing_is_repeated(
    client: Client,
) -> None:
    world = FakeWorld(script=[rejects(RejectionFamily.BALANCE)])
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.status is OrderStatus.REJECTED
    assert "-2010" in result.reason
    assert len(world.submits) == 1


async def test_a_refused_timestamp_is_a_new_attempt_not_a_rejection(client: Client) -> None:
    world = FakeWorld(script=[rejects(RejectionFamily.CLOCK, "-1021"), fills()])
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.status is OrderStatus.FILLED
    assert len(world.submits) == 2


async def test_a_halt_seen_by_the_claim_denies_the_order_and_releases_it(client: Client) -> None:
    world = FakeWorld(script=[not_sent("TRADING_HALTED")])
    result = await run(client, world, "MarketOrder", MARKET)
    assert (result.status, result.code) == (OrderStatus.DENIED, DenialCode.TRADING_HALTED)
    assert len(world.given_up) == 1


async def test_an_order_that_no_worker_takes_expires_and_was_never_sent(client: Client) -> None:
    world = FakeWorld()
    async with engine_on(client, world, with_venue_worker=False):
        handle = await start(client, "MarketOrder", MARKET)
        result = await asyncio.wait_for(handle.result(), 60)
    assert result.status is OrderStatus.EXPIRED
    assert world.submits == []
    assert len(world.given_up) == 1


async def test_fills_that_show_late_are_waited_for_before_the_order_ends(client: Client) -> None:
    world = FakeWorld(script=[executes_before_its_fills_show])
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.status is OrderStatus.FILLED
    assert result.average_price == Decimal(50_000)


async def test_a_resting_limit_order_ends_by_an_execution_report(client: Client) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal("0.04")))
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal("0.1")))
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert result.status is OrderStatus.FILLED
    assert result.average_price == Decimal(49_000)


async def test_a_report_that_never_came_is_found_by_the_slow_timer(client: Client) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        world.fill_now(child, Decimal("0.1"))
        result = await asyncio.wait_for(handle.result(), 30)
    assert result.status is OrderStatus.FILLED


GARBAGE = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"))
BINARY = RawValue(Payload(metadata={"encoding": b"binary/plain"}, data=b"\xff\x00"))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([], "user_request"),
        ([{"reason": "risk desk"}], "risk desk"),
        (["plain text"], "plain text"),
        ([{"why": 1}], "unreadable"),
        ([42], "unreadable"),
        ([GARBAGE], "unreadable"),
        ([BINARY], "unreadable"),
        (["first", "second"], "first"),
    ],
)
async def test_a_cancel_signal_cancels_whatever_is_sent_with_it(
    client: Client, sent: list[Any], reason: str
) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        await handle.signal(names.CANCEL, args=sent)
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert (result.status, result.reason) == (OrderStatus.CANCELLED, reason)
    assert len(world.cancels) == 1


HUGE = {
    "client_order_id": "c",
    "venue_order_id": "v",
    "status": "open",
    "executed_quantity": "1E+999999",
    "filled_quantity": "0",
    "filled_quote": "0",
}


@pytest.mark.parametrize(
    "sent", [[], [GARBAGE], [BINARY], ["text"], [{"status": "odd"}], [1, 2], [HUGE]]
)
async def test_an_unreadable_execution_report_changes_nothing(
    client: Client, sent: list[Any]
) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        child = await until_working(handle, world)
        if sent == [HUGE]:
            sent = [{**HUGE, "client_order_id": child}]
        await handle.signal(names.EXECUTION_REPORT, args=sent)
        await handle.signal(names.EXECUTION_REPORT, world.fill_now(child, Decimal("0.1")))
        result = await asyncio.wait_for(handle.result(), 30)
        history = await handle.fetch_history()
    assert result.status is OrderStatus.FILLED
    failures = [event.workflow_task_failed_event_attributes for event in history.events]
    # a task that ends the order while something new comes in is done again: no failure of ours
    assert {failure.cause for failure in failures if failure.cause} <= {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    }


async def test_the_cancel_update_answers_the_final_state(client: Client) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        answer = await handle.execute_update(names.CANCEL, result_type=OrderSnapshot)
        result = await asyncio.wait_for(handle.result(), 30)
    assert answer.status is OrderStatus.CANCELLED
    assert result.status is OrderStatus.CANCELLED


async def test_temporals_own_cancel_takes_the_order_off_the_venue(client: Client) -> None:
    world = FakeWorld(script=[rests])
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        await handle.cancel()
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    assert result.status is OrderStatus.CANCELLED
    assert len(world.cancels) == 1


async def test_a_fill_that_won_the_race_against_the_cancel_is_counted(client: Client) -> None:
    world = FakeWorld(script=[rests], cancel_fills=True)
    async with engine_on(client, world):
        handle = await start(client, "LimitOrder", LIMIT)
        await until_working(handle, world)
        await handle.signal(names.CANCEL)
        result = await asyncio.wait_for(handle.result(), 30)
    assert result.status is OrderStatus.FILLED


async def test_a_limit_order_past_its_timeout_is_cancelled_and_reported_expired(
    client: Client,
) -> None:
    world = FakeWorld(script=[rests])
    result = await run(client, world, "LimitOrder", {**LIMIT, "timeout_s": 3600})
    assert result.status is OrderStatus.EXPIRED
    assert "timeout" in result.reason
    assert len(world.cancels) == 1


BAD: list[tuple[dict[str, Any] | None, str, str | None]] = [
    (None, "INVALID_INPUT", None),
    ({**MARKET, "quantity": "NaN"}, "INVALID_DECIMAL", "quantity"),
    ({**MARKET, "quantity": -1}, "NOT_POSITIVE", "quantity"),
    ({**MARKET, "quantity": True}, "INVALID_TYPE", "quantity"),
    ({**MARKET, "side": "hold"}, "UNKNOWN_ENUM", "side"),
    ({**MARKET, "side": 7}, "INVALID_TYPE", "side"),
    ({**MARKET, "admin": True}, "UNKNOWN_FIELD", "admin"),
    ({**MARKET, "price": "1"}, "FIELD_NOT_ALLOWED", "price"),
    ({"strategy_id": "s1"}, "MISSING_FIELD", "exchange"),
    ({**MARKET, "order_id": "another"}, "FIELD_NOT_ALLOWED", "order_id"),
    ({**MARKET, "order_type": "limit", "price": "1"}, "FIELD_NOT_ALLOWED", "order_type"),
    ({**MARKET, "quantity": "0.1234567"}, "PRECISION", "quantity"),
    ({**MARKET, "quantity": "0.0001"}, "PRECISION", "quantity"),
]


@pytest.mark.parametrize(("order", "code", "name"), BAD)
async def test_a_directly_started_bad_order_ends_denied_with_code_and_field(
    client: Client, order: dict[str, Any] | None, code: str, name: str | None
) -> None:
    world = FakeWorld()
    result = await run(client, world, "MarketOrder", order)
    assert (result.status, result.code, result.field) == (OrderStatus.DENIED, code, name)
    assert world.submits == []


@pytest.mark.parametrize("order", [GARBAGE, BINARY])
async def test_an_input_that_is_not_json_ends_denied_instead_of_looping(
    client: Client, order: Any
) -> None:
    world = FakeWorld()
    result = await run(client, world, "MarketOrder", order)
    assert (result.status, result.code) == (OrderStatus.DENIED, DenialCode.INVALID_JSON)
    assert world.opened == []


async def test_an_unknown_symbol_is_denied(client: Client) -> None:
    result = await run(client, FakeWorld(instrument=None), "MarketOrder", MARKET)
    assert (result.code, result.field) == (DenialCode.UNKNOWN_SYMBOL, "symbol")


async def test_an_order_that_cannot_be_accepted_in_time_never_trades_late(
    client: Client,
) -> None:
    world = FakeWorld(market_fails=True)
    result = await run(client, world, "MarketOrder", MARKET)
    assert result.code is DenialCode.NOT_ACCEPTED_IN_TIME
    assert world.submits == []
    assert world.saved[-1].status is OrderStatus.DENIED


async def test_the_ledgers_denial_is_the_orders_denial(client: Client) -> None:
    denied = Denied(code=DenialCode.RISK_MAX_POSITION, field="quantity", detail="max=1")
    result = await run(client, FakeWorld(accept_denial=denied), "MarketOrder", MARKET)
    assert (result.status, result.code) == (OrderStatus.DENIED, DenialCode.RISK_MAX_POSITION)


async def test_accept_answers_the_verdict_and_refuses_another_body_under_the_same_id(
    client: Client,
) -> None:
    world = FakeWorld(script=[rests])
    order_id = f"order-{uuid.uuid4().hex[:12]}"

    def operation(order: dict[str, Any]) -> WithStartWorkflowOperation[Any, Any]:
        return WithStartWorkflowOperation(
            "LimitOrder",
            order,
            id=order_id,
            task_queue=names.ORDERS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    async with engine_on(client, world):
        answers = [
            await client.execute_update_with_start_workflow(
                names.ACCEPT,
                order,
                id=update_id,
                start_workflow_operation=operation(order),
                result_type=OrderSnapshot,
            )
            for update_id, order in [
                ("accept", LIMIT),
                ("accept-2", {**LIMIT, "quantity": 0.1, "order_id": order_id}),
                ("accept-3", {**LIMIT, "quantity": "0.2"}),
            ]
        ]
        await client.get_workflow_handle(order_id).signal(names.CANCEL)
        await client.get_workflow_handle(order_id).result()
    assert not answers[0].status.is_terminal
    assert not answers[1].status.is_terminal
    assert answers[2].code is DenialCode.IDEMPOTENCY_CONFLICT
    assert len(world.submits) == 1
