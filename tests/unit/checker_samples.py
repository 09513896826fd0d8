"""Small hand-made logs and ledgers for the tests of the checker: clean ones, to be spoilt."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from activities.venues.simulator.judge import JudgedOrder, JudgedTrade, VenueLog
from workers.checker_books import counted
from workers.checker_ledger import (
    ChildFacts,
    FillFacts,
    LedgerFacts,
    ParentFacts,
    PositionFacts,
)
from workers.checker_rules import Evidence, violations
from workflows.domain.lifecycle import OrderStatus

VENUE, ACCOUNT, SYMBOL = "binance", "main", "BTC/USDT"
OURS = "0123456789abcdef0123456789abcdef"
BY_HAND = "x-made-by-hand"
OPENED_AT = datetime(2026, 1, 1, tzinfo=UTC)
AFTER_MS = int((OPENED_AT + timedelta(seconds=5)).timestamp() * 1000)
BEFORE_MS = int((OPENED_AT - timedelta(seconds=5)).timestamp() * 1000)


def an_order(**changes: Any) -> JudgedOrder:
    fields: dict[str, Any] = {
        "ts_ms": AFTER_MS,
        "order_id": 7,
        "client_order_id": OURS,
        "account": ACCOUNT,
        "symbol": SYMBOL,
        "side": "BUY",
        "type": "LIMIT",
        "tif": "GTC",
        "price": Decimal(100),
        "quantity": Decimal(2),
        "status": "FILLED",
        "executed": Decimal(2),
    }
    return JudgedOrder(**fields | changes)


def a_trade(**changes: Any) -> JudgedTrade:
    fields: dict[str, Any] = {
        "ts_ms": AFTER_MS,
        "trade_id": 41,
        "order_id": 7,
        "client_order_id": OURS,
        "account": ACCOUNT,
        "symbol": SYMBOL,
        "side": "BUY",
        "price": Decimal(100),
        "quantity": Decimal(2),
        "fee": Decimal("0.002"),
        "fee_asset": "BTC",
        "maker": False,
    }
    return JudgedTrade(**fields | changes)


def a_log(*more: JudgedOrder, trades: tuple[JudgedTrade, ...] = ()) -> VenueLog:
    """One filled order of ours, and what else is given."""
    orders = (an_order(), *more)
    return VenueLog(
        start_balances={ACCOUNT: {"BTC": Decimal(10), "USDT": Decimal(1_000)}},
        orders={order.order_id: order for order in orders},
        trades=[a_trade(), *trades],
    )


def a_fill(**changes: Any) -> FillFacts:
    fields: dict[str, Any] = {
        "exchange": VENUE,
        "account": ACCOUNT,
        "symbol": SYMBOL,
        "trade_id": "41",
        "venue_order_id": "7",
        "client_order_id": OURS,
        "side": "buy",
        "price": Decimal("100.00"),
        "quantity": Decimal("2.0"),
        "fee": Decimal("0.002"),
        "fee_asset": "BTC",
        "strategy_id": "s1",
        "traded_at": OPENED_AT + timedelta(seconds=5),
    }
    return FillFacts(**fields | changes)


PARENT = ParentFacts(
    order_id="order-1",
    status=OrderStatus.FILLED,
    quantity=Decimal(2),
    filled_quantity=Decimal(2),
)
CHILD = ChildFacts(
    client_order_id=OURS,
    order_id="order-1",
    exchange=VENUE,
    account=ACCOUNT,
    filled_quantity=Decimal(2),
    risk_passed=True,
    reservation_open=False,
)


def a_ledger(**changes: Any) -> LedgerFacts:
    """The ledger that fits `a_log()`."""
    fields: dict[str, Any] = {
        "parents": (PARENT,),
        "children": (CHILD,),
        "fills": (a_fill(),),
        "opened_at": {(VENUE, ACCOUNT): OPENED_AT},
        "balances": {(VENUE, ACCOUNT): {"BTC": Decimal("11.998"), "USDT": Decimal(800)}},
    }
    return LedgerFacts(**fields | changes)


def with_books(ledger: LedgerFacts) -> LedgerFacts:
    """Positions and balances kept as the fills and entries come to, where none are given."""
    of_position: dict[Any, list[FillFacts]] = defaultdict(list)
    for fill in ledger.fills:
        of_position[fill.position].append(fill)
    positions = tuple(
        PositionFacts(name=name, fill_count=len(fills), state=counted(fills))
        for name, fills in of_position.items()
    )
    return replace(
        ledger,
        positions=ledger.positions or positions,
        kept_balances=ledger.kept_balances or ledger.balances,
    )


def found(log: VenueLog, ledger: LedgerFacts, **options: Any) -> list[str]:
    """The violations as `rule subject`."""
    evidence = Evidence(logs={VENUE: log}, ledger=with_books(ledger))
    return [f"{each.invariant} {each.subject}" for each in violations(evidence, **options)]
