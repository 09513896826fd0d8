"""The venue's port for calls that change something there: submit and cancel.

`submit` is attempted once: repeating it is a decision of the order protocol, never of a retry
policy.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity, workflow
from temporalio.common import Priority, RetryPolicy

from workflows.domain.orders import ChildIntent
from workflows.domain.reports import SubmitOutcome
from workflows.durations import seconds
from workflows.fields import plain
from workflows.names import venue_queue
from workflows.ports.ledger import EngineTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """One attempt to send a child order, by the moment `send_by` on Temporal's clock or never."""

    intent: ChildIntent
    attempt: int
    send_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelChild:
    """Take a child order off its venue."""

    intent: ChildIntent
    venue_order_id: str


class VenuePort(ABC):
    """Calls that change something at the venue."""

    @activity.defn(name="submit")
    @abstractmethod
    async def submit(self, request: Submit) -> SubmitOutcome: ...

    @activity.defn(name="cancel_child")
    @abstractmethod
    async def cancel_child(self, request: CancelChild) -> None: ...


NETWORK_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30)
)
ASK_WITHIN = timedelta(seconds=20)
"""How long one question to a venue may take, retries included, before the workflow looks around."""
_CANCEL_FIRST = Priority(priority_key=1)


async def submit(request: Submit, terms: EngineTerms, *, start_within: timedelta) -> SubmitOutcome:
    """Send one attempt, once. Raises ActivityError when no outcome was reported.

    `start_within` ends the wait for a worker early, for a child whose own time is shorter.
    """
    intent = request.intent
    price = "market" if intent.price is None else plain(intent.price)
    return await workflow.execute_activity_method(
        VenuePort.submit,
        request,
        task_queue=venue_queue(intent.venue, intent.account),
        schedule_to_start_timeout=min(start_within, seconds(terms.schedule_to_start_s)),
        start_to_close_timeout=seconds(terms.submit_timeout_s),
        retry_policy=RetryPolicy(maximum_attempts=1),
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=f"{intent.side} {plain(intent.quantity)} {intent.symbol} at {price}",
    )


async def cancel_child(request: CancelChild) -> None:
    """Ask for a cancel. ActivityError when the venue could not be asked for a while."""
    intent = request.intent
    await workflow.execute_activity_method(
        VenuePort.cancel_child,
        request,
        task_queue=venue_queue(intent.venue, intent.account),
        start_to_close_timeout=timedelta(seconds=10),
        schedule_to_close_timeout=ASK_WITHIN,
        retry_policy=NETWORK_RETRY,
        priority=_CANCEL_FIRST,
        summary=f"cancel child {intent.child_index}",
    )
