"""The ledger's port: local activities, idempotent, a few milliseconds each."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from workflows.domain.denials import Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildIntent
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.names import ORDERS_QUEUE
from workflows.ports.market import MarketSnapshot


class OpenKind(StrEnum):
    """What registering an order came to."""

    NEW = "new"
    """First sight of this order id, or the same run chain again: go on."""
    FINISHED = "finished"
    """The id was started again after it closed, with the same body: answer the stored result."""
    DENIED = "denied"
    """Another body under a known id, or an exchange or account that is not configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTerms:
    """Settings that decide how an order runs, read once per order so that replay agrees."""

    accept_timeout_s: Decimal
    order_timeout_s: Decimal
    twap_slices: int
    twap_interval_s: Decimal
    schedule_to_start_s: Decimal
    submit_timeout_s: Decimal
    glances: bool = False
    """Whether the market is read inside the workflow task first: False in orders that began
    before this existed, whose histories must replay."""
    max_order_value: Decimal | None = None
    """Quote value that one order may have; None in orders that began before it was told."""
    reads_aside: bool = False
    """Whether a read of a child is given up when its answer became needless: False in orders that
    began before this existed."""
    tells_waiting: bool = False
    """Whether the ledger is told when an order waits for a price: False in orders that began
    before this existed."""
    iceberg_visible_ratio: Decimal = Decimal("0.1")
    """Shown share of an iceberg whose request names none."""
    suspends: bool = False
    """Whether a child that the kill switch stops suspends its order: False in orders that began
    before this existed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """Register the order under its id. `run_chain` is Temporal's first execution run id."""

    order_id: str
    run_chain: str
    request: OrderRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedOrder:
    """`stored` is present exactly when FINISHED, `denied` exactly when DENIED.

    `market` may be there when NEW: what the venue told at once while the order was registered.
    """

    kind: OpenKind
    terms: EngineTerms
    stored: OrderSnapshot | None = None
    denied: Denied | None = None
    market: MarketSnapshot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Check one attempt of a child and book its reservation, in one transaction.

    Idempotent by (client order id, attempt): the stored answer is returned.
    """

    intent: ChildIntent
    attempt: int
    reference_price: Decimal
    parent_quantity: Decimal
    compensates: str | None = None
    """The execution whose residual this child reduces. What the ledger finds to reduce it skips
    the limits on size and exposure, and passes while trading is reducing; what would enlarge the
    residual is denied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """`epoch` names the ledger's incarnation that reserved: another one later means that it was
    restored. Empty when that is not known.

    `resolve_attempt`: nothing was reserved, because the ledger knows of this attempt that it may
    be live; the workflow's memory is older than the ledger's.
    """

    epoch: str
    denied: Denied | None = None
    resolve_attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptOrder:
    """Check the parent against trading state, readiness and limits, and mark it accepted.

    `first` is reserved in the same step when the parent is accepted: an order of one child then
    needs no step of its own for it.
    """

    order_id: str
    request: OrderRequest
    reference_price: Decimal
    first: Reserve | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`denied` is None when approved; then `reserved` answers `first`, if there was one."""

    denied: Denied | None = None
    reserved: Reserved | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Release a child that was never sent; one that the ledger does not know is fine."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """`resolve_attempt`: not given up, because this attempt may be live."""

    resolve_attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOrder:
    """Store the parent's state as its workflow knows it; terminal states are final."""

    snapshot: OrderSnapshot
    status: OrderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedOrder:
    """`stored` is the end that the ledger holds already: that one stays, and is to be told."""

    stored: OrderSnapshot | None = None


class LedgerPort(ABC):
    """Idempotent steps that touch only the ledger."""

    @activity.defn(name="open_order")
    @abstractmethod
    async def open_order(self, order: OpenOrder) -> OpenedOrder: ...

    @activity.defn(name="accept_order")
    @abstractmethod
    async def accept_order(self, order: AcceptOrder) -> Verdict: ...

    @activity.defn(name="reserve")
    @abstractmethod
    async def reserve(self, request: Reserve) -> Reserved: ...

    @activity.defn(name="give_up")
    @abstractmethod
    async def give_up(self, request: GiveUp) -> GivenUp: ...

    @activity.defn(name="save_order")
    @abstractmethod
    async def save_order(self, request: SaveOrder) -> SavedOrder | None: ...


_LEDGER_TIMEOUT = timedelta(seconds=2)
_LEDGER_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    maximum_interval=timedelta(seconds=60),
)
_WAIT_ON_TIMERS = timedelta(milliseconds=10)
"""Every pause between attempts is a durable timer. Within one workflow task the workflow's clock
would stand still while they go on, and an order would trade after its deadline."""

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


async def ledger_step(
    step: Callable[[Any, RequestT], Awaitable[AnswerT]], request: RequestT, summary: str
) -> AnswerT:
    """One step as a local activity, retried without limit."""
    return await workflow.execute_local_activity_method(
        step,
        request,
        start_to_close_timeout=_LEDGER_TIMEOUT,
        retry_policy=_LEDGER_RETRY,
        local_retry_threshold=_WAIT_ON_TIMERS,
        summary=summary,
    )


async def open_order(order: OpenOrder) -> OpenedOrder:
    """Register the order; retried without limit, as all of these are."""
    return await ledger_step(LedgerPort.open_order, order, "register the order under its id")


async def accept_order(order: AcceptOrder) -> Verdict:
    """The ledger's verdict on the whole order."""
    return await ledger_step(
        LedgerPort.accept_order, order, "check the order against state and limits"
    )


async def reserve(request: Reserve) -> Reserved:
    """Check and book one attempt. ActivityError when the protocol was broken: our bug."""
    return await ledger_step(
        LedgerPort.reserve,
        request,
        f"reserve child {request.intent.child_index}, attempt {request.attempt}",
    )


async def give_up(request: GiveUp) -> GivenUp:
    """Release the reservation of a child that nobody can have sent."""
    return await ledger_step(
        LedgerPort.give_up, request, f"release the reservation: {request.reason}"
    )


async def give_up_in_turn(request: GiveUp) -> GivenUp:
    """As `give_up`, but through the task queue: for children that are worked side by side.

    A query that is answered while a local activity runs splits the workflow task there, and replay
    does not: what another child began in that task, and its result takes back, would then be
    missing in the replayed commands.
    """
    return await workflow.execute_activity_method(
        LedgerPort.give_up,
        request,
        task_queue=ORDERS_QUEUE,
        start_to_close_timeout=_LEDGER_TIMEOUT,
        retry_policy=_LEDGER_RETRY,
        summary=f"release the reservation: {request.reason}",
    )


async def save_order(request: SaveOrder) -> SavedOrder | None:
    """Store the order before its workflow ends. None in histories from before it had a result."""
    return await ledger_step(LedgerPort.save_order, request, f"store the order as {request.status}")
