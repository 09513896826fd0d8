"""Arithmetic that never rounds: 36 digits by 36 digits, whatever the caller's decimal context."""

import decimal
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED, WIDEST, amounts, odd_amounts
from workflows.domain.exact import exact, is_multiple, minus, times, whole_steps
from workflows.durations import epoch_ms, in_seconds, seconds

steps = st.sampled_from(["1", "0.01", "0.00001", "1E-18", "10", "0.25", "0.003"]).map(Decimal)


@UNDISTURBED
@given(odd_amounts, odd_amounts)
def test_sums_and_products_keep_every_digit(left: Decimal, right: Decimal) -> None:
    with exact():
        total, product = left + right, left * right
    assert Fraction(total) == Fraction(left) + Fraction(right)
    assert Fraction(product) == Fraction(left) * Fraction(right)


def test_a_result_that_would_round_raises() -> None:
    with exact(), pytest.raises(decimal.Inexact):
        Decimal(1) / Decimal(3)
    with exact(), pytest.raises(decimal.Inexact):
        Decimal(10) ** 150 + Decimal("1E-150")


def test_the_callers_context_is_back_after_the_block() -> None:
    before = decimal.getcontext().prec
    with pytest.raises(decimal.Inexact), exact():
        Decimal(1) / Decimal(3)
    assert decimal.getcontext().prec == before
    assert Decimal(1) / Decimal(3)


@UNDISTURBED
@given(amounts, steps)
def test_whole_steps_fit_and_one_more_would_not(amount: Decimal, step: Decimal) -> None:
    count = whole_steps(amount, step)
    assert Fraction(step) * count <= Fraction(amount) < Fraction(step) * (count + 1)


@UNDISTURBED
@given(st.integers(0, 10**36), steps)
def test_a_multiple_is_recognised_and_half_a_step_more_is_none(count: int, step: Decimal) -> None:
    on_grid = times(step, count)
    assert Fraction(on_grid) == Fraction(step) * count
    assert whole_steps(on_grid, step) == count
    assert is_multiple(on_grid, step)
    with exact():
        assert not is_multiple(on_grid + step * Decimal("0.5"), step)


@UNDISTURBED
@given(odd_amounts, odd_amounts)
def test_a_difference_is_exact(amount: Decimal, taken: Decimal) -> None:
    assert Fraction(minus(amount, taken)) == Fraction(amount) - Fraction(taken)


def test_a_narrow_context_of_the_caller_rounds_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        assert str(minus(WIDEST, Decimal("1E-18"))) == "999999999999999999.999999999999999998"
        assert str(times(Decimal("1E-18"), 10**36 - 1)) == str(WIDEST)


# --- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "microseconds"),
    [("0", 0), ("0.05", 50_000), ("0.0000019", 1), ("31536000", 31_536_000_000_000)],
)
def test_seconds_become_a_duration_to_the_microsecond(amount: str, microseconds: int) -> None:
    assert seconds(Decimal(amount)) == timedelta(microseconds=microseconds)


@UNDISTURBED
@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_500)))
def test_a_duration_survives_as_seconds(duration: timedelta) -> None:
    assert seconds(in_seconds(duration)) == duration


def test_a_moment_is_counted_in_whole_milliseconds() -> None:
    moment = datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=UTC)
    assert epoch_ms(moment) == 1_000
    assert epoch_ms(moment - timedelta(seconds=1, microseconds=1_000)) == -1
