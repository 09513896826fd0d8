"""Answers of a venue are believed only as far as they can be read exactly."""

from decimal import Decimal
from typing import Any

import pytest

from activities.venues import ccxt_market_reports as market_reports
from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_fields import UnreadableAnswerError
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus

ORDER: dict[str, Any] = {
    "id": "17",
    "clientOrderId": "ab" * 16,
    "symbol": "BTC/USDT",
    "status": "open",
    "side": "buy",
    "type": "limit",
    "amount": "0.30000",
    "price": "50000.10",
    "filled": "0.10000",
    "timestamp": 1_700_000_000_000,
    "lastUpdateTimestamp": 1_700_000_000_005,
    "trades": [],
}
TRADE: dict[str, Any] = {
    "id": "3",
    "order": "17",
    "side": "sell",
    "price": "12345678.12345678",
    "amount": "0.00000001",
    "fee": {"cost": "0.0000000000123", "currency": "BNB"},
    "takerOrMaker": "maker",
    "timestamp": 1_700_000_000_001,
}


def test_an_order_becomes_a_report_digit_for_digit() -> None:
    order = reports.venue_order(ORDER, "BTC/USDT", "ab" * 16)
    assert order.side is Side.BUY
    assert str(order.price) == "50000.10"
    assert order.quantity == Decimal("0.3")
    assert order.report.executed_quantity == Decimal("0.1")
    assert order.report.status is VenueStatus.OPEN
    assert order.report.venue_time_ms == 1_700_000_000_005


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("open", VenueStatus.OPEN),
        ("canceling", VenueStatus.OPEN),
        ("closed", VenueStatus.FILLED),
        ("canceled", VenueStatus.CANCELLED),
        ("expired", VenueStatus.EXPIRED),
        ("rejected", VenueStatus.REJECTED),
    ],
)
def test_each_unified_status_has_its_meaning(word: str, status: VenueStatus) -> None:
    assert reports.execution_report({**ORDER, "status": word}, None).status is status


def test_an_order_that_executed_more_than_was_ordered_is_not_believed() -> None:
    with pytest.raises(UnreadableAnswerError, match="executed more than was ordered"):
        reports.execution_report(ORDER | {"filled": "0.30001"}, None)
    assert reports.execution_report(ORDER | {"filled": "0.3"}, None).executed_quantity > 0


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "weird"},
        {"status": None},
        {"id": None},
        {"id": ""},
        {"filled": None},
        {"filled": "NaN"},
        {"filled": "-0.1"},
        {"filled": "Infinity"},
        {"filled": True},
        {"status": "closed", "filled": "0"},
        {"lastUpdateTimestamp": "yesterday"},
    ],
)
def test_a_report_with_a_broken_field_is_unreadable(broken: dict[str, Any]) -> None:
    with pytest.raises(UnreadableAnswerError):
        reports.execution_report({**ORDER, **broken}, None)


@pytest.mark.parametrize("answer", [None, "<html>", [], 7, {}])
def test_an_answer_of_another_shape_is_unreadable(answer: Any) -> None:
    with pytest.raises(UnreadableAnswerError):
        reports.execution_report(answer, None)


def test_a_fill_keeps_every_digit_of_price_quantity_and_fee() -> None:
    trade = reports.venue_trade(TRADE, "BTC/USDT", "USDT")
    assert str(trade.fill.price) == "12345678.12345678"
    assert trade.fill.quantity == Decimal("0.00000001")
    assert trade.fill.fee == Decimal("0.0000000000123")
    assert trade.fill.fee_asset == "BNB"
    assert trade.fill.is_maker
    assert trade.side is Side.SELL


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"order": None},
        {"side": "hold"},
        {"id": None, "price": None},
        {"fee": None},
        {"fee": {"cost": None, "currency": None}},
        {"fee": {"cost": "0.1", "currency": None}},
        {"timestamp": None},
        {"timestamp": -5},
    ],
)
def test_a_trade_with_a_broken_field_is_unreadable(broken: dict[str, Any]) -> None:
    with pytest.raises(UnreadableAnswerError):
        reports.venue_trade({**TRADE, **broken}, "BTC/USDT", "USDT")


