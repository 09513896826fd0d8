"""The venue's word, immutable: fills, execution reports, and what a submission came to."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from workflows.domain.exact import exact


class VenueStatus(StrEnum):
    """A child order as its venue tells it."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def is_terminal(self) -> bool:
        """True when the venue will not execute any more of the order."""
        return self is not VenueStatus.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of ours. Unique by (venue, account, symbol, trade_id).

    `fee` is what was paid, in `fee_asset`; negative for a rebate.
    """

    trade_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    traded_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """What the venue says about one order now; `fills` may lag behind `executed_quantity`."""

    client_order_id: str | None
    venue_order_id: str
    status: VenueStatus
    executed_quantity: Decimal
    fills: tuple[Fill, ...] = ()
    venue_time_ms: int

    @property
    def filled_quantity(self) -> Decimal:
        """Sum of the fills known to this report."""
        with exact():
            return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def is_settled(self) -> bool:
        """Terminal, and the fills add up to what the venue says it executed."""
        return self.status.is_terminal and self.filled_quantity == self.executed_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildReport:
    """What is known of one child order after its fills were booked: totals, never a delta.

    Totals only grow, so a repeated or late report changes nothing and order does not matter.
    `executed_quantity` is the venue's word, `filled_quantity` the sum of the booked fills (base
    units); `filled_quote` is their value (quote units); `fees` is by asset.
    """

    client_order_id: str
    venue_order_id: str
    status: VenueStatus
    executed_quantity: Decimal
    filled_quantity: Decimal
    filled_quote: Decimal
    fees: dict[str, Decimal] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Terminal at the venue, and every executed unit has its fill."""
        return self.status.is_terminal and self.filled_quantity >= self.executed_quantity

    def merged(self, other: "ChildReport") -> "ChildReport":
        """The later knowledge of the two: a terminal status stays, totals never shrink."""
        more = other if other.filled_quantity >= self.filled_quantity else self
        status = self.status if self.status.is_terminal else other.status
        executed = max(self.executed_quantity, other.executed_quantity)
        return replace(more, status=status, executed_quantity=executed)


class SubmitKind(StrEnum):
    """The four ways in which a submission can end."""

    ACKED = "acked"
    """The venue answered with an order."""
    REJECTED = "rejected"
    """The venue refused with an allow-listed error: nothing is live."""
    UNKNOWN = "unknown"
    """Sent, no trustworthy answer: it may be live."""
    NOT_SENT = "not_sent"
    """Proven that nothing left."""


class RejectionFamily(StrEnum):
    """What a rejection means for the next child of the same parent."""

    BALANCE = "balance"
    """Funds were short; they may not be at the next slice."""
    FILTER = "filter"
    """The venue's rules refused price or quantity; they may have changed."""
    PRICE = "price"
    """A post-only order would have taken, or a fill-or-kill could not fill."""
    CLOCK = "clock"
    """Refused for its timestamp, before matching; the offset was refreshed."""
    PERMISSION = "permission"
    """Symbol, account or key may not trade: trying again is pointless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOutcome:
    """`report` is present exactly when ACKED; `code` and `reason` say why in the other cases."""

    kind: SubmitKind
    report: ChildReport | None = None
    code: str = ""
    reason: str = ""
    family: RejectionFamily | None = None
