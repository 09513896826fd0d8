"""Orders and trades as the paper exchange knows them, independent of any wire format.

Rule: an order changes only through the events of `events.py`. Knows nothing of books or accounts.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)
MARKET_OWNER = "market"  # the owner of the liquidity and flow that belong to no account


class Side(StrEnum):
    """BUY or SELL, as exchanges write it."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The side that this one trades against."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """What can be placed here."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"  # post-only: refused if it would take liquidity


class TimeInForce(StrEnum):
    """How long an order waits."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        """Whether the order can still trade."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What an account asks for. `quantity` in base, `price` and `quote_quantity` in quote.

    Exactly one of `quantity` and `quote_quantity` is set (the latter for MARKET only); `price` is
    zero for MARKET. A LIMIT_MAKER that would take liquidity is refused, or with `ends_if_taking`
    accepted and ended at once.
    """

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    tif: TimeInForce = TimeInForce.GTC
    price: Decimal = ZERO
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    ends_if_taking: bool = False


@dataclass(slots=True, kw_only=True)
class Order:
    """The exchange's record of one accepted order."""

    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: Side
    type: OrderType
    tif: TimeInForce
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    created_ms: int
    updated_ms: int
    status: OrderStatus = OrderStatus.NEW
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO

    @property
    def remaining(self) -> Decimal:
        """Base quantity not executed yet."""
        return self.quantity - self.executed
