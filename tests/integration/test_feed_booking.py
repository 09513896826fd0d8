"""What the feed makes of a batch, on a real ledger: booked whole, once, and then told."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities import feed_booking
from activities.feed_booking import FeedBooks
from activities.feed_news import by_order
from activities.venues.gateway import (
    OrderAbsentError,
    StreamEvent,
    StreamOrder,
    StreamTrade,
    VenueOrder,
    VenueTrade,
)
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SYMBOL,
    World,
    a_fill,
    a_report,
    an_intent,
)
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import ChildReport, ExecutionReport, Fill, VenueStatus
from workflows.messages import OrderSnapshot

D = Decimal
FIRST, SECOND = a_fill("1", "0.4"), a_fill("2", "0.6")
OPEN = a_report(VenueStatus.OPEN)


class Venue:
    """Answers with the orders it is given, and with no others."""

    venue, account = EXCHANGE, ACCOUNT

    def __init__(self) -> None:
        self.orders: dict[str, VenueOrder] = {}

    async def instrument(self, _symbol: str) -> Any:
        class BtcUsdt:
            base, quote = "BTC", "USDT"

        return BtcUsdt()

    async def read_order(self, _symbol: str, venue_order_id: str) -> VenueOrder:
        if venue_order_id not in self.orders:
            raise OrderAbsentError(venue_order_id)
        return self.orders[venue_order_id]


class Temporal:
    """Remembers what workflows were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ChildReport]] = []

    def get_workflow_handle(self, order_id: str) -> Any:
        told = self.told

        class Handle:
            async def signal(self, _name: str, report: ChildReport) -> None:
                told.append((order_id, report))

        return Handle()


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def temporal() -> Temporal:
    return Temporal()


@pytest.fixture
def books(ledger: World, venue: Venue, temporal: Temporal) -> FeedBooks:
    gateway: Any = venue
    client: Any = temporal
    return FeedBooks(gateway, ledger.store, client, lambda _: False)


def trade(fill: Fill, order: str = "v1") -> StreamTrade:
    return StreamTrade(
        trade=VenueTrade(
            symbol=SYMBOL, venue_order_id=order, side=Side.BUY, fill=fill, cursor=fill.trade_id
        )
    )


def order(intent: ChildIntent | None, report: ExecutionReport) -> StreamOrder:
    name = None if intent is None else intent.client_order_id
    named = ExecutionReport(
        client_order_id=name,
        venue_order_id=report.venue_order_id,
        status=report.status,
        executed_quantity=report.executed_quantity,
        fills=report.fills,
        venue_time_ms=report.venue_time_ms,
    )
    return StreamOrder(
        order=VenueOrder(symbol=SYMBOL, side=Side.BUY, quantity=D(1), price=None, report=named)
    )


async def take(books: FeedBooks, *events: StreamEvent) -> set[tuple[str, str]]:
    return await books.take(by_order(events))


async def test_what_a_batch_says_of_one_order_is_one_signal(
    ledger: World, books: FeedBooks, temporal: Temporal
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, OPEN)
    done = order(intent, a_report(VenueStatus.FILLED, "1"))
    part = order(intent, a_report(VenueStatus.OPEN, "0.4"))
    assert await take(books, part, trade(FIRST), done, trade(SECOND), trade(FIRST)) == set()
    ((owner, told),) = temporal.told
    assert (owner, told.status, told.filled_quantity) == ("order-1", VenueStatus.FILLED, 1)
    assert await ledger.position() == D("0.999")


async def test_a_repeated_trade_is_neither_booked_nor_told_again(
    ledger: World, books: FeedBooks, temporal: Temporal
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, OPEN)
    for _ in range(3):
        await take(books, trade(FIRST))
    assert len(temporal.told) == 1
    assert await ledger.position() == D("0.3996")


async def test_fills_that_make_an_order_whole_prove_its_end(
    ledger: World, books: FeedBooks, temporal: Temporal
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, OPEN)
    await take(books, trade(FIRST))
    await take(books, trade(SECOND))
    assert [report.status for _, report in temporal.told] == [VenueStatus.OPEN, VenueStatus.FILLED]
    assert await ledger.child_status(intent) == "filled"


async def test_a_fill_of_an_order_without_an_answer_yet_is_ours_and_not_external(
    ledger: World, books: FeedBooks, venue: Venue
) -> None:
    intent = await ledger.sent()
    assert await take(books, trade(FIRST)) == {(SYMBOL, "1", Side.BUY)}
    assert await ledger.value("SELECT count(*) FROM fills") == 0
    venue.orders["v1"] = order(intent, a_report(VenueStatus.OPEN, "0.4")).order
    assert await take(books, trade(FIRST)) == set()
    assert await ledger.position() == D("0.3996")
    assert await ledger.alarms() == []


