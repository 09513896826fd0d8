"""What control asks of the ledger: the kill switch, an operator's verdict, lost orders."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from workflows.domain.denials import Denied
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import ChildReport
from workflows.messages import OrderRequest
from workflows.names import ORDERS_QUEUE
from workflows.ports.ledger import EngineTerms, ledger_step
from workflows.steering_messages import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSwitch:
    """Whose kill switches: all scopes that this strategy's orders in this symbol are in.

    `since`: one that was set after this moment and lifted again counts too. With `side` only what
    stops an order of that side altogether: not what lets it reduce its position, as one that is
    `reduce_only` always does, nor what an override in force lets pass.
    """

    strategy_id: str
    account: str
    venue: str
    symbol: str
    since: datetime | None = None
    side: Side | None = None
    reduce_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchView:
    """What new orders are denied with now; None while trading is active."""

    denied: Denied | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVerdict:
    """An operator's word on one attempt; `venue_order_id` exactly with ADOPT."""

    client_order_id: str
    attempt: int
    verdict: Verdict
    venue_order_id: str | None
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedVerdict:
    """`denied`: the ledger knows the attempt's outcome already, or has another verdict.

    `at` is when it was recorded, in UTC as RFC 3339.
    """

    denied: Denied | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostOrder:
    """An order whose workflow does not run any more; `how` it went, for people."""

    order_id: str
    how: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChild:
    """A child order as far as the ledger knows it, at its latest attempt."""

    intent: ChildIntent
    attempt: int
    status: ChildStatus
    report: ChildReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """What a lost order left: its children that are not final. `request` is None when the ledger
    holds no such order that is open or has such children.
    """

    terms: EngineTerms
    epoch: str
    request: OrderRequest | None = None
    children: tuple[KnownChild, ...] = ()


class ControlPort(ABC):
    """Idempotent steps that touch only the ledger."""

    @activity.defn(name="read_switch")
    @abstractmethod
    async def read_switch(self, request: ReadSwitch) -> SwitchView: ...

    @activity.defn(name="record_verdict")
    @abstractmethod
    async def record_verdict(self, request: RecordVerdict) -> RecordedVerdict: ...

    @activity.defn(name="take_over")
    @abstractmethod
    async def take_over(self, order: LostOrder) -> TakenOver: ...

    @activity.defn(name="end_lost")
    @abstractmethod
    async def end_lost(self, order: LostOrder) -> None: ...


async def read_switch(request: ReadSwitch) -> SwitchView:
    """The kill switch as it is now."""
    return await ledger_step(ControlPort.read_switch, request, "look at the kill switch")


async def take_over(order: LostOrder) -> TakenOver:
    """No attempt of the order can be claimed any more; what it left."""
    return await ledger_step(ControlPort.take_over, order, f"take over {order.order_id}")


async def end_lost(order: LostOrder) -> None:
    """Store the end of an order of which nothing is live any more."""
    await ledger_step(ControlPort.end_lost, order, f"end {order.order_id}")


_WITHIN = timedelta(seconds=2)
_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=20)


async def record_verdict(request: RecordVerdict) -> RecordedVerdict:
    """Store an operator's verdict. Through the task queue, since a handler asks beside the
    protocol and its local activities. Raises ActivityError when the ledger stays away.
    """
    return await workflow.execute_activity_method(
        ControlPort.record_verdict,
        request,
        task_queue=ORDERS_QUEUE,
        start_to_close_timeout=_WITHIN,
        retry_policy=_RETRY,
        summary=f"an operator's verdict: {request.verdict}",
    )
