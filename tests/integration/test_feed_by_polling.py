"""An account at an exchange without a verified private stream is followed by its trade list."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import feed_follower
from activities.feed_follower import Follower
from activities.venues.ccxt_gateway import CcxtGateway
from tests.contract.dialect_venues.bybit_venue import BybitVenue
from tests.contract.dialect_venues.scripted import Order, Trade, now_ms, served
from tests.integration.ledger_world import SIGNED_AT_MS, World, a_report, an_intent
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, VenueStatus

VENUE, SYMBOL = "bybit", "BTC/USDT"
WITHIN_S = 20
EVERY = timedelta(milliseconds=100)


class Owners:
    """Of Temporal's client what the feed uses: it keeps the signals."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ChildReport]] = []

    def get_workflow_handle(self, workflow_id: str) -> Any:
        owners = self

        class Handle:
            async def signal(self, name: str, report: ChildReport) -> None:
                owners.told.append((workflow_id, report))

        return Handle()


@asynccontextmanager
async def followed(gateway: CcxtGateway, ledger: World, owners: Owners) -> AsyncIterator[Follower]:
    """A running feed of the account."""
    client: Any = owners
    follower = Follower(gateway, ledger.store, client, (SYMBOL,), EVERY)
    running = asyncio.ensure_future(ActivityEnvironment().run(follower.follow))
    try:
        await until(lambda: _is(follower.has_caught_up), running)
        yield follower
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(
    holds: Callable[[], Awaitable[bool]], running: "asyncio.Future[Any] | None" = None
) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await holds():
            if running is not None and running.done():
                running.result()
            await asyncio.sleep(0.02)


async def _is(value: bool) -> bool:
    return value


async def resting(ledger: World, venue: BybitVenue) -> ChildIntent:
    """An acknowledged order of ours that rests at the venue."""
    await ledger.store.set_readiness(VENUE, "main", True, Decimal(60), "test")
    await ledger.open("order-1", exchange=VENUE)
    child = an_intent("order-1", venue=VENUE, quantity=Decimal("0.01"), price=Decimal(40_000))
    assert (await ledger.reserve(child))[1] is None
    assert await ledger.store.claim(child.client_order_id, 1, SIGNED_AT_MS) is None
    await ledger.ack(child, a_report(VenueStatus.OPEN, venue_order_id="312"))
    venue.orders.append(Order("312", child.client_order_id))
    return child


async def test_fills_of_a_resting_order_are_booked_and_told_without_a_stream(
    ledger: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_follower, "_LOOK_AROUND_EVERY_S", EVERY.total_seconds())
    await ledger.store.record_opening_balances(VENUE, "main", {"USDT": Decimal(1_000_000)})
    venue, owners = BybitVenue(), Owners()
    venue.orders.append(Order("1", "by-hand", "filled", filled="0.004"))
    venue.trades.append(Trade("history", "1", now_ms() - 60_000))
    async with served(venue) as gateway, followed(gateway, ledger, owners):
        child = await resting(ledger, venue)
        venue.orders[-1].filled = "0.004"
        venue.trades.append(Trade("ours", "312", now_ms()))
        await until(lambda: _is(bool(owners.told)))
        venue.orders.append(Order("2", "by-hand-too", "filled", filled="0.004"))
        venue.trades.append(Trade("foreign", "2", now_ms()))
        await until(lambda: _are_booked(ledger, {"ours", "foreign"}))
        asked = len(venue.requests("GET", "/v5/execution/list"))
        await until(lambda: _is(len(venue.requests("GET", "/v5/execution/list")) >= asked + 6))
    (workflow_id, report) = owners.told[0]
    assert (workflow_id, report.client_order_id) == ("order-1", child.client_order_id)
    assert report.filled_quantity == Decimal("0.004")
    assert await ledger.position() == Decimal("0.004")
    rows = await ledger.rows("SELECT trade_id FROM fills ORDER BY trade_id")
    assert [row["trade_id"] for row in rows] == ["foreign", "ours"]
    assert await ledger.alarms() == ["EXTERNAL_FILL"]


async def _are_booked(ledger: World, wanted: set[str]) -> bool:
    rows = await ledger.rows("SELECT trade_id FROM fills")
    return {row["trade_id"] for row in rows} >= wanted
