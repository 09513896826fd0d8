"""What holds for every TWAP schedule: its draws, its exactness, and its properties.

Rule: properties restate the rule in other words than the code. Never ask the code for its own
answer.
"""

import hashlib
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.twap_plans import HALF, child_lots, parameters, planned
from workflows.domain.schedules import (
    CatchUp,
    TwapParameters,
    TwapSchedule,
    executed_lots_of,
    next_child,
    plan_twap,
    quantity_of,
    residual_lots,
    slice_at,
)

UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example

# --- draws --------------------------------------------------------------------------------------

JITTERED: dict[str, Any] = {"size_jitter": Decimal("0.5"), "time_jitter": Decimal("0.5")}


def uniform_draw(purpose: str, index: int, seed: str) -> Fraction:
    """The documented draw, written down a second time."""
    digest = hashlib.sha256(f"{purpose}:{index}:{seed}".encode()).hexdigest()
    return Fraction(int(digest[:16], 16), 2**64)


def test_the_same_seed_draws_the_same_plan_and_another_seed_another_one() -> None:
    first = planned(parameters(total="1000", seed="a", **JITTERED))
    assert planned(parameters(total="1000", seed="a", **JITTERED)) == first
    other = planned(parameters(total="1000", seed="b", **JITTERED))
    assert other.offsets != first.offsets
    assert other.cumulative_lots != first.cumulative_lots


def test_a_published_draw_never_changes() -> None:
    # sha256("size:0:order-1") starts with the first figure, and so on; computed with sha256sum.
    # Live orders plan again from their seed: other draws would move a plan in mid-flight.
    schedule = planned(parameters(total="1000", duration="20", **JITTERED))
    size = [
        1 - HALF + Fraction(int(text, 16), 1 << 64)
        for text in ("13b5e2a3d0f5da12", "5aa583c3a550d20e")
    ]
    time = [
        HALF * 10 * Fraction(int(text, 16), 1 << 64)
        for text in ("59d9f99d059800d5", "54b454537cc8d28c")
    ]
    assert schedule.cumulative_lots[1] == int(1000 * size[0] / sum(size) + HALF)
    assert schedule.offsets == (time[0], 10 + time[1])


def test_draws_fill_the_whole_range_evenly() -> None:
    schedule = planned(parameters(total="10000000", duration="2000", interval="1", **JITTERED))
    draws = [2 * (offset - k) for k, offset in enumerate(schedule.offsets)]
    assert min(draws) < Fraction(1, 100)
    assert max(draws) > Fraction(99, 100)
    assert abs(Fraction(sum(draws), len(draws)) - HALF) < Fraction(2, 100)
    sizes = child_lots(schedule)  # even share 5,000 lots, drawn within half of it
    assert min(sizes) < 2_600
    assert max(sizes) > 7_400


# --- exact conversions --------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "lots"), [("0", 0), ("0.3", 3), ("0.30001", 4), ("1.25", 13)])
def test_a_broken_lot_that_was_executed_counts_as_a_whole_one(quantity: str, lots: int) -> None:
    assert executed_lots_of(Decimal(quantity), step=Decimal("0.1")) == lots


def test_the_decimal_context_of_the_caller_rounds_nothing() -> None:
    total = Decimal("123456789012345678.123456789012345678")
    with localcontext() as context:
        context.prec = 3
        schedule = planned(parameters(total=str(total), step="0.001"))
        assert quantity_of(1_234_567, step=Decimal("0.001")) == Decimal("1234.567")
    assert schedule.total_lots == 123456789012345678123
    assert schedule.dust == Decimal("0.000456789012345678")


# --- properties ---------------------------------------------------------------------------------

jitters = st.decimals(min_value=0, max_value=Decimal("0.5"), places=3)
draw_seeds = st.text(alphabet="abcdef0123456789-", min_size=1, max_size=12)


@st.composite
def plans(draw: Callable[..., Any], *, equal: bool = False) -> tuple[TwapSchedule, int]:
    """A schedule and the minimum it was planned with: equal, drawn or curved weights."""
    kind = "equal" if equal else draw(st.sampled_from(["equal", "drawn", "curve"]))
    minimum = draw(st.integers(1, 40))
    wanted = draw(st.integers(1, 40))
    interval = draw(st.decimals(min_value="0.001", max_value=1000, places=3))
    overhang = draw(st.decimals(min_value=0, max_value="0.999", places=3))
    step = draw(st.sampled_from(["1", "0.001", "0.00000001", "10", "0.25"]))
    lots = draw(st.integers(minimum * (wanted if kind == "curve" else 1), 5_000))
    share = st.decimals(min_value=0, max_value=50, places=1)
    curve = st.lists(share, min_size=wanted, max_size=wanted).filter(any)
    schedule = planned(
        TwapParameters(
            total=(lots + draw(st.sampled_from([Decimal(0), Decimal("0.4")]))) * Decimal(step),
            step=Decimal(step),
            duration_s=interval * (wanted + overhang),
            interval_s=interval,
            size_jitter=draw(jitters) if kind == "drawn" else Decimal(0),
            time_jitter=draw(jitters),
            catch_up=draw(st.sampled_from(CatchUp)),
            cap_multiple=draw(st.integers(1, 5)),
            end_sweep=draw(st.booleans()),
            seed=draw(draw_seeds),
            weights=tuple(draw(curve)) if kind == "curve" else None,
        ),
        minimum,
    )
    assert schedule.total_lots == lots
    return schedule, minimum


