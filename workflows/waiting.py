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
