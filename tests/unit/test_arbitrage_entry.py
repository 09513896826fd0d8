"""Whether an arbitrage starts, and with what: caps, gates, limits and the profit it is judged by.

Rule: expected numbers are worked out by hand beside the case.
"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.unit.arbitrage_books import RULES, east, entered, refused, west
from workflows.domain.arbitrage_entry import Entry, VenueFacts, common_lot
from workflows.domain.books import Book
from workflows.domain.denials import DenialCode
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side

D = Decimal

# --- what is sent -------------------------------------------------------------------------------


def test_a_good_opportunity_is_entered_at_the_plans_prices_and_judged_by_the_books() -> None:
    assert entered(east(), west()) == Entry(
        buy_quantity=D(1),
        sell_quantity=D(1),
        buy_limit=D("50050.00"),
        sell_limit=D("50249.70"),
        # 50300 * 0.999 - 50000 * 1.001
        expected_net=D("199.7"),
        # 50249.70 * 0.999 - 50050 * 1.001
        worst_net=D("99.4003"),
        harder=Side.BUY,
    )


def test_an_edge_below_the_fees_is_never_entered() -> None:
    sell = west(("50060", "6"))
    code, field, detail = refused(east(), sell, sell_price=D(50_060))
    assert (code, field) == (DenialCode.BELOW_MIN_PROFIT, "min_profit")
    assert "expected_net=-40.06" in detail


def test_derived_limits_are_rounded_to_the_tick_on_the_safe_side() -> None:
    found = entered(east(tick=D("0.7")), west(tick=D("0.7")))
    # 50050 / 0.7 = 71500 exactly; 50249.70 / 0.7 = 71785.28...
    assert (found.buy_limit, found.sell_limit) == (D("50050"), D("50250.2"))
    found = entered(east(tick=D(100)), west(tick=D(100)))
    assert (found.buy_limit, found.sell_limit) == (D(50_000), D(50_300))


def test_a_limit_that_the_tick_rounds_to_nothing_is_refused() -> None:
    coarse = east(tick=D(100_000))
    assert refused(coarse, west())[:2] == (DenialCode.OUT_OF_RANGE, "buy_price")


def test_explicit_limits_are_sent_as_they_are() -> None:
    found = entered(east(), west(), buy_limit=D("50007.77"), sell_limit=D("50299.99"))
    assert (found.buy_limit, found.sell_limit) == (D("50007.77"), D("50299.99"))
    off_tick = refused(east(), west(), buy_limit=D("50007.777"))
    assert off_tick[:2] == (DenialCode.PRECISION, "orders")


def test_a_market_leg_has_no_limit_and_its_worst_price_is_the_gate() -> None:
    found = entered(east(), west(), buy_is_market=True, sell_is_market=True)
    assert (found.buy_limit, found.sell_limit) == (None, None)
    # 50300 * 0.998 * 0.999 - 50000 * 1.002 * 1.001
    assert found.worst_net == D("-0.8994")


def test_the_leg_with_the_thinner_book_is_the_harder_one() -> None:
    assert entered(east(), west(("50300", "4"))).harder is Side.SELL
    assert entered(east(), west(("50300", "5"))).harder is Side.BUY, "a tie goes to the buy"
    # depth beyond the limit does not count
    behind = east(("50000", "5"), ("50090", "100"))
    assert entered(behind, west()).harder is Side.BUY


# --- the common lot -----------------------------------------------------------------------------


def stepped(step: str) -> Instrument:
    return replace(RULES, step=D(step))


@pytest.mark.parametrize(
    ("one", "other", "lot"),
    [
        ("0.00001", "0.0001", "0.0001"),
        ("0.003", "0.002", "0.006"),
        ("1", "0.7", "7"),
        ("0.25", "0.1", "0.5"),
        ("10", "4", "20"),
        ("0.0001", "0.0001", "0.0001"),
    ],
)
def test_the_common_lot_is_the_least_multiple_of_both_steps(one: str, other: str, lot: str) -> None:
    assert common_lot(stepped(one), stepped(other)) == D(lot)
    assert common_lot(stepped(other), stepped(one)) == D(lot)


def test_the_quantity_is_floored_to_the_common_lot() -> None:
    found = entered(east(step=D("0.003")), west(step=D("0.002")), amount=D("0.9999"))
    assert found.buy_quantity == found.sell_quantity == D("0.996")


# --- what caps the quantity ---------------------------------------------------------------------

CAPS: list[tuple[VenueFacts, VenueFacts, dict[str, Any], str]] = [
    # the buy reaches to its limit of 50050: the second level is beyond
    (east(("50000", "0.3"), ("50050.01", "9")), west(), {}, "0.3"),
    (east(("50000", "0.3"), ("50050", "0.2")), west(), {}, "0.5"),
    (east(), west(("50300", "0.25"), ("50249.69", "9")), {}, "0.25"),
    # an explicit limit may reach further than the gate at 50100, and does not
    (east(("50000", "0.3"), ("50101", "9")), west(), {"buy_limit": D(50_200)}, "0.3"),
    (east(("50000", "0.3"), ("50101", "9")), west(), {"buy_is_market": True}, "0.3"),
    # 10000 / (50050 * 1.001) = 0.19960...
    (east(free_quote=D(10_000)), west(), {}, "0.1996"),
    # a fee in base needs no quote: 10000 / 50050 = 0.19980...
    (east(free_quote=D(10_000), buys_pay_base=True), west(), {}, "0.1998"),
    (east(), west(free_base=D("0.12345")), {}, "0.1234"),
    # 20000 at the highest of limits and asks, 50310: 0.39753...
    (east(), west(), {"max_notional": D(20_000)}, "0.3975"),
    (east(max_quantity=D("0.5")), west(max_quantity=D("0.4")), {}, "0.4"),
]


@pytest.mark.parametrize(("buy", "sell", "terms", "quantity"), CAPS)
def test_the_quantity_is_capped_by_what_is_there(
    buy: VenueFacts, sell: VenueFacts, terms: dict[str, Any], quantity: str
) -> None:
    assert entered(buy, sell, **terms).buy_quantity == D(quantity)


@pytest.mark.parametrize(
    ("sell", "terms", "quantity"),
    [
        # 0.1001 * 0.999 = 0.0999999 are sold as 0.0999; 0.1002 would need 0.1000998
        (west(free_base=D("0.1")), {}, "0.1001"),
        (west(("50300", "0.1")), {}, "0.1001"),
        (west(max_quantity=D("0.1")), {}, "0.1001"),
        # 20000 / 50310 / 0.999 = 0.39793..., and 20000 / 50050 = 0.39960... for the buy
        (west(), {"max_notional": D(20_000)}, "0.3979"),
    ],
)
def test_what_a_fee_in_base_takes_on_the_way_does_not_count_for_the_sell(
    sell: VenueFacts, terms: dict[str, Any], quantity: str
) -> None:
    found = entered(east(buys_pay_base=True), sell, **terms)
    assert found.buy_quantity == D(quantity)
    assert found.sell_quantity == D(quantity) - D("0.0002" if quantity == "0.1001" else "0.0004")


@pytest.mark.parametrize(
    ("buy", "sell", "terms", "code", "told"),
    [
        (east(("50000", "0.0001")), west(), {}, "INSUFFICIENT_DEPTH", "exchange=east"),
        (east(("50060", "9")), west(), {}, "INSUFFICIENT_DEPTH", "depth=0 within=50050.00"),
        (east(), west(("50300", "0.0001")), {}, "INSUFFICIENT_DEPTH", "exchange=west"),
        (east(free_quote=D(5)), west(), {}, "INSUFFICIENT_FUNDS", "asset=USDT free=5"),
        (east(free_quote=D(-5)), west(), {}, "INSUFFICIENT_FUNDS", "asset=USDT free=-5"),
        (east(), west(free_base=D(0)), {}, "INSUFFICIENT_FUNDS", "asset=BTC free=0"),
        (east(), west(), {"max_notional": D(5)}, "RISK_MAX_NOTIONAL", "max_notional=5"),
        (east(), west(max_quantity=D("0.0001")), {}, "OUT_OF_RANGE", "max=0.0001"),
    ],
)
def test_what_leaves_too_little_is_the_reason_that_is_told(
    buy: VenueFacts, sell: VenueFacts, terms: dict[str, Any], code: str, told: str
) -> None:
    found = refused(buy, sell, **terms)
    assert found[:2] == (DenialCode(code), "amount")
    assert told in found[2]


@pytest.mark.parametrize(
    ("changes", "amount", "code"),
    [
        ({}, "0.00009", "OUT_OF_RANGE"),
        ({"min_quantity": D("0.1")}, "0.1049", "OUT_OF_RANGE"),
        ({"min_notional": D(100)}, "0.0020", "MIN_NOTIONAL"),
    ],
)
@pytest.mark.parametrize("is_buy", [True, False])
def test_an_amount_below_either_minimum_with_its_buffer_is_refused_as_the_amount(
    changes: dict[str, Any], amount: str, code: str, is_buy: bool
) -> None:
    buy, sell = (east(**changes), west()) if is_buy else (east(), west(**changes))
    assert refused(buy, sell, amount=D(amount))[:2] == (DenialCode(code), "amount")


def test_an_amount_just_above_both_minimums_is_entered() -> None:
    buy, sell = east(min_quantity=D("0.1")), west(min_notional=D(100))
    assert entered(buy, sell, amount=D("0.105")).buy_quantity == D("0.105")
    assert entered(east(), sell, amount=D("0.0021")).buy_quantity == D("0.0021")


def test_a_notional_of_exactly_the_minimum_with_its_buffer_is_enough() -> None:
    # 0.0021 at the limit of 50050 are 105.105, and 100.1 * 1.05 too
    exactly, more = east(min_notional=D("100.1")), east(min_notional=D("100.11"))
    assert entered(exactly, west(), amount=D("0.0021")).buy_quantity == D("0.0021")
    assert refused(more, west(), amount=D("0.0021"))[0] is DenialCode.MIN_NOTIONAL


def test_less_than_one_lot_is_refused_also_where_no_minimum_is_published() -> None:
    free = {"min_quantity": D(0), "min_notional": D(0)}
    found = refused(east(**free), west(**free), amount=D("0.00009"))
    assert found[:2] == (DenialCode.OUT_OF_RANGE, "amount")


def test_the_amount_is_at_fault_before_what_caps_it() -> None:
    assert refused(east(free_quote=D(0)), west(), amount=D("0.00009"))[0] is DenialCode.OUT_OF_RANGE


# --- fees in base -------------------------------------------------------------------------------


def test_with_fees_in_base_what_arrives_is_sold_on_the_step_of_its_venue() -> None:
    found = entered(east(buys_pay_base=True), west(step=D("0.01")))
    assert (found.buy_quantity, found.sell_quantity) == (D(1), D("0.99"))
    # 50300 * 0.99 * 0.999 - 50000 * 0.99 / 0.999: what is left over stands at its cost
    exactly = Fraction("50300") * Fraction("0.98901") - Fraction(50_000) * 99 / Fraction("99.9")
    assert abs(Fraction(found.expected_net) - exactly) < Fraction(1, 10**17)


def test_a_rebate_in_base_sells_no_more_than_was_bought() -> None:
    found = entered(east(buys_pay_base=True, taker_fee=D("-0.001")), west())
    assert found.sell_quantity == found.buy_quantity


# --- the gates ----------------------------------------------------------------------------------


def test_a_book_worse_than_the_plan_by_more_than_the_slippage_starts_nothing() -> None:
    code, field, detail = refused(east(("50100.01", "9")), west())
    assert (code, field) == (DenialCode.SLIPPAGE, "buy_price")
    assert "best=50100.01 plan=50000 worst=50100" in detail
    at_gate = entered(east(("50100", "9")), west(), buy_is_market=True)
    assert at_gate.buy_quantity == 1
    assert refused(east(), west(("50199.39", "9")))[:2] == (DenialCode.SLIPPAGE, "sell_price")


def test_an_explicit_leg_has_its_own_gate() -> None:
    wide = {"buy_limit": D(50_200), "buy_slippage": D("0.004"), "min_profit": D(-100)}
    assert entered(east(("50150", "9")), west(), **wide).buy_limit == D(50_200)
    narrow = {"sell_slippage": D("0.0001")}
    sell = west(("50290", "9"))
    assert refused(east(), sell, **narrow)[:2] == (DenialCode.SLIPPAGE, "sell_price")
    assert entered(east(), sell).sell_quantity == 1


def test_a_book_without_the_side_that_is_needed_has_no_depth() -> None:
    empty = replace(east(), book=Book(bids=(), asks=(), read_at_ms=0))
    assert refused(empty, west())[:2] == (DenialCode.INSUFFICIENT_DEPTH, "amount")
    only_bids = replace(west(), book=Book(bids=west().book.bids, asks=(), read_at_ms=0))
    assert entered(east(), only_bids, max_notional=D(60_000)).sell_quantity == 1


@pytest.mark.parametrize("is_buy", [True, False])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_trading": False}, "SYMBOL_NOT_TRADING"),
        ({"tick": D(0)}, "SYMBOL_RULES_INVALID"),
        ({"step": D(0)}, "SYMBOL_RULES_INVALID"),
    ],
)
def test_a_venue_that_does_not_trade_the_symbol_is_refused(
    changes: dict[str, Any], code: str, is_buy: bool
) -> None:
    buy, sell = (east(**changes), west()) if is_buy else (east(), west(**changes))
    found = refused(buy, sell)
    assert found[:2] == (DenialCode(code), "symbol")
    assert f"exchange={'east' if is_buy else 'west'}" in found[2]


def test_the_least_profit_is_judged_by_the_books_that_are_walked() -> None:
    deeper = east(("50000", "0.5"), ("50040", "0.5"))
    # 50300 * 0.999 - 50020 * 1.001
    assert entered(deeper, west(), min_profit=D("179.68")).expected_net == D("179.68")
    found = refused(deeper, west(), min_profit=D("179.69"))
    assert found[:2] == (DenialCode.BELOW_MIN_PROFIT, "min_profit")


def test_the_worst_case_is_both_legs_at_their_limits() -> None:
    assert entered(east(), west(), min_profit_worst=D("99.4003")).worst_net == D("99.4003")
    found = refused(east(), west(), min_profit_worst=D("99.4004"))
    assert found[:2] == (DenialCode.BELOW_MIN_PROFIT, "min_profit_worst")


def test_by_default_the_worst_case_may_lose_the_bound_of_a_compensation() -> None:
    # both limits at 1 %: 50300 * 0.99 * 0.999 - 50000 * 1.01 * 1.001 = -803.297
    wide = {"limit_tolerance": D("0.01")}
    assert entered(east(), west(), **wide, max_loss_bps=D("160.6594")).worst_net == D("-803.297")
    found = refused(east(), west(), **wide, max_loss_bps=D("160.6593"))
    assert found[:2] == (DenialCode.BELOW_MIN_PROFIT, "min_profit_worst")
