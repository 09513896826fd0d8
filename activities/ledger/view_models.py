"""What the ledger shows, as plain values. Amounts are exact, times are UTC."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from workflows.domain.executions import ExecutionKind, ExecutionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class FillView:
    """One booked trade. Times are UTC."""

    trade_id: str
    client_order_id: str | None
    venue_order_id: str
    exchange: str
    account: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    traded_at: datetime
    booked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCount:
    """How many orders of a kind are in a status; `has_fills` tells a partial end from an empty."""

    order_type: str
    exchange: str
    status: str
    has_fills: bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationHistogram:
    """Seconds from registration to end; `counts[i]` took less than bounds[i], the last one more."""

    order_type: str
    exchange: str
    counts: tuple[int, ...]
    total_s: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionView:
    """An execution as stored. `plan` and `snapshot` are JSON text.

    `venues` of an arbitrage are where it buys and where it sells, in this order. `snapshot` is
    what its workflow told last, None before that.
    """

    execution_id: str
    kind: ExecutionKind
    status: ExecutionStatus
    strategy_id: str
    account: str
    venues: tuple[str, ...]
    plan: str
    snapshot: str | None
    code: str | None
    field: str | None
    reason: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        """True until it has ended."""
        return not self.status.is_terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCount:
    """How many executions of a kind are in a status; `has_fills`: something was traded."""

    kind: ExecutionKind
    venues: tuple[str, ...]
    status: ExecutionStatus
    has_fills: bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDurations:
    """Seconds from registration to end, as in DurationHistogram."""

    kind: ExecutionKind
    venues: tuple[str, ...]
    counts: tuple[int, ...]
    total_s: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmView:
    """Something a human must know. `acknowledged_at` is None while it is open."""

    id: int
    code: str
    object: str
    detail: str
    since: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStateView:
    """The kill switch of one scope. `code`: what orders are denied with instead of the state's."""

    scope: str
    state: str
    code: str | None
    reason: str
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """`ready` is true only while the account feed vouches for the account."""

    exchange: str
    account: str
    ready: bool
    ready_until: datetime | None
    reason: str
    updated_at: datetime
