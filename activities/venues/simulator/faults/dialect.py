"""What the faults need to know of a dialect: what a request is about, and how the venue refuses.

Rule: the faults themselves are the same at every venue; whatever differs on the wire is asked of
this protocol. A dialect implements it in a module of its own beside its REST interface, and
`dialects.py` of this package knows them by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Protocol

from activities.venues.simulator.accounts import Balance
from activities.venues.simulator.seams import Answer, RequestContext


class Purpose(StrEnum):
    """What a request is for; rules may ask for it by these words."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    LOOK_UP = "look_up"
    """Reads one order."""
    OWN_TRADES = "own_trades"
    BALANCES = "balances"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a request says of itself, whether or not it is so.

    `symbol` is unified, None unless it trades here. Of a submission `client_order_id` is the new
    order's; else it and `order_id` name the order that is meant. A request about an order list
    bears the list's own ids.
    """

    purpose: Purpose = Purpose.OTHER
    symbol: str | None = None
    client_order_id: str | None = None
    order_id: int | None = None
    list_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueError:
    """A refusal in the venue's own code and words; `status` is the HTTP status."""

    code: int
    message: str
    status: int


class Trouble(Enum):
    """Refusals that every venue has in words of its own."""

    REJECTED = "rejected"
    """The order does not suit the venue; what `refuse` says unless it is told better."""
    NO_SUCH_ORDER = "no_such_order"
    TOO_MANY_REQUESTS = "too_many_requests"
    BANNED = "banned"
    SERVER_ERROR = "server_error"
    MAINTENANCE = "maintenance"
    BAD_TIMESTAMP = "bad_timestamp"
    OUTCOME_UNKNOWN = "outcome_unknown"


class FaultDialect(Protocol):
    """How one dialect is disturbed. Everything is pure but `read`, which looks symbols up."""

    @property
    def errors(self) -> Mapping[Trouble, VenueError]:
        """The venue's words for each trouble."""

    @property
    def unknown_outcomes(self) -> Mapping[int, str]:
        """Further codes that say that the outcome is unknown, with the venue's words."""

    @property
    def amount_fields(self) -> Sequence[str]:
        """Fields of answers that bear numbers."""

    @property
    def essential_fields(self) -> Sequence[str]:
        """Fields without which an answer tells nothing."""

    @property
    def name_by_hand(self) -> str:
        """How the client order ids begin that the venue itself gives to orders made by hand."""

    def read(self, request: RequestContext) -> Reading:
        """What a request is about."""

    def refused(self, error: VenueError, request: RequestContext) -> Answer:
        """The answer that refuses this request."""

    def own_trades(self, body: Any) -> list[Any] | None:
        """The rows of a page of own trades, oldest first; None if it is none."""

    def with_own_trades(self, body: Any, rows: list[Any]) -> Any:
        """The same page with other rows, which are given oldest first."""

    def with_balances(self, body: Any, balances: Mapping[str, Balance]) -> Any:
        """The same answer with other balances; unchanged if it tells none."""
