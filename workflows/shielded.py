"""How a workflow runs its protocol: to the end, whatever kind of cancel comes.

The protocol is a task of its own under `asyncio.shield`; Temporal's cancellation only calls
`on_cancel`, so nothing is torn in the middle.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError


async def run_to_its_end(
    protocol: Coroutine[Any, Any, None], on_cancel: Callable[[], None]
) -> asyncio.Task[None]:
    """The protocol's task, done. Its own FailureError is left in it for the caller to tell."""
    task = asyncio.create_task(protocol)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is None or task.cancelled():
                raise  # the worker drops this run from its cache
            on_cancel()
        except FailureError:
            break
    return task


async def let_handlers_finish(on_cancel: Callable[[], None]) -> None:
    """Wait for the handlers that still answer; a cancel meanwhile must not end the run there."""
    await run_to_its_end(_handlers_finished(), on_cancel)


async def _handlers_finished() -> None:
    await workflow.wait_condition(workflow.all_handlers_finished)
