"""The second look at an account, on a real ledger: it reads for itself and says what differs."""

from decimal import Decimal
from typing import Any

import pytest

from activities.drop_copy import DropCopy
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import SyncStore
from activities.ledger.view_sync import SyncViews
from tests.integration.ledger_world import ACCOUNT, EXCHANGE, SYMBOL, World
from tests.integration.sync_world import Compared, Owners, ScriptedVenue, opened, pay, resting

D = Decimal


@pytest.fixture
async def venue(ledger: World) -> ScriptedVenue:
    return await opened(ledger)


@pytest.fixture
def compared(ledger: World, venue: ScriptedVenue) -> Compared:
    """What books the trades that the venue lists."""
    return Compared(ledger, venue, Owners())


@pytest.fixture
def views(ledger: World) -> SyncViews:
    return SyncViews(ledger.engine)


@pytest.fixture
def second(ledger: World, venue: ScriptedVenue) -> DropCopy:
    gateway: Any = venue
    reader, store = SyncReader(ledger.engine), SyncStore(ledger.engine)
    return DropCopy(gateway, reader, store, (SYMBOL,))


async def kinds_of(views: SyncViews) -> set[str]:
    return {each.kind for each in await views.open_breaks()}


async def test_it_reads_a_listed_trade_once_however_often_it_looks(
    ledger: World,
    venue: ScriptedVenue,
    compared: Compared,
    second: DropCopy,
    views: SyncViews,
) -> None:
    await resting(ledger, venue)
    for number in range(1, 6):
        venue.trade(number, "0.1", age_s=200 - number)
        pay(venue, "0.1")
        await second.look()
        assert await kinds_of(views) == {"missing_fill"}
        await compared.run()
        await second.look()
        assert await kinds_of(views) == set()
    assert venue.starts[-1] == "5"  # what is old is not read again


async def test_it_sees_a_trade_that_was_listed_late(
    ledger: World,
    venue: ScriptedVenue,
    compared: Compared,
    second: DropCopy,
    views: SyncViews,
) -> None:
    await resting(ledger, venue)
    late = venue.trade(1, "0.1", age_s=30)
    venue.trades.remove(late)
    venue.trade(2, "0.1", age_s=25)
    pay(venue, "0.1")
    await compared.run()
    await second.look()
    assert await kinds_of(views) == set()
    venue.trades.append(late)
    pay(venue, "0.1")
    await second.look()
    assert await kinds_of(views) == {"missing_fill"}
    await compared.run()
    await second.look()
    assert await kinds_of(views) == set()


async def test_it_tells_a_balance_that_trades_and_transfers_do_not_explain(
    ledger: World, venue: ScriptedVenue, second: DropCopy, views: SyncViews
) -> None:
    venue.trade(3, "2", order="old", age_s=7_200)
    await second.look()
    assert await kinds_of(views) == set()
    venue.held["BTC"] += 1
    await second.look()
    (shown,) = await views.open_breaks()
    assert (shown.kind, shown.object, shown.ours, shown.theirs) == ("balance", "BTC", 10, 11)
    await SyncStore(ledger.engine).book_transfer(
        EXCHANGE, ACCOUNT, "BTC", D(1), reason="deposit", by="ann"
    )
    await second.look()
    assert await kinds_of(views) == set()


async def test_it_sees_a_position_that_its_trades_do_not_come_to(
    ledger: World,
    venue: ScriptedVenue,
    compared: Compared,
    second: DropCopy,
    views: SyncViews,
) -> None:
    await resting(ledger, venue)
    venue.trade(1, "0.4")
    pay(venue, "0.4")
    await compared.run()
    await second.look()
    assert await kinds_of(views) == set()
    await ledger.rows("UPDATE positions SET quantity = quantity + 1 RETURNING symbol")
    await second.look()
    (shown,) = await views.open_breaks()
    assert (shown.kind, shown.ours, shown.theirs) == ("position", D("1.4"), D("0.4"))


async def test_it_begins_anew_on_a_ledger_that_was_restored(
    ledger: World,
    venue: ScriptedVenue,
    compared: Compared,
    second: DropCopy,
    views: SyncViews,
) -> None:
    await resting(ledger, venue)
    venue.trade(1, "0.4", age_s=300)
    pay(venue, "0.4")
    await compared.run()
    await second.look()
    await second.look()
    assert venue.starts[-1] == "1"
    await ledger.store.new_epoch()
    await second.look()
    assert venue.starts[-1] is None or venue.starts[-2] is None
    assert await kinds_of(views) == set()
