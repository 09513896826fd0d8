"""The TWAP schedule against published figures and hand-worked cases.

Rule: expected numbers come from the vector file or are worked out by hand beside the case.
"""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.unit.twap_plans import HALF, child_lots, denied, parameters, planned
from workflows.domain.denials import DenialCode
from workflows.domain.schedules import (
    MAX_DURATION_S,
    MAX_SLICES,
    CatchUp,
    TwapParameters,
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
