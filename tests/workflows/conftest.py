"""A real Temporal server whose workflows' clocks skip, and a worker on the fake world."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from tests.workflows.fakes import FakeWorld
from workers.embedded_temporal import tuning_arguments
from workers.workflow_code import WORKFLOWS, sandbox
from workflows import names
from workflows.payloads import DATA_CONVERTER


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """One server for all tests of this folder."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_log_level="error",
        search_attributes=names.SEARCH_ATTRIBUTES,
        dev_server_extra_args=[
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingMaxSkipPerSession=100000",
            *tuning_arguments(),
        ],
    )
    async with environment:
        yield environment


@pytest.fixture
def client(server: WorkflowEnvironment) -> Client:
    """The server's client, with the engine's converter."""
    return server.client


@asynccontextmanager
async def engine_on(
    client: Client, world: FakeWorld, *, with_venue_worker: bool = True
) -> AsyncIterator[None]:
    """Workers for every queue of binance/main on the fake world."""
    async with AsyncExitStack() as running:
        await running.enter_async_context(
            Worker(
                client,
                task_queue=names.ORDERS_QUEUE,
                workflows=WORKFLOWS,
                activities=[
                    world.open_order,
                    world.accept_order,
                    world.reserve,
                    world.give_up,
                    world.save_order,
                    world.read_market,
                    world.record_action,
                    world.read_protected,
                    world.check_order,
                    world.raise_alarm,
                    world.arm_watch,
                    world.disarm_watch,
                    world.read_watch,
                    world.read_switch,
                    world.record_verdict,
                    world.take_over,
                    world.end_lost,
                ],
                workflow_runner=sandbox(),
            )
        )
        if with_venue_worker:
            await running.enter_async_context(
                Worker(
                    client,
                    task_queue=names.venue_queue("binance", "main"),
                    activities=[world.submit, world.cancel_child],
                )
            )
        await running.enter_async_context(
            Worker(
                client,
                task_queue=names.venue_data_queue("binance", "main"),
                activities=[
                    world.read_market,
                    world.read_child,
                    world.resolve,
                    world.read_view,
                    world.read_volume,
                ],
            )
        )
        yield


async def assert_replays(history: WorkflowHistory) -> None:
    """The recorded history gives the same commands on the current code."""
    replayer = Replayer(
        workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=sandbox()
    )
    await replayer.replay_workflow(history)
