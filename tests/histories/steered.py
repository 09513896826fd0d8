"""All scenarios of single orders that came with icebergs, triggers and steering, on one engine.

What needs no driven market runs side by side, a few at a time: verdicts have to come in time.
"""

import asyncio

from tests.e2e.world import World
from tests.histories.orders_at_work import Keep, Scenario
from tests.histories.parted import PARTED, iceberg_continued_as_new
from tests.histories.protective import (
    UNDRIVEN,
    no_follower_is_needed,
    over_worker_kill,
    triggered,
)

AT_A_TIME = 5


async def work(world: World, keep: Keep) -> None:
    """Work them all; each is kept as soon as it has ended."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(name: str, scenario: Scenario) -> None:
        async with turns:
            await keep(name, await scenario(world))

    async with asyncio.TaskGroup() as group:
        for name, scenario in {**UNDRIVEN, **PARTED}.items():
            group.create_task(one(name, scenario))
    await triggered(world, keep)
    await keep("iceberg.continued_as_new", await iceberg_continued_as_new(world))
    await keep("price_watch.idle", await no_follower_is_needed(world))
    await over_worker_kill(world, keep)
