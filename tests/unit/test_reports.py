"""The venue's word: totals that only grow, whichever way and however often they arrive."""

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED, positive_amounts
from workflows.domain.exact import exact
from workflows.domain.reports import ChildReport, ExecutionReport, Fill, VenueStatus

TERMINAL = [status for status in VenueStatus if status is not VenueStatus.OPEN]


def child_report(
    status: VenueStatus = VenueStatus.OPEN, executed: str = "0", filled: str = "0"
) -> ChildReport:
    return ChildReport(
        client_order_id="c1",
        venue_order_id="v1",
        status=status,
        executed_quantity=Decimal(executed),
        filled_quantity=Decimal(filled),
        filled_quote=Decimal(filled) * 100,
        fees={"BNB": Decimal(filled)} if Decimal(filled) else {},
    )


def a_fill(quantity: Decimal, trade_id: str = "1") -> Fill:
    return Fill(
        trade_id=trade_id,
        price=Decimal(100),
        quantity=quantity,
        fee=Decimal(0),
        fee_asset="BNB",
        is_maker=False,
        traded_at_ms=0,
    )


def execution(status: VenueStatus, executed: Decimal, *fills: Fill) -> ExecutionReport:
    return ExecutionReport(
        client_order_id="c1",
        venue_order_id="v1",
        status=status,
        executed_quantity=executed,
        fills=fills,
        venue_time_ms=0,
    )


@st.composite
def histories(draw: st.DrawFn) -> list[ChildReport]:
    """What may be told about one order: some fills booked, as many or more executed, one end."""
    sizes = draw(st.lists(positive_amounts, max_size=5))
    end = draw(st.sampled_from(TERMINAL))
    told = []
    for _ in range(draw(st.integers(1, 6))):
        booked = draw(st.integers(0, len(sizes)))
        executed = draw(st.integers(0, len(sizes)))
        status = draw(st.sampled_from([VenueStatus.OPEN, end]))
        with exact():
            filled = sum(sizes[:booked], Decimal(0))
            told.append(
                replace(
                    child_report(status),
                    executed_quantity=sum(sizes[:executed], Decimal(0)),
                    filled_quantity=filled,
                    filled_quote=filled * 7,
                    fees={"BNB": filled} if booked else {},
                )
            )
    return told


def merged(reports: list[ChildReport]) -> ChildReport:
    return reduce(ChildReport.merged, reports)


@UNDISTURBED
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_reports_and_their_repetition_do_not_matter(
    told: list[ChildReport], chance: st.DataObject
) -> None:
    shuffled = told * 2
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert merged(shuffled) == merged(told)


@UNDISTURBED
@given(histories())
def test_merging_is_idempotent_and_needs_no_particular_grouping(told: list[ChildReport]) -> None:
    known = merged(told)
    assert known.merged(known) == known
    for report in told:
        assert known.merged(report) == report.merged(known) == known
    assert told[0].merged(merged(told[1:] or told)) == known


@UNDISTURBED
@given(histories())
def test_totals_never_shrink_and_an_end_is_never_taken_back(told: list[ChildReport]) -> None:
    known = told[0]
    for report in told[1:]:
        after = known.merged(report)
        assert after.executed_quantity == max(known.executed_quantity, report.executed_quantity)
        assert after.filled_quantity == max(known.filled_quantity, report.filled_quantity)
        assert after.filled_quote >= known.filled_quote
        assert after.status.is_terminal is (known.status.is_terminal or report.status.is_terminal)
        known = after


def test_the_totals_of_fills_belong_together() -> None:
    fewer = child_report(VenueStatus.FILLED, executed="3", filled="1")
    more = child_report(VenueStatus.OPEN, executed="2", filled="2")
    after = fewer.merged(more)
    assert (after.status, after.executed_quantity) == (VenueStatus.FILLED, 3)
    assert (after.filled_quantity, after.filled_quote, after.fees) == (2, 200, {"BNB": 2})


def test_the_first_end_that_was_told_stays() -> None:
    cancelled = child_report(VenueStatus.CANCELLED)
    assert cancelled.merged(child_report(VenueStatus.EXPIRED)).status is VenueStatus.CANCELLED


@pytest.mark.parametrize("status", list(VenueStatus))
@pytest.mark.parametrize(("executed", "filled"), [("2", "1"), ("2", "2"), ("1", "2"), ("0", "0")])
def test_a_child_is_settled_when_it_ended_and_no_fill_is_missing(
    status: VenueStatus, executed: str, filled: str
) -> None:
    is_settled = child_report(status, executed, filled).is_settled
    assert is_settled is (status in TERMINAL and Decimal(filled) >= Decimal(executed))


@pytest.mark.parametrize("status", list(VenueStatus))
def test_only_an_open_order_can_execute_any_more(status: VenueStatus) -> None:
    assert status.is_terminal is (status != "open")


@pytest.mark.parametrize(
    ("executed", "is_settled"), [("3", True), ("3.000000000000000001", False), ("2", False)]
)
def test_an_execution_is_settled_when_its_fills_add_up_exactly(
    executed: str, is_settled: bool
) -> None:
    fills = (a_fill(Decimal(1)), a_fill(Decimal(2), "2"))
    assert execution(VenueStatus.FILLED, Decimal(executed), *fills).is_settled is is_settled
    assert not execution(VenueStatus.OPEN, Decimal(3), *fills).is_settled


@UNDISTURBED
@given(st.lists(positive_amounts, max_size=5))
def test_fills_are_summed_to_the_last_digit(sizes: list[Decimal]) -> None:
    with localcontext() as context:
        context.prec = 3
        total = execution(VenueStatus.OPEN, Decimal(0), *map(a_fill, sizes)).filled_quantity
    assert Fraction(total) == sum(map(Fraction, sizes))
