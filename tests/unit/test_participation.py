"""Participation in the market's volume, against published figures and its own definition."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.exact import rounded
from workflows.domain.participation import cap_lots, own_target

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "twap_slicing.json").read_text()
)["pov"]
PLACES = 12


@pytest.mark.parametrize("case", CASES, ids=[case["rate"] for case in CASES])
def test_published_targets_are_reproduced_for_either_kind_of_volume(case: dict[str, Any]) -> None:
    rate, volume = Decimal(case["rate"]), Decimal(case["others_volume"])
    others = own_target(rate, volume, includes_own=False)
    everybody = own_target(rate, volume, includes_own=True)
    assert rounded(others, PLACES) == Decimal(case["own_target_when_volume_excludes_own"])
    assert everybody == Fraction(case["own_target_when_volume_includes_own"])


rates = st.decimals(min_value="0.0001", max_value="0.9999", places=4)
volumes = st.decimals(min_value=0, max_value=1_000_000, places=5)


@UNDISTURBED
@given(rates, volumes)
def test_the_two_targets_agree_once_our_own_volume_is_added(rate: Decimal, others: Decimal) -> None:
    ours = own_target(rate, others, includes_own=False)
    assert own_target(rate, Fraction(others) + ours, includes_own=True) == ours


@UNDISTURBED
@given(rates, volumes, volumes)
def test_the_cap_is_the_largest_share_that_the_rate_allows(
    rate: Decimal, others: Decimal, own: Decimal
) -> None:
    step = Decimal("0.001")
    lots = cap_lots(rate, others + own, own, step)
    ours, beyond = Fraction(step) * lots, Fraction(step) * (lots + 1)
    assert ours <= Fraction(rate) * (Fraction(others) + ours)
    assert beyond > Fraction(rate) * (Fraction(others) + beyond)


def test_what_the_venue_has_not_told_yet_never_makes_others_negative() -> None:
    assert cap_lots(Decimal("0.5"), Decimal(3), Decimal(5), Decimal("0.1")) == 0
    assert cap_lots(Decimal("0.5"), Decimal(5), Decimal(3), Decimal("0.1")) == 20


@pytest.mark.parametrize(("rate", "volume"), [("0", "1"), ("1", "1"), ("-0.1", "1"), ("0.1", "-1")])
def test_a_rate_outside_its_range_or_a_negative_volume_is_our_bug(rate: str, volume: str) -> None:
    with pytest.raises(ValueError, match="no participation"):
        own_target(Decimal(rate), Decimal(volume), includes_own=False)
