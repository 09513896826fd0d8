"""Waiting in a workflow: for a condition, for an answer that may become needless."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow

_MAX_DOUBLINGS = 16
AnswerT = TypeVar("AnswerT")


async def wait_until(condition: Callable[[], bool], pause: timedelta, why: str) -> bool:
    """Wait for the condition on a durable timer; False when the time was up first."""
    if condition():
        return True
    if pause <= timedelta(0):
        return False
    try:
        await workflow.wait_condition(condition, timeout=pause, timeout_summary=why)
    except TimeoutError:
        return False
    return True


async def comes_true(
    condition: Callable[[], bool], within: timedelta, *, formerly: Callable[[], bool]
) -> bool:
    """Wait for the condition; False when the time was up first.

    For what an update waits for, on a timer that is never taken back. Its theory: a query that is
    answered while a local activity runs splits the workflow task there, and replay does not. A
    timer that one half starts and the other takes back is then missing in the replayed commands,
    and the workflow could not go on. So the timer of a handler, which runs beside the protocol and
    its local activities, is left alone: it ends by itself, and does nothing.

    `formerly` is the condition of histories that began before the timer was left alone.
    """
    if not workflow.patched("answer-timers-run-on"):
        try:
            await workflow.wait_condition(
                formerly, timeout=within, timeout_summary="how long an answer waits"
            )
        except TimeoutError:
            return False
        return True
    if condition():
        return True
    timer = asyncio.create_task(workflow.sleep(within, summary="how long an answer waits"))
    await workflow.wait_condition(lambda: condition() or timer.done())
    return condition()


async def unless(
    is_needless: Callable[[], bool], asking: Coroutine[Any, Any, AnswerT]
) -> AnswerT | None:
    """The answer of an activity, or None when it became needless first: then it is given up.

    Raises what the activity raises.
    """
    task = asyncio.create_task(asking)
    await workflow.wait_condition(lambda: task.done() or is_needless())
    if task.done():
        return task.result()
    task.add_done_callback(_look_at)
    task.cancel()
    return None


def _look_at(task: asyncio.Task[Any]) -> None:
    """Python warns of an exception that nobody has looked at."""
    if not task.cancelled():
        task.exception()


def doubled(first: timedelta, longest: timedelta, times: int) -> timedelta:
    """A pause that doubles each time, up to the longest."""
    return min(longest, first * (1 << min(times, _MAX_DOUBLINGS)))
