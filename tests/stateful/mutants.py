"""Ways to break the protocol, one each: the state machine must notice every one of them.

A mutant changes the product's code where that code keeps the rule, and the ledger in memory where
the real one keeps it in SQL.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities import orders
from activities.reads import ProofWindow
from tests.stateful import ledger
from tests.stateful.host import EPOCH, Host
from tests.stateful.ledger import MemoryLedger
from tests.stateful.venue import FakeGateway
from workflows import child_order
from workflows.child_order import ChildOrder
from workflows.domain.reports import ChildReport, SubmitKind, SubmitOutcome, VenueStatus

Mutant = Callable[[pytest.MonkeyPatch], None]


def absence_is_believed_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ProofWindow, "proof_time_ms", lambda _, *asked: asked[-1])


def the_proof_forgets_the_window(patch: pytest.MonkeyPatch) -> None:
    proof = ProofWindow.proof_time_ms
    patch.setattr(
        ProofWindow, "proof_time_ms", lambda it, *asked: proof(replace(it, validity_ms=0), *asked)
    )


def the_proof_forgets_the_read_lag(patch: pytest.MonkeyPatch) -> None:
    proof = ProofWindow.proof_time_ms
    patch.setattr(
        ProofWindow, "proof_time_ms", lambda it, *asked: proof(replace(it, read_lag_ms=0), *asked)
    )


def a_claim_ignores_the_attempts_state(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryLedger, "_may_claim", lambda _, child, row: True)


def a_claim_ignores_the_kill_switch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryLedger, "_gate", lambda _: None)


def a_refused_claim_is_taken_for_a_granted_one(patch: pytest.MonkeyPatch) -> None:
    claim = MemoryLedger.claim

    async def claim_and_go_on(it: MemoryLedger, name: str, attempt: int, signed: int) -> None:
        await claim(it, name, attempt, signed)

    patch.setattr(MemoryLedger, "claim", claim_and_go_on)


def an_old_claim_is_still_acted_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(orders, "CLAIM_TO_SEND", orders.CLAIM_TO_SEND * 100)


def the_signature_is_made_when_the_request_leaves(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FakeGateway, "_signature", lambda it, signed_at_ms: it._venue.clock_ms)


def what_may_be_live_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """Both guards are gone: the workflow's and the ledger's."""
    apply_outcome = ChildOrder._apply_outcome

    async def take_unknown_for_unsent(it: ChildOrder, outcome: SubmitOutcome) -> None:
        if outcome.kind is SubmitKind.UNKNOWN:
            outcome = replace(outcome, kind=SubmitKind.NOT_SENT)
        await apply_outcome(it, outcome)

    patch.setattr(ChildOrder, "_apply_outcome", take_unknown_for_unsent)
    patch.setattr(ledger, "_refuse_reopening", lambda child, attempt, *, is_over: None)


def a_lost_answer_is_taken_for_a_rejection(patch: pytest.MonkeyPatch) -> None:
    rejected = SubmitOutcome(kind=SubmitKind.REJECTED, code="LOST", reason="no outcome")
    patch.setattr(child_order, "_outcome_of_failure", lambda error: rejected)


def a_cancel_is_taken_for_a_fact(patch: pytest.MonkeyPatch) -> None:
    async def cancel_and_believe(it: ChildOrder) -> None:
        assert it.state.report is not None
        await child_order.ports.cancel_child(
            child_order.ports.CancelChild(
                intent=it.state.intent, venue_order_id=it.state.report.venue_order_id
            )
        )
        it._learn(replace(it.state.report, status=VenueStatus.CANCELLED))

    patch.setattr(ChildOrder, "_cancel", cancel_and_believe)


def the_latest_report_wins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ChildReport, "merged", lambda it, other: other)


def a_fill_is_booked_as_often_as_it_is_told(patch: pytest.MonkeyPatch) -> None:
    book = MemoryLedger.book

    def forget_and_book(it: MemoryLedger, report: Any) -> Any:
        if it.child is not None:
            it.child.fills.clear()
        return book(it, report)

    patch.setattr(MemoryLedger, "book", forget_and_book)


def a_child_ends_before_its_fills_are_complete(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ChildReport, "is_settled", property(lambda it: it.status.is_terminal))


def nobody_looks_when_no_report_comes(patch: pytest.MonkeyPatch) -> None:
    async def look_away(it: ChildOrder, is_needless: Callable[[], bool]) -> None:
        return None

    patch.setattr(ChildOrder, "_read_now", look_away)


def the_order_reads_the_workers_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Host, "now", lambda it: EPOCH + timedelta(milliseconds=it._scheduler.now_ms))


MUTANTS: tuple[Mutant, ...] = (
    absence_is_believed_at_once,
    the_proof_forgets_the_window,
    the_proof_forgets_the_read_lag,
    a_claim_ignores_the_attempts_state,
    a_claim_ignores_the_kill_switch,
    a_refused_claim_is_taken_for_a_granted_one,
    an_old_claim_is_still_acted_on,
    the_signature_is_made_when_the_request_leaves,
    what_may_be_live_is_sent_again,
    a_lost_answer_is_taken_for_a_rejection,
    a_cancel_is_taken_for_a_fact,
    the_latest_report_wins,
    a_fill_is_booked_as_often_as_it_is_told,
    a_child_ends_before_its_fills_are_complete,
    nobody_looks_when_no_report_comes,
    the_order_reads_the_workers_clock,
)
