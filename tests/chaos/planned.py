"""What a plan of chaos is made of: orders, how they are steered, arbitrages, kills.

Rule: data only; how it is drawn is in `plan` and `arbitrage_plan`, how it is carried out elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starters.api.bodies import id_of_key
from tests.chaos.control_plan import PlannedDeed
from tests.chaos.fault_plan import PlannedFault
from workers.local_key import NAME as LOCAL_KEY
from workflows import names
from workflows.domain.orders import OrderType
from workflows.steering_messages import ActionKind

PATIENT = (
    OrderType.ICEBERG,
    OrderType.STOP_LOSS,
    OrderType.TAKE_PROFIT,
    OrderType.TRAILING_STOP,
    OrderType.OCO,
)
"""Orders that wait for the market as long as it takes."""


class Route(StrEnum):
    """How an order is submitted."""

    CLIENT = "client"
    HTTP = "http"
    HTTP_KEY = "http, Idempotency-Key"
    PLAIN = "plain workflow start"


class Stop(StrEnum):
    """How an order is cancelled."""

    CLIENT = "client"
    HTTP = "http"
    SIGNAL = "signal"
    TEMPORAL = "Temporal's own cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStop:
    """A cancel, `after_s` seconds after the submission began."""

    by: Stop
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSteer:
    """A pause, resume or amendment, `after_s` seconds after the submission began.

    `ends_after_s`: an amendment that moves the order's end to so many seconds from then.
    """

    kind: ActionKind
    by: Route
    after_s: float
    changes: Mapping[str, object] = field(default_factory=dict)
    ends_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One order or arbitrage: when, its body without an id, by which routes, and its cancel.

    Each route after the first submits the same again, `again_after_s` seconds later. `faults` are
    aimed at its own orders.
    """

    at_s: float
    key: str
    body: Mapping[str, object]
    routes: tuple[Route, ...]
    again_after_s: float
    stop: PlannedStop | None
    faults: tuple[PlannedFault, ...] = ()

    @property
    def order_id(self) -> str:
        """The id that all routes agree on."""
        return id_of_key(self.key, LOCAL_KEY) if Route.HTTP_KEY in self.routes else self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder(Planned):
    """One order of any type, and how it is steered."""

    steers: tuple[PlannedSteer, ...] = ()

    @property
    def is_patient(self) -> bool:
        """Whether it may run until somebody ends it."""
        was_paused = any(steer.kind is ActionKind.PAUSE for steer in self.steers)
        return was_paused or self.body["order_type"] in PATIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArbitrage(Planned):
    """One arbitrage. `waits`: it begins when the one before it in its lane has ended."""

    waits: bool

    @property
    def lane(self) -> str:
        """Only one arbitrage at a time may hold this."""
        body = {name: str(value) for name, value in self.body.items()}
        venues = (body["buy_exchange"], body["sell_exchange"])
        return names.pair_lock(body["account"], body["symbol"], venues)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedKill:
    """SIGKILL of a part of this kind; with `freeze_s` SIGSTOP for that long instead."""

    at_s: float
    part: str
    freeze_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of one run; times in seconds from its start."""

    seed: int
    duration_s: float
    orders: tuple[PlannedOrder, ...]
    arbitrages: tuple[PlannedArbitrage, ...]
    kills: tuple[PlannedKill, ...]
    faults: tuple[PlannedFault, ...]
    deeds: tuple[PlannedDeed, ...]

    @property
    def entries(self) -> tuple[Planned, ...]:
        """All that is submitted."""
        return (*self.orders, *self.arbitrages)

    @property
    def all_faults(self) -> tuple[PlannedFault, ...]:
        """Those that meet anything, and those that are aimed at one order or leg."""
        aimed = (fault for entry in self.entries for fault in entry.faults)
        return (*self.faults, *aimed)
