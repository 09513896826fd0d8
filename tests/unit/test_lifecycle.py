"""The two life cycles: the table is all there is, and what it can never lead to."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workflows.domain.lifecycle import (
    CHILD_TRANSITIONS,
    PARENT_TRANSITIONS,
    ChildEvent,
    ChildStatus,
    IllegalTransitionError,
    OrderStatus,
    apply,
    move_parent,
)

PARENT_ENDS = {"filled", "cancelled", "expired", "denied", "rejected", "failed"}
CHILD_ENDS = {"filled", "cancelled", "expired", "denied", "rejected", "not_sent"}
CHILD_PAIRS = list(itertools.product(ChildStatus, ChildEvent))
PARENT_PAIRS = list(itertools.product(OrderStatus, OrderStatus))


def events_out_of(status: ChildStatus) -> set[ChildEvent]:
    return {event for known, event in CHILD_TRANSITIONS if known is status}


def ways_into(target: ChildStatus) -> set[tuple[ChildStatus, ChildEvent]]:
    return {pair for pair, after in CHILD_TRANSITIONS.items() if after is target}


def reachable(start: str, steps: Iterable[tuple[str, str]]) -> set[str]:
    found, edges = {start}, list(steps)
    for _ in range(len(edges)):
        found |= {after for before, after in edges if before in found}
    return found


CHILD_STEPS = [(before, after) for (before, _), after in CHILD_TRANSITIONS.items()]
PARENT_STEPS = [(old, new) for old, targets in PARENT_TRANSITIONS.items() for new in targets]


# --- the parent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("current", "target"), PARENT_PAIRS)
def test_a_parent_moves_along_its_table_or_stays_and_all_else_raises(
    current: OrderStatus, target: OrderStatus
) -> None:
    if target in PARENT_TRANSITIONS[current] or target is current:
        assert move_parent(current, target) is target
    else:
        with pytest.raises(IllegalTransitionError, match=f"{current} -> {target}"):
            move_parent(current, target)


@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_parent_that_ended_has_no_way_out_and_any_other_has(status: OrderStatus) -> None:
    assert status.is_terminal is (status.value in PARENT_ENDS)
    assert bool(PARENT_TRANSITIONS[status]) is not status.is_terminal
    assert status not in PARENT_TRANSITIONS[status]


def test_every_status_of_a_parent_can_be_reached_and_can_end() -> None:
    assert reachable(OrderStatus.PENDING, PARENT_STEPS) == set(OrderStatus)
    for status in OrderStatus:
        assert reachable(status, PARENT_STEPS) & PARENT_ENDS


def test_nothing_returns_to_before_acceptance() -> None:
    assert not any(OrderStatus.PENDING in targets for targets in PARENT_TRANSITIONS.values())
    assert [old for old, new in PARENT_STEPS if new is OrderStatus.ACCEPTED] == ["pending"]


def test_an_order_that_was_never_accepted_neither_trades_nor_looks_traded() -> None:
    assert PARENT_TRANSITIONS[OrderStatus.PENDING] == {"accepted", "denied", "failed"}


def test_a_fill_may_win_the_race_against_a_cancel_and_a_cancel_is_not_taken_back() -> None:
    out = PARENT_TRANSITIONS[OrderStatus.CANCELLING]
    assert {"filled", "cancelled"} <= out
    assert not out & {"working", "waiting_price", "accepted"}


# --- the child ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "event"), CHILD_PAIRS)
def test_a_child_moves_along_its_table_and_all_else_raises(
    status: ChildStatus, event: ChildEvent
) -> None:
    if (status, event) in CHILD_TRANSITIONS:
        assert apply(status, event) is CHILD_TRANSITIONS[status, event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{event} in {status}"):
            apply(status, event)


@pytest.mark.parametrize("status", list(ChildStatus))
def test_a_child_that_ended_has_no_way_out_and_any_other_has(status: ChildStatus) -> None:
    assert status.is_final is (status.value in CHILD_ENDS)
    assert bool(events_out_of(status)) is not status.is_final


def test_every_status_of_a_child_can_be_reached_and_can_end() -> None:
    assert reachable(ChildStatus.NEW, CHILD_STEPS) == set(ChildStatus)
    for status in ChildStatus:
        assert reachable(status, CHILD_STEPS) & CHILD_ENDS


def test_every_event_has_its_place() -> None:
    assert {event for _, event in CHILD_TRANSITIONS} == set(ChildEvent)


def test_unknown_is_left_only_by_the_venues_word() -> None:
    assert events_out_of(ChildStatus.UNKNOWN) == {"adopted", "rejected", "proven_absent"}


def test_only_a_reserved_child_is_sent() -> None:
    assert ways_into(ChildStatus.SENDING) == {("ready", "submit")}
    assert ways_into(ChildStatus.READY) == {("new", "reserved")}


def test_a_child_is_given_up_only_before_it_is_sent() -> None:
    assert ways_into(ChildStatus.NOT_SENT) == {("new", "give_up"), ("ready", "give_up")}


@pytest.mark.parametrize("end", [ChildStatus.FILLED, ChildStatus.CANCELLED, ChildStatus.EXPIRED])
def test_a_child_that_lived_at_the_venue_ends_only_with_its_fills_complete(
    end: ChildStatus,
) -> None:
    assert ways_into(end) == {("settling", f"settled_{end}")}
    assert events_out_of(ChildStatus.CANCELLING) == {"terminal"}


class ChildWalk(RuleBasedStateMachine):
    """Any events in any order, beside a model of whether something may be live at the venue."""

    PROOFS = (
        ChildEvent.PROVEN_UNSENT,
        ChildEvent.PROVEN_ABSENT,
        ChildEvent.REJECTED,
        ChildEvent.DENIED,
    )
    TRACES = (ChildEvent.SUBMIT, ChildEvent.ADOPTED, ChildEvent.ANSWER_UNKNOWN)

    def __init__(self) -> None:
        super().__init__()
        self.status = ChildStatus.NEW
        self.may_be_live = False

    @rule(event=st.sampled_from(ChildEvent))
    def tell(self, event: ChildEvent) -> None:
        before = self.status
        try:
            self.status = apply(before, event)
        except IllegalTransitionError:
            assert (before, event) not in CHILD_TRANSITIONS
            return
        assert not before.is_final
        if event is ChildEvent.SUBMIT:
            assert not self.may_be_live, "sent again while an attempt may be live"
        if event in self.PROOFS or self.status.is_final:
            if event is ChildEvent.GIVE_UP:
                assert not self.may_be_live, "given up while it may be live"
            self.may_be_live = False
        elif event in self.TRACES:
            self.may_be_live = True

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """A legal step, so that walks get far."""
        possible = sorted(events_out_of(self.status))
        if possible:
            self.tell(data.draw(st.sampled_from(possible)))

    @invariant()
    def what_may_be_live_is_in_a_status_that_says_so(self) -> None:
        asleep = self.status in (ChildStatus.NEW, ChildStatus.READY) or self.status.is_final
        assert self.may_be_live is not asleep


class ParentWalk(RuleBasedStateMachine):
    """Any wishes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.status = OrderStatus.PENDING
        self.was_accepted = False

    @rule(wanted=st.sampled_from(OrderStatus))
    def wish(self, wanted: OrderStatus) -> None:
        before = self.status
        try:
            self.status = move_parent(before, wanted)
        except IllegalTransitionError:
            assert wanted not in PARENT_TRANSITIONS[before]
            return
        assert self.status is before or not before.is_terminal
        self.was_accepted |= self.status is OrderStatus.ACCEPTED

    @invariant()
    def only_an_accepted_order_gets_anywhere(self) -> None:
        assert self.was_accepted or self.status in ("pending", "denied", "failed")


WALKS = settings(deadline=None, max_examples=60, stateful_step_count=40)
TestChildWalk = ChildWalk.TestCase
TestChildWalk.settings = WALKS
TestParentWalk = ParentWalk.TestCase
TestParentWalk.settings = WALKS
