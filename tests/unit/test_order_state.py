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
from tests.unit.order_states import (
    AMENDED,
    GUARD,
    NOW,
    PAUSED,
    PROGRESS,
    REQUEST,
    TIPS,
    child,
    report,
    snapshot,
)
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import (
    ChildType,
    OrderType,
    TimeInForce,
    client_order_id,
)
from workflows.domain.reports import ChildReport
from workflows.messages import MAX_CHILDREN_SHOWN, OrderSnapshot
from workflows.order_state import (
    Amendment,
    ParentState,
    Totals,
    average_price,
    next_intent,
    totals_of,
    view_of,
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
        "trigger_price": None,
        "display_quantity": None,
        "filled_quantity": "2",
        "average_price": "100",
        "attempt": 2,
        "reason": "",
    }
    unsent = view_of(child())
    assert (unsent.venue_order_id, unsent.filled_quantity, unsent.average_price) == (None, 0, None)


def test_a_child_that_hides_or_waits_for_a_price_is_shown_with_its_terms() -> None:
    plain = child()
    terms = {"trigger_price": Decimal("98.5"), "display_quantity": Decimal("0.5")}
    shown = view_of(replace(plain, intent=replace(plain.intent, **terms)))
    assert shown == view_of(plain).model_copy(update=terms)
    assert (shown.model_dump(mode="json")["trigger_price"], shown.display_quantity) == (
        "98.5",
        Decimal("0.5"),
    )


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
    assert (shown.created_at, shown.updated_at) == ("2020-02-22T12:00:00Z",) * 2
    assert shown.children == (view_of(live),)
    assert (shown.twap, shown.iceberg, shown.stop, shown.actions) == (PROGRESS, None, None, ())
    assert OrderSnapshot.model_validate_json(shown.model_dump_json()) == shown


@pytest.mark.parametrize(
    ("kind", "progress"),
    [(OrderType.TWAP, PROGRESS), (OrderType.ICEBERG, TIPS), (OrderType.OCO, GUARD)],
)
def test_an_order_is_shown_with_the_progress_of_its_own_strategy(
    kind: OrderType, progress: Any
) -> None:
    member = {OrderType.OCO: "stop"}.get(kind, kind.value)
    shown = snapshot(ParentState(request=REQUEST), order_type=kind, **{member: progress})
    found = {name: getattr(shown, name) for name in ("twap", "iceberg", "stop")}
    assert found == {"twap": None, "iceberg": None, "stop": None, member: progress}
    assert shown.order_type is kind
    assert OrderSnapshot.model_validate_json(shown.model_dump_json()) == shown


def test_an_amended_order_is_shown_as_it_is_now_with_who_changed_it() -> None:
    end_at = datetime(2020, 2, 22, 13, 0, 0, tzinfo=UTC)
    amended = Amendment(price=Decimal(99), quantity=Decimal(8), end_at=end_at)
    state = ParentState(request=REQUEST, amended=amended, actions=(PAUSED, AMENDED))
    shown = snapshot(replace(state, settled=Totals(executed=Decimal(3))))
    assert (shown.price, shown.quantity, shown.remaining_quantity) == (99, 8, 5)
    assert shown.actions == (PAUSED, AMENDED)
    assert OrderSnapshot.model_validate_json(shown.model_dump_json()) == shown
    wanted = REQUEST.model_copy(
        update={"price": Decimal(99), "quantity": Decimal(8), "end_at": end_at}
    )
    assert state.wanted == wanted
    assert state.request == REQUEST


def test_only_what_an_amendment_names_is_changed() -> None:
    assert ParentState(request=REQUEST).wanted is REQUEST
    assert ParentState(amended=Amendment(price=Decimal(1))).wanted is None
    assert ParentState(request=REQUEST, amended=Amendment()).wanted == REQUEST
    share = Decimal("0.1")
    state = ParentState(request=REQUEST, amended=Amendment(max_participation=share))
    assert state.wanted == REQUEST.model_copy(update={"max_participation": share})


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


def test_the_next_child_carries_what_is_native_and_that_it_only_reduces() -> None:
    assert child().intent.reduce_only is False
    intent = next_intent(
        ParentState(request=REQUEST.model_copy(update={"reduce_only": True})),
        "order-1",
        quantity=Decimal(2),
        child_type=ChildType.STOP_LOSS_LIMIT,
        price=Decimal(101),
        time_in_force=TimeInForce.GTC,
        trigger_price=Decimal("98.5"),
        trailing_delta_bps=150,
    )
    assert (intent.reduce_only, intent.child_type) == (True, "stop_loss_limit")
    assert (intent.trigger_price, intent.trailing_delta_bps) == (Decimal("98.5"), 150)


def test_the_next_child_is_named_by_its_place_and_carries_the_orders_terms() -> None:
    intent = child(41).intent
    assert intent.client_order_id == client_order_id("order-1", 41)
    assert (intent.order_id, intent.child_index, intent.generation) == ("order-1", 41, 0)
    assert (intent.strategy_id, intent.account, intent.venue) == ("s1", "main", "binance")
    assert (intent.symbol, intent.side, intent.post_only) == ("BTC/USDT", "buy", False)
    assert (intent.quantity, intent.price, intent.time_in_force) == (2, 101, "IOC")


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
        (ChildType.STOP_LOSS, TimeInForce.GTC, False),
        (ChildType.STOP_LOSS_LIMIT, TimeInForce.GTC, False),
        (ChildType.TAKE_PROFIT, TimeInForce.GTC, False),
        (ChildType.TAKE_PROFIT_LIMIT, TimeInForce.GTC, False),
        (ChildType.OCO, TimeInForce.GTC, False),
    ],
)
def test_the_venue_ends_some_children_by_itself(
    child_type: ChildType, time_in_force: TimeInForce, is_immediate: bool
) -> None:
    state = child()
    intent = replace(state.intent, child_type=child_type, time_in_force=time_in_force)
    assert replace(state, intent=intent).is_immediate is is_immediate
    assert intent.may_rest is not is_immediate
