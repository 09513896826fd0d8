"""How an update waits for what it answers: for a while, by a timer that is never taken back.

Its theory: a query that is answered while a local activity runs splits the workflow task there,
and replay does not. A timer that one half starts and the other takes back is then missing in the
replayed commands, and the workflow could not go on. So the timer of a handler, which runs beside
the protocol and its local activities, is left alone: it ends by itself, and does nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow


async def comes_true(
    condition: Callable[[], bool], within: timedelta, *, formerly: Callable[[], bool]
) -> bool:
    """Wait for the condition; False when the time was up first.

    `formerly` is the condition of histories that began before the timer was left alone.
    """
    if not workflow.patched("answer-timers-run-on"):
        try:
            await workflow.wait_condition(formerly, timeout=within)
        except TimeoutError:
            return False
        return True
    if condition():
        return True
    timer = asyncio.create_task(workflow.sleep(within))
    await workflow.wait_condition(lambda: condition() or timer.done())
    return condition()
