"""Comparing an account with a real ledger: what is found, what is booked, and what is not said."""

from decimal import Decimal

import pytest

from activities.ledger.view_sync import SyncViews
from activities.venues.gateway import VenueUnavailableError
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SYMBOL,
    World,
    a_report,
)
from tests.integration.sync_world import (
    OPENING,
    Compared,
    Owners,
    ScriptedVenue,
    grow_old,
    opened,
    pay,
    resting,
)
from workflows.domain.reconciliation import DifferenceKind
from workflows.domain.reports import VenueStatus
from workflows.ports.sync import SyncAction

D = Decimal


@pytest.fixture
async def venue(ledger: World) -> ScriptedVenue:
    return await opened(ledger)


@pytest.fixture
def owners() -> Owners:
    return Owners()


@pytest.fixture
def compared(ledger: World, venue: ScriptedVenue, owners: Owners) -> Compared:
    return Compared(ledger, venue, owners)


@pytest.fixture
def views(ledger: World) -> SyncViews:
    return SyncViews(ledger.engine)


# --- trades ---------------------------------------------------------------------------------------


async def test_an_account_that_agrees_has_no_difference_and_asks_from_an_hour_back(
    ledger: World, venue: ScriptedVenue, compared: Compared, views: SyncViews
) -> None:
    assert await compared.run() == []
    assert compared.has_settled
    assert await views.synced_at(EXCHANGE, ACCOUNT) is not None
    balances = await views.venue_balances(EXCHANGE, ACCOUNT)
    assert {each.asset: each.total for each in balances} == OPENING


async def test_a_missed_trade_of_ours_is_booked_once_and_its_owner_told(
    ledger: World, venue: ScriptedVenue, compared: Compared, owners: Owners
) -> None:
    intent = await resting(ledger, venue)
    venue.rests(intent, executed="0.4")
    venue.trade(7, "0.4")
    pay(venue, "0.4")
    found = await compared.run()
    assert [(each.kind, each.action) for each in found] == [
        (DifferenceKind.MISSING_FILL, SyncAction.BOOKED)
    ]
    assert found[0].age_s == D(60)
    assert owners.told[0] == "order-1"
    owners.told.clear()
    assert await compared.run() == []
    assert owners.told == []
    assert await ledger.value("SELECT count(*) FROM fills") == 1


