"""The checker's rules on small hand-made logs and ledgers: a clean one, and each planted fault."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from activities.venues.simulator.judge import VenueLog
from tests.unit.checker_samples import (
    ACCOUNT,
    AFTER_MS,
    BEFORE_MS,
    BY_HAND,
    CHILD,
    OURS,
    PARENT,
    SYMBOL,
    VENUE,
    a_fill,
    a_ledger,
    a_log,
    a_trade,
    an_order,
    found,
    with_books,
)
from workers.checker_ledger import (
    Imbalance,
    WatchFacts,
)
from workers.checker_rules import Evidence, Invariant, violations
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.domain.triggers import Direction, Fired, Flag, TriggerSource, TriggerSpec
from workflows.ports import WatchStatus

FILL_KEY = "binance/main/BTC/USDT/41"


def test_a_ledger_that_is_the_exchange_has_no_violation():
    assert found(a_log(), a_ledger(), all_finished=True) == []


def test_two_orders_with_one_id_of_ours_are_a_duplicate_even_if_nothing_traded():
    twin = an_order(order_id=8, executed=Decimal(0), status="CANCELED")
    assert found(a_log(twin), a_ledger()) == [f"I1 {OURS}"]


def test_the_two_orders_of_a_list_were_sent_as_one_and_a_second_list_was_not():
    unfilled = {"executed": Decimal(0), "list_id": 3}
    log = a_log(an_order(order_id=8, status="EXPIRED", **unfilled))
    log.orders[7].list_id = 3
    ledger = a_ledger(fills=(a_fill(venue_order_id="list:3"),))
    assert found(log, ledger) == []
    assert found(log, a_ledger()) == ["I3 binance/main/BTC/USDT/41"]
    log.orders[9] = an_order(order_id=9, status="CANCELED", **unfilled | {"list_id": 4})
    assert found(log, ledger) == [f"I1 {OURS}"]


def test_two_orders_with_one_id_made_by_hand_are_the_hand_s_business():
    hands = [
        an_order(order_id=n, client_order_id=BY_HAND, executed=Decimal(0), status="CANCELED")
        for n in (8, 9)
    ]
    assert found(a_log(*hands), a_ledger()) == []


def test_a_fill_that_the_ledger_lacks_is_found_in_fills_and_balances_and_the_order():
    balances = {(VENUE, ACCOUNT): {"BTC": Decimal(10), "USDT": Decimal(1_000)}}
    ledger = a_ledger(fills=(), balances=balances)
    assert found(a_log(), ledger) == [
        f"I3 {FILL_KEY}",
        f"I4 {OURS}",
        "I4 order-1",
        "I6 binance/main/BTC",
        "I6 binance/main/USDT",
    ]


def test_a_fill_booked_twice_is_found():
    ledger = a_ledger(fills=(a_fill(), a_fill()))
    assert f"I3 {FILL_KEY}" in found(a_log(), ledger)


def test_a_fill_that_the_exchange_never_made_is_found():
    ledger = a_ledger(fills=(a_fill(), a_fill(trade_id="99", client_order_id=None)))
    assert found(a_log(), ledger) == ["I3 binance/main/BTC/USDT/99"]


@pytest.mark.parametrize(
    "change",
    [
        {"price": Decimal("100.00000001")},
        {"fee": Decimal("0.00200000000000000001")},
        {"fee_asset": "BNB"},
        {"venue_order_id": "8"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_fill_booked_with_another_figure_is_found(change):
    assert found(a_log(), a_ledger(fills=(a_fill(**change),))) == [f"I3 {FILL_KEY}"]


def test_a_fill_booked_on_the_other_side_is_missing_there_and_false_here():
    report = found(a_log(), a_ledger(fills=(a_fill(side="sell"),)))
    assert report == [f"I3 {FILL_KEY}", f"I3 {FILL_KEY}"]


def test_our_fill_booked_as_external_is_found():
    ledger = a_ledger(fills=(a_fill(client_order_id=None),))
    assert found(a_log(), ledger) == [f"I3 {FILL_KEY}", f"I4 {OURS}", "I4 order-1"]


def external(ts_ms: int) -> VenueLog:
    order = an_order(order_id=8, client_order_id=BY_HAND, ts_ms=ts_ms, executed=Decimal(1))
    trade = a_trade(
        trade_id=42, order_id=8, client_order_id=BY_HAND, ts_ms=ts_ms, quantity=Decimal(1)
    )
    return a_log(order, trades=(trade,))


BALANCES_WITH_EXTERNAL = {
    (VENUE, ACCOUNT): {"BTC": Decimal("12.996"), "USDT": Decimal(700)},
}


def test_a_trade_made_by_hand_must_be_booked_too():
    ledger = a_ledger(balances=BALANCES_WITH_EXTERNAL)
    assert found(external(AFTER_MS), ledger) == ["I3 binance/main/BTC/USDT/42"]
    booked = a_fill(trade_id="42", venue_order_id="8", client_order_id=None, quantity=Decimal(1))
    assert found(external(AFTER_MS), replace(ledger, fills=(a_fill(), booked))) == []


def test_a_trade_made_by_hand_before_the_opening_balances_is_history():
    ledger = a_ledger(balances=BALANCES_WITH_EXTERNAL)
    assert found(external(BEFORE_MS), ledger) == []


def test_an_order_executed_further_than_the_ledger_says_is_found():
    log = a_log()
    log.orders[7].executed = Decimal("2.00000001")
    log.orders[7].quantity = Decimal(3)
    assert f"I4 {OURS}" in found(log, a_ledger())
    assert "LOG binance" in found(log, a_ledger()), "its trades do not add up either"


def test_a_parent_filled_beyond_its_quantity_is_found():
    small = replace(PARENT, quantity=Decimal("1.99999999"))
    assert found(a_log(), a_ledger(parents=(small,))) == ["I5 order-1"]


def test_a_parent_that_ended_with_another_sum_than_its_fills_is_found():
    told = replace(PARENT, filled_quantity=Decimal("1.5"))
    assert found(a_log(), a_ledger(parents=(told,))) == ["I4 order-1"]


def test_postings_that_do_not_balance_are_found():
    lost = Imbalance(fill_id=3, asset="USDT", amount=Decimal("0.00000001"))
    assert found(a_log(), a_ledger(imbalances=(lost,))) == ["I6 fill 3"]


def test_a_balance_that_is_off_in_the_last_digit_is_found():
    balances = {(VENUE, ACCOUNT): {"BTC": Decimal("11.99800001"), "USDT": Decimal(800)}}
    assert found(a_log(), a_ledger(balances=balances)) == ["I6 binance/main/BTC"]


def test_an_order_of_ours_without_a_passed_risk_check_is_found():
    child = replace(CHILD, risk_passed=False)
    assert found(a_log(), a_ledger(children=(child,))) == [f"I8 {OURS}"]


def test_an_order_with_an_id_of_ours_that_nobody_recorded_is_found():
    unknown = an_order(order_id=8, client_order_id="f" * 32, executed=Decimal(0), status="NEW")
    assert found(a_log(unknown), a_ledger()) == [f"I8 {'f' * 32}"]


def test_an_order_in_another_account_than_its_own_is_found():
    child = replace(CHILD, account="hedge")
    assert found(a_log(), a_ledger(children=(child,))) == [f"I8 {OURS}"]


def test_an_open_reservation_of_a_finished_parent_is_found():
    child = replace(CHILD, reservation_open=True)
    assert found(a_log(), a_ledger(children=(child,))) == [f"RELEASED {OURS}"]
    working = replace(PARENT, status=OrderStatus.WORKING)
    assert found(a_log(), a_ledger(children=(child,), parents=(working,))) == []


def test_a_child_under_another_id_than_the_exchange_gave_it_is_found():
    known = replace(CHILD, venue_order_id="7")
    assert found(a_log(), a_ledger(children=(known,))) == []
    other = replace(CHILD, venue_order_id="8")
    assert found(a_log(), a_ledger(children=(other,))) == [f"PLACED {OURS}"]


def test_a_list_is_known_by_its_number_and_so_are_its_fills():
    log = a_log(an_order(order_id=8, status="EXPIRED", executed=Decimal(0), list_id=3))
    log.orders[7].list_id = 3
    known = replace(CHILD, venue_order_id="list:3")
    fills = (a_fill(venue_order_id="list:3"),)
    assert found(log, a_ledger(children=(known,), fills=fills)) == []
    assert found(log, a_ledger(children=(known,))) == [f"I3 {FILL_KEY}"]
    other = replace(CHILD, venue_order_id="7")
    assert found(log, a_ledger(children=(other,), fills=fills)) == [f"PLACED {OURS}"]


SECOND = "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(("ended", "is_alone"), [(4, True), (6, False), (None, False)])
def test_a_child_that_is_sent_while_the_one_before_is_open_is_found(ended, is_alone):
    unfilled = {"executed": Decimal(0), "status": "CANCELED"}
    log = a_log(an_order(order_id=8, client_order_id=SECOND, began=5, ended=9, **unfilled))
    log.orders[7].began, log.orders[7].ended = 1, ended
    second = replace(CHILD, client_order_id=SECOND, filled_quantity=Decimal(0))
    report = found(log, a_ledger(children=(CHILD, second)))
    assert report == ([] if is_alone else ["ALONE order-1"])
    elsewhere = replace(second, order_id="order-2")
    parents = (PARENT, replace(PARENT, order_id="order-2", filled_quantity=Decimal(0)))
    assert found(log, a_ledger(children=(CHILD, elsewhere), parents=parents)) == []


def test_the_two_orders_of_a_list_are_no_overlap():
    log = a_log(an_order(order_id=8, status="EXPIRED", executed=Decimal(0), list_id=3, ended=5))
    log.orders[7].list_id, log.orders[7].began, log.orders[7].ended = 3, 1, 6
    assert found(log, a_ledger(fills=(a_fill(venue_order_id="list:3"),))) == []


SELL_STOP = TriggerSpec(
    side=Side.SELL, direction=Direction.DOWN, source=TriggerSource.BID_ASK, price=Decimal(90)
)
TRAILING = replace(SELL_STOP, price=None, trailing_delta_bps=100)
WATCH = WatchFacts(
    watch_id="order-1/0",
    order_id="order-1",
    exchange=VENUE,
    symbol=SYMBOL,
    status=WatchStatus.DISARMED,
    spec=SELL_STOP,
)


def watched(**changes: Any) -> list[str]:
    return found(a_log(), a_ledger(watches=(replace(WATCH, **changes),)))


def test_a_trigger_that_is_armed_after_its_order_is_found():
    assert watched() == []
    assert watched(status=WatchStatus.ARMED) == ["GUARD order-1"]


def test_two_armed_triggers_of_one_order_are_found():
    working = (replace(PARENT, status=OrderStatus.WAITING_PRICE),)
    armed = replace(WATCH, status=WatchStatus.ARMED)
    assert found(a_log(), a_ledger(parents=working, watches=(armed,))) == []
    two = (armed, replace(armed, watch_id="order-1/1"))
    assert found(a_log(), a_ledger(parents=working, watches=two)) == ["GUARD order-1"]


@pytest.mark.parametrize(
    ("spec", "price", "extreme", "flags", "is_right"),
    [
        (SELL_STOP, "90", None, (), True),
        (SELL_STOP, "80", None, (Flag.GAP,), True),
        (SELL_STOP, "90.01", None, (), False),
        (SELL_STOP, "90.01", None, (Flag.BLIND,), True),
        (TRAILING, "99", "100", (), True),
        (TRAILING, "99.01", "100", (), False),
        (TRAILING, "99", None, (), False),
    ],
)
def test_a_trigger_fires_at_its_price_or_beyond_it(spec, price, extreme, flags, is_right):
    best = None if extreme is None else Decimal(extreme)
    fired = Fired(price=Decimal(price), at_ms=AFTER_MS, extreme=best, flags=flags)
    report = watched(status=WatchStatus.FIRED, spec=spec, fired=fired)
    assert report == ([] if is_right else ["FIRED order-1/0"])


def test_an_order_left_open_at_the_exchange_by_a_finished_parent_is_found():
    log = a_log()
    log.orders[7].status, log.orders[7].quantity = "PARTIALLY_FILLED", Decimal(3)
    assert found(log, a_ledger()) == [f"RELEASED {OURS}"]


def test_a_parent_under_way_counts_only_when_all_should_be_finished():
    working = replace(PARENT, status=OrderStatus.WORKING)
    ledger = a_ledger(parents=(working,))
    assert found(a_log(), ledger) == []
    assert found(a_log(), ledger, all_finished=True) == ["I2 order-1"]


def test_children_at_a_venue_without_a_log_are_not_judged():
    elsewhere = replace(CHILD, client_order_id="e" * 32, exchange="binanceus", order_id="order-2")
    other = replace(PARENT, order_id="order-2", filled_quantity=Decimal(0))
    ledger = a_ledger(children=(CHILD, elsewhere), parents=(PARENT, other))
    assert found(a_log(), ledger) == []


def test_a_violation_reads_as_rule_subject_and_figures():
    small = replace(PARENT, quantity=Decimal(1))
    ledger = with_books(a_ledger(parents=(small,)))
    evidence = Evidence(logs={VENUE: a_log()}, ledger=ledger)
    (only,) = violations(evidence)
    assert only.invariant is Invariant.NO_OVERSHOOT
    assert str(only) == "I5 order-1: filled 2.0 of 1"