@pytest.mark.parametrize(
    "impossible",
    [
        {"price": None},
        {"price": "0"},
        {"price": "-1"},
        {"price": "Infinity"},
        {"amount": "-1"},
        {"amount": "NaN"},
        {"amount": None},
        {"fee": {"cost": "NaN", "currency": "BNB"}},
        {"fee": {"cost": "free", "currency": "BNB"}},
    ],
)
def test_a_trade_whose_figures_cannot_be_right_is_a_fill_of_nothing_under_its_name(
    impossible: dict[str, Any],
) -> None:
    right = reports.venue_trade(TRADE, "BTC/USDT", "USDT")
    wrong = reports.venue_trade({**TRADE, **impossible}, "BTC/USDT", "USDT")
    assert (wrong.venue_order_id, wrong.side, wrong.cursor) == (
        right.venue_order_id,
        right.side,
        right.cursor,
    )
    assert wrong.fill.trade_id == right.fill.trade_id
    assert (wrong.fill.price, wrong.fill.quantity, wrong.fill.fee) == (0, 0, 0)


def test_a_fee_of_zero_needs_no_asset_and_a_rebate_is_negative() -> None:
    free = reports.fill({**TRADE, "fee": {"cost": "0.00", "currency": None}}, "USDT")
    assert (free.fee, free.fee_asset) == (Decimal(0), "USDT")
    rebate = reports.fill({**TRADE, "fee": {"cost": "-0.01", "currency": "USDT"}}, "USDT")
    assert rebate.fee == Decimal("-0.01")


def test_fills_inside_an_answer_take_the_orders_time() -> None:
    order = {**ORDER, "trades": [{**TRADE, "timestamp": None, "takerOrMaker": None}]}
    (fill,) = reports.answered_fills(order, "USDT")
    assert fill.traded_at_ms == 1_700_000_000_005
    assert not fill.is_maker


def test_levels_come_best_first_although_ccxt_sorts_prices_as_text() -> None:
    # as text, "9999" > "10000"
    told = {"bids": [["9999", "1"], ["10000", "2"]], "asks": [["10002", "3"], ["10001", "4"]]}
    book = market_reports.book(told, 5, 17)
    assert [(each.price, each.quantity) for each in book.bids] == [(10000, 2), (9999, 1)]
    assert [(each.price, each.quantity) for each in book.asks] == [(10001, 4), (10002, 3)]
    assert book.read_at_ms == 17
    assert [each.price for each in market_reports.book(told, 1, 17).asks] == [10001]


@pytest.mark.parametrize(
    "book",
    [
        {"bids": [], "asks": [["2", "1"]]},
        {"bids": [["2", "1"]], "asks": [["2", "1"]]},
        {"bids": [["NaN", "1"]], "asks": [["2", "1"]]},
        {"bids": [["-1", "1"]], "asks": [["2", "1"]]},
        {"bids": [["1", "0"]], "asks": [["2", "1"]]},
        {"bids": [["1", "NaN"]], "asks": [["2", "1"]]},
        {"bids": [["1"]], "asks": [["2", "1"]]},
        {"bids": [[]], "asks": [["2", "1"]]},
        {"bids": None, "asks": None},
        {},
    ],
)
def test_an_empty_crossed_or_broken_book_is_none(book: dict[str, Any]) -> None:
    with pytest.raises(UnreadableAnswerError):
        market_reports.book(book, 5, 17)


def test_fees_keep_their_sign_and_none_is_as_high_as_the_trade() -> None:
    told = reports.fees({"maker": "-0.0001", "taker": "-0.0"}, buys_pay_base=True)
    assert (told.maker, str(told.taker)) == (Decimal("-0.0001"), "0.0")
    for broken in ({"maker": "0.1"}, {"maker": "0.1", "taker": None}, {"maker": "1", "taker": "1"}):
        with pytest.raises(UnreadableAnswerError):
            reports.fees(broken, buys_pay_base=False)


def test_broken_rules_block_the_symbol_instead_of_being_guessed() -> None:
    market = {
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "active": True,
        "precision": {"price": "NaN", "amount": "0.00001"},
        "limits": {"amount": {"min": None, "max": None}, "cost": {"min": "-3"}},
    }
    rules = market_reports.instrument("binance", market)
    assert not rules.has_valid_rules
    assert rules.max_quantity is None
    assert rules.min_notional == 0


def test_balances_leave_out_zeros_and_refuse_nonsense() -> None:
    totals = {"BTC": "1.50000000", "ETH": "0.0"}
    assert reports.balances({"total": totals}) == {"BTC": Decimal("1.5")}
    assert reports.free_balances({"total": totals, "free": {"BTC": "1"}}) == {"BTC": Decimal(1)}
    with pytest.raises(UnreadableAnswerError):
        reports.free_balances({"total": totals})
    with pytest.raises(UnreadableAnswerError):
        reports.balances({"total": {"BTC": "-1"}})
    with pytest.raises(UnreadableAnswerError):
        reports.balances({"total": {"BTC": None}})
