"""Orders and trades as the paper exchange knows them, independent of any wire format.

Rule: an order changes only through the events of `events.py`. Knows nothing of books or accounts.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)
NO_LIST = -1  # the list id of an order that stands alone
NO_MATCH = -1  # of an order that never met another of its account
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
    STOP_LOSS = "STOP_LOSS"  # becomes a market order at its trigger; so does TAKE_PROFIT
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"  # becomes a limit order; so does TAKE_PROFIT_LIMIT
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def is_contingent(self) -> bool:
        """Whether the order waits for a price before it works."""
        return self in _CONTINGENT

    @property
    def has_limit(self) -> bool:
        """Whether the order names the worst price at which it trades."""
        return self in _LIMITED


_CONTINGENT = frozenset(
    {
        OrderType.STOP_LOSS,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)
_LIMITED = frozenset(
    {
        OrderType.LIMIT,
        OrderType.LIMIT_MAKER,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)


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
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"  # it, or what it met, was the account's own order

    @property
    def is_open(self) -> bool:
        """Whether the order can still trade."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class SelfTradeMode(StrEnum):
    """What an order wants to happen instead of a trade with another of its account."""

    NONE = "NONE"  # the trade happens
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"

    @property
    def ends_taker(self) -> bool:
        """Whether the order that comes ends."""
        return self in (SelfTradeMode.EXPIRE_TAKER, SelfTradeMode.EXPIRE_BOTH)

    @property
    def ends_maker(self) -> bool:
        """Whether the order that rests ends."""
        return self in (SelfTradeMode.EXPIRE_MAKER, SelfTradeMode.EXPIRE_BOTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What an account asks for. `quantity` in base, `price` and `quote_quantity` in quote.

    Exactly one of `quantity` and `quote_quantity` is set (the latter for MARKET only); `price` is
    zero where the type has no limit. A LIMIT_MAKER that would take liquidity is refused, or with
    `ends_if_taking` accepted and ended at once. A contingent order has a `stop_price`, a
    `trailing_delta` (bips) or both; `iceberg_quantity` is what is shown at a time, zero for all.
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
    stop_price: Decimal = ZERO
    trailing_delta: int = 0
    iceberg_quantity: Decimal = ZERO
    self_trade: SelfTradeMode = SelfTradeMode.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrderList:
    """Two orders of one symbol, side and quantity, of which one cancels the other.

    `above` is the one that acts above the market.
    """

    client_order_id: str
    above: NewOrder
    below: NewOrder


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
    stop_price: Decimal = ZERO
    trailing_delta: int = 0
    iceberg_quantity: Decimal = ZERO
    list_id: int = NO_LIST
    lock_price: Decimal = ZERO
    """What a buy keeps locked per unit of base until it works at the market."""
    locked: Decimal = ZERO
    """What it keeps locked now; of a list's two orders one may hold the lock for both."""
    extreme: Decimal = ZERO
    """The best price since a trailing order follows the market; zero before."""
    following_ms: int | None = None
    self_trade: SelfTradeMode = SelfTradeMode.NONE
    prevented: Decimal = ZERO
    """What expired of it because it met another of its account; `match_id` numbers that."""
    match_id: int = NO_MATCH
    by_timer: bool = False
    """It was cancelled because nobody renewed its account's timer."""
    working_ms: int | None = None
    """Since when it works against the book; None while it waits for its trigger."""

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its trigger."""
        return self.status.is_open and self.working_ms is None

    @property
    def is_at_market(self) -> bool:
        """Whether it trades now at whatever the market offers, paid from the free balance."""
        return not self.type.has_limit and self.working_ms is not None

    @property
    def remaining(self) -> Decimal:
        """Base quantity not executed yet."""
        return self.quantity - self.executed


@dataclass(slots=True, kw_only=True)
class OrderList:
    """Two orders of which one cancels the other; it has ended when both have."""

    list_id: int
    client_order_id: str
    account: str
    symbol: str
    order_ids: tuple[int, int]
    updated_ms: int
    is_done: bool = False
