"""A parent's state as data: sums that miss nothing, and what is shown of it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED, WIDEST, positive_amounts, values_of
from workflows.child_state import ChildState
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, OrderType, TimeInForce, client_order_id
from workflows.domain.reports import ChildReport, VenueStatus
from workflows.messages import MAX_CHILDREN_SHOWN, OrderRequest, OrderSnapshot
from workflows.order_state import (
    ParentState,
    Totals,
    average_price,
    details_of,
    next_intent,
    snapshot_of,
    totals_of,
    view_of,
)
from workflows.order_views import TwapProgress

NOW = datetime(2020, 2, 22, 12, 0, 0, tzinfo=UTC)
REQUEST = OrderRequest.model_validate(
    {
        "strategy_id": "s1",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "side": "buy",
        "order_type": "twap",
        "quantity": "10",
        "price": "101",
    }
)
PROGRESS = TwapProgress(
    slices_planned=12,
    slices_done=4,
    slices_sent=3,
    slices_filled=2,
    slices_late=1,
    spacing_s=Decimal(5),
    percent=Decimal(30),
)


def report(executed: str, filled: str, fees: dict[str, str] | None = None) -> ChildReport:
    return ChildReport(
        client_order_id="c",
        venue_order_id="v1",
        status=VenueStatus.OPEN,
        executed_quantity=Decimal(executed),
        filled_quantity=Decimal(filled),
        filled_quote=Decimal(filled) * 100,
        fees={asset: Decimal(amount) for asset, amount in (fees or {}).items()},
    )


def child(index: int = 0, told: ChildReport | None = None, **changes: Any) -> ChildState:
    state = ParentState(request=REQUEST, children_total=index)
    intent = next_intent(
        state,
        "order-1",
        quantity=Decimal(2),
        child_type=ChildType.LIMIT,
        price=Decimal(101),
        time_in_force=TimeInForce.IOC,
    )
    return ChildState(
        intent=intent, reference_price=Decimal(100), priced_at=NOW, report=told, **changes
    )


def snapshot(state: ParentState, live: ChildState | None = None) -> OrderSnapshot:
    return snapshot_of(
        state,
        order_id="order-1",
        order_type=OrderType.TWAP,
        live=live,
        twap=PROGRESS,
        updated_at=NOW,
    )


# --- sums ---------------------------------------------------------------------------------------


def test_every_child_counts_once_whether_it_ended_waits_for_fills_or_lives() -> None:
    state = ParentState(
        settled=Totals(executed=Decimal(4), filled=Decimal(4), filled_quote=Decimal(404)),
        unsettled=(child(1, report("2", "1")), child(2), child(3, report("10", "10"))),
    )
    totals = totals_of(state, child(4, report("1", "1.5", {"BNB": "0.1"})))
    assert (totals.executed, totals.filled) == (Decimal("17.5"), Decimal("16.5"))
    assert totals.filled_quote == 404 + 100 + 1000 + 150
    assert totals.fees == {"BNB": Decimal("0.1")}
    assert totals_of(state, None).executed == 16


def test_the_larger_of_the_venues_word_and_the_fills_was_executed() -> None:
    assert Totals().plus(report("2", "1")).executed == 2
    assert Totals().plus(report("1", "2")).executed == 2
    assert child(told=report("2", "1")).executed_quantity == 2
    assert child(told=report("1", "2")).executed_quantity == 2
    assert child().executed_quantity == 0


def test_fees_are_summed_by_asset_and_rebates_count() -> None:
    totals = Totals().plus(report("1", "1", {"BNB": "0.3", "USDT": "1"}))
    totals = totals.plus(report("1", "1", {"BNB": "-0.1"}))
    assert totals.fees == {"BNB": Decimal("0.2"), "USDT": Decimal(1)}


def test_adding_nothing_changes_nothing_and_no_totals_are_changed_in_place() -> None:
    before = Totals(fees={"BNB": Decimal(1)})
    assert before.plus(None) is before
    before.plus(report("1", "1", {"BNB": "1"}))
    assert before == Totals(fees={"BNB": Decimal(1)})


@UNDISTURBED
@given(st.lists(values_of(ChildReport), max_size=4))
def test_sums_are_exact_whatever_the_decimal_context(reports: list[ChildReport]) -> None:
    totals = Totals()
    with localcontext() as context:
        context.prec = 3
        for one in reports:
            totals = totals.plus(one)
    assert Fraction(totals.filled) == sum(Fraction(one.filled_quantity) for one in reports)
    assert Fraction(totals.filled_quote) == sum(Fraction(one.filled_quote) for one in reports)
    for asset, amount in totals.fees.items():
        assert Fraction(amount) == sum(Fraction(one.fees.get(asset, 0)) for one in reports)


# --- average price ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "quantity", "average"),
    [
        ("300", "3", "100.000000000000"),
        ("100", "3", "33.333333333333"),
        ("200", "3", "66.666666666667"),
        ("0", "3", "0.000000000000"),
        ("100000000000000000", "1", "100000000000000000.000000000000"),
        ("1", "0.000000000000000001", "1000000000000000000.000000000000"),
    ],
)
def test_an_average_price_has_12_decimals(value: str, quantity: str, average: str) -> None:
    found = average_price(Decimal(value), Decimal(quantity))
    assert found is not None
    assert f"{found:f}" == average


def test_there_is_no_average_price_before_the_first_fill() -> None:
    assert average_price(Decimal(0), Decimal(0)) is None


@UNDISTURBED
@given(positive_amounts, positive_amounts)
def test_an_average_price_is_the_nearest_of_12_decimals_for_any_amounts(
    value: Decimal, quantity: Decimal
) -> None:
    found = average_price(value, quantity)
    assert found is not None
    exact = Fraction(value) / Fraction(quantity)
    assert abs(Fraction(found) - exact) <= Fraction(1, 2 * 10**12)


# --- what is shown ------------------------------------------------------------------------------


def test_a_child_is_shown_with_what_was_executed_and_at_which_average() -> None:
    shown = view_of(child(7, report("2", "1.5"), status=ChildStatus.SETTLING, attempt=2))
    assert shown.model_dump(mode="json") == {
        "index": 7,
        "client_order_id": client_order_id("order-1", 7),
        "venue_order_id": "v1",
        "status": "settling",
        "child_type": "limit",
        "quantity": "2",
        "price": "101",
        "filled_quantity": "2",
        "average_price": "100",
        "attempt": 2,
        "reason": "",
    }
    unsent = view_of(child())
    assert (unsent.venue_order_id, unsent.filled_quantity, unsent.average_price) == (None, 0, None)


def test_an_order_is_shown_with_everything_that_is_known() -> None:
    state = ParentState(
        request=REQUEST,
        status=OrderStatus.WORKING,
        created_at=NOW,
        children_total=1,
    )
    live = child(0, report("3", "2", {"BNB": "0.1"}), status=ChildStatus.WORKING)
    shown = snapshot(state, live)
    assert (shown.strategy_id, shown.account, shown.exchange) == ("s1", "main", "binance")
    assert (shown.filled_quantity, shown.remaining_quantity) == (3, 7)
    assert (shown.average_price, shown.fees) == (100, {"BNB": Decimal("0.1")})
    assert (shown.created_at, shown.updated_at) == ("2020-02-22T12:00:00+00:00",) * 2
    assert shown.children == (view_of(live),)
    assert shown.twap == PROGRESS
    assert OrderSnapshot.model_validate_json(shown.model_dump_json()) == shown


def test_an_order_that_could_not_be_read_is_shown_with_its_verdict_alone() -> None:
    state = ParentState(
        status=OrderStatus.DENIED,
        code=DenialCode.INVALID_DECIMAL,
        field="quantity",
        reason="quantity is not a plain decimal such as 0.25",
        created_at=NOW,
    )
    shown = snapshot(state)
    assert set(shown.model_dump(exclude_defaults=True)) == {
        *("order_id", "status", "order_type", "code", "field", "reason"),
        *("created_at", "updated_at"),
    }


@pytest.mark.parametrize("has_live", [False, True])
def test_only_the_newest_children_are_shown_oldest_first(has_live: bool) -> None:
    recent = tuple(view_of(child(index)) for index in range(MAX_CHILDREN_SHOWN))
    state = ParentState(request=REQUEST, recent=recent, children_total=99)
    shown = snapshot(state, child(MAX_CHILDREN_SHOWN) if has_live else None)
    first = 1 if has_live else 0
    expected = list(range(first, first + MAX_CHILDREN_SHOWN))
    assert [view.index for view in shown.children] == expected
    assert shown.children_total == 99


def test_what_remains_is_exact_to_36_digits() -> None:
    request = REQUEST.model_copy(update={"quantity": WIDEST})
    state = ParentState(request=request, settled=Totals(executed=Decimal("1E-18")))
    shown = snapshot(state).model_dump(mode="json")
    assert shown["remaining_quantity"] == "999999999999999999.999999999999999998"


def test_the_next_child_is_named_by_its_place_and_carries_the_orders_terms() -> None:
    intent = child(41).intent
    assert intent.client_order_id == client_order_id("order-1", 41)
    assert (intent.order_id, intent.child_index, intent.generation) == ("order-1", 41, 0)
    assert (intent.strategy_id, intent.account, intent.venue) == ("s1", "main", "binance")
    assert (intent.symbol, intent.side, intent.post_only) == ("BTC/USDT", "buy", False)
    assert (intent.quantity, intent.price, intent.time_in_force) == (2, 101, "IOC")


# --- details ------------------------------------------------------------------------------------


def test_the_details_tell_the_order_in_a_few_lines() -> None:
    state = ParentState(
        request=REQUEST,
        status=OrderStatus.WAITING_PRICE,
        reason="price beyond the limit",
        settled=Totals(executed=Decimal(3), filled=Decimal(3), filled_quote=Decimal(301)),
    )
    assert details_of(snapshot(state)).split("\n\n") == [
        "**waiting_price** (price beyond the limit)",
        "buy BTC/USDT on binance: 3 of 10 filled at 100.33333333",
        "slice 4 of 12",
    ]


def test_the_details_of_a_denial_tell_its_code() -> None:
    denied = ParentState(status=OrderStatus.DENIED, code=DenialCode.TOO_DEEP)
    assert details_of(snapshot(denied)) == "**denied**\n\n`TOO_DEEP`"


def test_amounts_in_the_details_have_no_exponent() -> None:
    request = REQUEST.model_copy(update={"quantity": Decimal("1E-18")})
    state = ParentState(request=request, settled=Totals(executed=Decimal("0E-18")))
    assert "0.000000000000000000 of 0.000000000000000001 filled" in details_of(snapshot(state))


# --- a child's own questions --------------------------------------------------------------------


@pytest.mark.parametrize("status", list(ChildStatus))
def test_a_child_is_off_the_venue_once_it_is_terminal_there(status: ChildStatus) -> None:
    gone = {"settling", "filled", "cancelled", "expired", "denied", "rejected", "not_sent"}
    assert child(status=status).is_off_venue is (status.value in gone)


@pytest.mark.parametrize(
    ("child_type", "time_in_force", "is_immediate"),
    [
        (ChildType.MARKET, TimeInForce.GTC, True),
        (ChildType.LIMIT, TimeInForce.IOC, True),
        (ChildType.LIMIT, TimeInForce.FOK, True),
        (ChildType.LIMIT, TimeInForce.GTC, False),
    ],
)
def test_the_venue_ends_some_children_by_itself(
    child_type: ChildType, time_in_force: TimeInForce, is_immediate: bool
) -> None:
    state = child()
    intent = replace(state.intent, child_type=child_type, time_in_force=time_in_force)
    assert replace(state, intent=intent).is_immediate is is_immediate
