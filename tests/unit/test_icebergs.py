"""Iceberg tips against published figures, hand-worked cases and properties.

Rule: expected numbers come from the vector file or are worked out by hand beside the case.
"""

import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.denials import DenialCode
from workflows.domain.icebergs import (
    MAX_TIPS,
    IcebergParameters,
    deny_iceberg,
    display_of,
    min_visible_lots_of,
    native_possible,
    next_tip,
    parts,
    replenish_delay_ms,
    tip_from_factor,
)
from workflows.domain.instruments import Instrument, Native

VECTORS: dict[str, Any] = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[1] / "data" / "twap_slicing.json").read_text())[
        "iceberg"
    ]
}
D = Decimal
VENUE = Instrument(
    venue="v",
    symbol="A/B",
    base="A",
    quote="B",
    tick=D("0.01"),
    step=D("0.01"),
    min_quantity=D("0.05"),
    max_quantity=None,
    min_notional=D(10),
    is_trading=True,
    natives=(Native.ICEBERG,),
    iceberg_parts=10,
)


def parameters(total: str, display: str, step: str = "0.01", **options: Any) -> IcebergParameters:
    options = {"variance": D(0), "min_visible_lots": 1, "seed": "order-1", **options}
    return IcebergParameters(total=D(total), display=D(display), step=D(step), **options)


def tips_of(given_parameters: IcebergParameters) -> list[int]:
    left, tips = int(given_parameters.total / given_parameters.step), []
    while left:
        tips.append(next_tip(given_parameters, index=len(tips), remaining_lots=left))
        assert tips[-1] > 0
        left -= tips[-1]
    return tips


# --- tips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fixed_display", "variance_20pct"])
def test_published_tips_are_reproduced(name: str) -> None:
    case = VECTORS[name]
    facts, step = case["input"], D(case["input"]["step"])
    minimum = int(D(facts["min_visible"]) / step)
    known = parameters(facts["total"], facts["display"], str(step), min_visible_lots=minimum)
    left, tips = int(known.total / step), []
    for factor in cycle(facts.get("draws", ["1"])):
        tips.append(tip_from_factor(known, Fraction(factor), left))
        left -= tips[-1]
        if not left:
            break
    assert [step * lots for lots in tips] == [D(text) for text in case["expected"]]


def test_half_a_lot_is_rounded_up() -> None:
    known = parameters("100", "5", "1")
    assert tip_from_factor(known, Fraction("0.9"), 100) == 5  # 4.5
    assert tip_from_factor(known, Fraction("0.899"), 100) == 4


@pytest.mark.parametrize(
    ("left", "tip"),
    [(10, 4), (7, 4), (6, 6), (4, 4), (3, 3), (1, 1), (0, 0)],
)
def test_a_tail_below_the_minimum_is_shown_with_the_tip_before_it(left: int, tip: int) -> None:
    known = parameters("100", "4", "1", min_visible_lots=3)
    assert tip_from_factor(known, Fraction(1), left) == tip


def test_a_drawn_tip_is_never_below_the_minimum() -> None:
    known = parameters("100", "4", "1", min_visible_lots=4, variance=D("0.5"))
    assert min(tips_of(known)) >= 4


def test_less_than_nothing_left_is_our_bug() -> None:
    with pytest.raises(ValueError, match="less than nothing"):
        next_tip(parameters("10", "3"), index=0, remaining_lots=-1)


def test_a_published_draw_never_changes() -> None:
    # Live orders draw again from their seed: another draw would move a tip in mid-flight.
    known = parameters("100000", "1000", "1", variance=D("0.5"))
    for index in (0, 1, 7):
        digest = hashlib.sha256(f"tip:{index}:order-1".encode()).hexdigest()
        factor = Fraction(1, 2) + Fraction(int(digest[:16], 16), 2**64)
        expected = int(1000 * factor + Fraction(1, 2))
        assert next_tip(known, index=index, remaining_lots=100_000) == expected
    tips = tips_of(known)
    assert min(tips[:-1]) < 550
    assert max(tips) > 1_450
    assert tips != tips_of(replace(known, seed="order-2"))


@UNDISTURBED
@given(
    st.integers(1, 5_000),
    st.integers(1, 500),
    st.decimals(min_value=0, max_value="0.5", places=3),
    st.integers(1, 60),
)
def test_tips_sum_to_the_total_and_stay_in_their_band(
    lots: int, display: int, variance: Decimal, minimum: int
) -> None:
    known = parameters(
        str(D(lots) / 100), str(D(display) / 100), variance=variance, min_visible_lots=minimum
    )
    tips = tips_of(known)
    assert sum(tips) == lots
    assert min(tips) >= min(minimum, lots)
    widest = max(minimum, display * (1 + Fraction(variance)) + Fraction(1, 2))
    assert max(tips[:-1], default=0) <= widest
    assert tips[-1] < widest + minimum
    narrowest = display * (1 - Fraction(variance)) - Fraction(1, 2)
    assert min(tips[:-1], default=display) >= narrowest


