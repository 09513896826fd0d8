"""The venue's port for reads, and the account feed's long activity; both on the data queue."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport
from workflows.names import venue_data_queue
from workflows.ports.market import MarketRequest, MarketSnapshot
from workflows.ports.venue import ASK_WITHIN, NETWORK_RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Find the truth about an attempt whose outcome is unknown. `epoch` as reserved."""

    intent: ChildIntent
    attempt: int
    epoch: str


class ResolveKind(StrEnum):
    """What became of an attempt."""

    ADOPTED = "adopted"
    REJECTED = "rejected"
    PROVEN_ABSENT = "proven_absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """`report` is present when ADOPTED; `reason` says why in the other cases."""

    kind: ResolveKind
    report: ChildReport | None = None
    reason: str = ""


class ReadUntil(StrEnum):
    """How long a read of an order waits."""

    NOW = "now"
    """Answer what the venue says at once."""
    SETTLED = "settled"
    """Wait until the order is terminal and all its fills are booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadChild:
    """Read a child order under the venue's id."""

    intent: ChildIntent
    venue_order_id: str
    until: ReadUntil


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCursor:
    """Last trade id that was booked and signalled, by symbol: the feed's durable memory."""

    trade_ids: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowAccount:
    """One turn of the account feed; `cursor` is where the turn before ended."""

    venue: str
    account: str
    cursor: FeedCursor | None = None


class VenueDataPort(ABC):
    """Reads. What is read about an order of ours is booked before it is answered."""

    @activity.defn(name="read_market")
    @abstractmethod
    async def read_market(self, request: MarketRequest) -> MarketSnapshot: ...

    @activity.defn(name="resolve")
    @abstractmethod
    async def resolve(self, request: Resolve) -> Resolved: ...

    @activity.defn(name="read_child")
    @abstractmethod
    async def read_child(self, request: ReadChild) -> ChildReport: ...


class FeedPort(ABC):
    """The long activity behind the account feed; it runs on the data queue too."""

    @activity.defn(name="follow_account")
    @abstractmethod
    async def follow_account(self, request: FollowAccount) -> FeedCursor: ...


_READ_TIMEOUT = timedelta(seconds=15)
_GLANCE_TIMEOUT = timedelta(milliseconds=500)
"""Far below the task's own time: a venue that is slow is asked through the task queue instead."""
_ONCE = RetryPolicy(maximum_attempts=1)
FEED_HEARTBEAT = timedelta(seconds=5)
FEED_TURN = timedelta(hours=1)
"""How long one feed activity follows before it hands its cursor back to the workflow."""
_FEED_RETRY = RetryPolicy(
    # attempts count up over the whole turn, so a longer pause would punish the next lost stream
    initial_interval=timedelta(milliseconds=500),
    maximum_interval=timedelta(seconds=2),
)


async def read_market(request: MarketRequest, *, within: timedelta | None = None) -> MarketSnapshot:
    """Rules and touch. `within` bounds all attempts; then an ActivityError is raised."""
    return await workflow.execute_activity_method(
        VenueDataPort.read_market,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=NETWORK_RETRY,
        summary=f"rules and touch of {request.symbol}",
    )


async def glance_at_market(request: MarketRequest) -> MarketSnapshot:
    """As `read_market`, but asked once and inside the workflow task, which costs one event.

    A quote changes nothing and may be read twice, so nothing is lost with a task that is.
    Raises FailureError (local activities are not wrapped as others are) when the venue does not
    tell at once.
    """
    return await workflow.execute_local_activity_method(
        VenueDataPort.read_market,
        request,
        start_to_close_timeout=_GLANCE_TIMEOUT,
        retry_policy=_ONCE,
        summary=f"rules and touch of {request.symbol}",
    )


async def resolve(request: Resolve) -> Resolved:
    """Ask until the truth is known, without limit; one activity, so history stays short."""
    intent = request.intent
    return await workflow.execute_activity_method(
        VenueDataPort.resolve,
        request,
        task_queue=venue_data_queue(intent.venue, intent.account),
        start_to_close_timeout=_READ_TIMEOUT,
        retry_policy=NETWORK_RETRY,
        summary=f"is child {intent.child_index} at the venue?",
    )


async def read_child(request: ReadChild) -> ChildReport:
    """Read an order. SETTLED waits without limit; NOW raises ActivityError after a while."""
    intent = request.intent
    return await workflow.execute_activity_method(
        VenueDataPort.read_child,
        request,
        task_queue=venue_data_queue(intent.venue, intent.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=ASK_WITHIN if request.until is ReadUntil.NOW else None,
        retry_policy=NETWORK_RETRY,
        summary=f"read child {intent.child_index} ({request.until})",
    )


async def follow_account(request: FollowAccount) -> FeedCursor:
    """Follow for one turn; a lost stream or worker is retried from the last cursor."""
    return await workflow.execute_activity_method(
        FeedPort.follow_account,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=FEED_TURN * 2,
        heartbeat_timeout=FEED_HEARTBEAT,
        retry_policy=_FEED_RETRY,
        summary=f"follow {request.account} at {request.venue}",
    )
