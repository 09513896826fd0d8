"""What the checker's rules look at and what they find: both sides of the comparison, violations.

Rule: only words and figures; nothing here judges. An order at the exchange is ours when its client
order id reads as one of our ids.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from activities.venues.dialects import dialect_of
from activities.venues.simulator.judge import JudgedOrder, JudgedTrade, VenueLog
from workers.checker_ledger import LedgerFacts


class Invariant(StrEnum):
    """What must always hold."""

    LOG = "LOG"
    """The exchange's log does not contradict itself."""
    NO_DUPLICATE = "I1"
    """At most one order at the exchanges per client order id of ours."""
    NONE_LOST = "I2"
    """Every parent order has reached a terminal state."""
    FILLS_ONCE = "I3"
    """Every fill of our accounts is in the ledger exactly once, and nothing else is."""
    EXECUTED = "I4"
    """Per order, the ledger's fills are what the exchange executed."""
    NO_OVERSHOOT = "I5"
    """No parent is filled beyond its quantity."""
    DOUBLE_ENTRY = "I6"
    """Postings balance; opening balances, postings and transfers are the exchange's balances."""
    POSITION = "POSITION"
    """A position is what its fills come to, and its profit is cash and holdings."""
    RISK_CHECKED = "I8"
    """Every order of ours at the exchange passed its risk checks."""
    PLACED = "PLACED"
    """An order that the ledger names by the exchange's id is there, under that id."""
    ALONE = "ALONE"
    """A parent has at most one order at the exchange at any time; a list counts as one."""
    GUARD = "GUARD"
    """A finished parent's triggers are off; one that runs has at most one."""
    FIRED = "FIRED"
    """A trigger fired at its price or beyond it."""
    RELEASED = "RELEASED"
    """A finished parent holds no reservation and has no order open at the exchange."""
    ENDED = "ENDED"
    """A finished execution has no leg under way, no reservation and no lock."""
    CASH_FLOWS = "CASH"
    """What an execution tells of itself is what its trades at the exchanges come to."""
    NO_NAKED_LEG = "NAKED"
    """What a finished execution leaves over is dust, unless it ended as one that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that must not be: which rule, about what, and the figures."""

    invariant: Invariant
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Both sides of the comparison. `logs` by the venue's name."""

    logs: Mapping[str, VenueLog]
    ledger: LedgerFacts

    def our_orders(self) -> Iterator[tuple[str, str, JudgedOrder]]:
        """Venue, canonical client order id and order, of each order that bears an id of ours."""
        for venue, log in self.logs.items():
            for order in log.orders.values():
                our_id = dialect_of(venue).parse_id(order.client_order_id)
                if our_id is not None:
                    yield venue, our_id, order

    def our_trades(self) -> Iterator[tuple[str, str, JudgedTrade]]:
        """Venue, canonical client order id and trade, of each trade of such an order."""
        for venue, log in self.logs.items():
            for trade in log.trades:
                our_id = dialect_of(venue).parse_id(trade.client_order_id)
                if our_id is not None:
                    yield venue, our_id, trade
