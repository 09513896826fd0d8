"""The port of price watches: triggers that the engine keeps, because no venue does.

A watch is armed in the ledger, followed by whoever follows the symbol's prices (one follower for
all watches of a symbol at a venue), and ends exactly once: fired or disarmed. The owner hears of
it by the signal `price_trigger` with a `FiredWatch`, which is a hint: the ledger is the truth.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

from temporalio import activity

from workflows.domain.triggers import Fired, TriggerSpec, TriggerState
from workflows.ports.ledger import ledger_step


class WatchStatus(StrEnum):
    """Where a watch is in its life."""

    ARMED = "armed"
    FIRED = "fired"
    DISARMED = "disarmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmWatch:
    """Begin to watch; idempotent by `watch_id`: one that is known is answered as it stands.

    `state` is where a trailing trigger goes on that was disarmed for a while.
    """

    watch_id: str
    order_id: str
    venue: str
    account: str
    symbol: str
    spec: TriggerSpec
    state: TriggerState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchView:
    """A watch as the ledger holds it. `fired` is present exactly when FIRED.

    `is_blind`: the price was not known lately, so it cannot fire now.
    """

    watch_id: str
    status: WatchStatus
    state: TriggerState
    fired: Fired | None = None
    is_blind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FiredWatch:
    """The signal `price_trigger`: this watch fired."""

    watch_id: str
    fired: Fired


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchName:
    """Which watch."""

    watch_id: str


class WatchPort(ABC):
    """The ledger's side of watches, and the start of whoever follows the prices."""

    @activity.defn(name="arm_watch")
    @abstractmethod
    async def arm_watch(self, request: ArmWatch) -> WatchView: ...

    @activity.defn(name="disarm_watch")
    @abstractmethod
    async def disarm_watch(self, request: WatchName) -> WatchView: ...

    @activity.defn(name="read_watch")
    @abstractmethod
    async def read_watch(self, request: WatchName) -> WatchView: ...


async def arm_watch(request: ArmWatch) -> WatchView:
    """Begin to watch. The answer may be FIRED: an earlier try of this task armed it."""
    return await ledger_step(WatchPort.arm_watch, request, "arm the trigger")


async def disarm_watch(request: WatchName) -> WatchView:
    """Stop watching, unless it fired: then the answer says so and the owner must act."""
    return await ledger_step(WatchPort.disarm_watch, request, "disarm the trigger")


async def read_watch(request: WatchName) -> WatchView:
    """The watch as the ledger holds it: a look in case a signal was lost."""
    return await ledger_step(WatchPort.read_watch, request, "look at the trigger")
