"""Complete or unwind: published choices, each rule of choosing, and the bound.

Rule: expected numbers come from the vector file or are worked out by hand beside the case.
"""

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from workflows.domain.books import Level
from workflows.domain.compensation import (
    BELOW_MINIMUM,
    NO_BALANCE,
    NO_DEPTH,
    Action,
    Choice,
    HedgeVenue,
    Option,
    bound_price,
    choose,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "arbitrage_profit.json").read_text()
)
CASES: list[dict[str, Any]] = VECTORS["choose_cases"]
TOLERANCE = Fraction(1, 10**15)
BOUND = Decimal(50)
UNIT = Decimal(50_050)


def levels(*pairs: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(price=Decimal(price), quantity=Decimal(size)) for price, size in pairs)


def venue(*pairs: tuple[str, str], **changes: Any) -> HedgeVenue:
    """A venue with these levels, 0.1 % fee and room for everything."""
    usual = HedgeVenue(
        levels=levels(*pairs),
        fee=Decimal("0.001"),
        balance=None,
        tick=Decimal("0.01"),
        step=Decimal("0.00001"),
        min_quantity=Decimal("0.0001"),
        min_notional=Decimal(10),
    )
    texts = {key: Decimal(value) if value is not None else None for key, value in changes.items()}
    return replace(usual, **texts)


def chosen(residual: str, complete: HedgeVenue, unwind: HedgeVenue, unit: Decimal = UNIT) -> Choice:
    return choose(Decimal(residual), unit, complete, unwind, BOUND)


# --- the vectors --------------------------------------------------------------------------------


def vector_venue(given_input: dict[str, Any], name: str) -> HedgeVenue:
    return venue(
        *(tuple(level) for level in given_input[f"{name}_book"]),
        fee=given_input[f"{name}_fee"],
        balance=given_input.get(f"{name}_balance"),
        min_quantity=given_input["min_qty"],
        min_notional=given_input["min_notional"],
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_published_choice_is_reproduced(case: dict[str, Any]) -> None:
    told, expected = case["input"], case["expected"]
    choice = choose(
        Decimal(told["R"]),
        Decimal(told["unit_cost"]),
        vector_venue(told, "complete"),
        vector_venue(told, "unwind"),
        Decimal(told["max_loss_bps"]),
    )
    assert choice.action.value == expected["action"]
    for name, option in (("complete", choice.complete), ("unwind", choice.unwind)):
        wanted = expected["options"][name]
        assert option.is_feasible is wanted["feasible"]
        assert option.why == wanted.get("why", "")
        if option.is_feasible:
            assert option.is_within_bound is wanted["within_bound"]
            for key in ("vwap", "net_unit", "pnl", "pnl_bps"):
                value = getattr(option, key)
                assert abs(Fraction(value) - Fraction(wanted[key])) <= TOLERANCE, key


# --- the bound ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_long", "unit", "fee", "tick", "price"),
    [
        # 50050 * 0.995 / 0.999 = 49849.59959...
        (True, "50050", "0.001", "0.01", "49849.60"),
        (True, "50050", "0.001", "10", "49850"),
        # 50050 * 1.005 / 1.001 = 50250
        (False, "50050", "0.001", "0.01", "50250"),
        (False, "50050", "0.001", "100", "50200"),
        (True, "100", "0", "0.1", "99.5"),
        (True, "100", "-0.001", "0.01", "99.41"),
    ],
)
def test_the_price_sent_is_the_bound_on_the_tick_that_loses_less(
    is_long: bool, unit: str, fee: str, tick: str, price: str
) -> None:
    found = bound_price(
        is_long=is_long,
        unit=Decimal(unit),
        fee=Decimal(fee),
        max_loss_bps=BOUND,
        tick=Decimal(tick),
    )
    assert found == Decimal(price)


# --- one rule each ------------------------------------------------------------------------------

GOOD, BAD = ("49950", "1"), ("49000", "1")


