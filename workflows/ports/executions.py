"""The ledger's port for executions: local activities, idempotent, a few milliseconds each."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

from temporalio import activity

from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import Denied
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.ports.ledger import (
    EngineTerms,
    Reserve,
    Reserved,
    ledger_step,
)
from workflows.ports.views import VenueView, ViewRequest


class OpenExecutionKind(StrEnum):
    """What registering an execution came to."""

    NEW = "new"
    """First sight of this id, or the same run chain again: go on."""
    FINISHED = "finished"
    """The id was started again after it ended, with the same body: answer the stored result."""
    ADOPTED = "adopted"
    """The workflow before was lost while this was open: settle what it left, trade nothing new."""
    DENIED = "denied"
    """Another body under a known id, or a venue or account that is not configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenExecution:
    """Register an execution under its id. `plan` is its body as JSON text.

    `views` are glanced at meanwhile, for those who can decide at once.
    """

    execution_id: str
    run_chain: str
    kind: ExecutionKind
    strategy_id: str
    account: str
    venues: tuple[str, ...]
    body_hash: str
    plan: str
    views: tuple[ViewRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLeg:
    """A leg order that the ledger knows, with its only child as far as it is known."""

    order_id: str
    request: OrderRequest
    intent: ChildIntent
    attempt: int
    status: ChildStatus
    report: ChildReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedExecution:
    """`stored` (JSON text) exactly when FINISHED, `denied` exactly when DENIED.

    `legs` and `epoch` when ADOPTED; `views` may be there when NEW, all or none.
    """

    kind: OpenExecutionKind
    terms: EngineTerms
    stored: str | None = None
    denied: Denied | None = None
    views: tuple[VenueView, ...] = ()
    legs: tuple[KnownLeg, ...] = ()
    epoch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptLeg:
    """One leg order: registered under `order_id`, and its first attempt reserved."""

    order_id: str
    request: OrderRequest
    first: Reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptLegs:
    """Check and reserve all legs in one transaction, or none of them.

    `locks` are taken with them and kept until the execution ends; one that another execution
    holds denies with PAIR_BUSY. The same legs again get the same answer.
    """

    execution_id: str
    legs: tuple[AcceptLeg, ...]
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LegsVerdict:
    """`reserved` in the order of the legs; empty when `denied`, which `denied_leg` caused."""

    reserved: tuple[Reserved, ...] = ()
    denied: Denied | None = None
    denied_leg: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveExecution:
    """Store the execution (`snapshot` as JSON text) and the ends of its leg orders.

    A terminal status is final and releases the locks. Legs that are stored keep their end.
    """

    execution_id: str
    status: ExecutionStatus
    snapshot: str
    legs: tuple[OrderSnapshot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedExecution:
    """`stored` is the end that the ledger holds already: that one stays, and is to be told."""

    stored: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlarm:
    """What a human must know; raising it again changes nothing while it is open."""

    code: AlarmCode
    object: str
    detail: str


class ExecutionsPort(ABC):
    """Idempotent steps that touch only the ledger."""

    @activity.defn(name="open_execution")
    @abstractmethod
    async def open_execution(self, execution: OpenExecution) -> OpenedExecution: ...

    @activity.defn(name="accept_legs")
    @abstractmethod
    async def accept_legs(self, request: AcceptLegs) -> LegsVerdict: ...

    @activity.defn(name="save_execution")
    @abstractmethod
    async def save_execution(self, request: SaveExecution) -> SavedExecution: ...

    @activity.defn(name="raise_alarm")
    @abstractmethod
    async def raise_alarm(self, alarm: RaiseAlarm) -> None: ...


async def open_execution(execution: OpenExecution) -> OpenedExecution:
    """Register the execution; retried without limit, as all of these are."""
    return await ledger_step(
        ExecutionsPort.open_execution, execution, f"register the {execution.kind} under its id"
    )


async def accept_legs(request: AcceptLegs) -> LegsVerdict:
    """The ledger's verdict on all legs at once."""
    return await ledger_step(
        ExecutionsPort.accept_legs,
        request,
        "check and reserve " + ", ".join(leg.order_id for leg in request.legs),
    )


async def save_execution(request: SaveExecution) -> SavedExecution:
    """Store the execution before its workflow ends."""
    return await ledger_step(
        ExecutionsPort.save_execution, request, f"store the execution as {request.status}"
    )


async def raise_alarm(alarm: RaiseAlarm) -> None:
    """Tell a human."""
    await ledger_step(ExecutionsPort.raise_alarm, alarm, f"alarm {alarm.code}")
