"""What a plan of chaos is made of: orders, arbitrages, kills.

Rule: data only; how it is drawn is in `plan` and `arbitrage_plan`, how it is carried out elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from starters.api.bodies import id_of_key
from tests.chaos.fault_plan import PlannedFault
from workflows import names


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
class Planned:
    """One order or arbitrage: when, its body without an id, by which routes, and its cancel.

    Each route after the first submits the same again, `again_after_s` seconds later.
    """

    at_s: float
    key: str
    body: Mapping[str, object]
    routes: tuple[Route, ...]
    again_after_s: float
    stop: PlannedStop | None

    @property
    def order_id(self) -> str:
        """The id that all routes agree on."""
        return id_of_key(self.key) if Route.HTTP_KEY in self.routes else self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder(Planned):
    """One order of any type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArbitrage(Planned):
    """One arbitrage. `waits`: it begins when the one before it in its lane has ended.

    `faults` are aimed at its own legs.
    """

    waits: bool
    faults: tuple[PlannedFault, ...]

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

    @property
    def entries(self) -> tuple[Planned, ...]:
        """All that is submitted."""
        return (*self.orders, *self.arbitrages)

    @property
    def all_faults(self) -> tuple[PlannedFault, ...]:
        """Those that meet anything, and those that are aimed at one leg."""
        aimed = (fault for arbitrage in self.arbitrages for fault in arbitrage.faults)
        return (*self.faults, *aimed)
