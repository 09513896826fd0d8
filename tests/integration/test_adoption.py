"""Executions whose workflow was lost are begun again; those that run, or have ended, are left."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.adoption import MOST_FAILURES, Adoption
from activities.executions import ExecutionActivities
from activities.ledger.results import LostExecution
from activities.ledger_activities import LedgerActivities
from activities.markets import Markets
from activities.venues.gateway import VenueGateway, VenueUnavailableError
from activities.views import VenueViews
from tests.integration.execution_world import OTHER, a_pair, accept, an_execution, ready, the_end
from tests.integration.ledger_world import ACCOUNT, EXCHANGE, World, open_world
from workers.workflow_code import WORKFLOWS, sandbox
from workflows import names
from workflows.domain.executions import ExecutionStatus
from workflows.domain.instruments import Instrument
from workflows.payloads import strict_loads
from workflows.ports import EngineTerms

pytest_plugins = ["tests.integration.client_server_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = Decimal(0)
ACCOUNTS = [(EXCHANGE, ACCOUNT), (OTHER, ACCOUNT)]
TERMS = EngineTerms(
    accept_timeout_s=Decimal(10),
    order_timeout_s=Decimal(30),
    twap_slices=10,
    twap_interval_s=Decimal(60),
    schedule_to_start_s=Decimal(5),
    submit_timeout_s=Decimal(8),
)
Status = WorkflowExecutionStatus


class _Away:
    """A venue that cannot be reached."""

    async def instrument(self, symbol: str) -> Instrument:
        raise VenueUnavailableError(f"{symbol}: no answer")


@workflow.defn(name="Arbitrage", sandboxed=False)
class _Doomed:
    """Ends as its plan's `opportunity_id` says: it stands for a workflow that is lost."""

    @workflow.run
    async def run(self, plan: dict[str, Any]) -> None:
        if plan.get("opportunity_id") == "fails":
            raise ApplicationError("broken")


