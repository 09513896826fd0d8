"""The TWAP schedule against published figures, hand-worked cases and properties.

Rule: expected numbers come from the vector file or are worked out by hand beside the case;
properties restate the rule in other words than the code. Never ask the code for its own answer.
"""

import hashlib
import itertools
import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workflows.domain.denials import DenialCode
from workflows.domain.schedules import (
    MAX_DURATION_S,
    MAX_SLICES,
    CatchUp,
    Denied,
    TwapParameters,
    TwapSchedule,
    executed_lots_of,
    minimum_child_lots,
    next_child,
    plan_twap,
    quantity_of,
    residual_lots,
    slice_at,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "twap_slicing.json").read_text()
)
HALF = Fraction(1, 2)
UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example


def parameters(
    total: str = "100",
    step: str = "1",
    duration: str = "100",
    interval: str = "10",
    **options: Any,
) -> TwapParameters:
    options.setdefault("seed", "order-1")
    return TwapParameters(
        total=Decimal(total),
        step=Decimal(step),
        duration_s=Decimal(duration),
        interval_s=Decimal(interval),
        **options,
    )


def planned(given_parameters: TwapParameters, min_child_lots: int = 1) -> TwapSchedule:
    schedule = plan_twap(given_parameters, min_child_lots=min_child_lots)
    assert isinstance(schedule, TwapSchedule), schedule
    return schedule


def denied(given_parameters: TwapParameters, min_child_lots: int = 1) -> Denied:
    answer = plan_twap(given_parameters, min_child_lots=min_child_lots)
    assert isinstance(answer, Denied), answer
    return answer


def child_lots(schedule: TwapSchedule) -> list[int]:
    targets = schedule.cumulative_lots
    return [after - before for before, after in itertools.pairwise(targets)]


def case_names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases]


# --- the vectors -------------------------------------------------------------------------------


def vector_parameters(given_input: dict[str, Any], **options: Any) -> tuple[TwapParameters, int]:
    weights = given_input.get("weights")
    step = Decimal(given_input["step"])
    minimum = minimum_child_lots(
        step=step,
        min_qty=Decimal(given_input.get("min_qty", "0")),
        min_notional=Decimal(given_input.get("min_notional", "0")),
        price=Decimal(given_input.get("price", "1")),
        buffer=Decimal(given_input.get("buffer", "0.05")),
    )
    return TwapParameters(
        total=Decimal(given_input["total"]),
        step=step,
        duration_s=Decimal(given_input["duration"]),
        interval_s=Decimal(given_input["interval"]),
        size_jitter=Decimal(given_input.get("size_jitter", "0")),
        weights=tuple(map(Decimal, weights)) if weights else None,
        seed="vector",
        **options,
    ), minimum


@pytest.mark.parametrize("case", VECTORS["plans"], ids=case_names(VECTORS["plans"]))
def test_a_published_plan_is_reproduced_to_the_last_digit(case: dict[str, Any]) -> None:
    expected = case["expected"]
    given_parameters, minimum = vector_parameters(case["input"])
    assert minimum == expected["min_child_lots"]
    if "error" in expected:
        answer = denied(given_parameters, minimum)
        assert answer.code is DenialCode.MIN_NOTIONAL
        assert answer.field == "quantity"
        assert executed_lots_of(given_parameters.total, step=given_parameters.step) == 10
        return
    schedule = planned(given_parameters, minimum)
    step, targets = schedule.step, schedule.cumulative_lots
    assert schedule.total_lots == expected["lots"]
    assert schedule.dust == Decimal(expected["dust"])
    assert schedule.slices_requested == expected["slices_requested"]
    assert schedule.slices == expected["slices"]
    assert schedule.spacing_s == Fraction(expected["spacing_s"])
    assert schedule.offsets == tuple(map(Fraction, expected["offsets_s"]))
    assert child_lots(schedule) == expected["child_lots"]
    quantities = [quantity_of(lots, step=step) for lots in child_lots(schedule)]
    assert quantities == [Decimal(text) for text in expected["child_qty"]]
    cumulative = [quantity_of(lots, step=step) for lots in targets[1:]]
    assert cumulative == [Decimal(text) for text in expected["cumulative_qty"]]
    assert sum(quantities) == Decimal(expected["sum"])


def filled_lots(event: str, child: int) -> int:
    return int(child * Fraction(event) + HALF)


