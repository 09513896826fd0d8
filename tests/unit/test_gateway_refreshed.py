"""A shared value is loaded once for all who ask, and a waiter who leaves harms nobody."""

import asyncio

import pytest

from activities.venues.refreshed import Refreshed


class Source:
    """Counts loads; each waits until it is let go."""

    def __init__(self) -> None:
        self.loads = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def load(self) -> int:
        self.loads += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.loads


async def test_many_callers_share_one_load_and_its_result_is_kept() -> None:
    source = Source()
    value = Refreshed(source.load, max_age_s=60)
    callers = [asyncio.create_task(value.get()) for _ in range(20)]
    source.go.set()
    assert await asyncio.gather(*callers) == [1] * 20
    assert await value.get() == 1


async def test_a_cancelled_caller_does_not_cancel_the_load_of_the_others() -> None:
    source = Source()
    value = Refreshed(source.load, max_age_s=60)
    first, second = asyncio.create_task(value.get()), asyncio.create_task(value.get())
    await asyncio.sleep(0)
    first.cancel()
    source.go.set()
    assert await second == 1
    assert first.cancelled()


async def test_a_failed_load_is_told_and_not_kept() -> None:
    source = Source()
    source.go.set()
    source.error = OSError("reset")
    value = Refreshed(source.load, max_age_s=60)
    with pytest.raises(OSError, match="reset"):
        await value.get()
    source.error = None
    assert await value.get() == 2


async def test_an_expired_value_is_loaded_again() -> None:
    source = Source()
    source.go.set()
    value = Refreshed(source.load, max_age_s=60)
    await value.get()
    value.expire()
    assert await value.get() == 2


async def test_an_old_value_is_loaded_again() -> None:
    source = Source()
    source.go.set()
    value = Refreshed(source.load, max_age_s=-1)
    assert [await value.get(), await value.get()] == [1, 2]


async def test_a_doubted_value_is_kept_while_it_is_young() -> None:
    source = Source()
    source.go.set()
    value = Refreshed(source.load, max_age_s=60)
    assert await value.get() == 1
    value.expire(min_age_s=30)
    assert await value.get() == 1
    value.expire(min_age_s=0)
    assert await value.get() == 2
