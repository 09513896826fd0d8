"""What the ledger answers: results, states and errors.

    LedgerError
      UnknownChildError     a report for a child that the ledger does not hold
      UnknownExecutionError a step of an execution that the ledger does not hold
      UnknownOrderError     a step of an order that the ledger does not hold
      ChildClosedError      a reservation was asked for a child that has ended
      ChildMayBeLiveError   an attempt may have been sent, or differs from what was checked

The last one means that the caller's memory is older than the ledger's (a reset, a lost commit
of Temporal): it resolves the attempt that the error names, and goes on from the truth.

Repeating the call does not help. Errors of the database itself propagate as SQLAlchemy raises
them, and repeating is safe.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from workflows.domain.executions import ExecutionKind
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, VenueStatus
from workflows.messages import OrderSnapshot
from workflows.ports import KnownLeg, OpenExecutionKind

EXTERNAL = "EXTERNAL"
"""The strategy of positions that come from orders that are not ours."""


class LedgerError(Exception):
    """The ledger refuses a step that the order protocol must not take."""


class UnknownChildError(LedgerError):
    """The ledger holds no such child order."""


class UnknownExecutionError(LedgerError):
    """The ledger holds no such execution."""


class UnknownOrderError(LedgerError):
    """The ledger holds no such order."""


class ChildClosedError(LedgerError):
    """The child was given up or has ended: it cannot be reserved again."""


class ChildMayBeLiveError(LedgerError):
    """`attempt` must be resolved before anything else happens to the child."""

    def __init__(self, message: str, *, attempt: int) -> None:
        super().__init__(message)
        self.attempt = attempt


class TradingState(StrEnum):
    """What may be sent within a scope."""

    ACTIVE = "active"
    REDUCING = "reducing"
    """Only orders that bring a position closer to zero."""
    HALTED = "halted"


class AttemptState(StrEnum):
    """What is known of one permission to send a child."""

    READY = "READY"
    """May be claimed, once."""
    SENDING = "SENDING"
    """Claimed: it may be on the wire."""
    ACKED = "ACKED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    """Claimed, no trustworthy answer."""
    CLOSED = "CLOSED"
    """Can never be claimed: never sent, or proven absent."""


MAY_BE_LIVE = (AttemptState.SENDING.value, AttemptState.UNKNOWN.value, AttemptState.ACKED.value)
"""States of an attempt whose order can be at the venue: no other attempt may follow it."""


class ParentKind(StrEnum):
    """What registering an order under its id came to."""

    NEW = "new"
    FINISHED = "finished"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenParent:
    """`stored` is present exactly when FINISHED; `detail` says why there is a CONFLICT."""

    kind: ParentKind
    stored: OrderSnapshot | None = None
    detail: str = ""


class ClaimCode(StrEnum):
    """Why a claim is refused."""

    ATTEMPT_CLOSED = "ATTEMPT_CLOSED"
    TRADING_HALTED = "TRADING_HALTED"
    TRADING_REDUCING = "TRADING_REDUCING"
    RECONCILING = "RECONCILING"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExecution:
    """What registering an execution came to.

    `stored` (JSON text) exactly when FINISHED, `detail` says why it is DENIED; `legs` and the
    ledger's epoch when ADOPTED.
    """

    kind: OpenExecutionKind
    stored: str | None = None
    detail: str = ""
    legs: tuple[KnownLeg, ...] = ()
    epoch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostExecution:
    """An execution that has not ended, and what is needed to run it again. `plan`: JSON text."""

    execution_id: str
    kind: ExecutionKind
    plan: str
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRefused:
    """Nothing may be sent."""

    code: ClaimCode
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTruth:
    """What the ledger knows of an attempt; `state` is the one before it was closed.

    `known` is False when there is no such attempt (then the rest is empty): the ledger may have
    been restored. `signed_at_ms` is the venue's clock, present once it was claimed. `report` is
    what was booked of the child so far.
    """

    known: bool
    epoch: str
    state: AttemptState | None = None
    signed_at_ms: int | None = None
    venue_order_id: str | None = None
    report: ChildReport | None = None
    outcome_code: str = ""
    outcome_reason: str = ""

    @property
    def never_claimed(self) -> bool:
        """Proof that nothing was sent, as long as the epoch is the one of the reservation."""
        return self.known and self.state is not AttemptState.ACKED and self.signed_at_ms is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """`conflicts` are trade ids that were booked before with other figures; they stay as they were.

    `new_fills` counts those that this call booked.
    """

    report: ChildReport
    new_fills: int
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChild:
    """A child order as the ledger holds it; `venue_status` is None until the venue spoke.

    `filled_quantity` is the sum of its booked fills, in base units.
    """

    intent: ChildIntent
    status: ChildStatus
    venue_order_id: str | None = None
    venue_status: VenueStatus | None = None
    filled_quantity: Decimal = Decimal(0)


class PositionKey(NamedTuple):
    """What limits and positions are kept by."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str

    @classmethod
    def of(cls, intent: ChildIntent) -> "PositionKey":
        """The position that an intent moves."""
        return cls(intent.strategy_id, intent.account, intent.venue, intent.symbol)

    @property
    def scopes(self) -> list[str]:
        """The kill switches that stop it."""
        return [
            "global",
            f"venue:{self.exchange}",
            f"symbol:{self.exchange}:{self.symbol}",
            f"strategy:{self.strategy_id}",
        ]