@pytest.mark.parametrize("case", VECTORS["executions"], ids=case_names(VECTORS["executions"]))
def test_a_published_execution_is_reproduced_slice_by_slice(case: dict[str, Any]) -> None:
    expected = case["expected"]
    given_parameters, minimum = vector_parameters(
        case["input"],
        catch_up=CatchUp(expected["mode"]),
        cap_multiple=expected["cap_multiple"],
        end_sweep=expected["end_sweep"],
    )
    schedule = planned(given_parameters, minimum)
    assert child_lots(schedule) == case["plan_lots"]
    executed, rows = 0, []
    for k, event in enumerate(case["events"]):
        child = filled = 0
        if event not in ("blocked", "missed"):
            child = next_child(schedule, k=k, executed_lots=executed, min_child_lots=minimum)
            filled = filled_lots(event, child)
        executed += filled
        rows.append({"k": k, "child": child, "filled": filled, "executed": executed})
    published = [{key: row[key] for key in rows[0]} for row in expected["rows"]]
    assert rows == published
    assert executed == expected["executed"]
    assert residual_lots(schedule, executed_lots=executed) == expected["residual"]


def other_implementation(prefix: str) -> dict[str, Any]:
    found = [row for row in VECTORS["other_implementations"] if row["name"].startswith(prefix)]
    assert len(found) == 1
    return dict(found[0])


@pytest.mark.parametrize("row", other_implementation("nautilus_trader")["rows"])
def test_no_remainder_slice_follows_the_horizon_and_nothing_is_sent_at_once(
    row: dict[str, Any],
) -> None:
    schedule = planned(
        parameters(
            total=row["total"],
            step=str(Decimal(1).scaleb(-row["precision"])),
            duration=str(row["horizon"]),
            interval=str(row["interval"]),
        )
    )
    sizes = child_lots(schedule)
    assert schedule.slices == min(row["horizon"] // row["interval"], schedule.total_lots)
    assert len(sizes) > 1
    assert max(sizes) - min(sizes) <= 1
    assert quantity_of(sum(sizes), step=schedule.step) == Decimal(row["total"])
    assert schedule.offsets[-1] < row["horizon"]


def test_there_is_no_fence_post_slice() -> None:
    row = other_implementation("hummingbot")["rows"][0]
    schedule = planned(parameters(duration=str(row["duration"]), interval=str(row["interval"])))
    assert schedule.slices == row["orders"] - 1


def test_the_line_is_followed_closer_than_by_dividing_what_remains() -> None:
    row = other_implementation("floor(remaining")
    lots, slices = row["q"], row["n"]
    schedule = planned(parameters(total=str(lots), duration=str(slices), interval="1"))
    assert schedule.slices == slices
    line = [Fraction(lots * k, slices) for k in range(slices + 1)]
    deviations = [abs(c - i) for c, i in zip(schedule.cumulative_lots, line, strict=True)]
    assert max(deviations) == Fraction(row["cumulative_rounding_max_deviation_lots"])
    executed, lags = 0, []
    for k in range(slices):
        executed += (lots - executed) // (slices - k)
        lags.append(line[k + 1] - executed)
    assert max(lags) == Fraction(row["max_lag_lots"])


# --- minimum child ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("min_qty", "min_notional", "price", "lots"),
    [
        ("0", "0", "1", 1),  # at least one lot
        ("0.005", "0", "1", 5),  # exactly five lots
        ("0.0051", "0", "1", 6),  # rounded up
        ("0", "10", "50", 210),  # 10 * 1.05 / 50 / 0.001
        ("0", "10", "50.01", 210),  # 209.96 rounded up
        ("0.3", "10", "50", 300),  # the larger one rules
    ],
)
def test_the_minimum_child_is_the_strictest_of_lot_quantity_and_notional(
    min_qty: str, min_notional: str, price: str, lots: int
) -> None:
    assert lots == minimum_child_lots(
        step=Decimal("0.001"),
        min_qty=Decimal(min_qty),
        min_notional=Decimal(min_notional),
        price=Decimal(price),
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", "0"),
        ("step", "NaN"),
        ("price", "-1"),
        ("price", "Infinity"),
        ("price", "1E+999999"),
        ("min_qty", "-1"),
        ("min_notional", "NaN"),
        ("buffer", "-0.05"),
    ],
)
def test_impossible_market_rules_raise_instead_of_giving_a_minimum(field: str, value: str) -> None:
    market = {"step": "1", "min_qty": "0", "min_notional": "0", "price": "1", "buffer": "0"}
    values = {name: Decimal(text) for name, text in (market | {field: value}).items()}
    with pytest.raises(ValueError, match=field):
        minimum_child_lots(**values)


