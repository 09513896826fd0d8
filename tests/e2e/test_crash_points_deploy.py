"""What a deployment does to orders under way: runs that end, workers and migrations that stop.

K21: a run hands over to the next one while cancels arrive. K23: SIGTERM in the middle of a call.
K24: a migration is killed. As in `test_crash_points`, each is hit exactly, on real processes.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.ledger.migrate import newest_revision
from starters.client import AlreadyTerminal, DeltaClient
from tests.e2e.crash_world import (
    ALL,
    LIMITS,
    SEED,
    AimedOrder,
    Processes,
    armed,
    can_begin,
    cases,
    counted,
    passages,
)
from tests.e2e.proof import assert_tasks_never_failed
from tests.e2e.world import BEST_ASK, BEST_BID, World, until
from workers.stack_parts import CHECKOUT
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot
from workflows.order_face import HISTORY_EVENTS_PER_RUN

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

FAR = {"buy": BEST_BID - 100, "sell": BEST_ASK + 100}
NEARLY = HISTORY_EVENTS_PER_RUN - 40
AT_ONCE = 50
CANCELS = 8
HOWS = ("signals", "updates", "both")


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _whole_engine(world: World):
    """A row begins with an engine that can trade and ends with an honest exchange."""
    await can_begin(world)
    yield
    await world.faults.clear()


@pytest.mark.parametrize("how", HOWS if ALL else [random.Random(SEED).choice(HOWS)])
@pytest.mark.parametrize("case", cases("K21", among=LIMITS), ids=str)
async def test_k21_cancels_that_arrive_while_a_run_hands_over_are_obeyed_once(
    world: World, case, how
):
    order = AimedOrder(world, case, price=FAR[case.side])
    await order.submit()
    await until(order.is_open)
    handle = world.temporal.get_workflow_handle(order.order_id)
    await _lengthen(handle)
    processes, key = Processes(world), f"workflow.continue_as_new[{order.order_id}]"
    with armed(world, f"{key}:stop"):
        await _lengthen_to_the_boundary(world, handle, key)
        async with processes.stopped_at(key):
            answers = await _ask_for_cancels(world, handle, how)
        told = await asyncio.wait_for(answers, 30)
    done = await order.ends()
    assert (done.status, done.filled_quantity) == (OrderStatus.CANCELLED, 0)
    assert {each.status for each in told} <= {OrderStatus.CANCELLED, OrderStatus.CANCELLING}
    assert [cancel.code for cancel in order.cancels()].count(0) == 1
    await assert_tasks_never_failed(world, order.order_id)


@pytest.mark.parametrize("case", cases("K23"), ids=str)
async def test_k23_a_worker_that_must_stop_in_mid_call_ends_in_time_and_another_resolves(
    world: World, case
):
    order = AimedOrder(world, case, rests=True)
    processes, key = Processes(world), f"submit.before_send[{order.child}]"
    with armed(world, counted(key)):
        hold = await world.faults.add(
            "hold_after", method="POST", path="/order", client_order_id=order.child
        )
        await order.submit()
        await world.faults.held(hold)
        pid = (await processes.reached(key)).pid
        worker = processes.name_of(pid)
        try:
            await world.stack.stop_part(worker)  # SIGTERM; SIGKILL after 30 s
            assert await processes.code_of(pid) == 0
            done = await order.completes()
        finally:
            await world.stack.start_part(worker)
    assert done.children[0].attempt == 1
    assert len(order.sent()) == 1


async def test_k24_a_migration_that_is_killed_changes_nothing_and_a_rerun_succeeds(
    world: World, tmp_path: Path
):
    name = f"migrated_{uuid4().hex}"
    server = world.stack.settings.owner_dsn().replace("+asyncpg", "").rpartition("/")[0]
    await _execute(f"{server}/postgres", f"CREATE DATABASE {name}")
    environ = os.environ | {
        "ENV_FILE": os.devnull,
        "DATABASE_URL": f"{server}/{name}",
        "DELTA_HOME": str(tmp_path),
        "EXEC_FAILPOINTS": "migrate.before_commit:kill",
    }
    assert await _migrate(environ) == -signal.SIGKILL
    assert (tmp_path / "failpoints" / "migrate.before_commit").exists()
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await _value(f"{server}/{name}", tables) == 0
    assert await _migrate(environ) == 0
    revision = "SELECT version_num FROM alembic_version"
    assert await _value(f"{server}/{name}", revision) == newest_revision()


# --- K21 ------------------------------------------------------------------------------------------


async def _lengthen(handle: WorkflowHandle) -> None:
    """A storm of reports that nobody can read makes the run's history long, and nothing else."""
    while (await handle.describe()).history_length < NEARLY - AT_ONCE:
        await asyncio.gather(*(_unreadable_report(handle) for _ in range(AT_ONCE)))


async def _lengthen_to_the_boundary(world: World, handle: WorkflowHandle, key: str) -> None:
    """One report at a time, so that nothing else is under way when the run hands over."""

    async def is_answered() -> bool:
        described = (await handle.describe()).raw_description
        return bool(passages(world, key)) or not described.HasField("pending_workflow_task")

    for _ in range(HISTORY_EVENTS_PER_RUN):
        if passages(world, key):
            return
        await _unreadable_report(handle)
        await until(is_answered)
    raise AssertionError("the run never handed over")


async def _unreadable_report(handle: WorkflowHandle) -> None:
    await handle.signal(names.EXECUTION_REPORT, "unreadable")


async def _ask_for_cancels(
    world: World, handle: WorkflowHandle, how: str
) -> "asyncio.Future[list[OrderSnapshot]]":
    """Returns when all cancels have reached the server; the answers of updates come later."""
    asked = 0 if how == "signals" else CANCELS
    noted = _NotedUpdates()
    orders = DeltaClient(Client(**(world.temporal.config() | {"interceptors": [noted]})))
    answers = asyncio.gather(*(_cancel(orders, handle.id) for _ in range(asked)))
    await until(lambda: len(noted.ids) == asked)
    for each in noted.ids:
        await until(lambda: _is_admitted(world, handle.id, each))  # noqa: B023 - awaited at once
    if how != "updates":
        await asyncio.gather(*(handle.signal(names.CANCEL, "enough") for _ in range(CANCELS)))
    return answers


async def _cancel(orders: DeltaClient, order_id: str) -> OrderSnapshot:
    """The answer to a cancel; another one of the same storm may have ended the order."""
    try:
        return await orders.cancel(order_id, "enough")
    except AlreadyTerminal as error:
        return error.snapshot


class _NotedUpdates(Interceptor):
    """Gives every update an id and notes it."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        ids = self.ids

        class Noting(OutboundInterceptor):
            async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> Any:
                input.update_id = uuid4().hex
                ids.append(input.update_id)
                return await super().start_workflow_update(input)

        return Noting(next)


async def _is_admitted(world: World, order_id: str, update_id: str) -> bool:
    """True once the server knows the update."""
    execution = WorkflowExecution(workflow_id=order_id)
    asked = PollWorkflowExecutionUpdateRequest(
        namespace=world.temporal.namespace,
        update_ref=UpdateRef(workflow_execution=execution, update_id=update_id),
    )
    try:
        await world.temporal.workflow_service.poll_workflow_execution_update(asked)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


# --- K24 ------------------------------------------------------------------------------------------


async def _migrate(environ: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers", "migrate"), env=environ, cwd=CHECKOUT
    )
    return await asyncio.wait_for(process.wait(), 60)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
