"""Rows of the books and the controls, as the ledger's views give them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from activities.ledger.view_models import AlarmView
from activities.ledger.view_position_models import (
    BalanceView,
    BookedFill,
    FifoPosition,
    PositionView,
    SnapshotView,
)
from activities.ledger.view_risk import EffectiveLimit, LimitView, OverrideView, StrategyRiskView
from activities.ledger.view_statistics import OrderStatistics
from workflows.domain.positions import Lot

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PLACE = {
    "strategy_id": "s1",
    "account": "main",
    "exchange": "binance",
    "symbol": "BTC/USDT",
}
WORTH: dict[str, Any] = {
    "quantity": Decimal("0.5"),
    "average_price": Decimal("50200"),
    "cost": Decimal("25100"),
    "realised_gross": Decimal("240"),
    "fees_quote": Decimal("45.3"),
    "realised_net": Decimal("194.7"),
    "mark": Decimal("51000"),
    "unrealised": Decimal("400"),
    "total": Decimal("594.7"),
}


def position(**changes: Any) -> PositionView:
    fields = {
        **PLACE,
        **WORTH,
        "cash": Decimal("-24905.3"),
        "mark_age_s": Decimal("0.5"),
        "fees_other": Decimal("1E-8"),
        "fees_unvalued": {"BNB": Decimal("0.01")},
        "fill_count": 3,
        "traded_at": NOW,
    }
    return PositionView(**fields | changes)


def fifo() -> FifoPosition:
    worth = {**WORTH, "cost": Decimal(25300), "realised_net": Decimal("394.7")}
    lots = (Lot(quantity=Decimal("0.5"), price=Decimal(50600)),)
    return FifoPosition(**PLACE, **worth, lots=lots, mark_age_s=Decimal("0.5"))


def a_snapshot(**changes: Any) -> SnapshotView:
    fields = {**PLACE, **WORTH, "cash": Decimal(0), "taken_at": NOW, "why": "time"}
    return SnapshotView(**fields | changes)


def fill(**changes: Any) -> BookedFill:
    fields = {
        **PLACE,
        "trade_id": "7",
        "order_id": "o-1",
        "client_order_id": "c-1",
        "venue_order_id": "28457",
        "side": "buy",
        "price": Decimal(50000),
        "quantity": Decimal("0.1"),
        "fee": Decimal("-0.5"),
        "fee_asset": "USDT",
        "is_maker": True,
        "traded_at": NOW,
        "booked_at": NOW,
    }
    return BookedFill(**fields | changes)


def balance(**changes: Any) -> BalanceView:
    fields = {
        "asset": "USDT",
        "ours": Decimal("100.5"),
        "venue_total": Decimal(100),
        "venue_free": Decimal(90),
        "read_at": NOW,
    }
    return BalanceView(**fields | changes)


def alarm(number: int = 17, **changes: Any) -> AlarmView:
    fields = {
        "id": number,
        "code": "UNKNOWN_ORDER",
        "object": "o-1",
        "detail": "since 0:05:01",
        "since": NOW,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "note": "",
    }
    return AlarmView(**fields | changes)


def limit() -> LimitView:
    return LimitView(
        scope="strategy:s1",
        name="max_order_value",
        value=Decimal(20000),
        unit="quote value",
        updated_at=NOW,
    )


def effective() -> EffectiveLimit:
    return EffectiveLimit(
        name="max_exposure", value=None, unit="quote value", source="default", meaning="a sum"
    )


def override(**changes: Any) -> OverrideView:
    fields = {
        "id": 3,
        "scope": "strategy:s1",
        "code": "RISK_PRICE_COLLAR",
        "reason": "gap",
        "status": "requested",
        "requested_by": "desk-1",
        "requested_at": NOW,
        "approved_by": None,
        "approved_at": None,
        "expires_at": NOW,
        "revoked_at": None,
    }
    return OverrideView(**fields | changes)


def strategy() -> StrategyRiskView:
    return StrategyRiskView(strategy_id="s1", parents_today=7, rejects_in_row=0, disabled=None)


def statistics() -> OrderStatistics:
    return OrderStatistics(
        strategy_id="s1",
        orders=4,
        open_orders=1,
        by_status={"filled": 3, "working": 1},
        by_type={"market": {"filled": 3, "working": 1}},
        fill_ratio=Decimal("0.75"),
        volumes={"USDT": Decimal("15000")},
        fees={"USDT": Decimal("7.5")},
        slippage_bps={"USDT": Decimal("1.2")},
        average_time_to_fill_s=Decimal("0.4"),
    )
