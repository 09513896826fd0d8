"""How duration, slices and interval follow from each other, and what an amendment plans anew."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from tests.unit.twap_plans import child_lots, denied, parameters, planned
from workflows.domain.denials import DenialCode
from workflows.domain.schedules import MAX_SLICES, duration_and_interval, segment

D = Decimal


@pytest.mark.parametrize(
    ("duration", "slices", "interval", "expected"),
    [
        (None, None, None, ("600", "60")),
        (None, 4, None, ("240", "60")),
        (None, None, "1.5", ("15", "1.5")),
        (None, 4, "1.5", ("6", "1.5")),
        ("6", 4, "1.5", ("6", "1.5")),
        ("65", None, "10", ("65", "10")),  # six slices, spaced wider than asked for
        ("100", None, None, ("100", "10")),
        ("100", 8, None, ("100", "12.5")),
        ("1", 3, None, ("1", "0.333333333333333333")),
    ],
)
def test_any_two_of_three_make_a_schedule_and_defaults_fill_the_gaps(
    duration: str | None, slices: int | None, interval: str | None, expected: tuple[str, str]
) -> None:
    answer = duration_and_interval(
        None if duration is None else D(duration),
        slices,
        None if interval is None else D(interval),
        10,
        D(60),
    )
    assert answer == (D(expected[0]), D(expected[1]))


@UNDISTURBED
@given(
    st.decimals(min_value="0.1", max_value=31_536_000, places=9),
    st.integers(1, MAX_SLICES),
)
def test_a_divided_duration_keeps_its_end_and_the_number_of_slices(
    duration_s: Decimal, slices: int
) -> None:
    total_s, interval_s = duration_and_interval(duration_s, slices, None, 10, D(60))
    assert total_s == duration_s
    assert int(Fraction(total_s) / Fraction(interval_s)) == slices
    schedule = planned(
        parameters(total=str(slices), duration=str(total_s), interval=f"{interval_s:f}")
    )
    assert schedule.slices == schedule.slices_requested == slices
    assert schedule.boundaries[-1] == Fraction(duration_s)


def test_a_segment_plans_what_is_left_with_the_old_spacing() -> None:
    old = parameters("100", duration="100", interval="10", size_jitter=D("0.2"), seed="order-1")
    new = segment(old, remaining=D(45), duration_s=D(50), index=1)
    assert new == replace(old, total=D(45), duration_s=D(50), seed="order-1#1")
    schedule = planned(new)
    assert schedule.slices == 5
    assert sum(child_lots(schedule)) == 45


def test_segments_draw_differently_from_the_plan_and_from_each_other() -> None:
    old = parameters("10000", size_jitter=D("0.5"))
    plans = [child_lots(planned(old))] + [
        child_lots(planned(segment(old, remaining=D(10_000), duration_s=D(100), index=index)))
        for index in (1, 2)
    ]
    assert len({tuple(sizes) for sizes in plans}) == 3


def test_less_time_than_an_interval_is_one_slice_and_no_time_is_denied() -> None:
    old = parameters("100", duration="100", interval="10")
    schedule = planned(segment(old, remaining=D(45), duration_s=D("2.5"), index=1))
    assert child_lots(schedule) == [45]
    assert schedule.boundaries == (0, Fraction(5, 2))
    answer = denied(segment(old, remaining=D(45), duration_s=D(0), index=1))
    assert answer.code is DenialCode.OUT_OF_RANGE


def test_an_end_so_late_that_there_are_too_many_slices_is_denied() -> None:
    old = parameters("100", duration="100", interval="10")
    answer = denied(segment(old, remaining=D(45), duration_s=D(10) * MAX_SLICES + 10, index=1))
    assert (answer.code, answer.field) == (DenialCode.OUT_OF_RANGE, "twap_slices")


def test_what_is_left_below_the_minimum_is_denied() -> None:
    old = parameters("100", duration="100", interval="10")
    answer = denied(segment(old, remaining=D(4), duration_s=D(50), index=1), 5)
    assert (answer.code, answer.field) == (DenialCode.MIN_NOTIONAL, "quantity")


def test_a_volume_curve_has_no_segments() -> None:
    old = parameters("100", duration="20", interval="10", weights=(D(1), D(2)))
    with pytest.raises(ValueError, match="weights"):
        segment(old, remaining=D(45), duration_s=D(50), index=1)
