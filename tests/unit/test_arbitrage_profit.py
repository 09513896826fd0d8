"""Profit by its definitions: published cases, and the sum that must hold to the last digit.

Rule: expected numbers come from the vector file or from a ledger of cash flows kept beside.
"""

import json
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.arbitrage_profit import (
    LegSum,
    Marks,
    MissingRateError,
    Profit,
    leg_sum,
    profit,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "arbitrage_profit.json").read_text()
)
CASES: list[dict[str, Any]] = VECTORS["profit_cases"]
TOLERANCE = Fraction(1, 10**15)
ZERO = Decimal(0)
NOTHING = LegSum(quantity=ZERO, quote=ZERO, base_fee=ZERO, quote_fee=ZERO, other_fee=ZERO)
BASE, QUOTE = "BTC", "USDT"
NAMES = {"BASE": BASE, "QUOTE": QUOTE}


def summed(fills: list[dict[str, str]]) -> LegSum:
    """The fills of one side, one order each."""
    total = NOTHING
    for fill in fills:
        quantity, price = Decimal(fill["qty"]), Decimal(fill["price"])
        asset = NAMES.get(fill["fee_ccy"], fill["fee_ccy"])
        total = total.plus(
            leg_sum(
                quantity,
                quantity * price,
                {asset: Decimal(fill["fee"])},
                BASE,
                QUOTE,
                {asset: Decimal(fill["fee_rate"])},
            )
        )
    return total


def is_as_printed(value: Decimal, text: str) -> bool:
    return abs(Fraction(value) - Fraction(text)) <= TOLERANCE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_published_case_is_reproduced(case: dict[str, Any]) -> None:
    given_input, expected = case["input"], case["expected"]
    marks = Marks(
        bid=Decimal(given_input["unwind_bid"]),
        ask=Decimal(given_input["unwind_ask"]),
        fee=Decimal(given_input["unwind_fee"]),
    )
    found = profit(summed(given_input["buy_fills"]), summed(given_input["sell_fills"]), marks)
    exact_fields = {
        "net_base_bought": found.net_bought,
        "net_base_sold": found.net_sold,
        "matched": found.matched,
        "residual": found.residual,
        "buy_cost": found.buy_cost,
        "sell_proceeds": found.sell_proceeds,
        "fees_total": found.fees_total,
        "realised_on_matched": found.realised,
        "residual_pnl_if_unwound_now": found.residual_pnl,
        "total": found.total,
    }
    for name, value in exact_fields.items():
        assert value == Decimal(expected[name]), name
    assert is_as_printed(found.unit_cost, expected["all_in_unit_cost"])
    assert is_as_printed(found.unit_proceeds, expected["all_in_unit_proceeds"])
    mark = expected["residual_mark"]
    assert found.residual_mark == (None if mark is None else Decimal(mark))
    on_cost = Fraction(found.total) / Fraction(found.buy_cost) * 10_000
    assert abs(on_cost - Fraction(expected["return_on_buy_cost_bps"])) <= TOLERANCE


# --- one leg ------------------------------------------------------------------------------------


def test_fees_go_where_their_asset_says() -> None:
    fees = {"BTC": Decimal("0.001"), "USDT": Decimal("2.5"), "BNB": Decimal("0.01")}
    found = leg_sum(Decimal(2), Decimal(100_000), fees, BASE, QUOTE, {"BNB": Decimal(600)})
    assert found == LegSum(
        quantity=Decimal(2),
        quote=Decimal(100_000),
        base_fee=Decimal("0.001"),
        quote_fee=Decimal("2.5"),
        other_fee=Decimal("6.00"),
        base_fee_value=Decimal(50),
    )


def test_a_fee_in_a_third_asset_without_a_rate_is_refused_by_name() -> None:
    with pytest.raises(MissingRateError, match="BNB") as caught:
        leg_sum(Decimal(1), Decimal(1), {"BNB": Decimal("0.1")}, BASE, QUOTE, {})
    assert caught.value.asset == "BNB"


def test_no_rate_is_needed_for_a_fee_of_nothing() -> None:
    assert leg_sum(ZERO, ZERO, {"BNB": ZERO}, BASE, QUOTE, {}) == NOTHING


def test_a_rebate_is_an_income() -> None:
    buys = leg_sum(Decimal(1), Decimal(50_000), {QUOTE: Decimal(-5)}, BASE, QUOTE, {})
    sells = leg_sum(
        Decimal(1), Decimal(50_100), {"BNB": Decimal(-1)}, BASE, QUOTE, {"BNB": Decimal(3)}
    )
    found = profit(buys, sells, None)
    assert (found.buy_cost, found.sell_proceeds) == (Decimal(49_995), Decimal(50_103))
    assert (found.total, found.fees_total) == (Decimal(108), Decimal(-8))


def test_base_fees_are_valued_at_the_price_of_their_own_fills() -> None:
    cheap = leg_sum(Decimal(1), Decimal(100), {BASE: Decimal("0.01")}, BASE, QUOTE, {})
    dear = leg_sum(Decimal(1), Decimal(300), {}, BASE, QUOTE, {})
    assert profit(cheap.plus(dear), NOTHING, None).fees_total == Decimal(1)


# --- residuals ----------------------------------------------------------------------------------


def whole(quantity: str, price: str) -> LegSum:
    return leg_sum(Decimal(quantity), Decimal(quantity) * Decimal(price), {}, BASE, QUOTE, {})