async def test_a_fill_of_somebody_elses_order_is_external_once(
    ledger: World, books: FeedBooks, venue: Venue, temporal: Temporal
) -> None:
    venue.orders["v9"] = order(None, a_report(VenueStatus.OPEN, "0.4")).order
    for _ in range(2):
        assert await take(books, trade(FIRST, "v9")) == set()
    assert await ledger.position("EXTERNAL") == D("0.3996")
    assert await ledger.alarms() == ["EXTERNAL_FILL"]
    assert temporal.told == []


async def test_a_wrong_word_of_the_venues_makes_no_fill_of_a_sent_order_external(
    ledger: World, books: FeedBooks, venue: Venue
) -> None:
    intent = await ledger.sent()
    somebodys = an_intent("nobody-knows-it")
    for wrong in (None, somebodys):
        venue.orders["v1"] = order(wrong, a_report(VenueStatus.FILLED, "1")).order
        assert await take(books, trade(FIRST)) == {(SYMBOL, "1", Side.BUY)}
    await ledger.ack(intent, OPEN)
    assert await take(books, trade(FIRST)) == set()
    assert await ledger.position() == D("0.3996")
    assert await ledger.alarms() == []


async def test_a_foreign_fill_waits_only_for_orders_that_were_sent_before_it(
    ledger: World, books: FeedBooks, venue: Venue
) -> None:
    earlier = await ledger.sent("earlier")
    venue.orders["v9"] = order(None, a_report(VenueStatus.OPEN, "0.4")).order
    assert await take(books, trade(FIRST, "v9")) == {(SYMBOL, "1", Side.BUY)}
    await ledger.sent("later")
    await ledger.ack(earlier, OPEN)
    assert await take(books, trade(FIRST, "v9")) == set()
    assert await ledger.position("EXTERNAL") == D("0.3996")


async def test_a_foreign_fill_does_not_wait_for_ever_for_an_order_that_nobody_resolves(
    ledger: World, books: FeedBooks, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.sent()
    venue.orders["v9"] = order(None, a_report(VenueStatus.OPEN, "0.4")).order
    assert await take(books, trade(FIRST, "v9")) == {(SYMBOL, "1", Side.BUY)}
    monkeypatch.setattr(feed_booking, "PENDING_ALARM_AFTER", timedelta(0))
    assert await take(books, trade(FIRST, "v9")) == set()
    assert await ledger.position("EXTERNAL") == D("0.3996")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(a_fill("3", "1.1"), id="B58-filled-more-than-ordered"),
        pytest.param(a_fill("3", "-0.1"), id="B58-negative-fill"),
        pytest.param(a_fill("3", "0.1", fee=D("NaN")), id="B58-fee-nan"),
        pytest.param(a_fill("3", "0", price="0"), id="B58-no-price"),
        pytest.param(a_fill("3", "0.1", price="-1"), id="B58-negative-price"),
    ],
)
async def test_a_fill_that_cannot_be_right_is_set_aside_and_the_others_are_booked(
    ledger: World, books: FeedBooks, wrong: Fill
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, OPEN)
    assert await take(books, trade(FIRST), trade(wrong), trade(SECOND)) == set()
    assert await ledger.position() == D("0.999")
    assert await ledger.alarms() == ["FILL_QUARANTINED"]
    states = await ledger.rows("SELECT scope, state FROM trading_state WHERE state = 'reducing'")
    assert [row["scope"] for row in states] == [f"venue:{EXCHANGE}"]


async def test_an_acknowledgement_alone_is_booked_and_not_told(
    ledger: World, books: FeedBooks, temporal: Temporal
) -> None:
    intent = await ledger.sent()
    await take(books, order(intent, OPEN))
    assert await ledger.child_status(intent) == "working"
    assert temporal.told == []


async def test_ends_without_a_trade_of_orders_under_way_are_told_again(
    ledger: World, books: FeedBooks, temporal: Temporal
) -> None:
    ends = {
        "ended": a_report(VenueStatus.CANCELLED, venue_order_id="v1"),
        "works": a_report(VenueStatus.OPEN, venue_order_id="v2"),
        "filled": a_report(VenueStatus.FILLED, "1", a_fill("1", "1"), venue_order_id="v3"),
        "finished": a_report(VenueStatus.EXPIRED, venue_order_id="v4"),
    }
    for order_id, report in ends.items():
        await ledger.ack(await ledger.sent(order_id), report)
    finished = OrderSnapshot(order_id="finished", status="expired")
    await ledger.store.save_order(finished, finished.status)
    # an order that has gone on to its next child waits for that one
    await ledger.ack(
        await ledger.sent("goes-on"), a_report(VenueStatus.EXPIRED, venue_order_id="v5")
    )
    following = an_intent("goes-on", 1)
    await ledger.reserve(following)
    found = await ledger.store.ended_children_of_open_orders(EXCHANGE, ACCOUNT)
    await books.tell_again(found)
    assert [owner for owner, _ in temporal.told] == ["ended"]
    assert temporal.told[0][1].status is VenueStatus.CANCELLED
