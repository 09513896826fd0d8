"""Breaks open, age, alarm, act and end; orders of others are recorded once; transfers audited."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from activities.ledger.store_foreign import GONE, ForeignOrder
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import Observer, SyncStore
from activities.ledger.view_sync import SyncViews
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SYMBOL,
    World,
    a_fill,
    a_report,
)
from workflows.domain.denials import DenialCode
from workflows.domain.orders import Side
from workflows.domain.reconciliation import Difference, DifferenceKind
from workflows.domain.reports import VenueStatus

D = Decimal
BALANCE, OPEN_ORDER = DifferenceKind.BALANCE, DifferenceKind.OPEN_ORDER
MISSING_BTC = Difference(kind=BALANCE, object="BTC", ours=D(1), theirs=D(2), value=D(50_000))
LOST = Difference(kind=OPEN_ORDER, object="order-1/0", ours=D(1), theirs=D(0), detail="unknown")
ALARM_AFTER_S, REDUCE_AFTER_S = D(60), D(300)


@pytest.fixture
def store(ledger: World) -> SyncStore:
    return SyncStore(ledger.engine, alarm_after_s=ALARM_AFTER_S, reduce_after_s=REDUCE_AFTER_S)


@pytest.fixture
def views(ledger: World) -> SyncViews:
    return SyncViews(ledger.engine)


@pytest.fixture
def reader(ledger: World) -> SyncReader:
    return SyncReader(ledger.engine)


async def look(
    store: SyncStore,
    *differences: Difference,
    by: Observer = Observer.SYNC,
    at: Sequence[DifferenceKind] = (BALANCE, OPEN_ORDER),
) -> list[Decimal]:
    seen = await store.observe(by, EXCHANGE, ACCOUNT, differences, looked_at=at)
    await store.escalate(EXCHANGE)
    return [each.age_s for each in seen]


async def grow_older(ledger: World, by_s: int) -> None:
    await ledger.rows(
        f"UPDATE breaks SET first_seen_at = first_seen_at - interval '{by_s} s' RETURNING id"
    )


async def states(ledger: World) -> dict[str, str]:
    rows = await ledger.rows("SELECT scope, state FROM trading_state")
    return {row["scope"]: row["state"] for row in rows}


# --- breaks -------------------------------------------------------------------------------------


async def test_a_break_has_the_age_of_its_first_sight_and_the_figures_of_its_last(
    ledger: World, store: SyncStore, views: SyncViews
) -> None:
    assert await look(store, MISSING_BTC) == [pytest.approx(D(0), abs=2)]
    await grow_older(ledger, 30)
    more = Difference(kind=BALANCE, object="BTC", ours=D(1), theirs=D(3), value=D(100_000))
    assert await look(store, more) == [pytest.approx(D(30), abs=2)]
    (shown,) = await views.open_breaks(EXCHANGE)
    assert (shown.ours, shown.theirs, shown.value) == (D(1), D(3), D(100_000))
    assert shown.age_s == pytest.approx(D(30), abs=2)
    assert shown.first_seen_at < shown.last_seen_at


async def test_a_break_ends_when_it_is_seen_no_more_and_begins_anew_after_that(
    ledger: World, store: SyncStore, views: SyncViews
) -> None:
    await look(store, MISSING_BTC, LOST)
    await grow_older(ledger, 30)
    await look(store, LOST)
    assert [shown.object for shown in await views.open_breaks()] == ["order-1/0"]
    assert await look(store, MISSING_BTC, LOST) == [
        pytest.approx(D(0), abs=2),
        pytest.approx(D(30), abs=2),
    ]
    assert await ledger.value("SELECT count(*) FROM breaks WHERE kind = 'balance'") == 2


async def test_what_was_not_looked_at_is_neither_raised_nor_cleared(
    store: SyncStore, views: SyncViews
) -> None:
    await look(store, MISSING_BTC, LOST)
    await look(store, LOST, at=[OPEN_ORDER])
    assert len(await views.open_breaks()) == 2


async def test_each_observer_and_each_account_has_breaks_of_its_own(
    store: SyncStore, views: SyncViews
) -> None:
    await look(store, MISSING_BTC)
    await look(store, MISSING_BTC, by=Observer.DROP_COPY)
    await look(store, by=Observer.SYNC)
    await store.observe(Observer.DROP_COPY, EXCHANGE, "hedge", [], looked_at=[BALANCE])
    assert [shown.observer for shown in await views.open_breaks()] == ["drop_copy"]


async def test_an_old_break_alarms_once_and_a_very_old_one_lets_the_venue_only_reduce(
    ledger: World, store: SyncStore, views: SyncViews
) -> None:
    await look(store, MISSING_BTC)
    await grow_older(ledger, 58)
    await look(store, MISSING_BTC)
    assert (await ledger.alarms(), await states(ledger)) == ([], {})
    await grow_older(ledger, 3)
    await look(store, MISSING_BTC)
    await look(store, MISSING_BTC)
    assert (await ledger.alarms(), await states(ledger)) == (["RECON_BREAK"], {})
    about = await ledger.value("SELECT object FROM alarms")
    assert about == f"{EXCHANGE}/{ACCOUNT}/balance/BTC"
    await grow_older(ledger, 240)
    await look(store, MISSING_BTC)
    assert await states(ledger) == {f"venue:{EXCHANGE}": "reducing"}
    (row,) = await ledger.rows("SELECT who, object FROM audit WHERE action = 'trading_state'")
    assert row == {"who": "engine", "object": f"venue:{EXCHANGE}"}


async def test_a_break_that_nobody_could_look_at_again_is_not_acted_on(
    ledger: World, store: SyncStore
) -> None:
    """Balances of an account that trades without a pause: what was seen once may be over."""
    await look(store, MISSING_BTC)
    await ledger.rows(
        "UPDATE breaks SET first_seen_at = first_seen_at - interval '400 s', "
        "last_seen_at = last_seen_at - interval '390 s'"
    )
    await look(store, at=[OPEN_ORDER])
    assert (await ledger.alarms(), await states(ledger)) == ([], {})
    await look(store, MISSING_BTC)
    assert await ledger.alarms() == ["RECON_BREAK"]
    assert await states(ledger) == {f"venue:{EXCHANGE}": "reducing"}


async def test_a_break_binds_where_a_loss_may_be_overridden(
    ledger: World, store: SyncStore
) -> None:
    await ledger.rows(
        "INSERT INTO trading_state (scope, state, code) VALUES ($1, 'reducing', 'LOSS_LIMIT')",
        f"venue:{EXCHANGE}",
    )
    await look(store, MISSING_BTC)
    await grow_older(ledger, 301)
    await look(store, MISSING_BTC)
    (row,) = await ledger.rows("SELECT state, code, reason FROM trading_state")
    assert (row["state"], row["code"]) == ("reducing", None)
    assert "books and venue differ" in row["reason"]


async def test_a_human_who_rearms_is_not_overruled_by_the_same_break(
    ledger: World, store: SyncStore
) -> None:
    await look(store, MISSING_BTC)
    await grow_older(ledger, 301)
    await look(store, MISSING_BTC)
    await ledger.rows("UPDATE trading_state SET state = 'active' RETURNING scope")
    await look(store, MISSING_BTC)
    assert await states(ledger) == {f"venue:{EXCHANGE}": "active"}


async def test_a_break_never_loosens_a_halt(ledger: World, store: SyncStore) -> None:
    await ledger.rows(
        "INSERT INTO trading_state (scope, state) VALUES ($1, 'halted') RETURNING scope",
        f"venue:{EXCHANGE}",
    )
    await look(store, MISSING_BTC)
    await grow_older(ledger, 301)
    await look(store, MISSING_BTC)
    assert await states(ledger) == {f"venue:{EXCHANGE}": "halted"}


async def test_a_break_that_is_over_in_time_leaves_no_trace_but_its_row(
    ledger: World, store: SyncStore
) -> None:
    await look(store, MISSING_BTC)
    await look(store)
    await grow_older(ledger, 400)
    await store.escalate(EXCHANGE)
    assert (await ledger.alarms(), await states(ledger)) == ([], {})


# --- orders of others -----------------------------------------------------------------------------


def by_hand(executed: str, status: str) -> ForeignOrder:
    return ForeignOrder(
        symbol=SYMBOL,
        venue_order_id="77",
        side=Side.SELL,
        quantity=D(2),
        price=D(51_000),
        executed_quantity=D(executed),
        status=status,
    )


async def test_an_order_of_others_alarms_once_and_keeps_its_end(
    ledger: World, store: SyncStore, views: SyncViews, reader: SyncReader
) -> None:
    for order in (by_hand("0", "open"), by_hand("0.5", "open")):
        await store.record_foreign(EXCHANGE, ACCOUNT, [order])
    (known,) = await reader.open_foreign_orders(EXCHANGE, ACCOUNT)
    assert (known.venue_order_id, known.executed_quantity) == ("77", D("0.5"))
    await store.record_foreign(EXCHANGE, ACCOUNT, [by_hand("0.5", "cancelled")])
    await store.record_foreign(EXCHANGE, ACCOUNT, [by_hand("0", GONE)])
    (shown,) = await views.external_orders(EXCHANGE)
    assert (shown.status, shown.executed_quantity) == ("cancelled", D("0.5"))
    assert await reader.open_foreign_orders(EXCHANGE, ACCOUNT) == []
    assert await ledger.alarms() == ["EXTERNAL_ORDER"]


async def test_fills_of_others_without_an_order_are_found_until_it_is_recorded(
    ledger: World, store: SyncStore, reader: SyncReader
) -> None:
    fills = [a_fill("1", "0.4"), a_fill("2", "0.6")]
    await ledger.store.book_external(
        EXCHANGE, ACCOUNT, SYMBOL, "77", Side.SELL, fills, base="BTC", quote="USDT"
    )
    (known,) = await reader.unrecorded_foreign_orders(EXCHANGE, ACCOUNT)
    assert (known.venue_order_id, known.side, known.executed_quantity) == ("77", Side.SELL, D(1))
    await store.record_foreign(EXCHANGE, ACCOUNT, [by_hand("1", "filled")])
    assert await reader.unrecorded_foreign_orders(EXCHANGE, ACCOUNT) == []


# --- balances and transfers -----------------------------------------------------------------------


async def test_what_the_venue_no_longer_names_it_no_longer_holds(
    store: SyncStore, views: SyncViews
) -> None:
    await store.store_balances(EXCHANGE, ACCOUNT, {"BTC": D(2), "ETH": D(1)}, {"BTC": D("1.5")})
    await store.store_balances(EXCHANGE, ACCOUNT, {"BTC": D(3)}, {"BTC": D(3)})
    found = await views.venue_balances(EXCHANGE, ACCOUNT)
    assert [(each.asset, each.total, each.free) for each in found] == [
        ("BTC", D(3), D(3)),
        ("ETH", D(0), D(0)),
    ]


async def test_a_transfer_moves_our_books_and_is_audited(
    ledger: World, store: SyncStore, reader: SyncReader
) -> None:
    await store.store_balances(EXCHANGE, ACCOUNT, {"BTC": D(2)}, {"BTC": D(2)})
    for amount in ("2.5", "-0.5"):
        denied = await store.book_transfer(
            EXCHANGE, ACCOUNT, "BTC", D(amount), reason="cold wallet", by="cli:ann"
        )
        assert denied is None
    assert await reader.balances(EXCHANGE, ACCOUNT) == {"BTC": D(2)}
    assert await reader.opening_and_transfers(EXCHANGE, ACCOUNT) == {"BTC": D(2)}
    rows = await ledger.rows("SELECT who, object, after, reason FROM audit ORDER BY id")
    assert [(row["who"], row["object"], row["reason"]) for row in rows] == [
        ("cli:ann", f"{EXCHANGE}/{ACCOUNT}/BTC", "cold wallet")
    ] * 2


async def test_an_asset_that_nobody_holds_cannot_have_moved(
    ledger: World, store: SyncStore
) -> None:
    denied = await store.book_transfer(
        EXCHANGE, ACCOUNT, "DOGE", D(1), reason="a typing error", by="cli:ann"
    )
    assert denied is not None
    assert (denied.code, denied.field) == (DenialCode.UNKNOWN_ASSET, "asset")
    assert await ledger.rows("SELECT id FROM transfers") == []


async def test_when_an_account_was_compared_last_is_known(
    store: SyncStore, views: SyncViews
) -> None:
    assert await views.synced_at(EXCHANGE, ACCOUNT) is None
    await store.note_synced(EXCHANGE, ACCOUNT)
    first = await views.synced_at(EXCHANGE, ACCOUNT)
    await store.note_synced(EXCHANGE, ACCOUNT)
    second = await views.synced_at(EXCHANGE, ACCOUNT)
    assert first is not None
    assert second is not None
    assert first < second


# --- fills as both sides tell them ----------------------------------------------------------------


async def test_a_look_back_begins_behind_the_newest_trade_that_is_older(
    ledger: World, reader: SyncReader
) -> None:
    place = await reader.look_back_place(EXCHANGE, ACCOUNT, SYMBOL, D(3600))
    assert (place.before, place.first) == (None, None)
    intent = await ledger.sent()
    now_ms = int(await ledger.value("SELECT extract(epoch FROM now()) * 1000"))
    ages = {"11": 9_000, "12": 4_000, "13": 1_800, "14": 10}
    fills = [
        a_fill(trade_id, "0.1", traded_at_ms=now_ms - age_s * 1000)
        for trade_id, age_s in ages.items()
    ]
    await ledger.ack(intent, a_report(VenueStatus.OPEN, "0.4", *fills))
    place = await reader.look_back_place(EXCHANGE, ACCOUNT, SYMBOL, D(3600))
    assert (place.before, place.first) == ("12", "11")
    found = await reader.fills_of(EXCHANGE, ACCOUNT, SYMBOL, D(3600))
    assert sorted(each.key.trade_id for each in found) == ["13", "14"]
    booked = await reader.booked(EXCHANGE, ACCOUNT, SYMBOL, ["12", "15"])
    assert [key.trade_id for key in booked] == ["12"]


async def test_books_of_one_moment_hold_fills_behind_a_number_and_what_all_come_to(
    ledger: World, reader: SyncReader
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN, "0.1", a_fill("1", "0.1", fee=D(0))))
    before = await reader.books_now(EXCHANGE, ACCOUNT, 0)
    assert [entry.facts.key.trade_id for entry in before.page.fills] == ["1"]
    await ledger.book(intent, a_report(VenueStatus.OPEN, "0.3", a_fill("2", "0.2", fee=D(0))))
    after = await reader.books_now(EXCHANGE, ACCOUNT, before.newest_fill)
    assert [entry.facts.key.trade_id for entry in after.page.fills] == ["2"]
    assert after.page.is_whole
    assert after.positions == {SYMBOL: D("0.3")}
    assert after.epoch == before.epoch