def test_a_residual_without_marks_stands_at_its_cost_and_adds_nothing() -> None:
    found = profit(whole("1", "50000"), whole("0.6", "50300"), None)
    assert found.residual == Decimal("0.4")
    assert found.residual_mark is None
    assert found.residual_pnl == 0
    assert found.total == found.realised == Decimal(180)


def test_an_arbitrage_that_traded_nothing_came_to_nothing() -> None:
    marks = Marks(bid=Decimal(1), ask=Decimal(2), fee=ZERO)
    found = profit(NOTHING, NOTHING, marks)
    assert (found.total, found.realised, found.residual_pnl) == (0, 0, 0)
    assert (found.unit_cost, found.unit_proceeds, found.residual_mark) == (0, 0, None)


def test_a_short_residual_is_marked_at_the_ask_with_the_fee() -> None:
    marks = Marks(bid=Decimal(49_000), ask=Decimal(50_000), fee=Decimal("0.001"))
    found = profit(whole("0", "1"), whole("1", "50300"), marks)
    assert found.residual_mark == Decimal(50_050)
    assert (found.total, found.residual_pnl) == (Decimal(250), Decimal(250))


def test_a_matched_pair_has_no_residual_profit_whatever_its_quotients_round_to() -> None:
    third = LegSum(
        quantity=Decimal(3),
        quote=Decimal("100.0000000000000001"),
        base_fee=ZERO,
        quote_fee=ZERO,
        other_fee=ZERO,
    )
    found = profit(third, whole("3", "40"), None)
    assert found.residual_pnl == 0
    assert found.total == found.realised == Decimal("19.9999999999999999")


# --- the sum that must hold ---------------------------------------------------------------------

quantities = st.decimals(min_value="0.00000001", max_value=10_000, places=8)
prices = st.decimals(min_value="0.00000001", max_value=1_000_000, places=8)
fees = st.decimals(min_value="-0.01", max_value="0.01", places=6)
a_fill = st.tuples(quantities, prices, fees, st.sampled_from([BASE, QUOTE, "BNB"]), prices)
some_fills = st.lists(a_fill, max_size=5)
some_marks = st.builds(Marks, bid=prices, ask=prices, fee=fees)
RawFill = tuple[Decimal, Decimal, Decimal, str, Decimal]


def folded(fills: list[RawFill]) -> LegSum:
    total = NOTHING
    for quantity, price, fee, asset, rate in fills:
        paid = {BASE: quantity * fee, QUOTE: quantity * price * fee, "BNB": fee}[asset]
        total = total.plus(
            leg_sum(quantity, quantity * price, {asset: paid}, BASE, QUOTE, {"BNB": rate})
        )
    return total


def flows(fills: list[RawFill], sign: int) -> tuple[Fraction, Fraction]:
    """Cash and base that came in: a purse kept in fractions, by the fills alone."""
    cash = base = Fraction(0)
    for raw in fills:
        quantity, price, fee, rate = (Fraction(raw[index]) for index in (0, 1, 2, 4))
        cash -= sign * quantity * price
        base += sign * quantity
        if raw[3] == BASE:
            base -= quantity * fee
        else:
            cash -= quantity * price * fee if raw[3] == QUOTE else fee * rate
    return cash, base


@UNDISTURBED
@given(some_fills, some_fills, some_marks)
def test_the_total_is_all_cash_flows_plus_the_residual_at_its_mark(
    bought: list[RawFill], sold: list[RawFill], marks: Marks
) -> None:
    with localcontext() as context:
        context.prec = 60  # for the products of the test itself
        buys, sells = folded(bought), folded(sold)
    with localcontext() as context:
        context.prec = 4  # the caller's context rounds nothing
        found = profit(buys, sells, marks)
    cash, base = (a + b for a, b in zip(flows(bought, 1), flows(sold, -1), strict=True))
    assert Fraction(found.residual) == base
    expected_mark = marks.bid * (1 - marks.fee) if base > 0 else marks.ask * (1 + marks.fee)
    assert found.residual_mark == (expected_mark if base else None)
    assert Fraction(found.total) == cash + base * Fraction(found.residual_mark or 0)
    assert_adds_up(found)


@UNDISTURBED
@given(some_fills, some_fills)
def test_realised_and_residual_add_up_without_marks_too(
    bought: list[RawFill], sold: list[RawFill]
) -> None:
    with localcontext() as context:
        context.prec = 60
        found = profit(folded(bought), folded(sold), None)
    assert_adds_up(found)
    assert found.residual_mark is None
    assert found.residual_pnl == 0


def assert_adds_up(found: Profit) -> None:
    assert Fraction(found.realised) + Fraction(found.residual_pnl) == Fraction(found.total)
    assert found.matched == min(found.net_bought, found.net_sold)
    assert Fraction(found.residual) == Fraction(found.net_bought) - Fraction(found.net_sold)


@UNDISTURBED
@given(some_fills, some_fills, some_marks)
def test_the_profit_does_not_depend_on_how_the_fills_were_grouped(
    bought: list[RawFill], sold: list[RawFill], marks: Marks
) -> None:
    with localcontext() as context:
        context.prec = 60
        halves = [folded(bought[0::2]), folded(bought[1::2])]
        regrouped = halves[1].plus(halves[0])
        assert profit(regrouped, folded(sold), marks) == profit(folded(bought), folded(sold), marks)
