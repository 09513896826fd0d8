"""The nouns of an order, the intent of a child order, and the derivation of its id."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    """Which way an order trades the base asset."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: the direction of the base position."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The side that this one trades against."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """What the user asks for; the names are also the `order_type` field of a request."""

    MARKET = "market"
    LIMIT = "limit"
    TWAP = "twap"
    ICEBERG = "iceberg"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    OCO = "oco"

    @property
    def is_triggered(self) -> bool:
        """True for orders that wait for a price before they trade."""
        return self in _TRIGGERED


_TRIGGERED = frozenset(
    {OrderType.STOP_LOSS, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP, OrderType.OCO}
)


class Placement(StrEnum):
    """Who works what a venue may offer natively: hidden size, triggers, one-cancels-the-other."""

    AUTO = "auto"
    """The venue where it can do what was asked, else the engine."""
    NATIVE = "native"
    ENGINE = "engine"


class ChildType(StrEnum):
    """What is sent to a venue."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop_loss"
    """Becomes a market order at its trigger; so does TAKE_PROFIT."""
    STOP_LOSS_LIMIT = "stop_loss_limit"
    """Becomes a limit order at its trigger; so does TAKE_PROFIT_LIMIT."""
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    OCO = "oco"
    """A limit order and a stop at the venue, of which one cancels the other."""


class TimeInForce(StrEnum):
    """How long an order waits: until cancelled, not at all, or all at once or not at all."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


def client_order_id(order_id: str, child_index: int, generation: int = 0) -> str:
    """The canonical id of a child order: 128 bits as 32 hex digits.

    A pure function of what it names. It contains no run id and no randomness, so that replay,
    retry, continue-as-new, reset and a new worker all derive the same id. Dialects render it.
    """
    name = f"{order_id}\n{child_index}\n{generation}".encode()
    return hashlib.sha256(name).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildIntent:
    """The durable record of one child order, complete before anything is sent.

    `price` is None for orders that trade at the market. Quantities in base units, prices in
    quote units. `trigger_price` is where a native trigger fires, or where a trailing one begins
    to follow the market; with OCO, `price` is the limit leg's and `stop_limit_price` the limit of
    the stop leg, None for a stop that becomes a market order.
    """

    client_order_id: str
    order_id: str
    child_index: int
    generation: int = 0
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    child_type: ChildType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    display_quantity: Decimal | None = None
    """What a native iceberg shows at a time."""
    trigger_price: Decimal | None = None
    trailing_delta_bps: int | None = None
    stop_limit_price: Decimal | None = None
    reduce_only: bool = False
    """The ledger refuses it where it would enlarge the strategy's position."""

    @property
    def is_immediate(self) -> bool:
        """True for orders that the venue ends by itself at once."""
        return self.child_type is ChildType.MARKET or self.time_in_force is not TimeInForce.GTC

    @property
    def may_rest(self) -> bool:
        """True for orders that wait at the venue: for a counterparty or for their trigger."""
        return not self.is_immediate