# --- denials ------------------------------------------------------------------------------------

OUT_OF_RANGE = DenialCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"total": "NaN"}, DenialCode.INVALID_DECIMAL, "quantity"),
        ({"total": "1E+999999"}, DenialCode.INVALID_DECIMAL, "quantity"),
        ({"total": "0"}, DenialCode.NOT_POSITIVE, "quantity"),
        ({"total": "-1"}, DenialCode.NOT_POSITIVE, "quantity"),
        ({"total": "0.9"}, DenialCode.MIN_NOTIONAL, "quantity"),
        ({"step": "0"}, DenialCode.SYMBOL_RULES_INVALID, "symbol"),
        ({"step": "NaN"}, DenialCode.SYMBOL_RULES_INVALID, "symbol"),
        ({"interval": "0"}, OUT_OF_RANGE, "twap_interval"),
        ({"interval": "-5"}, OUT_OF_RANGE, "twap_interval"),
        ({"interval": "NaN"}, OUT_OF_RANGE, "twap_interval"),
        ({"interval": "1000000000", "duration": "1000000000"}, OUT_OF_RANGE, "twap_interval"),
        ({"duration": "Infinity"}, OUT_OF_RANGE, "duration_s"),
        ({"interval": "86400", "duration": str(MAX_DURATION_S + 1)}, OUT_OF_RANGE, "duration_s"),
        ({"duration": "0"}, OUT_OF_RANGE, "twap_slices"),
        ({"duration": "-10"}, OUT_OF_RANGE, "twap_slices"),
        ({"duration": "9.999"}, OUT_OF_RANGE, "twap_slices"),
        ({"interval": "1", "duration": str(MAX_SLICES + 1)}, OUT_OF_RANGE, "twap_slices"),
        ({"interval": "1", "duration": "1000000"}, OUT_OF_RANGE, "twap_slices"),
        ({"interval": "1E-30"}, OUT_OF_RANGE, "twap_slices"),
        ({"size_jitter": Decimal("0.51")}, OUT_OF_RANGE, "size_jitter"),
        ({"size_jitter": Decimal("NaN")}, OUT_OF_RANGE, "size_jitter"),
        ({"time_jitter": Decimal("-0.1")}, OUT_OF_RANGE, "time_jitter"),
        ({"cap_multiple": 0}, OUT_OF_RANGE, "catch_up_cap"),
        ({"weights": (Decimal(1),) * 9}, OUT_OF_RANGE, "weights"),
        ({"weights": (Decimal(1),) * 11}, OUT_OF_RANGE, "weights"),
        ({"weights": ()}, OUT_OF_RANGE, "weights"),
        ({"weights": (Decimal(1),) * 9 + (Decimal(-1),)}, OUT_OF_RANGE, "weights"),
        ({"weights": (Decimal(1),) * 9 + (Decimal("NaN"),)}, OUT_OF_RANGE, "weights"),
        ({"weights": (Decimal(0),) * 10}, OUT_OF_RANGE, "weights"),
        (
            {"weights": (Decimal(1),) * 10, "size_jitter": Decimal("0.1")},
            DenialCode.FIELD_NOT_ALLOWED,
            "size_jitter",
        ),
    ],
)
def test_an_impossible_schedule_is_denied_with_its_code_and_field(
    options: dict[str, Any], code: DenialCode, field: str
) -> None:
    answer = denied(parameters(**options))
    assert (answer.code, answer.field) == (code, field)
    assert "=" in answer.detail


def test_the_largest_schedule_allowed_is_planned() -> None:
    options: dict[str, Any] = {"size_jitter": Decimal("0.5"), "time_jitter": Decimal("0.5")}
    schedule = planned(parameters(total="1000000", duration="5000", interval="1", **options))
    assert schedule.slices == MAX_SLICES
    assert schedule.cumulative_lots[-1] == 1_000_000


def test_too_many_slices_are_denied_even_if_the_lots_would_allow_only_a_few() -> None:
    assert denied(parameters(total="3", duration="100000", interval="1")).field == "twap_slices"


def test_weights_must_match_the_slices_left_after_the_minimum_is_applied() -> None:
    curve = tuple(map(Decimal, range(1, 11)))
    assert planned(parameters(weights=curve), 10).slices == 10
    assert "weights=10 slices=9" in denied(parameters(weights=curve), 11).detail


