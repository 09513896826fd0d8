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


class OrderType(StrEnum):
    """What the user asks for; the names are also the `order_type` field of a request."""

    MARKET = "market"
    LIMIT = "limit"
    TWAP = "twap"


class ChildType(StrEnum):
    """What is sent to a venue."""

    MARKET = "market"
    LIMIT = "limit"


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

    `price` is None exactly for market orders. Quantities in base units, prices in quote units.
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

    @property
    def is_immediate(self) -> bool:
        """True for orders that the venue ends by itself at once."""
        return self.child_type is ChildType.MARKET or self.time_in_force is not TimeInForce.GTC
