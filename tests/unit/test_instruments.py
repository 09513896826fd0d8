"""A venue's grid: quantities floored, derived prices on the tick and never worse, any digits."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED, WIDEST, amounts, positive_amounts
from workflows.domain.exact import times, whole_steps
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import Side

grids = st.one_of(
    st.sampled_from(["1", "0.01", "0.00001", "1E-18", "10", "0.25", "0.05"]).map(Decimal),
    positive_amounts,
)


def instrument(tick: Decimal = Decimal("0.01"), step: Decimal = Decimal("0.001")) -> Instrument:
    return Instrument(
        venue="binance",
        symbol="BTC/USDT",
        base="BTC",
        quote="USDT",
        tick=tick,
        step=step,
        min_quantity=step,
        max_quantity=None,
        min_notional=Decimal(0),
        is_trading=True,
    )


@pytest.mark.parametrize(
    ("price", "side", "rounded"),
    [
        ("100.019", Side.BUY, "100.01"),
        ("100.011", Side.SELL, "100.02"),
        ("100.01", Side.BUY, "100.01"),
        ("100.01", Side.SELL, "100.01"),
        ("100.01000000000000000001", Side.SELL, "100.02"),
        ("100.00999999999999999999999999999999", Side.BUY, "100.00"),
    ],
)
def test_a_derived_price_is_rounded_to_the_safe_side(price: str, side: Side, rounded: str) -> None:
    assert str(instrument().round_price(Decimal(price), side)) == rounded


@UNDISTURBED
@given(price=amounts, tick=grids, side=st.sampled_from(Side))
def test_a_rounded_price_is_on_the_tick_within_one_tick_and_never_worse(
    price: Decimal, tick: Decimal, side: Side
) -> None:
    market = instrument(tick=tick)
    rounded = market.round_price(price, side)
    better_by = (Fraction(price) - Fraction(rounded)) * side.sign
    assert 0 <= better_by < Fraction(tick)
    assert market.is_on_tick(rounded)
    assert market.round_price(rounded, side) == rounded


@UNDISTURBED
@given(quantity=amounts, step=grids)
def test_a_quantity_is_floored_to_the_step(quantity: Decimal, step: Decimal) -> None:
    market = instrument(step=step)
    floored = times(step, whole_steps(quantity, step))
    assert 0 <= Fraction(quantity) - Fraction(floored) < Fraction(step)
    assert market.is_on_step(floored)
    assert market.is_on_step(quantity) is (floored == quantity)


@pytest.mark.parametrize(
    ("value", "is_on_grid"),
    [
        ("0", True),
        ("0.01", True),
        ("0.015", False),
        ("1E+17", True),
        ("0.010000000000000001", False),
    ],
)
def test_the_grid_is_exact(value: str, is_on_grid: bool) -> None:
    market = instrument(step=Decimal("0.01"))
    assert market.is_on_tick(Decimal(value)) is is_on_grid
    assert market.is_on_step(Decimal(value)) is is_on_grid


@pytest.mark.parametrize(
    ("tick", "step", "is_valid"),
    [("0.01", "0.001", True), ("0", "1", False), ("1", "0", False), ("-1", "1", False)],
)
def test_a_grid_of_zero_is_no_grid(tick: str, step: str, is_valid: bool) -> None:
    assert instrument(Decimal(tick), Decimal(step)).has_valid_rules is is_valid


# --- the touch ----------------------------------------------------------------------------------


def quote(bid: Decimal, ask: Decimal) -> Quote:
    return Quote(bid=bid, ask=ask, read_at_ms=0)


def test_a_buy_trades_at_the_ask_and_a_sell_at_the_bid() -> None:
    touch = quote(Decimal(99), Decimal(101))
    assert touch.touch(Side.BUY) == 101
    assert touch.touch(Side.SELL) == 99
    assert touch.mid == 100


@UNDISTURBED
@given(amounts, amounts)
def test_the_mid_is_exactly_between_bid_and_ask(bid: Decimal, ask: Decimal) -> None:
    with localcontext() as context:
        context.prec = 5
        mid = quote(bid, ask).mid
    assert Fraction(mid) * 2 == Fraction(bid) + Fraction(ask)


def test_the_mid_of_one_price_is_that_price() -> None:
    assert quote(WIDEST, WIDEST).mid == WIDEST
