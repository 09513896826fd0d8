"""What happened, as facts: the state of the exchange is the sum of these, and nothing else.

Rule: an event is written to the journal before anybody hears of it, and replaying the journal gives
the same state. A new field needs a default, or old journals can no longer be read. Amounts are
Decimal here and strings in the journal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.orders import (
    NO_LIST,
    ZERO,
    OrderStatus,
    OrderType,
    SelfTradeMode,
    Side,
    TimeInForce,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened:
    """A new account with its free balances."""

    ts_ms: int
    account: str
    balances: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """An account was paid something in from outside; a negative amount went out."""

    ts_ms: int
    account: str
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted:
    """A NEW order. `quote_quantity` is what a market order by cost asked for, else zero.

    `extreme` is set where a trailing order follows the market from the beginning; `lock_price` is
    what a buy without a limit keeps locked per unit until it is triggered.
    """

    ts_ms: int
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
    stop_price: Decimal = ZERO
    trailing_delta: int = 0
    iceberg_quantity: Decimal = ZERO
    lock_price: Decimal = ZERO
    extreme: Decimal = ZERO
    list_id: int = NO_LIST
    self_trade: SelfTradeMode = SelfTradeMode.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingMoved:
    """A trailing order follows the market from now on, or has seen a better price."""

    ts_ms: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    extreme: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTriggered:
    """A waiting order works from now on; `price` is that of the trade that triggered it."""

    ts_ms: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderListOpened:
    """Two orders, accepted in the same batch, of which one cancels the other."""

    ts_ms: int
    list_id: int
    client_order_id: str
    account: str
    symbol: str
    first_order_id: int
    second_order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderListEnded:
    """Both orders of a list have ended."""

    ts_ms: int
    list_id: int
    client_order_id: str
    account: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeDone:
    """One account's side of a trade; a trade between two accounts has two, with one `trade_id`.

    `executed` and `quote_executed` are the order's totals after this trade.
    """

    ts_ms: int
    trade_id: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    counterparty: str
    executed: Decimal
    quote_executed: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchPrevented:
    """Two orders of one account would have traded at `price`; what expired of each instead.

    `quantity` is what they would have traded. The updates of those that ended follow.
    """

    ts_ms: int
    match_id: int
    account: str
    symbol: str
    taker_order_id: int
    maker_order_id: int
    price: Decimal
    quantity: Decimal
    taker_prevented: Decimal
    maker_prevented: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdated:
    """An order's new status. `cancel_id` is the client's name of the cancel request, if any.

    `by_timer`: its account's timer ran out.
    """

    ts_ms: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    status: OrderStatus
    executed: Decimal
    cancel_id: str = ""
    by_timer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimerSet:
    """All orders of an account are cancelled at `due_ms`, unless it is set anew; zero: it is off.

    The clock is that of the machine, which no setting of the venue's clock moves.
    """

    ts_ms: int
    account: str
    due_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeIdsReserved:
    """Trade ids of `symbol` up to this one may be in use by trades that no account took part in."""

    ts_ms: int
    symbol: str
    up_to: int


Event = (
    AccountOpened
    | Deposited
    | OrderAccepted
    | TrailingMoved
    | OrderTriggered
    | TradeDone
    | MatchPrevented
    | OrderUpdated
    | OrderListOpened
    | OrderListEnded
    | CancelTimerSet
    | TradeIdsReserved
)
