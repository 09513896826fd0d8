"""States of a parent order and of its children for tests, and what is shown of each strategy."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from workflows.child_state import ChildState
from workflows.domain.orders import ChildType, OrderType, Placement, TimeInForce
from workflows.domain.reports import ChildReport, VenueStatus
from workflows.domain.triggers import TriggerSource
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import ParentState, Progress, next_intent, snapshot_of
from workflows.order_views import IcebergProgress, StopProgress, TwapProgress
from workflows.steering_messages import ActionKind, ActionView

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
TIPS = IcebergProgress(
    placement=Placement.ENGINE,
    display_quantity=Decimal(2),
    tips_shown=3,
    tips_filled=2,
    hidden_quantity=Decimal("4.5"),
    percent=Decimal(40),
)
GUARD = StopProgress(
    placement=Placement.ENGINE,
    phase="armed",
    trigger_price=Decimal("98.5"),
    trigger_source=TriggerSource.BID_ASK,
    is_protected=True,
    protected_quantity=Decimal(10),
)
PAUSED = ActionView(index=0, kind=ActionKind.PAUSE, at="12:00", requested_by="ann", reason="news")
AMENDED = ActionView(
    index=1, kind=ActionKind.AMEND, at="12:01", requested_by="bob", detail="price 101 -> 99"
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


def snapshot(
    state: ParentState,
    live: ChildState | None = None,
    *,
    order_type: OrderType = OrderType.TWAP,
    **progress: Any,
) -> OrderSnapshot:
    return snapshot_of(
        state,
        order_id="order-1",
        order_type=order_type,
        live=live,
        progress=Progress(**(progress or {"twap": PROGRESS})),
        updated_at=NOW,
    )
