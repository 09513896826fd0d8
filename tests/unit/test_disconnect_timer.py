"""How an account's timer is kept set, and when that stops."""

import asyncio
from typing import Any

import pytest

from activities import disconnect_timer
from activities.disconnect_timer import keep_set
from activities.venues.gateway import VenueUnavailableError

WITHIN_S = 5


class Gateway:
    """Keeps when its timer was set; fails as often as it is told to."""

    venue, account = "okx", "main"

    def __init__(self, seconds: int | None, failures: int = 0) -> None:
        self.cancel_on_disconnect_s = seconds
        self.failures = failures
        self.set_at: list[float] = []

    async def cancel_all_after(self, seconds: int) -> None:
        assert seconds == self.cancel_on_disconnect_s
        if self.failures:
            self.failures -= 1
            raise VenueUnavailableError("not now")
        self.set_at.append(asyncio.get_running_loop().time())


def is_followed() -> bool:
    return True


async def until_set(gateway: Any, times: int, keeping: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(gateway.set_at) < times:
            assert not keeping.done()
            await asyncio.sleep(0.01)
    keeping.cancel()


async def test_it_is_set_at_once_and_then_every_quarter_of_its_length() -> None:
    gateway: Any = Gateway(1)
    await until_set(gateway, 3, asyncio.create_task(keep_set(gateway, is_followed)))
    first, second, third = gateway.set_at
    assert second - first >= 0.25
    assert third - first < 1


async def test_what_could_not_be_set_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect_timer, "_TRY_AGAIN_AFTER_S", 0.01)
    gateway: Any = Gateway(60, failures=3)
    await until_set(gateway, 1, asyncio.create_task(keep_set(gateway, is_followed)))
    assert gateway.failures == 0


async def test_an_account_that_nobody_follows_any_more_lets_it_run_out() -> None:
    gateway: Any = Gateway(60)
    await asyncio.wait_for(keep_set(gateway, lambda: False), WITHIN_S)
    assert gateway.set_at == []


async def test_an_account_without_a_timer_is_never_asked() -> None:
    gateway: Any = Gateway(None)
    await asyncio.wait_for(keep_set(gateway, is_followed), WITHIN_S)
    assert gateway.set_at == []