def test_a_tie_goes_to_complete() -> None:
    assert chosen("0.4", venue(GOOD), venue(GOOD)).action is Action.COMPLETE


def test_the_cheaper_option_wins_even_when_both_gain() -> None:
    choice = chosen("0.4", venue(("50200", "1")), venue(("50300", "1")))
    assert choice.action is Action.UNWIND


def test_a_short_residual_is_bought_from_asks_and_priced_below_its_proceeds() -> None:
    # proceeds 50249.7 a unit; buying at 50310 costs 50360.31 with the fee
    choice = chosen("-0.4", venue(("50310", "1")), venue(("50400", "1")), Decimal("50249.7"))
    assert choice.action is Action.COMPLETE
    assert choice.complete.pnl == Decimal("-44.244")
    assert choice.quantity == Decimal("0.4")
    # 50249.7 * 1.005 / 1.001 = 50450.498...
    assert choice.limit == Decimal("50450.49")


def test_the_quantity_is_floored_to_the_step_of_the_venue_that_is_chosen() -> None:
    coarse = venue(GOOD, step="0.001")
    choice = chosen("0.40009", coarse, venue(BAD))
    assert (choice.action, choice.quantity) == (Action.COMPLETE, Decimal("0.400"))
    assert choice.taken == choice.complete


def test_options_of_different_steps_are_compared_by_the_unit() -> None:
    # the coarse venue loses less in total only because it takes less
    choice = chosen("0.19", venue(("49960", "1")), venue(("49950", "1"), step="0.1"))
    assert choice.complete.pnl is not None
    assert choice.unwind.pnl is not None
    assert choice.unwind.pnl > choice.complete.pnl
    assert (choice.action, choice.quantity) == (Action.COMPLETE, Decimal("0.19"))


def test_depth_is_judged_before_the_minimum_and_the_minimum_before_the_balance() -> None:
    thin = venue(("49950", "0.00005"), balance="0")
    assert chosen("0.00009", thin, thin).complete.why == NO_DEPTH
    deep = venue(GOOD, balance="0")
    assert chosen("0.00009", deep, deep).complete.why == BELOW_MINIMUM
    assert chosen("0.4", deep, deep).complete.why == NO_BALANCE


def test_an_option_that_is_not_feasible_says_so_and_has_no_numbers() -> None:
    for residual, there, why in (
        ("0.4", venue(), NO_DEPTH),
        ("0.000009", venue(GOOD), BELOW_MINIMUM),
        ("0.4", venue(GOOD, balance="0.39"), NO_BALANCE),
    ):
        quantity = Decimal("0") if why == BELOW_MINIMUM else Decimal("0.4")
        refused = Option(is_feasible=False, why=why, quantity=quantity)
        assert chosen(residual, there, venue(BAD)).complete == refused


def test_the_minimum_itself_is_enough() -> None:
    exactly = venue(GOOD, min_quantity="0.4")
    assert chosen("0.4", exactly, venue(BAD)).action is Action.COMPLETE
    assert chosen("0.39999", exactly, exactly).action is Action.CARRY_DUST


def test_less_than_one_lot_is_dust_also_where_no_minimum_is_published() -> None:
    free = venue(GOOD, min_quantity="0", min_notional="0")
    assert chosen("0.000009", free, free).action is Action.CARRY_DUST


def test_the_minimum_notional_is_judged_at_the_price_that_is_sent() -> None:
    # the bound is 49849.60: 0.0002 are worth 9.99 in the book and 9.96992 at the limit
    exactly = {"min_quantity": "0", "step": "0.0001"}
    refused = venue(GOOD, min_notional="9.96993", **exactly)
    taken = venue(GOOD, min_notional="9.96992", **exactly)
    assert chosen("0.0002", refused, venue(BAD)).complete.why == BELOW_MINIMUM
    assert chosen("0.0002", taken, venue(BAD)).action is Action.COMPLETE


