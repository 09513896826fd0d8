"""Arming a trigger starts whoever follows its prices, and says so no oftener than it must."""

import asyncio
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.watches import TOLD_FOR_S, WatchActivities
from tests.integration.ledger_world import World
from tests.integration.test_ledger_watches import FIRED, a_watch, armed
from workflows import names
from workflows.ports import FollowPrices, WatchName, WatchStatus

PLACE = FollowPrices(venue="binance", account="main", symbol="BTC/USDT")


class FakeTemporal:
    """Remembers what was started, and can be away."""

    def __init__(self) -> None:
        self.started: list[tuple[str, FollowPrices, str | None]] = []
        self.is_away = False

    async def start_workflow(
        self,
        kind: str,
        request: FollowPrices,
        *,
        id: str,
        start_signal: str | None = None,
        **options: Any,
    ) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise OSError("no route")
        assert kind == "PriceWatch"
        assert options["task_queue"] == names.ORDERS_QUEUE
        self.started.append((id, request, start_signal))


def on(ledger: World) -> tuple[WatchActivities, FakeTemporal]:
    temporal = FakeTemporal()
    return WatchActivities(ledger.watches, temporal), temporal  # type: ignore[arg-type]  # a fake


async def test_many_armed_at_once_wake_their_follower_once(ledger: World) -> None:
    watches, temporal = on(ledger)
    requests = [a_watch(f"order-{number}/0") for number in range(5)]
    for request in requests:
        await ledger.open(request.order_id)
    views = await asyncio.gather(*(watches.arm_watch(request) for request in requests))
    assert {view.status for view in views} == {WatchStatus.ARMED}
    name = names.price_watch_id("binance", "BTC/USDT")
    assert temporal.started == [(name, PLACE, names.WATCH_ARMED)]


async def test_a_follower_is_woken_again_after_a_while_and_for_each_symbol(
    ledger: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watches, temporal = on(ledger)
    clock = [1_000.0]
    monkeypatch.setattr("activities.watches.monotonic", lambda: clock[0])
    for number in range(3):
        await ledger.open(f"order-{number}")
    await watches.arm_watch(a_watch("order-0/0"))
    await watches.arm_watch(a_watch("order-1/0", symbol="ETH/USDT"))
    clock[0] += TOLD_FOR_S
    await watches.arm_watch(a_watch("order-2/0"))
    assert [name for name, _, _ in temporal.started] == [
        names.price_watch_id("binance", symbol) for symbol in ("BTC/USDT", "ETH/USDT", "BTC/USDT")
    ]


async def test_what_could_not_be_told_is_told_by_the_next_try(ledger: World) -> None:
    watches, temporal = on(ledger)
    await ledger.open("order-1")
    temporal.is_away = True
    with pytest.raises(OSError, match="no route"):
        await watches.arm_watch(a_watch())
    temporal.is_away = False
    assert (await watches.arm_watch(a_watch())).status is WatchStatus.ARMED
    assert len(temporal.started) == 1


async def test_nobody_is_woken_for_what_is_not_armed(ledger: World) -> None:
    watches, temporal = on(ledger)
    watch = await armed(ledger)
    await ledger.watches.fire_watch(watch.watch_id, FIRED)
    assert (await watches.arm_watch(watch)).fired == FIRED
    assert (await watches.read_watch(WatchName(watch_id=watch.watch_id))).fired == FIRED
    assert temporal.started == []
    with pytest.raises(ApplicationError, match="no order") as refused:
        await watches.arm_watch(a_watch("nobody/0"))
    assert refused.value.non_retryable


async def test_a_look_at_an_armed_watch_begins_a_lost_follower_again(ledger: World) -> None:
    watches, temporal = on(ledger)
    watch = await armed(ledger)
    view = await watches.read_watch(WatchName(watch_id=watch.watch_id))
    assert view.status is WatchStatus.ARMED
    assert temporal.started == [(names.price_watch_id("binance", "BTC/USDT"), PLACE, None)]
    disarmed = await watches.disarm_watch(WatchName(watch_id=watch.watch_id))
    assert disarmed.status is WatchStatus.DISARMED
