"""An account that nobody follows any more: its venue cancels, and the feed finds that out later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import feed_follower
from activities.account_feed import FeedActivities
from activities.venues.ccxt_gateway import open_gateway
from activities.venues.gateway import VenueGateway
from tests.contract.gateway_venue import Venue, access, venue_at
from tests.integration.ledger_world import World
from tests.integration.test_feed_by_polling import Owners
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import VenueStatus
from workflows.ports import FollowAccount

VENUE, SYMBOL, TIMER_S = "okx", "BTC/USDT", 60
WITHIN_S = 20


async def until(holds: Any, running: "asyncio.Future[Any]") -> None:
    async with asyncio.timeout(WITHIN_S):
        while not holds():
            if running.done():
                running.result()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def followed(
    gateway: VenueGateway, ledger: World, owners: Owners
) -> AsyncIterator["asyncio.Future[Any]"]:
    """The account's feed, as a worker runs it."""
    client: Any = owners
    feed = FeedActivities({(VENUE, "main"): gateway}, ledger.store, client, (SYMBOL,))
    request = FollowAccount(venue=VENUE, account="main")
    running = asyncio.ensure_future(ActivityEnvironment().run(feed.follow_account, request))
    try:
        yield running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def resting(ledger: World, venue: Venue) -> ChildIntent:
    """An acknowledged order of ours, far below the market."""
    await ledger.store.set_readiness(VENUE, "main", True, Decimal(60), "test")
    await ledger.open("contract", exchange=VENUE)
    child = venue.intent(strategy_id="s1", quantity=Decimal("0.01"))
    assert (await ledger.reserve(child))[1] is None
    signed_at_ms = await venue.gateway.venue_time_ms()
    assert await ledger.store.claim(child.client_order_id, 1, signed_at_ms) is None
    await ledger.ack(child, await venue.submit(child))
    return child


def timers(venue: Venue) -> list[int]:
    return [record["due_ms"] for record in venue.records("cancel_timer")]


async def test_orders_of_an_account_that_is_followed_no_more_end_at_the_venue_and_are_told(
    ledger: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_follower, "MISSED_AFTER", timedelta(0))
    owners = Owners()
    async with venue_at(VENUE, tmp_path) as venue:
        config = access(VENUE, "main", venue.exchange.base_url)
        gateway = open_gateway(replace(config, cancel_on_disconnect_s=TIMER_S))
        async with followed(gateway, ledger, owners) as running:
            await until(lambda: timers(venue), running)
            child = await resting(ledger, venue)
        exchange = venue.exchange.exchange
        exchange.engine.run_timers(timers(venue)[-1] - 1, exchange.now_ms())
        exchange.commit()
        assert len(timers(venue)) == 1
        exchange.engine.run_timers(timers(venue)[-1], exchange.now_ms())
        exchange.commit()
        async with followed(gateway, ledger, owners) as running:
            await until(lambda: owners.told, running)
        await gateway.close()
    ((workflow_id, report),) = owners.told
    assert (workflow_id, report.client_order_id) == ("contract", child.client_order_id)
    assert await ledger.child_status(child) == ChildStatus.CANCELLED.value
    assert timers(venue)[1] == 0  # it ran out, and the feed set it again
    assert timers(venue)[2] > 0
    assert report.status is VenueStatus.CANCELLED
