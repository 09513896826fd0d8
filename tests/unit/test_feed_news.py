"""What a batch of events says order by order: one report, whatever came twice or in any order.

And where a catch-up starts to read.
"""

from decimal import Decimal

import pytest

from activities import feed_follower
from activities.feed_news import OrderNews, by_order
from activities.venues.gateway import StreamEvent, StreamOrder, StreamTrade, VenueOrder, VenueTrade
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id
from workflows.domain.reports import ExecutionReport, Fill, VenueStatus

D = Decimal
OURS = client_order_id("order", 0)
INTENT = ChildIntent(
    client_order_id=OURS,
    order_id="order",
    child_index=0,
    strategy_id="s",
    account="main",
    venue="binance",
    symbol="BTC/USDT",
    side=Side.BUY,
    child_type=ChildType.LIMIT,
    quantity=D(3),
    price=D(100),
)


def trade(number: int, quantity: str = "1", order: str = "7") -> StreamTrade:
    fill = Fill(
        trade_id=str(number),
        price=D(100),
        quantity=D(quantity),
        fee=D(0),
        fee_asset="USDT",
        is_maker=True,
        traded_at_ms=number * 1000,
    )
    return StreamTrade(
        trade=VenueTrade(
            symbol="BTC/USDT", venue_order_id=order, side=Side.BUY, fill=fill, cursor=str(number)
        )
    )


def order(
    executed: str, status: VenueStatus = VenueStatus.OPEN, name: str | None = OURS, id_: str = "7"
) -> StreamOrder:
    report = ExecutionReport(
        client_order_id=name,
        venue_order_id=id_,
        status=status,
        executed_quantity=D(executed),
        venue_time_ms=1,
    )
    return StreamOrder(
        order=VenueOrder(
            symbol="BTC/USDT", side=Side.BUY, quantity=D(3), price=D(100), report=report
        )
    )


def only(events: list[StreamEvent]) -> OrderNews:
    (news,) = by_order(events)
    return news


@pytest.mark.parametrize("backwards", [False, True])
def test_events_and_trades_of_one_order_are_one_report(*, backwards: bool):
    events: list[StreamEvent] = [
        order("1"),
        trade(1),
        order("3", VenueStatus.FILLED),
        trade(2, "2"),
    ]
    report = only(events[::-1] if backwards else events).report_for(INTENT)
    assert (report.status, report.executed_quantity) == (VenueStatus.FILLED, D(3))
    assert sorted(fill.trade_id for fill in report.fills) == ["1", "2"]
    assert report.is_settled


def test_a_trade_that_comes_twice_counts_once():
    report = only([trade(1), trade(1)]).report_for(INTENT)
    assert (len(report.fills), report.executed_quantity) == (1, D(1))


def test_one_trade_id_with_two_figures_is_kept_as_two_for_the_ledger_to_judge():
    assert len(only([trade(1, "1"), trade(1, "2")]).report_for(INTENT).fills) == 2


def test_trades_alone_prove_their_fills_and_an_order_that_was_live():
    report = only([trade(1), trade(2)]).report_for(INTENT)
    assert (report.status, report.executed_quantity) == (VenueStatus.OPEN, D(2))
    assert (report.client_order_id, report.venue_time_ms) == (OURS, 2000)


def test_a_terminal_status_is_not_taken_back_by_an_older_event():
    report = only([order("1", VenueStatus.CANCELLED), order("0")]).report_for(INTENT)
    assert (report.status, report.executed_quantity) == (VenueStatus.CANCELLED, D(1))


def test_each_order_has_its_own_news_in_order_of_appearance():
    news = by_order([trade(2, order="8"), trade(1, order="7"), trade(3, order="8")])
    assert [(each.venue_order_id, len(each.trades)) for each in news] == [("8", 2), ("7", 1)]


def test_an_order_that_bears_no_id_of_ours_is_news_only_by_its_trades():
    assert by_order([order("1", name=None)]) == []
    assert only([order("1", name=None), trade(1)]).report is None


@pytest.mark.parametrize(
    ("events", "mere"),
    [([order("0")], True), ([order("1")], False), ([order("0"), trade(1)], False)],
)
def test_an_acknowledgement_is_news_of_nothing_else(events: list[StreamEvent], *, mere: bool):
    assert only(events).is_mere_acknowledgement is mere
    ended = only([order("0", VenueStatus.EXPIRED)])
    assert not ended.is_mere_acknowledgement


def test_a_catch_up_reads_again_what_was_read_lately(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(feed_follower.time, "monotonic", lambda: now)
    look_back = feed_follower.LookBack("10")
    for cursor in ("20", "30", "40", "50"):
        assert look_back.start == "10"
        now += 9
        look_back.passed(cursor)
    now += 9
    look_back.passed("60")
    assert look_back.start == "20"
    now += 1000
    look_back.passed("70")
    assert look_back.start == "60"
