"""What an order would do, before it is sent: the result of the workflow `PreviewOrder`."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from workflows.domain.denials import DenialCode
from workflows.domain.orders import ChildType, OrderType, Placement, Side
from workflows.fields import Amount, Stamp

MAX_SCHEDULE_SHOWN = 100


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedChild(_Message):
    """One child order as planned. Quantities in base units, prices in quote units."""

    index: int
    at: Stamp | None = Field(None, description="UTC, RFC 3339; null: when the one before is done")
    child_type: ChildType
    quantity: Amount
    price: Amount | None = None


class OrderPreview(_Message):
    """The schedule, what it should cost, and the verdict; nothing is sent or stored."""

    accepted: bool = Field(description="what the verdict would be now")
    code: DenialCode | None = Field(None, description="why it would be denied")
    field: str | None = None
    reason: str = ""
    order_type: OrderType | None = None
    exchange: str | None = None
    symbol: str | None = None
    side: Side | None = None
    quantity: Amount | None = None
    placement: Placement | None = Field(None, description="who works hidden size and triggers")
    schedule: tuple[PlannedChild, ...] = Field((), description="the first children")
    schedule_total: int = 0
    slices_requested: int | None = None
    reference_price: Amount | None = Field(None, description="middle of the market, quote units")
    expected_average_price: Amount | None = None
    expected_fees: Amount | None = Field(None, description="quote units")
    expected_slippage_bps: Amount | None = Field(
        None, description="against the middle of the market; positive costs"
    )
    notional: Amount = Decimal(0)
    notes: tuple[str, ...] = ()