@UNDISTURBED
@given(plans())
def test_slices_sum_to_the_parent_and_dust_is_what_is_missing(
    plan: tuple[TwapSchedule, int],
) -> None:
    schedule, _ = plan
    sizes = child_lots(schedule)
    assert len(sizes) == schedule.slices <= schedule.slices_requested
    assert min(sizes) >= 0
    assert sum(sizes) == schedule.total_lots
    traded = Fraction(schedule.step) * schedule.total_lots
    assert traded + Fraction(schedule.dust) == Fraction(schedule.parameters.total)
    assert 0 <= schedule.dust < schedule.step


@UNDISTURBED
@given(plans())
def test_the_plan_never_leaves_the_ideal_line_by_more_than_half_a_lot(
    plan: tuple[TwapSchedule, int],
) -> None:
    schedule, _ = plan
    given_weights, r = schedule.parameters.weights, Fraction(schedule.parameters.size_jitter)
    weights = list(map(Fraction, given_weights or ())) or [
        1 - r + 2 * r * uniform_draw("size", k, schedule.parameters.seed)
        for k in range(schedule.slices)
    ]
    total_weight = sum(weights)
    for k, target in enumerate(schedule.cumulative_lots):
        ideal = schedule.total_lots * sum(weights[:k]) / total_weight
        assert abs(target - ideal) <= HALF


@UNDISTURBED
@given(plans())
def test_drawn_sizes_stay_within_their_jitter_and_above_the_minimum(
    plan: tuple[TwapSchedule, int],
) -> None:
    schedule, minimum = plan
    assume(schedule.parameters.weights is None)
    r = Fraction(schedule.parameters.size_jitter)
    even_share = Fraction(schedule.total_lots, schedule.slices)
    for size in child_lots(schedule):
        assert size >= minimum
        assert even_share * (1 - r) / (1 + r) - 1 < size < even_share * (1 + r) / (1 - r) + 1


@UNDISTURBED
@given(plans(equal=True))
def test_equal_weights_give_sizes_that_differ_by_at_most_one_lot(
    plan: tuple[TwapSchedule, int],
) -> None:
    sizes = child_lots(plan[0])
    assert max(sizes) - min(sizes) <= 1


@UNDISTURBED
@given(plans())
def test_slices_start_in_order_inside_their_own_window_and_never_reach_past_the_end(
    plan: tuple[TwapSchedule, int],
) -> None:
    schedule, _ = plan
    j = Fraction(schedule.parameters.time_jitter)
    edges = schedule.boundaries
    assert edges[0] == 0
    assert edges[-1] == Fraction(schedule.parameters.duration_s)
    assert schedule.spacing_s >= Fraction(schedule.parameters.interval_s)
    for k, offset in enumerate(schedule.offsets):
        assert edges[k + 1] - edges[k] == schedule.spacing_s
        assert edges[k] <= offset < edges[k] + max(j, Fraction(1, 10**9)) * schedule.spacing_s
        assert slice_at(schedule, offset) == k
    assert list(schedule.offsets) == sorted(set(schedule.offsets))


@UNDISTURBED
@given(plans())
def test_a_schedule_is_recomputed_from_its_parameters_and_minimum(
    plan: tuple[TwapSchedule, int],
) -> None:
    schedule, minimum = plan
    assert schedule.min_child_lots == minimum
    assert plan_twap(schedule.parameters, min_child_lots=minimum) == schedule


@UNDISTURBED
@given(plans(), st.data())
def test_a_child_is_tradable_capped_and_leaves_no_untradable_tail(
    plan: tuple[TwapSchedule, int], data: st.DataObject
) -> None:
    schedule, _ = plan
    k = data.draw(st.integers(0, schedule.slices - 1), label="k")
    executed = data.draw(st.integers(0, schedule.total_lots + 50), label="executed")
    minimum = data.draw(st.integers(1, 200), label="minimum now")
    child = next_child(schedule, k=k, executed_lots=executed, min_child_lots=minimum)
    remaining = max(0, schedule.total_lots - executed)
    is_last = k == schedule.slices - 1
    assert 0 <= child <= remaining
    assert child == 0 or child >= minimum
    if child:
        assert remaining == child or remaining - child >= minimum
    multiple = schedule.parameters.cap_multiple
    cap = max(minimum, multiple * -(-schedule.total_lots // schedule.slices))
    if not (is_last and schedule.parameters.end_sweep):
        assert child < cap + minimum
        assert child <= cap or child == remaining
    if is_last and remaining >= minimum:
        assert child >= min(cap, remaining)


# What became of a slice: worker down or price beyond the limit, or the part of it that filled.
outcomes = st.one_of(st.none(), st.fractions(min_value=0, max_value=1, max_denominator=8))


@UNDISTURBED
@given(plans(), st.data())
def test_no_pattern_of_misses_and_partial_fills_executes_too_much_and_a_full_sweep_completes(
    plan: tuple[TwapSchedule, int], data: st.DataObject
) -> None:
    schedule, minimum = plan
    executed = before_last = 0
    for k in range(schedule.slices):
        is_last = k == schedule.slices - 1
        outcome = Fraction(1) if is_last else data.draw(outcomes, label=f"slice {k}")
        before_last = executed
        if outcome is None:
            continue
        child = next_child(schedule, k=k, executed_lots=executed, min_child_lots=minimum)
        executed += int(child * outcome)
        assert executed <= schedule.total_lots
    residual = residual_lots(schedule, executed_lots=executed)
    assert executed + residual == schedule.total_lots
    if schedule.parameters.end_sweep:
        assert residual == 0 or schedule.total_lots - before_last < minimum


@UNDISTURBED
@given(plans(equal=True))
def test_an_undisturbed_run_trades_exactly_the_plan(plan: tuple[TwapSchedule, int]) -> None:
    schedule, minimum = plan
    executed = 0
    for k, size in enumerate(child_lots(schedule)):
        child = next_child(schedule, k=k, executed_lots=executed, min_child_lots=minimum)
        assert child == size
        executed += child
    assert executed == schedule.total_lots