async def test_a_trade_behind_the_feeds_cursor_is_found(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    intent = await resting(ledger, venue)
    venue.trade(7, "0.1")
    late = venue.trade(8, "0.2", age_s=50)
    venue.trade(9, "0.1", age_s=40)
    venue.trades.remove(late)
    pay(venue, "0.4")
    venue.rests(intent, executed="0.4")
    await compared.run()
    await ledger.store.save_cursor(EXCHANGE, ACCOUNT, SYMBOL, "9")
    venue.trades.append(late)
    assert await compared.kinds() == [(DifferenceKind.MISSING_FILL, SyncAction.BOOKED)]
    assert await ledger.position() == D("0.4")
    assert await compared.run() == []


async def test_a_fill_that_the_venue_does_not_list_is_a_break_and_stays_booked(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    await resting(ledger, venue)
    made = venue.trade(7, "0.4")
    pay(venue, "0.4")
    await compared.run()
    venue.trades.remove(made)
    venue.held = dict(OPENING)
    found = await compared.run()
    assert (DifferenceKind.UNKNOWN_FILL, SyncAction.OPEN) in [
        (each.kind, each.action) for each in found
    ]
    assert await ledger.position() == D("0.4")


async def test_trades_from_before_the_opening_are_history_and_read_through_once(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    venue.trade(3, "2", order="old", age_s=7_200)
    assert await compared.run() == []
    assert await ledger.value("SELECT count(*) FROM fills") == 0
    intent = await resting(ledger, venue)
    venue.rests(intent, executed="0.4")
    venue.trade(7, "0.4")
    pay(venue, "0.4")
    await compared.run()
    assert await ledger.value("SELECT count(*) FROM fills") == 1
    venue.starts.clear()
    assert await compared.run() == []
    assert set(venue.starts) == {"3"}


# --- orders ---------------------------------------------------------------------------------------


async def test_an_order_that_the_list_leaves_out_is_read_before_anything_is_said(
    ledger: World, venue: ScriptedVenue, compared: Compared, owners: Owners
) -> None:
    intent = await resting(ledger, venue)
    venue.listed.clear()
    venue.readable["v1"] = venue.order("v1", intent.client_order_id, VenueStatus.CANCELLED)
    assert await compared.run() == []
    assert await ledger.child_status(intent) == "cancelled"
    assert owners.told == ["order-1"]


async def test_an_order_that_the_venue_does_not_know_is_a_break_and_no_verdict(
    ledger: World, venue: ScriptedVenue, compared: Compared, views: SyncViews
) -> None:
    intent = await resting(ledger, venue)
    venue.listed.clear()
    venue.readable.clear()
    (found,) = await compared.run()
    assert (found.kind, found.object) == (DifferenceKind.OPEN_ORDER, intent.client_order_id)
    assert (found.ours, found.theirs, found.value) == (D(1), D(0), D(50_000))
    assert await ledger.child_status(intent) == "working"
    venue.rests(intent)
    assert await compared.run() == []
    assert await views.open_breaks() == []


async def test_a_young_order_is_left_alone(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    assert await compared.run() == []


async def test_more_executed_than_traded_is_told_until_the_trades_come(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    intent = await resting(ledger, venue)
    venue.rests(intent, executed="0.4")
    (found,) = await compared.run()
    assert (found.kind, found.ours, found.theirs) == (
        DifferenceKind.EXECUTED_QUANTITY,
        D(0),
        D("0.4"),
    )
    venue.trade(7, "0.4")
    pay(venue, "0.4")
    await grow_old(ledger)
    assert [each for each in await compared.run() if each.action is SyncAction.OPEN] == []


async def test_an_order_that_may_be_ours_is_not_called_anybody_elses(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    await ledger.sent()
    venue.listed["v9"] = venue.order("v9")
    assert await compared.run() == []
    assert await ledger.alarms() == []


# --- balances -------------------------------------------------------------------------------------


async def test_while_something_moves_balances_are_neither_raised_nor_cleared(
    ledger: World, venue: ScriptedVenue, compared: Compared, views: SyncViews
) -> None:
    venue.held["BTC"] += 1
    assert await compared.kinds() == [(DifferenceKind.BALANCE, SyncAction.OPEN)]

    def move() -> None:
        venue.held["USDT"] += 1

    venue.held["BTC"] -= 1
    venue.between_balances = move
    assert await compared.run() == []
    assert not compared.has_settled
    assert [each.object for each in await views.open_breaks()] == ["BTC"]


async def test_a_trade_between_two_looks_at_balances_is_waited_for(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    await resting(ledger, venue)
    readings = iter(range(10))

    def trade_once() -> None:
        if next(readings) == 0:
            venue.trade(7, "0.4", age_s=0)
            pay(venue, "0.4")

    venue.between_balances = trade_once
    assert await compared.run() == []
    assert compared.has_settled
    assert await ledger.position() == D("0.4")


async def test_an_asset_that_moved_shows_a_symbol_that_nobody_follows(
    ledger: World, venue: ScriptedVenue, compared: Compared
) -> None:
    venue.trade(5, "3", order="by-hand", symbol="LTC/USDT", price=D(80))
    venue.readable["by-hand"] = venue.order("by-hand", None, VenueStatus.FILLED, "3")
    venue.held |= {"LTC": D(3), "USDT": OPENING["USDT"] - 240}
    kinds = await compared.kinds()
    assert (DifferenceKind.MISSING_FILL, SyncAction.BOOKED) in kinds
    assert (DifferenceKind.BALANCE, SyncAction.OPEN) not in kinds
    assert await ledger.position("EXTERNAL") == D(3)


async def test_what_has_no_mark_is_asked_for_and_what_has_no_market_has_no_value(
    venue: ScriptedVenue, compared: Compared
) -> None:
    venue.held |= {"LTC": D(2), "VOUCHER": D(5)}
    found = {each.object: each.value for each in await compared.run()}
    assert found == {"LTC": D(162), "VOUCHER": None}


async def test_a_venue_that_goes_away_in_the_middle_leaves_breaks_as_they_were(
    ledger: World, venue: ScriptedVenue, compared: Compared, views: SyncViews
) -> None:
    venue.held["BTC"] += 1
    await compared.run()
    before = await views.open_breaks()

    def leave() -> None:
        venue.is_away = True

    venue.held["BTC"] -= 1
    venue.between_balances = leave
    with pytest.raises(VenueUnavailableError):
        await compared.run()
    assert [(each.object, each.last_seen_at) for each in await views.open_breaks()] == [
        (each.object, each.last_seen_at) for each in before
    ]