# --- rule 4, worked out by hand -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "minimum", "k", "executed", "lots", "why"),
    [
        ({}, 1, 3, 50, 0, "nominal 10, ahead by 20: nothing, whatever the mode"),
        ({}, 1, 3, 35, 5, "nominal 10, ahead by 5: counted in full, not spread"),
        ({}, 1, 4, 30, 12, "nominal 10, behind by 10, 6 slices left: 10 + 1.67"),
        ({}, 1, 5, 0, 20, "nominal 10, behind by 50, 5 slices left: 10 + 10"),
        ({}, 1, 6, 55, 11, "nominal 10, behind by 5, 4 slices left: 10 + 1.25"),
        ({}, 1, 6, 54, 12, "nominal 10, behind by 6, 4 slices left: 10 + 1.5, half goes up"),
        ({"catch_up": CatchUp.IMMEDIATE}, 1, 4, 30, 20, "nominal 10 + 10"),
        ({"catch_up": CatchUp.IMMEDIATE}, 1, 4, 0, 30, "nominal 10 + 40, cap 3 * 10"),
        ({"catch_up": CatchUp.IMMEDIATE, "cap_multiple": 1}, 1, 4, 0, 10, "cap 1 * 10"),
        ({}, 1, 9, 0, 100, "the last slice sweeps without a cap"),
        ({"end_sweep": False}, 1, 9, 0, 30, "no sweep: the cap holds to the end"),
        ({"end_sweep": False}, 45, 9, 0, 45, "the cap is never below the minimum"),
        ({}, 11, 3, 30, 0, "want 10 below the minimum of 11: carried"),
        ({}, 20, 9, 80, 20, "on the last slice the rest is traded if it reaches the minimum"),
        ({}, 21, 9, 80, 0, "on the last slice a rest below the minimum stays"),
        ({"catch_up": CatchUp.IMMEDIATE}, 10, 8, 65, 25, "the tail of 10 can still be traded"),
        ({"catch_up": CatchUp.IMMEDIATE}, 11, 8, 65, 35, "a tail of 10 could not: merged"),
        ({"catch_up": CatchUp.IMMEDIATE}, 15, 8, 60, 40, "merged even past the cap of 30"),
        ({}, 1, 9, 100, 0, "all done"),
        ({}, 1, 9, 101, 0, "the venue executed too much: never trade on"),
    ],
)
def test_the_next_child_follows_the_rule_of_catching_up(
    options: dict[str, Any], minimum: int, k: int, executed: int, lots: int, why: str
) -> None:
    schedule = planned(parameters(**options))
    answer = next_child(schedule, k=k, executed_lots=executed, min_child_lots=minimum)
    assert answer == lots, why


@pytest.mark.parametrize(
    ("k", "executed", "minimum"), [(-1, 0, 1), (10, 0, 1), (0, -1, 1), (0, 0, 0)]
)
def test_a_size_is_never_computed_from_impossible_facts(
    k: int, executed: int, minimum: int
) -> None:
    schedule = planned(parameters())
    with pytest.raises(ValueError, match=r"slice|negative|minimum"):
        next_child(schedule, k=k, executed_lots=executed, min_child_lots=minimum)


def test_a_plan_needs_a_minimum_of_at_least_one_lot() -> None:
    with pytest.raises(ValueError, match="minimum"):
        plan_twap(parameters(), min_child_lots=0)


def test_nothing_is_left_to_trade_when_the_venue_executed_more_than_was_asked() -> None:
    schedule = planned(parameters())
    assert residual_lots(schedule, executed_lots=101) == 0


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed_s", "k"),
    [
        (Fraction(0), 0),
        (Fraction(65, 6) - Fraction(1, 10**9), 0),
        (Fraction(65, 6), 1),
        (Decimal("10.833333"), 0),
        (Decimal("10.833334"), 1),
        (54, 4),
        (55, 5),
        (Decimal("64.999999"), 5),
        (65, 6),
        (10_000, 6),
    ],
)
def test_a_late_wake_up_goes_on_in_the_slice_of_the_present_moment(
    elapsed_s: Fraction | Decimal | int, k: int
) -> None:
    assert slice_at(planned(parameters(total="6", duration="65")), elapsed_s) == k


def test_there_is_no_slice_before_the_start() -> None:
    with pytest.raises(ValueError, match="not started"):
        slice_at(planned(parameters()), Decimal("-0.001"))


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
