"""What differs between our books and a venue: trades one by one, balances and positions as sums."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from workflows.domain.orders import Side
from workflows.domain.postings import Account, postings_of
from workflows.domain.reconciliation import (
    DifferenceKind,
    Rebuilt,
    TradeFacts,
    TradeKey,
    Unmatched,
    added,
    compare_balances,
    compare_positions,
    worth_of,
)
from workflows.domain.reports import Fill

D = Decimal
NOW_MS = 1_700_000_000_000


def a_trade(trade_id: str, side: Side = Side.BUY, **changes: Any) -> TradeFacts:
    fields: dict[str, Any] = {
        "key": TradeKey("BTC/USDT", trade_id, side),
        "price": D(50_000),
        "quantity": D("0.1"),
        "fee": D("0.0001"),
        "fee_asset": "BTC",
        "traded_at_ms": NOW_MS - 60_000,
    }
    return TradeFacts(**fields | changes)


def told(both: Unmatched, before_ms: int = NOW_MS) -> list[tuple[DifferenceKind, str]]:
    return [(each.kind, each.object) for each in both.differences(before_ms=before_ms)]


# --- trades -------------------------------------------------------------------------------------


def test_trades_that_both_sides_tell_leave_nothing_in_whatever_order_they_come() -> None:
    trades = [a_trade(str(number), side) for number in range(20) for side in Side]
    for seed in range(20):
        random, both = Random(seed), Unmatched()
        says = [(True, each) for each in trades] + [(False, each) for each in trades]
        random.shuffle(says)
        for is_ours, trade in says:
            (both.ours_told if is_ours else both.theirs_told)(trade)
        assert both.is_even
        assert told(both) == []


def test_a_trade_of_one_side_alone_is_a_difference_that_names_the_side() -> None:
    both = Unmatched()
    both.theirs_told(a_trade("1"))
    both.ours_told(a_trade("2"))
    assert told(both) == [
        (DifferenceKind.MISSING_FILL, "BTC/USDT/1/buy"),
        (DifferenceKind.UNKNOWN_FILL, "BTC/USDT/2/buy"),
    ]
    missing, _ = both.differences(before_ms=NOW_MS)
    assert (missing.ours, missing.theirs, missing.value) == (None, D("0.1"), D(5000))


def test_a_young_trade_is_no_difference_yet() -> None:
    both = Unmatched()
    both.theirs_told(a_trade("1", traded_at_ms=NOW_MS - 4_000))
    assert told(both, before_ms=NOW_MS - 5_000) == []
    assert not both.is_even
    assert told(both, before_ms=NOW_MS) == [(DifferenceKind.MISSING_FILL, "BTC/USDT/1/buy")]


def test_the_two_sides_of_a_trade_with_oneself_are_two_trades() -> None:
    both = Unmatched()
    both.ours_told(a_trade("1", Side.BUY))
    both.theirs_told(a_trade("1", Side.BUY))
    both.theirs_told(a_trade("1", Side.SELL))
    assert told(both) == [(DifferenceKind.MISSING_FILL, "BTC/USDT/1/sell")]


@pytest.mark.parametrize(
    "changes",
    [{"price": D(50_001)}, {"quantity": D("0.2")}, {"fee": D(0)}, {"fee_asset": "USDT"}],
)
def test_one_trade_with_two_sets_of_figures_is_a_difference(changes: dict[str, Any]) -> None:
    for ours_first in (True, False):
        both = Unmatched()
        if ours_first:
            both.ours_told(a_trade("1"))
        both.theirs_told(a_trade("1", **changes))
        if not ours_first:
            both.ours_told(a_trade("1"))
        assert told(both) == [(DifferenceKind.FILL_FIGURES, "BTC/USDT/1/buy")]


def test_a_fee_of_nothing_has_no_asset_and_times_may_differ() -> None:
    both = Unmatched()
    both.ours_told(a_trade("1", fee=D(0), fee_asset="BTC", traded_at_ms=NOW_MS - 60_001))
    both.theirs_told(a_trade("1", fee=D(0), fee_asset="USDT"))
    assert both.is_even


# --- sums ---------------------------------------------------------------------------------------


def test_a_position_is_net_of_base_fees_and_of_no_others() -> None:
    rebuilt = Rebuilt()
    rebuilt.add(a_trade("1"))
    rebuilt.add(a_trade("2", Side.SELL, fee=D("0.0002")))
    rebuilt.add(a_trade("3", fee=D(5), fee_asset="USDT"))
    rebuilt.add(a_trade("4", fee=D("0.01"), fee_asset="BNB"))
    assert rebuilt.positions == {"BTC/USDT": D("0.1997")}
    assert rebuilt.moved == {"BTC": D("0.1997"), "USDT": D("-10005"), "BNB": D("-0.01")}


def test_what_trades_move_is_what_the_ledger_posts_for_them() -> None:
    random, rebuilt, posted = Random(1), Rebuilt(), dict[str, Decimal]()
    for number in range(200):
        side = random.choice(list(Side))
        fee_asset = random.choice(["BTC", "USDT", "BNB"])
        figures = {name: D(random.randrange(1, 10**9)) / 10**6 for name in ("price", "quantity")}
        fee = D(random.randrange(-100, 1000)) / 10**8
        fill = Fill(
            trade_id=str(number),
            fee=fee,
            fee_asset=fee_asset,
            is_maker=False,
            traded_at_ms=NOW_MS,
            **figures,
        )
        rebuilt.add(a_trade(str(number), side, fee=fee, fee_asset=fee_asset, **figures))
        for entry in postings_of(fill, side=side, base="BTC", quote="USDT"):
            if entry.account is Account.TRADING:
                posted = added(posted, {entry.asset: entry.amount})
    assert compare_balances(posted, rebuilt.moved, {}) == []


def test_a_balance_that_differs_tells_by_how_much_and_what_that_is_worth() -> None:
    worth = worth_of({"BTC/USDT": D(50_000)})
    (found,) = compare_balances({"BTC": D(1), "USDT": D(0)}, {"BTC": D("1.5")}, worth)
    assert (found.kind, found.object) == (DifferenceKind.BALANCE, "BTC")
    assert (found.ours, found.theirs, found.value) == (D(1), D("1.5"), D(25_000))
    assert found.detail == "by +0.5"


def test_the_smallest_difference_of_the_largest_balance_is_seen() -> None:
    large = D("123456789012345678.000000000000000001")
    (found,) = compare_balances({"X": large}, {"X": D("123456789012345678")}, {})
    assert (found.value, found.detail) == (None, "by -0.000000000000000001")


def test_all_is_valued_in_one_quote_asset_and_an_unmarked_one_is_not() -> None:
    worth = worth_of({"BTC/USDT": D(50_000), "ETH/BTC": D("0.05"), "LTC/USDT": D(80)})
    assert worth == {"BTC": D(50_000), "USDT": D(1), "ETH": D(2_500), "LTC": D(80)}
    (found,) = compare_balances({}, {"SOL": D(3)}, worth)
    assert found.value is None


def test_positions_are_compared_by_symbol() -> None:
    found = compare_positions(
        {"BTC/USDT": D(1), "ETH/USDT": D(2)}, {"BTC/USDT": D(1)}, {"ETH": D(3_000)}
    )
    assert [(each.object, each.value) for each in found] == [("ETH/USDT", D(6_000))]