@asynccontextmanager
async def doomed(client: Client) -> AsyncIterator[None]:
    async with Worker(
        client,
        task_queue=names.ORDERS_QUEUE,
        workflows=[_Doomed],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield


def new_id() -> str:
    return f"arb-{uuid.uuid4().hex[:12]}"


def sweeper(ledger: World, client: Client) -> Adoption:
    """Looks at everything whenever it is asked to."""
    return Adoption(ledger.executions, client, every_s=NOW, older_than_s=NOW)


async def registered(ledger: World, client: Client, *, ends: str = "") -> str:
    """An open execution and its running workflow."""
    execution = an_execution(new_id(), opportunity_id=ends or None)
    await ledger.executions.open_execution(execution)
    await start(client, execution.execution_id, execution.plan)
    return execution.execution_id


async def start(client: Client, execution_id: str, plan: str) -> None:
    await client.start_workflow(
        "Arbitrage", strict_loads(plan.encode()), id=execution_id, task_queue=names.ORDERS_QUEUE
    )


async def newest(client: Client, execution_id: str) -> tuple[Status | None, str]:
    told = await client.get_workflow_handle(execution_id).describe()
    return told.status, told.run_id or ""


async def until(is_true: Callable[[], Any], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not await is_true():
            await asyncio.sleep(0.05)


async def input_of(client: Client, execution_id: str) -> dict[str, Any]:
    history = await client.get_workflow_handle(execution_id).fetch_history()
    began = history.events[0].workflow_execution_started_event_attributes
    plan: dict[str, Any] = strict_loads(began.input.payloads[0].data)
    return plan


# --- what becomes of it -------------------------------------------------------------------------


async def test_what_a_lost_workflow_reserved_and_locked_is_given_back(
    server: WorkflowEnvironment, database_url: str
) -> None:
    """Lost between the reservation of its legs and their submission."""
    async with open_world(database_url) as ledger:
        await ready(ledger)
        execution = an_execution(new_id())
        name = execution.execution_id
        await ledger.executions.open_execution(execution)
        pair = a_pair(name)
        assert (await accept(ledger, *pair, execution_id=name)).denied is None
        assert await sweeper(ledger, server.client).sweep() == [name]
        async with _engine(ledger, server.client):
            await until(lambda: _is(server.client, name, Status.COMPLETED))
        for leg in pair:
            assert (await ledger.reservation(leg.first.intent))[0] == "released"
        assert await ledger.rows("SELECT * FROM execution_locks") == []
        stored = await ledger.views.execution(name)
        assert stored is not None
        assert stored.status is ExecutionStatus.CANCELLED
        legs = await ledger.views.execution_legs(name)
        assert [leg.status for leg in legs] == ["cancelled", "cancelled"]


@asynccontextmanager
async def _engine(ledger: World, client: Client) -> AsyncIterator[None]:
    """The real workflows on the real ledger; both venues are away."""
    gateways = {account: cast(VenueGateway, _Away()) for account in ACCOUNTS}
    executions = ExecutionActivities(ledger.executions, TERMS, VenueViews(gateways), ACCOUNTS)
    orders = LedgerActivities(ledger.store, TERMS, Markets(gateways), ACCOUNTS)
    async with Worker(
        client,
        task_queue=names.ORDERS_QUEUE,
        workflows=WORKFLOWS,
        activities=[
            executions.open_execution,
            executions.accept_legs,
            executions.save_execution,
            executions.raise_alarm,
            orders.reserve,
            orders.give_up,
        ],
        workflow_runner=sandbox(),
    ):
        yield


# --- what is left alone -------------------------------------------------------------------------


async def test_an_execution_whose_workflow_runs_is_left_alone(
    server: WorkflowEnvironment, database_url: str
) -> None:
    async with open_world(database_url) as ledger:
        name = await registered(ledger, server.client)
        before = await newest(server.client, name)
        assert await sweeper(ledger, server.client).sweep() == []
        assert await newest(server.client, name) == before
        assert await ledger.alarms() == []


async def test_an_execution_that_has_ended_is_left_alone(
    server: WorkflowEnvironment, database_url: str
) -> None:
    async with open_world(database_url) as ledger:
        name = await registered(ledger, server.client)
        await server.client.get_workflow_handle(name).terminate()
        end = the_end(execution_id=name, status=ExecutionStatus.FAILED)
        await ledger.executions.save_execution(end)
        assert await sweeper(ledger, server.client).sweep() == []


async def test_an_execution_that_ends_while_it_is_looked_at_is_left_alone(
    server: WorkflowEnvironment, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(database_url) as ledger:
        name = await registered(ledger, server.client)
        await server.client.get_workflow_handle(name).terminate()
        taken = await ledger.executions.take_open(older_than_s=NOW, every_s=NOW)
        end = the_end(execution_id=name, status=ExecutionStatus.FAILED)
        await ledger.executions.save_execution(end)

        async def as_before(**_: Decimal) -> list[LostExecution]:
            return taken

        monkeypatch.setattr(ledger.executions, "take_open", as_before)
        assert await sweeper(ledger, server.client).sweep() == []
        assert (await newest(server.client, name))[0] is Status.TERMINATED
        assert await ledger.alarms() == []


async def test_an_execution_is_looked_at_once_in_a_period_and_not_when_it_is_young(
    database_url: str,
) -> None:
    async with open_world(database_url) as ledger:
        await ledger.executions.open_execution(an_execution())
        take = ledger.executions.take_open
        assert await take(older_than_s=Decimal(60), every_s=NOW) == []
        taken = await asyncio.gather(
            *(take(older_than_s=NOW, every_s=Decimal(60)) for _ in range(6))
        )
        assert sorted(len(each) for each in taken) == [0, 0, 0, 0, 0, 1]


# --- what is begun again ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["terminated", "absent"])
async def test_a_lost_workflow_is_begun_again_with_the_stored_plan(
    server: WorkflowEnvironment, database_url: str, how: str
) -> None:
    async with open_world(database_url) as ledger:
        execution = an_execution(new_id(), amount=Decimal("0.10"))
        name = execution.execution_id
        await ledger.executions.open_execution(execution)
        if how == "terminated":
            await start(server.client, name, execution.plan)
            await server.client.get_workflow_handle(name).terminate()
        assert await sweeper(ledger, server.client).sweep() == [name]
        assert (await newest(server.client, name))[0] is Status.RUNNING
        assert await input_of(server.client, name) == strict_loads(execution.plan.encode())
        (alarm,) = await ledger.views.alarms()
        assert (alarm.code, alarm.object, alarm.detail) == (
            "EXECUTION_ADOPTED",
            name,
            f"workflow={how}",
        )
        assert await sweeper(ledger, server.client).sweep() == []


async def test_a_refusal_that_is_the_newest_run_hides_no_lost_workflow(
    server: WorkflowEnvironment, database_url: str
) -> None:
    async with open_world(database_url) as ledger:
        name = await registered(ledger, server.client, ends="completes")
        async with doomed(server.client):
            await until(lambda: _is(server.client, name, Status.COMPLETED))
        assert await sweeper(ledger, server.client).sweep() == [name]
        assert (await newest(server.client, name))[0] is Status.RUNNING


async def test_a_workflow_that_fails_is_begun_again_three_times_and_then_left_to_a_human(
    server: WorkflowEnvironment, database_url: str
) -> None:
    async with open_world(database_url) as ledger:
        name = await registered(ledger, server.client, ends="fails")
        async with doomed(server.client):
            for _ in range(MOST_FAILURES):
                await until(lambda: _is(server.client, name, Status.FAILED))
                assert await sweeper(ledger, server.client).sweep() == [name]
            await until(lambda: _is(server.client, name, Status.FAILED))
            for _ in range(2):
                assert await sweeper(ledger, server.client).sweep() == []
        assert await ledger.alarms() == ["EXECUTION_ADOPTED", "EXECUTION_LOST"]


async def _is(client: Client, execution_id: str, status: Status) -> bool:
    return (await newest(client, execution_id))[0] is status


async def test_a_sweep_goes_on_after_one_that_cannot_be_looked_at(
    server: WorkflowEnvironment, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(database_url) as ledger:
        names_ = [await registered(ledger, server.client) for _ in range(2)]
        for name in names_:
            await server.client.get_workflow_handle(name).terminate()
        # an id that Temporal refuses stands for one that it gives no answer about
        await ledger.executions.open_execution(an_execution("x" * 2_000))
        assert sorted(await sweeper(ledger, server.client).sweep()) == sorted(names_)
