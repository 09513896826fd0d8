"""What the engine is compared with: workflows that do nothing, on the same Temporal server.

`python -m tests.bench.bare HOST:PORT NAMESPACE` runs one worker for them until SIGTERM, with the
sandbox and the library that the engine's workers use.
"""

import asyncio
import signal
import sys
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

QUEUE = "bench-bare"
ACTIVITY_QUEUE = "bench-bare-activities"
"""Its own, as an exchange has: an activity on its workflow's queue would be handed over at once."""
_ACTIVITY_WITHIN = timedelta(seconds=30)
_MILLISECOND = timedelta(milliseconds=1)


@activity.defn(name="bench_nothing")
async def nothing() -> int:
    """When this attempt began, in nanoseconds since 1970."""
    return time.time_ns()


@workflow.defn(name="BenchBareOrder")
class BareOrder:
    """One activity that does nothing."""

    @workflow.run
    async def run(self) -> int:
        """When the activity began, in nanoseconds since 1970."""
        return await workflow.execute_activity(
            nothing, task_queue=ACTIVITY_QUEUE, start_to_close_timeout=_ACTIVITY_WITHIN
        )


@workflow.defn(name="BenchBareTimer")
class BareTimer:
    """Timers on a schedule, as a TWAP has them, and nothing done when they fire."""

    @workflow.run
    async def run(self, interval_s: float, count: int) -> list[float]:
        """How many milliseconds after each boundary the workflow went on."""
        due, late = workflow.now(), []
        for _ in range(count):
            due += timedelta(seconds=interval_s)
            await workflow.sleep(due - workflow.now())
            late.append((workflow.now() - due) / _MILLISECOND)
        return late


async def run_worker(address: str, namespace: str) -> None:
    """Serve the bare workflows until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await Client.connect(address, namespace=namespace)
    restrictions = SandboxRestrictions.default.with_passthrough_modules("tests")
    workflows = Worker(
        client,
        task_queue=QUEUE,
        workflows=[BareOrder, BareTimer],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )
    activities = Worker(client, task_queue=ACTIVITY_QUEUE, activities=[nothing])
    async with workflows, activities:
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run_worker(*sys.argv[1:]))
