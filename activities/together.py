"""Running coroutines beside each other, where the end of one is the end of all."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


async def until_first(*works: Coroutine[Any, Any, Any]) -> None:
    """Run all until one of them ends or fails; the others are cancelled. Raises its error."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def every(pause_s: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again, with a pause between; for ever. Raises what it raises."""
    while True:
        await work()
        await asyncio.sleep(pause_s)
