"""What the HTTP API answers: an order with its links, a page of them, a TWAP's report."""

from urllib.parse import quote

from pydantic import BaseModel, Field

from workers.settings import Settings
from workflows.domain.lifecycle import OrderStatus
from workflows.fields import Amount
from workflows.messages import OrderSnapshot, TwapProgress

ORDERS_PATH = "/api/v1/orders"


class Links(BaseModel):
    """Where to look further."""

    self: str
    temporal_ui: str = Field(description="the order's history in Temporal's pages")


class Order(OrderSnapshot):
    """One order: its state, fills, fees, newest children, and links."""

    links: Links


class OrderPage(BaseModel):
    """Orders, newest first."""

    orders: list[Order]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")


class TwapReport(TwapProgress):
    """Where a TWAP is in its schedule, and what it has filled. Base and quote units."""

    order_id: str
    status: OrderStatus
    quantity: Amount | None
    filled_quantity: Amount
    average_price: Amount | None


def order_view(snapshot: OrderSnapshot, settings: Settings) -> Order:
    """The order as the API shows it."""
    base, namespace = settings.temporal_ui.rstrip("/"), quote(settings.temporal_namespace, safe="")
    links = Links(
        self=order_path(snapshot.order_id),
        temporal_ui=f"{base}/namespaces/{namespace}/workflows/{snapshot.order_id}",
    )
    fields = {name: getattr(snapshot, name) for name in OrderSnapshot.model_fields}
    return Order(**fields, links=links)


def order_path(order_id: str) -> str:
    """Where the order is found."""
    return f"{ORDERS_PATH}/{order_id}"


def twap_report(snapshot: OrderSnapshot, twap: TwapProgress) -> TwapReport:
    """The progress of a TWAP from its snapshot."""
    return TwapReport(
        **{name: getattr(twap, name) for name in TwapProgress.model_fields},
        order_id=snapshot.order_id,
        status=snapshot.status,
        quantity=snapshot.quantity,
        filled_quantity=snapshot.filled_quantity,
        average_price=snapshot.average_price,
    )
