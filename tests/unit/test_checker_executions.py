"""The checker's rules on executions, on small hand-made logs and ledgers: clean, and each fault.

The clean one bought 1 BTC at binance for 50000 (fee in BTC) and sold 0.999 at okx for 50300.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from activities.venues.simulator.judge import JudgedTrade, VenueLog
from workers.checker_evidence import Evidence
from workers.checker_executions import cash_flows, execution_violations, unfinished_executions
from workers.checker_ledger import ChildFacts, ExecutionFacts, LedgerFacts, ParentFacts
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus

D = Decimal
NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
SYMBOL, ACCOUNT = "BTC/USDT", "main"
BUY_ID, SELL_ID = "b" * 32, "5" * 32
BUY_LEG, SELL_LEG = "arb-1:buy", "arb-1:sell"


def a_trade(**changes: Any) -> JudgedTrade:
    fields: dict[str, Any] = {
        "ts_ms": 1,
        "trade_id": 41,
        "order_id": 7,
        "client_order_id": BUY_ID,
        "account": ACCOUNT,
        "symbol": SYMBOL,
        "side": "BUY",
        "price": D(50_000),
        "quantity": D(1),
        "fee": D("0.001"),
        "fee_asset": "BTC",
        "maker": False,
    }
    return JudgedTrade(**fields | changes)


BOUGHT = a_trade()
SOLD = a_trade(
    client_order_id=SELL_ID,
    side="SELL",
    price=D(50_300),
    quantity=D("0.999"),
    fee=D("50.2497"),
    fee_asset="USDT",
)
PROFIT = D("0.999") * 50_300 - D("50.2497") - 50_000


def a_leg(order_id: str, **changes: Any) -> ParentFacts:
    fields: dict[str, Any] = {
        "order_id": order_id,
        "status": OrderStatus.FILLED,
        "quantity": D(1),
        "filled_quantity": D(1),
        "execution_id": "arb-1",
    }
    return ParentFacts(**fields | changes)


def a_child(our_id: str, order_id: str, exchange: str, **changes: Any) -> ChildFacts:
    fields: dict[str, Any] = {
        "client_order_id": our_id,
        "order_id": order_id,
        "exchange": exchange,
        "account": ACCOUNT,
        "filled_quantity": D(1),
        "risk_passed": True,
        "reservation_open": False,
    }
    return ChildFacts(**fields | changes)


LEGS = (a_leg(BUY_LEG), a_leg(SELL_LEG))
CHILDREN = (a_child(BUY_ID, BUY_LEG, "binance"), a_child(SELL_ID, SELL_LEG, "okx"))


def told_leg(order_id: str, side: str, filled: str, fee: dict[str, str]) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "leg": side,
        "exchange": "binance" if side == "buy" else "okx",
        "symbol": SYMBOL,
        "side": side,
        "type": "limit",
        "amount": filled,
        "filled_amount": filled,
        "fee": fee,
        "status": "filled",
        "created_at": NOW,
        "updated_at": NOW,
    }


def a_snapshot(**changes: Any) -> dict[str, Any]:
    """As it lies in the ledger: JSON."""
    fields: dict[str, Any] = {
        "execution_id": "arb-1",
        "status": "completed",
        "matched_quantity": "0.999",
        "residual_quantity": "0.000",
        "realised_profit": str(PROFIT),
        "residual_profit": "0",
        "actual_profit": str(PROFIT),
        "orders": [
            told_leg(BUY_LEG, "buy", "1", {"BTC": "0.001"}),
            told_leg(SELL_LEG, "sell", "0.999", {"USDT": "50.2497"}),
        ],
    }
    return fields | changes


def an_execution(**changes: Any) -> ExecutionFacts:
    fields: dict[str, Any] = {
        "execution_id": "arb-1",
        "kind": ExecutionKind.ARBITRAGE,
        "status": ExecutionStatus.COMPLETED,
        "venues": ("binance", "okx"),
        "snapshot": a_snapshot(),
    }
    return ExecutionFacts(**fields | changes)


def found(
    execution: ExecutionFacts,
    *,
    buys: tuple[JudgedTrade, ...] = (BOUGHT,),
    sells: tuple[JudgedTrade, ...] = (SOLD,),
    **ledger: Any,
) -> list[str]:
    """The violations as `rule subject`; `buys` are what binance's log has, `sells` okx's."""
    facts: dict[str, Any] = {
        "executions": (execution,),
        "parents": LEGS,
        "children": CHILDREN,
        "opened_at": {},
        "balances": {},
    }
    evidence = Evidence(
        logs={"binance": VenueLog(trades=list(buys)), "okx": VenueLog(trades=list(sells))},
        ledger=LedgerFacts(**facts | ledger),
    )
    return [f"{each.invariant} {each.subject}" for each in execution_violations(evidence)]


def test_an_arbitrage_that_tells_what_its_trades_come_to_has_no_violation():
    assert found(an_execution()) == []


def test_the_sums_are_those_of_the_definitions():
    flows = cash_flows([BOUGHT, SOLD])
    assert (flows.bought, flows.sold) == (D("0.999"), D("0.999"))
    assert (flows.matched, flows.residual) == (D("0.999"), 0)
    assert flows.cash == PROFIT
    assert flows.realised == PROFIT


def test_an_unwound_leg_is_bought_and_sold_at_one_place():
    back = replace(BOUGHT, side="SELL", quantity=D("0.999"), fee=D("49.9"), fee_asset="USDT")
    flows = cash_flows([BOUGHT, back])
    assert (flows.residual, flows.cash) == (0, D("0.999") * 50_000 - D("49.9") - 50_000)


@pytest.mark.parametrize(
    "change",
    [
        {"matched_quantity": "1"},
        {"residual_quantity": "0.001"},
        {"actual_profit": str(PROFIT + D("0.0000000001")), "residual_profit": "0.0000000001"},
        {"actual_profit": None, "realised_profit": None},
        {"residual_profit": "1"},
        {"realised_profit": str(PROFIT + 1), "residual_profit": "-1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_figure_that_is_not_what_the_trades_come_to_is_found(change):
    assert set(found(an_execution(snapshot=a_snapshot(**change)))) == {"CASH arb-1"}


def test_a_leg_told_with_another_fill_or_fee_or_not_at_all_is_found():
    buy, sell = a_snapshot()["orders"]
    for orders in (
        [buy | {"filled_amount": "0.9"}, sell],
        [buy, sell | {"fee": {"USDT": "50"}}],
        [buy],
        [buy, sell, told_leg("arb-1:unwind-1", "sell", "0.1", {})],
    ):
        assert found(an_execution(snapshot=a_snapshot(orders=orders))) == ["CASH arb-1"], orders


HELD = a_snapshot(
    status="residual_held",
    matched_quantity="0",
    residual_quantity="0.999",
    realised_profit="0",
    residual_profit=str(D("0.999") * 49_900 - 50_000),
    actual_profit=str(D("0.999") * 49_900 - 50_000),
    residual_mark="49900",
    orders=[a_snapshot()["orders"][0]],
)


def test_a_residual_is_marked_and_added_to_the_cash_flows_to_the_last_digit():
    held = an_execution(status=ExecutionStatus.RESIDUAL_HELD, snapshot=HELD)
    assert found(held, sells=()) == []
    other = replace(held, snapshot=HELD | {"residual_mark": "49900.00000001"})
    assert found(other, sells=()) == ["CASH arb-1"]


def test_a_naked_leg_is_found_whatever_else_the_end_is_called():
    silent = an_execution(status=ExecutionStatus.PARTIAL, snapshot=HELD | {"status": "partial"})
    assert found(silent, sells=()) == ["NAKED arb-1"]
    cancelled = replace(silent, status=ExecutionStatus.CANCELLED)
    assert found(cancelled, sells=()) == ["NAKED arb-1"]


def test_what_is_below_the_minimum_of_both_venues_is_dust():
    dust = a_trade(quantity=D("0.000009"), fee=D(0))
    leg = told_leg(BUY_LEG, "buy", "0.000009", {})
    figures = {"residual_quantity": "0.000009", "residual_mark": "50000", "orders": [leg]}
    zero = {"matched_quantity": "0", "realised_profit": "0", "residual_profit": "0"}
    snapshot = a_snapshot(**figures, **zero, actual_profit="0", status="partial")
    left = an_execution(status=ExecutionStatus.PARTIAL, snapshot=snapshot)
    assert found(left, buys=(dust,), sells=()) == []


def test_a_finished_execution_that_holds_its_lock_is_found():
    assert found(an_execution(locks=("main|BTC/USDT",))) == ["ENDED arb-1"]


def test_a_finished_execution_with_a_leg_under_way_is_found():
    legs = (LEGS[0], a_leg(SELL_LEG, status=OrderStatus.WORKING))
    assert found(an_execution(), parents=legs) == ["ENDED arb-1"]
    running = an_execution(status=ExecutionStatus.RUNNING, locks=("main|BTC/USDT",))
    assert found(running, parents=legs) == []


def test_a_finished_execution_with_an_open_reservation_is_found():
    children = (CHILDREN[0], a_child(SELL_ID, SELL_LEG, "okx", reservation_open=True))
    assert found(an_execution(), children=children) == ["ENDED arb-1"]


def test_fees_in_a_third_asset_leave_the_quantities_to_be_judged():
    bought = replace(BOUGHT, fee=D("0.06"), fee_asset="BNB")
    buy, sell = a_snapshot()["orders"]
    snapshot = a_snapshot(
        residual_quantity="0.001",
        residual_mark="49900",
        orders=[buy | {"fee": {"BNB": "0.06"}}, sell],
    )
    held = an_execution(status=ExecutionStatus.RESIDUAL_HELD, snapshot=snapshot)
    assert found(held, buys=(bought,)) == []
    assert found(an_execution(), buys=(bought,)) != []


def test_an_execution_at_a_venue_without_a_log_is_not_judged():
    false = a_snapshot(actual_profit="1")
    assert found(an_execution(venues=("binance", "kraken"), snapshot=false)) == []


def test_one_that_ended_without_a_result_may_not_have_traded():
    denied = an_execution(status=ExecutionStatus.DENIED, snapshot=None)
    assert found(denied) == ["CASH arb-1"]
    assert found(denied, buys=(), sells=()) == []


def test_a_rebalancing_must_tell_each_of_its_orders():
    snapshot = {"execution_id": "arb-1", "status": "completed", "orders": a_snapshot()["orders"]}
    done = an_execution(kind=ExecutionKind.REBALANCE, snapshot=snapshot)
    assert found(done) == []
    assert found(replace(done, snapshot=snapshot | {"orders": []})) == ["CASH arb-1"] * 2


def test_an_execution_under_way_counts_only_when_all_should_be_finished():
    running = an_execution(status=ExecutionStatus.RUNNING, snapshot=None)
    assert found(running) == []
    ledger = LedgerFacts(executions=(running,), opened_at={}, balances={})
    [only] = unfinished_executions(Evidence(logs={}, ledger=ledger))
    assert str(only) == "I2 arb-1: is running"
