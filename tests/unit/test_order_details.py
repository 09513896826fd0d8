"""What a person reads of an order in Temporal's UI: a few lines, exact amounts."""

import re
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.order_states import AMENDED, GUARD, PAUSED, REQUEST, TIPS, snapshot
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, Placement
from workflows.domain.triggers import Flag
from workflows.order_details import details_of
from workflows.order_state import ParentState, Totals
from workflows.order_views import ChildView


def test_the_details_tell_the_order_in_a_few_lines() -> None:
    state = ParentState(
        request=REQUEST,
        status=OrderStatus.WAITING_PRICE,
        reason="price beyond the limit",
        settled=Totals(executed=Decimal(3), filled=Decimal(3), filled_quote=Decimal(301)),
    )
    assert details_of(snapshot(state)).split("\n\n") == [
        "**waiting_price** (price beyond the limit)",
        "buy BTC/USDT on binance, limit 101: 3 of 10 filled at 100.33333333",
        "slice 4 of 12",
    ]


def test_the_details_of_a_denial_tell_its_code() -> None:
    denied = ParentState(status=OrderStatus.DENIED, code=DenialCode.TOO_DEEP)
    assert details_of(snapshot(denied)) == "**denied**\n\n`TOO_DEEP`"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "trigger armed at 98.5, engine"),
        ({"trigger_price": None, "phase": "waiting"}, "trigger waiting, engine"),
        ({"is_protected": False}, "trigger armed at 98.5, engine, position unprotected"),
        (
            {"placement": Placement.NATIVE, "flags": (Flag.GAP, Flag.LATE)},
            "trigger armed at 98.5, native (GAP, LATE)",
        ),
        (
            {"phase": "fired", "is_protected": False, "flags": (Flag.UNPROTECTED_DUST,)},
            "trigger fired at 98.5, engine, position unprotected (UNPROTECTED_DUST)",
        ),
    ],
)
def test_the_details_tell_whether_the_position_is_protected(
    changes: dict[str, Any], line: str
) -> None:
    shown = snapshot(ParentState(request=REQUEST), stop=GUARD.model_copy(update=changes))
    assert details_of(shown).split("\n\n")[2:] == [line]


def test_the_details_tell_what_an_iceberg_hides_and_who_steered_it() -> None:
    state = ParentState(request=REQUEST, actions=(PAUSED, AMENDED))
    assert details_of(snapshot(state, iceberg=TIPS)).split("\n\n")[2:] == [
        "tip 3, hidden 4.5",
        "- 12:00: pause by ann",
        "- 12:01: amend by bob price 101 -\\> 99",
    ]


def test_amounts_in_the_details_have_no_exponent() -> None:
    request = REQUEST.model_copy(update={"quantity": Decimal("1E-18")})
    state = ParentState(request=request, settled=Totals(executed=Decimal("0E-18")))
    assert "0 of 0.000000000000000001 filled" in details_of(snapshot(state))
    hidden = TIPS.model_copy(update={"hidden_quantity": Decimal("1E-18")})
    assert "hidden 0.000000000000000001" in details_of(snapshot(state, iceberg=hidden))
    trigger = GUARD.model_copy(update={"trigger_price": Decimal("1E-18")})
    assert "armed at 0.000000000000000001" in details_of(snapshot(state, stop=trigger))


def test_the_newest_children_are_told_first_with_what_became_of_them() -> None:
    children = tuple(
        ChildView(
            index=number,
            client_order_id=f"c{number}",
            status=ChildStatus.FILLED,
            child_type=ChildType.LIMIT,
            quantity=Decimal(2),
            filled_quantity=Decimal(number % 3),
            price=Decimal(100),
        )
        for number in range(7)
    )
    shown = snapshot(ParentState(request=REQUEST)).model_copy(update={"children": children})
    rows = details_of(shown).split("\n\n")[-1].splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| 6", "| 5", "| 4", "| 3", "| 2"]
    assert rows[3] == "| 5 | filled | 2 of 2 | `100` | - |  |"


@pytest.mark.parametrize(
    "words",
    [
        "![x](http://127.0.0.1/spy)",
        "<img src=x onerror=alert(1)>",
        "a | b\n\n# c",
        "**bold** `code`",
    ],
)
def test_what_somebody_wrote_is_text_and_nothing_else(words: str) -> None:
    state = ParentState(status=OrderStatus.CANCELLED, reason=words)
    (line,) = details_of(snapshot(state)).split("\n\n")
    bare = re.sub(r"\\.", "", line.removeprefix("**cancelled** ("))
    assert not re.search(r"[<>\[\]`*#|!]", bare)
    assert re.sub(r"\\(.)", r"\1", line) == f"**cancelled** ({' '.join(words.split())})"
