"""The decision table of two legs, and the step that follows from it.

Rule: the expected cells come from the vector file; what must hold for all of them is enumerated.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workflows.domain.legs import (
    TABLE,
    Code,
    Directive,
    LegFacts,
    LegState,
    Step,
    Verdict,
    cell,
    next_step,
)
from workflows.domain.orders import Side

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "arbitrage_profit.json").read_text()
)
ROWS: list[dict[str, str]] = VECTORS["decision_table"]


def leg(state: str, *, live: bool | None = None, sent: bool | None = None) -> LegFacts:
    """A leg in this state; live as such a leg usually is."""
    kind = LegState(state)
    usually_live = kind in (LegState.OPEN, LegState.UNKNOWN)
    return LegFacts(
        state=kind,
        is_live=usually_live if live is None else live,
        is_sent=kind is not LegState.NONE if sent is None else sent,
    )


def step(buy: LegFacts, sell: LegFacts, **given: bool) -> Step:
    """The next step; nothing is due, cancelled or held back unless given."""
    names = (
        *("sequential", "is_due", "is_one_sided_due"),
        *("is_cancelled", "buy_may_start", "sell_may_start"),
    )
    return next_step(buy, sell, **{name: given.get(name, False) for name in names})


# --- the table ----------------------------------------------------------------------------------


def test_the_vectors_and_the_table_have_all_36_pairs() -> None:
    pairs = {(LegState(row["buy"].lower()), LegState(row["sell"].lower())) for row in ROWS}
    assert pairs == set(TABLE) == set(itertools.product(LegState, repeat=2))
    assert len(ROWS) == 36


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['buy']}-{row['sell']}")
def test_a_cell_is_as_published(row: dict[str, str]) -> None:
    found = cell(LegState(row["buy"].lower()), LegState(row["sell"].lower()))
    assert found.code.value == row["code"]
    assert found.action == row["action"]
    assert found.exposure == row["exposure"]


ALLOWED = {
    Code.A: {Directive.HOLD_BACK, Directive.LEAVE},
    Code.WX: {Directive.HOLD_BACK, Directive.WAIT},
    Code.WXH: {Directive.WAIT, Directive.LEAVE},
    Code.X: {Directive.CANCEL, Directive.LEAVE},
    Code.XH: {Directive.CANCEL, Directive.LEAVE},
    Code.CH: {Directive.SUBMIT, Directive.CANCEL, Directive.LEAVE},
    Code.H: {Directive.LEAVE},
    Code.Q: {*Directive} - {Directive.SUBMIT},
    Code.D: {Directive.LEAVE},
}
NEEDED = {
    Code.WX: Directive.WAIT,
    Code.WXH: Directive.WAIT,
    Code.X: Directive.CANCEL,
    Code.XH: Directive.CANCEL,
    Code.CH: Directive.SUBMIT,
    Code.Q: Directive.QUERY,
}


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_the_directives_of_a_cell_say_what_its_code_says(pair: tuple[LegState, LegState]) -> None:
    found = TABLE[pair]
    both = {found.buy, found.sell}
    assert both <= ALLOWED[found.code]
    assert found.code not in NEEDED or NEEDED[found.code] in both
    for state, directive in zip(pair, (found.buy, found.sell), strict=True):
        is_unsent = directive in (Directive.HOLD_BACK, Directive.SUBMIT)
        assert is_unsent is (state is LegState.NONE)
        assert (directive is Directive.QUERY) is (state is LegState.UNKNOWN)
        if directive in (Directive.WAIT, Directive.CANCEL):
            assert state in (LegState.OPEN, LegState.PARTIAL)


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_buy_and_sell_are_treated_alike(pair: tuple[LegState, LegState]) -> None:
    found, mirrored = TABLE[pair], TABLE[pair[1], pair[0]]
    assert (found.buy, found.sell) == (mirrored.sell, mirrored.buy)
    assert (found.code, found.exposure) == (mirrored.code, mirrored.exposure)


# --- facts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["open", "unknown"])
def test_an_open_or_unknown_leg_is_always_live(state: str) -> None:
    with pytest.raises(ValueError, match=state):
        leg(state, live=False)


@pytest.mark.parametrize("state", ["none", "rejected"])
def test_a_leg_that_never_was_or_was_rejected_is_never_live(state: str) -> None:
    with pytest.raises(ValueError, match=state):
        leg(state, live=True)


# --- the step: each code ------------------------------------------------------------------------

ABORTED = Step(verdict=Verdict.ABORT, cancel_buy=False, cancel_sell=False)
WAITS = Step(verdict=Verdict.WAIT, cancel_buy=False, cancel_sell=False)
CHOOSES = Step(verdict=Verdict.CHOOSE, cancel_buy=False, cancel_sell=False)


@pytest.mark.parametrize("buy", ["none", "rejected"])
@pytest.mark.parametrize("sell", ["none", "rejected"])
def test_two_legs_that_never_filled_abort(buy: str, sell: str) -> None:
    held = step(leg(buy), leg(sell), sequential=True, buy_may_start=True, sell_may_start=True)
    assert step(leg(buy), leg(sell)) == held == ABORTED


def test_two_filled_legs_are_done() -> None:
    done = Step(verdict=Verdict.DONE, cancel_buy=False, cancel_sell=False)
    assert step(leg("filled"), leg("filled")) == done
    assert step(leg("filled"), leg("filled"), is_due=True, is_cancelled=True) == done


def test_two_open_legs_wait_until_the_deadline_and_then_go() -> None:
    assert step(leg("open"), leg("open"), is_one_sided_due=True) == WAITS
    due = step(leg("open"), leg("open"), is_due=True)
    assert due == Step(verdict=Verdict.WAIT, cancel_buy=True, cancel_sell=True)


@pytest.mark.parametrize("alone", ["open", "partial"])
@pytest.mark.parametrize("other", ["filled", "partial"])
def test_a_leg_that_waits_alone_goes_at_the_shorter_deadline(alone: str, other: str) -> None:
    waiting, over = leg(alone, live=True), leg(other, live=False)
    assert step(waiting, over) == WAITS
    assert step(waiting, over, is_one_sided_due=True).cancel_buy
    assert step(over, waiting, is_one_sided_due=True).cancel_sell


def test_a_leg_does_not_wait_alone_while_the_other_partial_one_works() -> None:
    both = leg("open"), leg("partial", live=True)
    assert step(*both, is_one_sided_due=True) == WAITS


@pytest.mark.parametrize("state", ["open", "partial"])
def test_a_leg_goes_at_once_when_the_other_one_is_rejected(state: str) -> None:
    gone = step(leg(state, live=True), leg("rejected"))
    assert gone == Step(verdict=Verdict.WAIT, cancel_buy=True, cancel_sell=False)


def test_an_open_leg_goes_at_once_when_the_other_one_was_denied() -> None:
    assert step(leg("open"), leg("none")).cancel_buy
    assert step(leg("none"), leg("open"), sequential=True).cancel_sell


def test_the_first_of_a_sequential_pair_waits_while_the_other_one_is_held_back() -> None:
    assert step(leg("open"), leg("none"), sequential=True, sell_may_start=True) == WAITS
    assert step(leg("none"), leg("open"), sequential=True, buy_may_start=True) == WAITS


def test_a_leg_of_a_concurrent_pair_is_never_submitted_later() -> None:
    assert step(leg("filled"), leg("none"), sell_may_start=True) == CHOOSES


@pytest.mark.parametrize("state", ["filled", "partial"])
def test_the_leg_held_back_is_submitted_once_the_first_one_is_over(state: str) -> None:
    held = {"sequential": True, "sell_may_start": True, "buy_may_start": True}
    submits = Step(verdict=Verdict.SUBMIT, cancel_buy=False, cancel_sell=False, submit=Side.SELL)
    first = leg(state, live=False)
    assert step(first, leg("none"), **held) == submits
    assert step(leg("none"), first, **held).submit is Side.BUY
    assert step(first, leg("none"), sequential=True) == CHOOSES
    assert step(first, leg("none"), **held, is_cancelled=True) == CHOOSES
    assert step(first, leg("none"), **held, is_due=True) == CHOOSES


def test_the_rest_of_a_partial_first_leg_goes_before_the_second_is_sized() -> None:
    first = leg("partial", live=True)
    answer = step(first, leg("none"), sequential=True, sell_may_start=True)
    assert answer == Step(verdict=Verdict.WAIT, cancel_buy=True, cancel_sell=False)


@pytest.mark.parametrize("other", ["none", "rejected", "partial"])
def test_what_stands_alone_is_chosen_for(other: str) -> None:
    assert step(leg("filled"), leg(other, live=False)) == CHOOSES
    assert step(leg(other, live=False), leg("filled")) == CHOOSES


@pytest.mark.parametrize(("state", "goes"), [("open", False), ("partial", True), ("filled", False)])
def test_beside_an_unknown_leg_only_the_rest_of_a_partial_one_goes(state: str, goes: bool) -> None:
    sent = leg(state, live=state != "filled")
    assert step(sent, leg("unknown")) == Step(
        verdict=Verdict.WAIT, cancel_buy=goes, cancel_sell=False
    )


def test_a_leg_that_has_not_left_is_stopped_beside_an_unknown_one() -> None:
    assert step(leg("open", sent=False), leg("unknown")).cancel_buy
    assert not step(leg("open", sent=False), leg("open")).cancel_buy


def test_a_filled_leg_that_its_venue_has_not_closed_is_waited_for_and_not_cancelled() -> None:
    late = leg("filled", live=True)
    assert step(late, leg("filled"), is_due=True, is_cancelled=True) == WAITS
    assert step(late, leg("none"), sequential=True, sell_may_start=True) == WAITS


# --- the step: what always holds ----------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    buy: LegFacts
    sell: LegFacts
    flags: dict[str, bool]

    @property
    def answer(self) -> Step:
        return next_step(self.buy, self.sell, **self.flags)


def every_leg() -> list[LegFacts]:
    found = []
    for state, live, sent in itertools.product(LegState, (True, False), (True, False)):
        if sent or state in (LegState.NONE, LegState.OPEN):
            try:
                found.append(LegFacts(state=state, is_live=live, is_sent=sent))
            except ValueError:
                continue
    return found


def every_case() -> Iterator[Case]:
    names = ("sequential", "is_due", "is_one_sided_due", "is_cancelled")
    for buy, sell in itertools.product(every_leg(), repeat=2):
        for flags in itertools.product((True, False), repeat=6):
            given = dict(zip((*names, "buy_may_start", "sell_may_start"), flags, strict=True))
            yield Case(buy, sell, given)


CASES = list(every_case())


def test_all_cases_are_looked_at() -> None:
    states = {(case.buy.state, case.sell.state) for case in CASES}
    assert states == set(TABLE)
    assert {case.answer.verdict for case in CASES} == set(Verdict)


def test_nothing_is_judged_or_submitted_while_a_leg_may_still_execute() -> None:
    for case in CASES:
        is_live = case.buy.is_live or case.sell.is_live
        assert (case.answer.verdict is Verdict.WAIT) is is_live, case


def test_only_what_may_execute_is_cancelled() -> None:
    for case in CASES:
        assert case.buy.is_live or not case.answer.cancel_buy, case
        assert case.sell.is_live or not case.answer.cancel_sell, case


def test_a_cancel_of_the_user_and_the_deadline_reach_everything_that_may_execute() -> None:
    for case in CASES:
        if case.flags["is_cancelled"] or case.flags["is_due"]:
            told = ((case.buy, case.answer.cancel_buy), (case.sell, case.answer.cancel_sell))
            for facts, is_cancelled in told:
                open_part = facts.is_live and facts.state is not LegState.FILLED
                assert is_cancelled is open_part, case
            assert case.answer.submit is None, case


def test_only_a_leg_held_back_is_submitted_and_only_for_what_is_final() -> None:
    for case in CASES:
        side = case.answer.submit
        assert (side is not None) is (case.answer.verdict is Verdict.SUBMIT), case
        if side is None:
            continue
        own, other = (case.buy, case.sell) if side is Side.BUY else (case.sell, case.buy)
        assert own.state is LegState.NONE, case
        assert other.has_filled, case
        assert not other.is_live, case
        assert case.flags["sequential"], case
        assert case.flags[f"{side}_may_start"], case


def test_what_filled_is_never_left_without_a_choice_and_nothing_is_chosen_for_nothing() -> None:
    for case in CASES:
        verdict = case.answer.verdict
        states = (case.buy.state, case.sell.state)
        has_filled = case.buy.has_filled or case.sell.has_filled
        assert not (verdict is Verdict.ABORT and has_filled), case
        assert not (verdict is Verdict.CHOOSE and not has_filled), case
        assert (verdict is Verdict.DONE) <= (states == (LegState.FILLED,) * 2), case


def test_every_wait_can_end_by_the_deadline() -> None:
    """A leg that may still execute is over, is being resolved, or goes when time is up."""
    for case in CASES:
        if case.answer.verdict is Verdict.WAIT:
            due = Case(case.buy, case.sell, {**case.flags, "is_due": True}).answer
            late = LegState.FILLED in (case.buy.state, case.sell.state)
            assert due.cancel_buy or due.cancel_sell or late, case
