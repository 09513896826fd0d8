"""An account whose stream or trade list cannot be reached: it is read as far as it can be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import account_feed
from activities.account_feed import FeedActivities
from activities.feed_follower import READINGS
from activities.ledger.results import TradingState
from activities.venues.gateway import StreamEvent, VenueUnavailableError
from workflows.ports import FeedCursor, FollowAccount

REQUEST = FollowAccount(venue="binance", account="main")
SYMBOL = "BTC/USDT"


class Ledger:
    """What the feed asks of the ledger: an account opened long ago, without orders."""

    def __init__(self) -> None:
        self.ready = False
        self.alarms: list[tuple[str, str, str]] = []
        self.states: list[tuple[str, str]] = []
        self.epochs = 0
        self.cursors = {SYMBOL: "7"}

    async def load_cursors(self, _venue: str, _account: str) -> dict[str, str]:
        return dict(self.cursors)

    async def opened_at(self, _venue: str, _account: str) -> object:
        return object()

    async def symbols_with_intents(self, _venue: str, _account: str) -> list[str]:
        return []

    async def ended_children_of_open_orders(self, _venue: str, _account: str) -> list[Any]:
        return []

    async def working_children(self, _venue: str, _account: str, **_: Any) -> list[Any]:
        return []

    async def save_cursor(self, _venue: str, _account: str, symbol: str, cursor: str) -> None:
        self.cursors[symbol] = cursor

    async def set_readiness(self, _v: str, _a: str, ready: bool, *_: Any) -> None:
        self.ready = ready

    async def set_trading_state(self, scope: str, state: str, *_: Any, **__: Any) -> None:
        self.states.append((scope, state))

    async def new_epoch(self) -> None:
        self.epochs += 1

    async def raise_alarm(self, code: str, about: str, detail: str) -> None:
        self.alarms.append((code, about, detail))


class Venue:
    """A venue whose stream cannot be entered, and whose trade list may be out of reach too."""

    venue, account = "binance", "main"
    cancel_on_disconnect_s = None

    def __init__(self, *, lists_trades: bool) -> None:
        self.lists_trades = lists_trades
        self.asked: list[str | None] = []

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        raise VenueUnavailableError("no stream today")
        yield

    async def trades_after(self, _symbol: str, cursor: str | None) -> list[Any]:
        self.asked.append(cursor)
        if not self.lists_trades:
            raise VenueUnavailableError("no list today")
        return []


async def follow_once(feed: FeedActivities, request: FollowAccount = REQUEST) -> ApplicationError:
    """One attempt of the activity: it fails, to be tried again."""
    with pytest.raises(ApplicationError) as failed:
        await ActivityEnvironment().run(feed.follow_account, request)
    assert not failed.value.non_retryable
    return failed.value


def feed_of(venue: Venue, ledger: Ledger) -> FeedActivities:
    gateways: Any = {(venue.venue, venue.account): venue}
    store: Any = ledger
    client: Any = None  # nobody is told
    return FeedActivities(gateways, store, client, (SYMBOL,))


async def test_without_a_stream_the_trade_list_alone_keeps_the_account_ready():
    venue, ledger = Venue(lists_trades=True), Ledger()
    failure = await follow_once(feed_of(venue, ledger))
    assert "no stream today" in str(failure)
    assert venue.asked == ["7"]
    assert ledger.ready
    assert ledger.alarms == []


async def test_an_account_that_cannot_be_read_for_long_raises_an_alarm(
    monkeypatch: pytest.MonkeyPatch,
):
    venue, ledger = Venue(lists_trades=False), Ledger()
    feed = feed_of(venue, ledger)
    await follow_once(feed)
    assert (ledger.ready, ledger.alarms) == (False, [])
    monkeypatch.setattr(account_feed, "_BLIND_S", 0.0)
    await follow_once(feed)
    assert ledger.alarms == [("ACCOUNT_NOT_FOLLOWED", "binance/main", "no list today")]


async def test_one_successful_reading_ends_the_wait_for_the_alarm(
    monkeypatch: pytest.MonkeyPatch,
):
    venue, ledger = Venue(lists_trades=False), Ledger()
    feed = feed_of(venue, ledger)
    await follow_once(feed)
    venue.lists_trades = True
    await follow_once(feed)
    venue.lists_trades = False
    monkeypatch.setattr(account_feed, "_BLIND_S", 0.0001)
    await follow_once(feed)
    assert ledger.alarms == []


@pytest.mark.parametrize("seen", [{SYMBOL: "8"}, {READINGS: "3"}, {"ETH/USDT": "1"}])
async def test_on_a_ledger_that_went_back_the_venue_is_halted_and_all_is_read_again(
    seen: dict[str, str],
):
    venue, ledger = Venue(lists_trades=True), Ledger()
    ledger.cursors[READINGS] = "2"
    request = replace(REQUEST, cursor=FeedCursor(trade_ids=seen))
    await follow_once(feed_of(venue, ledger), request)
    assert ledger.states == [("venue:binance", TradingState.HALTED)]
    assert [code for code, *_ in ledger.alarms] == ["LEDGER_RESTORED"]
    assert ledger.epochs == 1
    assert venue.asked == ["7"]


async def test_a_ledger_that_knows_all_that_was_told_halts_nothing():
    venue, ledger = Venue(lists_trades=True), Ledger()
    ledger.cursors[READINGS] = "2"
    request = replace(REQUEST, cursor=FeedCursor(trade_ids={SYMBOL: "7", READINGS: "2"}))
    await follow_once(feed_of(venue, ledger), request)
    assert (ledger.states, ledger.alarms, ledger.epochs) == ([], [], 0)
    assert ledger.cursors == {SYMBOL: "7", READINGS: "3"}
