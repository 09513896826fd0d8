"""The legs of a one-cancels-the-other, pushed one by one, come out as one order."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.venues.dialects.binance_lists import joining, merged
from workflows.domain.orders import client_order_id

OURS = client_order_id("oco", 1)
QUANTITY = Decimal("0.01")
Step = tuple[str, str, str]
"""A leg's letter, its status and what it has executed."""


def pushed(step: Step, number: int = 7, name: str = OURS) -> dict[str, Any]:
    """ccxt's order of one pushed report of a leg."""
    letter, status, filled = step
    return {
        "id": {"a": "31", "b": "32"}[letter],
        "clientOrderId": name + letter,
        "type": {"a": "limit", "b": "stop_loss"}[letter],
        "side": "sell",
        "price": {"a": "42000", "b": None}[letter],
        "amount": format(QUANTITY, "f"),
        "filled": filled,
        "status": status,
        "timestamp": 1,
        "lastUpdateTimestamp": None,
        "info": {"g": number},
    }


def last_of(steps: Sequence[Step]) -> Mapping[str, Any]:
    join = joining()
    return [join(pushed(step)) for step in steps][-1]


@pytest.mark.parametrize(
    ("steps", "status", "filled"),
    [
        ([("b", "open", "0")], "open", "0"),
        ([("a", "open", "0"), ("b", "open", "0")], "open", "0"),
        ([("a", "open", "0"), ("b", "open", "0"), ("b", "expired", "0")], "open", "0"),
        ([("b", "expired", "0")], "open", "0"),
        ([("b", "expired", "0"), ("a", "open", "0.004")], "open", "0.004"),
        ([("b", "expired", "0"), ("a", "closed", "0.01")], "closed", "0.01"),
        ([("a", "closed", "0.01")], "closed", "0.01"),
        ([("a", "expired", "0"), ("b", "expired", "0.004")], "expired", "0.004"),
        ([("a", "canceled", "0"), ("b", "canceled", "0")], "canceled", "0"),
        ([("b", "expired", "0"), ("a", "canceled", "0.004")], "canceled", "0.004"),
    ],
)
def test_the_end_of_one_leg_is_not_the_end_of_the_order(
    steps: list[Step], status: str, filled: str
) -> None:
    order = last_of(steps)
    assert (order["status"], order["filled"]) == (status, filled)
    assert (order["id"], order["clientOrderId"][:-1]) == ("list:7", OURS)


TRADED = [("a", "open", "0.004"), ("a", "open", "0.007"), ("a", "canceled", "0.007")]
STEPS: list[Step] = [("a", "open", "0"), ("b", "open", "0"), ("b", "expired", "0"), *TRADED]


@given(st.permutations(STEPS), st.lists(st.sampled_from(STEPS), max_size=4))
def test_in_whatever_order_and_however_often_reports_come_nothing_is_made_up(
    steps: list[Step], again: list[Step]
) -> None:
    join = joining()
    told = [join(pushed(step)) for step in [*steps, *again]]
    assert all(each["status"] in ("open", "canceled") for each in told)
    ended = [each for each in told[: len(steps)] if each["status"] != "open"]
    assert ended, "both legs have ended, and nothing said so"
    assert all(Decimal(each["filled"]) <= Decimal("0.007") for each in told)
    for each in ended:  # an end that is told too early would drop fills that are yet to come
        assert {"a", "b"} == {leg["clientOrderId"][-1] for leg in each["legs"]}


def test_lists_do_not_mix_and_what_is_no_leg_of_ours_stays_itself() -> None:
    join = joining()
    join(pushed(("a", "expired", "0"), number=7))
    assert join(pushed(("b", "expired", "0"), number=8))["status"] == "open"
    foreign = pushed(("b", "expired", "0"), number=9, name="by-hand-")
    assert join(foreign) == foreign
    single = {**pushed(("b", "open", "0"), number=-1), "clientOrderId": OURS}
    assert join(single) == single
    assert merged([foreign, single]) == [foreign, single]
