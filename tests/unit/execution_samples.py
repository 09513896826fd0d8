"""An arbitrage and a rebalancing at work, as they are told and as the ledger keeps them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from activities.ledger.view_models import ExecutionView
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side
from workflows.execution_messages import ArbitrageSnapshot, LegOrderView, RebalanceSnapshot

ARBITRAGE_PLAN: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "buy_exchange": "binance",
    "sell_exchange": "okx",
    "buy_price": "50000",
    "sell_price": "50300",
    "amount": "0.1",
}
REBALANCE_PLAN: dict[str, Any] = {
    "exchanges": ["binance", "okx"],
    "targets": {"BTC": "0.5", "USDT": "0.5"},
}


def leg(name: str, **changes: Any) -> LegOrderView:
    """One order of the arbitrage `arb-1`."""
    at = "2026-01-01T00:00:00+00:00"
    fields: dict[str, Any] = {
        "order_id": f"arb-1:{name}",
        "leg": name,
        "exchange": "binance" if name == "buy" else "okx",
        "symbol": "BTC/USDT",
        "side": Side.BUY if name == "buy" else Side.SELL,
        "type": OrderType.LIMIT,
        "price": Decimal(50050),
        "amount": Decimal("0.10"),
        "status": OrderStatus.WORKING,
        "created_at": at,
        "updated_at": at,
    }
    return LegOrderView(**fields | changes)


def arbitrage(
    status: ExecutionStatus = ExecutionStatus.RUNNING, execution_id: str = "arb-1", **changes: Any
) -> ArbitrageSnapshot:
    """An arbitrage whose buy has filled and whose sell is at work."""
    fields: dict[str, Any] = {
        "execution_id": execution_id,
        "status": status,
        "strategy_id": "s1",
        "symbol": "BTC/USDT",
        "buy_exchange": "binance",
        "sell_exchange": "okx",
        "amount": Decimal("0.10"),
        "actual_profit": Decimal("12.50"),
        "orders": (
            leg(
                "buy",
                status=OrderStatus.FILLED,
                filled_amount=Decimal("0.1"),
                avg_price=Decimal(50000),
                fee={"BTC": Decimal("0.0001")},
            ),
            leg("sell"),
        ),
        "started_at": "2026-01-01T00:00:00+00:00",
    }
    return ArbitrageSnapshot(**fields | changes)


def rebalance(
    status: ExecutionStatus = ExecutionStatus.RUNNING, execution_id: str = "reb-1", **changes: Any
) -> RebalanceSnapshot:
    """A rebalancing of half BTC, half cash."""
    fields: dict[str, Any] = {
        "execution_id": execution_id,
        "status": status,
        "exchanges": ("binance", "okx"),
        "cash": "USDT",
        "targets": {"BTC": Decimal("0.5"), "USDT": Decimal("0.5")},
    }
    return RebalanceSnapshot(**fields | changes)


def stored(
    told: ArbitrageSnapshot | RebalanceSnapshot, *, plan: dict[str, Any] | None = None
) -> ExecutionView:
    """Its row in the ledger; with a plan as one that has not stored a snapshot yet."""
    is_arbitrage = isinstance(told, ArbitrageSnapshot)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ExecutionView(
        execution_id=told.execution_id,
        kind=ExecutionKind.ARBITRAGE if is_arbitrage else ExecutionKind.REBALANCE,
        status=told.status,
        strategy_id="s1",
        account="main",
        venues=("binance", "okx"),
        plan=json.dumps(plan or {}),
        snapshot=None if plan else told.model_dump_json(exclude_none=True),
        code=None,
        field=None,
        reason="",
        created_at=at,
        updated_at=at,
        finished_at=at if told.status.is_terminal else None,
    )