def test_what_no_venue_trades_is_carried_as_dust_also_without_a_book() -> None:
    dust = chosen("0.00009", venue(GOOD), venue())
    assert dust == Choice(action=Action.CARRY_DUST, complete=dust.complete, unwind=dust.unwind)
    assert (dust.quantity, dust.limit, dust.taken) == (0, None, None)


def test_what_one_venue_trades_is_no_dust() -> None:
    small = {"min_quantity": "0", "min_notional": "0"}
    assert chosen("0.00009", venue(GOOD), venue(GOOD, **small)).action is Action.UNWIND
    held = chosen("0.00009", venue(GOOD), venue(BAD, **small))
    assert held.action is Action.HOLD_AND_ESCALATE


def test_a_residual_beyond_the_bound_at_both_venues_is_held() -> None:
    held = chosen("0.4", venue(BAD), venue(BAD))
    assert held.action is Action.HOLD_AND_ESCALATE
    assert (held.quantity, held.limit, held.taken) == (0, None, None)


def test_a_loss_of_exactly_the_bound_is_taken() -> None:
    free = {"fee": "0"}
    at_bound, beyond = venue(("99.5", "1"), **free), venue(("99.49", "1"), **free)
    assert chosen("1", at_bound, beyond, Decimal(100)).action is Action.COMPLETE
    assert chosen("1", beyond, beyond, Decimal(100)).action is Action.HOLD_AND_ESCALATE


def test_where_only_depth_is_missing_what_fits_is_hedged_first() -> None:
    thin = venue(("49950", "0.1"), ("49000", "0.1"))
    choice = chosen("0.4", thin, venue(BAD))
    assert (choice.action, choice.quantity) == (Action.COMPLETE, Decimal("0.1"))
    assert choice.complete.why == NO_DEPTH
    assert choice.limit == Decimal("49849.60")
    # 0.1 * (49950 * 0.999 - 50050)
    assert choice.taken is not None
    assert choice.taken.pnl == Decimal("-14.995")


def test_where_only_balance_is_missing_what_it_pays_for_is_hedged_first() -> None:
    short_of_base = venue(GOOD, balance="0.123456")
    choice = chosen("0.4", venue(BAD), short_of_base)
    assert (choice.action, choice.quantity) == (Action.UNWIND, Decimal("0.12345"))
    # bought at the limit 50250 with the fee: 50300.25 a unit
    short_of_quote = venue(("50050", "1"), balance="10060.05")
    choice = chosen("-0.4", short_of_quote, venue(("60000", "1")))
    assert (choice.action, choice.quantity) == (Action.COMPLETE, Decimal("0.2"))


def test_the_larger_part_is_hedged_first() -> None:
    less, more = venue(("50000", "0.1")), venue(("49950", "0.2"))
    choice = chosen("0.4", less, more)
    assert (choice.action, choice.quantity) == (Action.UNWIND, Decimal("0.2"))


def test_a_part_below_the_minimum_or_beyond_the_bound_is_not_hedged() -> None:
    nothing = venue(("49950", "0.00005"))
    beyond = venue(("49000", "0.1"))
    assert chosen("0.4", nothing, beyond).action is Action.HOLD_AND_ESCALATE
    broke = venue(GOOD, balance="0")
    assert chosen("0.4", broke, broke).action is Action.HOLD_AND_ESCALATE


def test_a_full_option_within_the_bound_goes_before_a_part_of_a_better_one() -> None:
    part = venue(("51000", "0.1"))
    choice = chosen("0.4", part, venue(GOOD))
    assert (choice.action, choice.quantity) == (Action.UNWIND, Decimal("0.4"))


@pytest.mark.parametrize("unit", ["0", "-1"])
def test_a_unit_without_worth_is_bounded_by_no_loss_at_all(unit: str) -> None:
    long = chosen("0.4", venue(GOOD), venue(GOOD), Decimal(unit))
    assert long.action is Action.COMPLETE
    for there in (venue(GOOD), venue(GOOD, balance="1"), venue(balance="1")):
        short = chosen("-0.4", there, there, Decimal(unit))
        assert short.action is Action.HOLD_AND_ESCALATE
