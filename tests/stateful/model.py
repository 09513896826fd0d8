"""The pure model of one child order: what may happen next, and how it must end.

It hears facts of the venue, the ledger and the workflow, one call each, and knows no code of the
engine. A fact that must never happen raises `BrokenRuleError`; `predict` answers how the order
has to end, from the facts alone. It must not know requests, retries, crashes or clocks: those
may change when something happens, never what is right.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from workflows.domain.lifecycle import ChildStatus
from workflows.domain.reports import VenueStatus

CLAIM_TO_SEND_MS = 300
"""A claimed request leaves within this time, or never."""

_ENDS = {
    VenueStatus.FILLED: ChildStatus.FILLED,
    VenueStatus.CANCELLED: ChildStatus.CANCELLED,
    VenueStatus.EXPIRED: ChildStatus.EXPIRED,
    VenueStatus.REJECTED: ChildStatus.REJECTED,
}

_NEVER_SENT = {ChildStatus.NOT_SENT, ChildStatus.DENIED}


class BrokenRuleError(AssertionError):
    """A rule of the protocol was broken."""


@dataclass(kw_only=True)
class Model:
    """One child order of `quantity` base units. Attempts are told by their number."""

    quantity: Decimal
    halted: bool = False
    ready: bool = True
    stopped: bool = False
    live: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)
    accepted: int = 0
    executed: Decimal = Decimal(0)
    venue_status: VenueStatus = VenueStatus.OPEN
    booked: Decimal = Decimal(0)
    known: Decimal = Decimal(0)
    is_known_ended: bool = False
    ledger_status: ChildStatus | None = None
    given_up: bool = False
    denied: bool = False
    ended: ChildStatus | None = None
    broken: str = ""

    def require(self, rule: bool, broken: str) -> None:
        """Raise, and remember, what was broken."""
        if not rule:
            self.broken = broken
            raise BrokenRuleError(broken)

    # --- the ledger -----------------------------------------------------------------------------

    def on_claim(self, attempt: int) -> None:
        """A claim was granted."""
        self.require(not self.halted, f"attempt {attempt} was claimed after the halt")
        self.require(self.ready, f"attempt {attempt} was claimed while the account reconciles")
        self.require(not self.live, f"attempt {attempt} was claimed while {self.live} may be live")
        used = attempt in self.closed | self.rejected
        self.require(not used, f"attempt {attempt} was claimed after it was closed")
        self.require(not self.given_up, f"attempt {attempt} was claimed after the order's end")
        self.live.add(attempt)

    def on_closed(self, attempt: int) -> None:
        """The ledger believes that this attempt can never execute."""
        self.require(not self.accepted_by(attempt), f"attempt {attempt} is live, and was closed")
        self.live.discard(attempt)
        self.closed.add(attempt)

    def on_rejection(self, attempt: int) -> None:
        """The ledger stored a definite rejection."""
        self.require(not self.accepted_by(attempt), f"attempt {attempt} is live, not rejected")
        self.live.discard(attempt)
        self.rejected.add(attempt)

    def on_given_up(self) -> None:
        """The ledger released the child as never sent."""
        self.require(not self.live, f"given up while {self.live} may be live")
        self.given_up = True

    def on_ledger_status(self, status: ChildStatus) -> None:
        """The ledger's own status of the child changed."""
        before = self.ledger_status
        final = before is not None and before.is_final
        same = status is before or {before, status} <= _NEVER_SENT
        self.require(not final or same, f"the ledger reopened {before} as {status}")
        self.ledger_status = status

    def on_booked(self, filled: Decimal) -> None:
        """The ledger's sum of fills."""
        self.require(filled >= self.booked, f"the fills shrank from {self.booked} to {filled}")
        self.require(filled <= self.executed, f"booked {filled} of executed {self.executed}")
        self.booked = filled

    # --- the venue ------------------------------------------------------------------------------

    def on_send(self, attempt: int, claim_age_ms: int) -> None:
        """A request was handed to the network."""
        self.require(attempt in self.live, f"attempt {attempt} was sent without a claim")
        self.require(attempt not in self.sent, f"attempt {attempt} was sent twice")
        self.require(not self.given_up, f"attempt {attempt} was sent after it was given up")
        fresh = claim_age_ms <= CLAIM_TO_SEND_MS
        self.require(fresh, f"attempt {attempt} left {claim_age_ms} ms after its claim")
        self.sent.add(attempt)

    def on_accepted(self, attempt: int) -> None:
        """The venue took an order."""
        self.require(not self.accepted, f"attempt {attempt} made a second order at the venue")
        dead = attempt in self.closed | self.rejected
        self.require(not dead, f"attempt {attempt} executed after it was believed absent")
        self.accepted = attempt

    def on_executed(self, quantity: Decimal) -> None:
        """The venue traded this much more."""
        self.executed += quantity
        self.require(self.executed <= self.quantity, f"overshoot: {self.executed}")

    def on_venue_end(self, status: VenueStatus) -> None:
        """The venue will execute no more."""
        self.venue_status = status

    def accepted_by(self, attempt: int) -> bool:
        """True when this attempt became the order."""
        return self.accepted == attempt

    # --- the workflow ---------------------------------------------------------------------------

    def on_denied(self) -> None:
        """The workflow durably heard that trading is halted."""
        self.denied = True

    def on_known(self, executed: Decimal, *, ended: bool) -> None:
        """What the workflow durably knows of the order at the venue."""
        self.require(executed >= self.known, f"it forgot: executed {self.known}, now {executed}")
        self.require(executed <= self.executed, f"it knows {executed} of executed {self.executed}")
        self.require(ended or not self.is_known_ended, "it reopened what had ended at the venue")
        self.known, self.is_known_ended = executed, ended

    def predict(self) -> ChildStatus:
        """How the order must end once nothing is in flight: by the venue's word where it spoke."""
        if self.accepted:
            self.require(self.venue_status.is_terminal, "it ended while the order is live")
            return _ENDS[self.venue_status]
        if self.rejected:
            return ChildStatus.REJECTED
        if self.denied:
            return ChildStatus.DENIED
        self.require(self.stopped, "it gave up although nobody asked for that")
        return ChildStatus.NOT_SENT

    def on_end(self, status: ChildStatus, executed: Decimal) -> None:
        """The workflow ended."""
        self.require(self.ended is None, f"{self.ended} was reopened as {status}")
        self.ended = status
        expected = self.predict()
        self.require(status is expected, f"ended as {status}, expected {expected}")
        right = executed == self.executed == self.booked
        told = f"executed: order {executed}, venue {self.executed}, ledger {self.booked}"
        self.require(right, told)
