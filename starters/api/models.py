"""What the HTTP API answers: an order or execution with its links, pages, reports of progress."""

from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field

from workers.settings import Settings
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.execution_messages import ArbitrageSnapshot, RebalanceSnapshot
from workflows.fields import Amount
from workflows.messages import OrderSnapshot
from workflows.order_views import IcebergProgress, StopProgress, TwapProgress

ORDERS_PATH = "/api/v1/orders"
ARBITRAGE_PATH = "/api/v1/arbitrage"
REBALANCE_PATH = "/api/v1/rebalance"
ALARMS_PATH = "/api/v1/alarms"
POSITIONS_PATH = "/api/v1/positions"
FILLS_PATH = "/api/v1/fills"
BALANCES_PATH = "/api/v1/balances"
SYMBOLS_PATH = "/api/v1/symbols"
ANALYTICS_PATH = "/api/v1/analytics"
BREAKS_PATH = "/api/v1/breaks"
AUDIT_PATH = "/api/v1/audit"
RISK_PATH = "/api/v1/risk"
TRADING_STATE_PATH = "/api/v1/trading-state"
EVENTS_PATH = "/api/v1/events"
STREAM_PATH = "/api/v1/stream"


class Links(BaseModel):
    """Where to look further."""

    self: str
    temporal_ui: str = Field(description="its history in Temporal's pages")


class Order(OrderSnapshot):
    """One order: its state, fills, fees, newest children, and links."""

    links: Links


class OrderPage(BaseModel):
    """Orders, newest first."""

    orders: list[Order]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")


class Arbitrage(ArbitrageSnapshot):
    """One arbitrage: both legs, what compensated, the profit, and links."""

    links: Links


class ArbitragePage(BaseModel):
    """Arbitrages, newest first."""

    arbitrages: list[Arbitrage]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")


class Rebalance(RebalanceSnapshot):
    """One rebalancing: what is planned, what was sent, what is left out, and links."""

    links: Links


class _Report(BaseModel):
    """What every report of an order's progress begins with. Base and quote units."""

    order_id: str
    status: OrderStatus
    reason: str = Field(description="why it waits, or why it ended as it did")
    quantity: Amount | None
    filled_quantity: Amount
    remaining_quantity: Amount | None
    average_price: Amount | None


class TwapReport(TwapProgress, _Report):
    """Where a TWAP is in its schedule, and what it has filled."""


class IcebergReport(IcebergProgress, _Report):
    """Which tip an iceberg shows, what is hidden, and what it has filled."""


class StopReport(StopProgress, _Report):
    """Where a trigger is, what it protects, and what its exit has filled."""


class RebalancePage(BaseModel):
    """Rebalancings, newest first."""

    rebalances: list[Rebalance]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")


def order_view(snapshot: OrderSnapshot, settings: Settings) -> Order:
    """The order as the API shows it."""
    fields = {name: getattr(snapshot, name) for name in OrderSnapshot.model_fields}
    path, owner = order_path(snapshot.order_id), names.owner_of(snapshot.order_id)
    return Order(**fields, links=_links(path, owner, settings))


def arbitrage_view(snapshot: ArbitrageSnapshot, settings: Settings) -> Arbitrage:
    """The arbitrage as the API shows it."""
    fields = {name: getattr(snapshot, name) for name in ArbitrageSnapshot.model_fields}
    execution_id = snapshot.execution_id
    path = f"{ARBITRAGE_PATH}/{execution_id}"
    return Arbitrage(**fields, links=_links(path, execution_id, settings))


def rebalance_view(snapshot: RebalanceSnapshot, settings: Settings) -> Rebalance:
    """The rebalancing as the API shows it."""
    fields = {name: getattr(snapshot, name) for name in RebalanceSnapshot.model_fields}
    execution_id = snapshot.execution_id
    path = f"{REBALANCE_PATH}/{execution_id}"
    return Rebalance(**fields, links=_links(path, execution_id, settings))


def _links(path: str, workflow_id: str, settings: Settings) -> Links:
    base, namespace = settings.temporal_ui.rstrip("/"), quote(settings.temporal_namespace, safe="")
    return Links(self=path, temporal_ui=f"{base}/namespaces/{namespace}/workflows/{workflow_id}")


def order_path(order_id: str) -> str:
    """Where the order is found."""
    return f"{ORDERS_PATH}/{order_id}"


ReportT = TypeVar("ReportT", bound=_Report)


def report(kind: type[ReportT], snapshot: OrderSnapshot, progress: BaseModel) -> ReportT:
    """The report on an order, from its snapshot and the progress of its strategy in it."""
    fields = {name: getattr(progress, name) for name in type(progress).model_fields}
    return kind(**fields | {name: getattr(snapshot, name) for name in _Report.model_fields})