# --- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "ratio", "display", "expected"),
    [
        ("5", "0.1", None, "0.5"),
        ("5", "0.0333", None, "0.16"),  # 0.1665, floored
        ("5", "0.000001", None, "0.01"),  # at least one lot
        ("5", "1", None, "5"),
        ("5", "0.1", "1.239", "1.23"),  # a size given counts more than the ratio
        ("5", None, "7", "5"),  # never more than there is
    ],
)
def test_the_shown_quantity_is_floored_to_lots(
    total: str, ratio: str | None, display: str | None, expected: str
) -> None:
    share = None if ratio is None else D(ratio)
    size = None if display is None else D(display)
    assert display_of(D(total), share, size, D("0.01")) == D(expected)


def test_something_must_be_shown() -> None:
    with pytest.raises(ValueError, match="ratio"):
        display_of(D(5), None, None, D("0.01"))


@pytest.mark.parametrize(("wanted", "lots"), [(None, 21), ("0.1", 21), ("0.305", 31), ("0.3", 30)])
def test_the_venues_minimum_is_shown_at_least(wanted: str | None, lots: int) -> None:
    asked = None if wanted is None else D(wanted)
    assert min_visible_lots_of(asked, step=D("0.01"), min_child_lots=21) == lots


def refusal(**facts: Any) -> tuple[DenialCode, str | None] | None:
    facts = {
        "quantity": D(10),
        "ratio": D("0.1"),
        "display": None,
        "min_visible": None,
        "min_child_lots": 21,
        **facts,
    }
    denied = deny_iceberg(VENUE, facts.pop("quantity"), **facts)
    if denied is not None:
        assert "=" in denied.detail
    return None if denied is None else (denied.code, denied.field)


C = DenialCode


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"ratio": D("0.021")}, None),
        ({"ratio": D("0.02")}, (C.MIN_NOTIONAL, "iceberg_visible_ratio")),
        ({"display": D("0.2")}, (C.MIN_NOTIONAL, "iceberg_display")),
        ({"display": D("0.215")}, (C.PRECISION, "iceberg_display")),
        ({"min_visible": D("0.215")}, (C.PRECISION, "iceberg_min_visible")),
        ({"min_visible": D("1.01")}, (C.OUT_OF_RANGE, "iceberg_min_visible")),
        ({"min_visible": D("1")}, None),
        ({"ratio": D(1), "min_visible": D(20)}, None),  # nothing is hidden
        ({"display": D(11)}, None),
        ({"quantity": D(10) * MAX_TIPS, "display": D(10)}, None),
        ({"quantity": D(10) * MAX_TIPS + 1, "display": D(10)}, (C.OUT_OF_RANGE, "iceberg_display")),
    ],
)
def test_tips_that_cannot_be_shown_are_refused_with_their_field(
    facts: dict[str, Any], expected: tuple[DenialCode, str] | None
) -> None:
    assert refusal(**facts) == expected


# --- native, and the pause between tips ---------------------------------------------------------


def test_the_published_parts_are_reproduced() -> None:
    case = VECTORS["binance_native_parts"]
    facts = {name: D(text) for name, text in case["input"].items()}
    assert parts(facts["qty"], facts["icebergQty"]) == int(case["expected"]["parts"])
    venue = replace(VENUE, iceberg_parts=int(facts["iceberg_parts_limit"]))
    possible = native_possible(venue, facts["qty"], facts["icebergQty"], D(0), False)
    assert possible is case["expected"]["valid"]


def is_native(
    quantity: str = "10",
    display: str = "1",
    variance: str = "0",
    is_pegged: bool = False,
    is_delayed: bool = False,
    **venue: Any,
) -> bool:
    return native_possible(
        replace(VENUE, **venue),
        D(quantity),
        D(display),
        D(variance),
        is_pegged,
        is_delayed=is_delayed,
    )


def test_a_venue_hides_only_what_it_can_hide() -> None:
    assert is_native()
    assert is_native(iceberg_parts=None, quantity="10000")
    assert not is_native(quantity="10.01")  # 11 parts
    assert not is_native(natives=(Native.STOP,))
    assert not is_native(variance="0.001")
    assert not is_native(is_pegged=True)
    assert not is_native(is_delayed=True)
    assert not is_native(display="0.04", iceberg_parts=None)  # below the venue's least quantity
    assert not is_native(display="10")  # all of it is shown: a plain limit order
    assert not is_native(display="11")


def test_pauses_are_whole_milliseconds_drawn_evenly_up_to_the_longest() -> None:
    drawn = [replenish_delay_ms("order-1", index, D("0.009")) for index in range(2_000)]
    assert set(drawn) == set(range(10))
    assert all(120 < drawn.count(length_ms) < 280 for length_ms in range(10))
    assert drawn[:50] != [replenish_delay_ms("order-2", index, D("0.009")) for index in range(50)]
    assert {replenish_delay_ms("order-1", index, D(0)) for index in range(20)} == {0}
