"""The parts of an order as people and services see them: its children, where its strategy is.

`messages.OrderSnapshot` holds them. Quantities in base units, prices in quote units, times in UTC
as RFC 3339.
"""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildType, Placement
from workflows.domain.triggers import Flag, TriggerSource
from workflows.fields import Amount, Stamp


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChildView(_Message):
    """One child order, as shown to people and services."""

    index: int
    client_order_id: str
    venue_order_id: str | None = None
    status: ChildStatus
    child_type: ChildType
    quantity: Amount
    price: Amount | None = None
    trigger_price: Amount | None = None
    display_quantity: Amount | None = Field(None, description="shown part of a native iceberg")
    filled_quantity: Amount = Decimal(0)
    average_price: Amount | None = None
    attempt: int = 1
    reason: str = ""


class TwapProgress(_Message):
    """Where a TWAP is in its schedule. Times are UTC, RFC 3339."""

    slices_planned: int
    slices_done: int = Field(description="slices whose window was used or has passed")
    slices_sent: int = Field(description="slices that sent a child order")
    slices_filled: int = Field(description="sent slices that filled completely")
    slices_late: int = Field(description="slices that passed while no worker was there")
    next_slice_at: Stamp | None = None
    spacing_s: Amount
    percent: Amount = Field(description="filled quantity in percent of the order")
    slices_requested: int | None = Field(
        None, description="asked for; fewer are planned where a slice would be below the minimum"
    )
    participation_limited: int = Field(0, description="slices that the market's volume cut")
    ends_at: Stamp | None = None


class IcebergProgress(_Message):
    """Where an iceberg is. A native one shows its tip at the venue and hides the rest there."""

    placement: Placement
    display_quantity: Amount
    tips_shown: int
    tips_filled: int
    hidden_quantity: Amount = Field(description="neither executed nor shown now")
    current_tip: Amount | None = Field(None, description="shown now, what is left of it")
    current_price: Amount | None = None
    next_tip_at: Stamp | None = None
    percent: Amount = Field(description="filled quantity in percent of the order")


class StopProgress(_Message):
    """Where a protective order is: armed at the venue or by the engine, fired, leaving."""

    placement: Placement
    phase: str = Field(description="waiting, armed, fired or disarmed")
    trigger_price: Amount | None = Field(None, description="where it fires now, if that is known")
    trigger_source: TriggerSource
    extreme: Amount | None = Field(None, description="best price since a trailing stop follows")
    is_protected: bool = Field(description="something stands between the position and the market")
    protected_quantity: Amount
    armed_at: Stamp | None = Field(None, description="of a trigger that the engine keeps")
    fired_price: Amount | None = None
    fired_at: Stamp | None = None
    flags: tuple[Flag, ...] = ()
    is_blind: bool = False
