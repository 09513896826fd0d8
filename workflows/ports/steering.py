"""The ledger's port for steering: who changed a running order, when, and what it is now."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal

from temporalio import activity

from workflows.domain.denials import Denied
from workflows.messages import OrderRequest
from workflows.ports.ledger import EngineTerms, ledger_step
from workflows.steering_messages import ActionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAction:
    """One action on a running order; idempotent by (order_id, index).

    `request` is the order as it will be, present for an amendment: the ledger checks what the
    change adds against the limits, in the transaction that records it. `index` counts from 0.
    """

    order_id: str
    index: int
    kind: ActionKind
    by: str
    reason: str
    detail: str
    request: OrderRequest | None = None
    reference_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAction:
    """`denied` is present when the change broke a limit; then it is recorded as denied.

    `at` is when it was recorded, in UTC as RFC 3339.
    """

    denied: Denied | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectRequest:
    """How much of a position an exit may close now."""

    order_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """Base units, signed. `free` is the position less what other open orders will close of it."""

    position: Decimal
    free: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """Would this order be accepted now? Nothing is written."""

    request: OrderRequest
    reference_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The verdict that `accept_order` would give, by these settings."""

    terms: EngineTerms
    denied: Denied | None = None


class SteeringPort(ABC):
    """Idempotent steps that touch only the ledger."""

    @activity.defn(name="record_action")
    @abstractmethod
    async def record_action(self, request: RecordAction) -> RecordedAction: ...

    @activity.defn(name="read_protected")
    @abstractmethod
    async def read_protected(self, request: ProtectRequest) -> Protected: ...

    @activity.defn(name="check_order")
    @abstractmethod
    async def check_order(self, request: CheckOrder) -> Checked: ...


async def record_action(request: RecordAction) -> RecordedAction:
    """Record the action before it takes effect."""
    return await ledger_step(SteeringPort.record_action, request, f"record: {request.kind}")


async def read_protected(request: ProtectRequest) -> Protected:
    """The position that an exit may close."""
    return await ledger_step(SteeringPort.read_protected, request, "read the position")


async def check_order(request: CheckOrder) -> Checked:
    """The ledger's verdict, without any order."""
    return await ledger_step(SteeringPort.check_order, request, "check against state and limits")
