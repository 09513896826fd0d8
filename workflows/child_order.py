"""The one place where a child order is worked: reserve, submit, resolve, wait, cancel, settle.

A resumable state machine. Its whole state is `ChildState`, plain data inside the parent's state,
and `work` may enter at any status: continue-as-new and replay need no coroutine's local
variables. Each step asks one activity and applies one event of `lifecycle.CHILD_TRANSITIONS`.

What makes it safe:

* The client order id is a pure function of its name, so every attempt carries the same one.
* `submit` runs at most once per attempt. Whatever is not a trustworthy answer makes the child
  UNKNOWN, and only `resolve` leads out: adopted, or proven absent and then a new attempt.
* A cancel is a request. The child ends by the venue's terminal state, so a fill that won the
  race is counted.
* Execution reports are totals that only grow: repeated, late or reordered ones change nothing.

It must not know strategies: the parent prices, sizes and decides what comes next.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from workflows import ports
from workflows.child_state import ChildState, Priced
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildEvent, ChildStatus, apply
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import (
    ChildReport,
    RejectionFamily,
    SubmitKind,
    SubmitOutcome,
    VenueStatus,
)
from workflows.waiting import doubled, unless, wait_until

_RETRY_FIRST, _RETRY_LONGEST = timedelta(milliseconds=500), timedelta(seconds=30)
_POLL_IMMEDIATE, _POLL_IMMEDIATE_LONGEST = timedelta(milliseconds=200), timedelta(seconds=5)
_POLL_RESTING, _POLL_RESTING_LONGEST = timedelta(seconds=10), timedelta(minutes=15)
REFERENCE_MAX_AGE = timedelta(seconds=5)
"""An order is never sent on a market that was read longer ago than this."""
_NO_LIMIT = timedelta(days=1)

_HALTED = {DenialCode.TRADING_HALTED, DenialCode.TRADING_REDUCING}
_SETTLED = {
    VenueStatus.FILLED: ChildEvent.SETTLED_FILLED,
    VenueStatus.CANCELLED: ChildEvent.SETTLED_CANCELLED,
    VenueStatus.EXPIRED: ChildEvent.SETTLED_EXPIRED,
    VenueStatus.REJECTED: ChildEvent.SETTLED_REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildContext:
    """What the parent lends to its child.

    `reprice` answers None when there is no price now. `is_cancelled` and `should_hand_over` are
    asked again and again; `expires_at` is when the child must be taken off the venue.
    """

    terms: ports.EngineTerms
    parent_quantity: Decimal
    reprice: Callable[[ChildIntent], Awaitable[Priced | None]]
    is_cancelled: Callable[[], bool]
    should_hand_over: Callable[[], bool]
    expires_at: datetime | None = None
    look_at: datetime | None = None
    """When the parent wants a resting child back to look at the market; it stays where it is."""
    reserved: ports.Reserved | None = None
    """The ledger's answer to the first attempt, when it was asked before the child is worked."""
    give_up: Callable[[ports.GiveUp], Awaitable[ports.GivenUp]] = ports.give_up
    """How the ledger is told that the child was never sent."""


class ChildOrder:
    """Works one child order; `state` is always the whole truth."""

    def __init__(self, state: ChildState, context: ChildContext) -> None:
        self.state = state
        self._context = context
        self._reserved = context.reserved

    def on_report(self, report: ChildReport) -> None:
        """Take in an execution report of the account feed: a hint that wakes this child up."""
        if report.client_order_id == self.state.intent.client_order_id:
            self._learn(report)

    async def work(self) -> ChildState:
        """Work until nothing can execute any more, or until the parent wants to hand over.

        The result is off the venue, or NEW or WORKING when handed over. SETTLING means that
        fills are missing: the parent may go on, and calls `settle` before it ends.
        """
        steps = {
            ChildStatus.NEW: self._reserve,
            ChildStatus.READY: self._submit,
            ChildStatus.SENDING: self._lost,
            ChildStatus.UNKNOWN: self._resolve,
            ChildStatus.WORKING: self._wait,
            ChildStatus.CANCELLING: self._cancel,
        }
        while not self.state.is_off_venue:
            await steps[self.state.status]()
            self._conclude()
            resting = self.state.status in (ChildStatus.NEW, ChildStatus.WORKING)
            if resting and (self._context.should_hand_over() or self._is_wanted_back()):
                break
        return self.state

    async def settle(self) -> ChildState:
        """Wait for the missing fills of a child that is terminal at its venue."""
        while self.state.status is ChildStatus.SETTLING:
            self._learn(await self._read(ports.ReadUntil.SETTLED))
            self._conclude()
        return self.state

    # --- steps: one activity, one event ---------------------------------------------------------

    async def _reserve(self) -> None:
        if self._is_known_at_venue() or await self._has_stopped():
            return
        answer, self._reserved = self._reserved, None
        if self.state.attempt > 1 or self._is_stale():
            answer = None  # it was given for another price
            if not await self._refresh_price():
                return
        state = self.state
        answer = answer or await ports.reserve(
            ports.Reserve(
                intent=state.intent,
                attempt=state.attempt,
                reference_price=state.reference_price,
                parent_quantity=self._context.parent_quantity,
            )
        )
        if answer.denied is not None:
            self._deny(answer.denied)
        elif answer.resolve_attempt is not None:
            self._must_resolve(answer.resolve_attempt, answer.epoch)
        else:
            self._move(ChildEvent.RESERVED, epoch=answer.epoch)

    async def _submit(self) -> None:
        if self._is_known_at_venue() or await self._has_stopped():
            return
        if self._is_stale():  # the ledger took long: check it again at a price of now
            self._again(ChildEvent.PROVEN_UNSENT, reason="the price grew old before it was sent")
            return
        self._move(ChildEvent.SUBMIT)
        request = ports.Submit(
            intent=self.state.intent,
            attempt=self.state.attempt,
            send_by=self._context.expires_at,
        )
        try:
            outcome = await ports.submit(
                request, self._context.terms, start_within=self._time_left()
            )
        except ActivityError as error:
            outcome = _outcome_of_failure(error)
        await self._apply_outcome(outcome)

    async def _apply_outcome(self, outcome: SubmitOutcome) -> None:
        told = {"code": outcome.code, "reason": outcome.reason}
        if outcome.kind is SubmitKind.ACKED:
            self._move(ChildEvent.ACKED, waits=0)
            if outcome.report is not None:
                self._learn(outcome.report)
        elif outcome.kind is SubmitKind.UNKNOWN:
            self._move(ChildEvent.ANSWER_UNKNOWN, **told)
        elif outcome.kind is SubmitKind.REJECTED and outcome.family is not RejectionFamily.CLOCK:
            self._move(ChildEvent.REJECTED, family=outcome.family, **told)
        elif outcome.code in _HALTED:
            await self._release(Denied(code=DenialCode(outcome.code), detail=outcome.reason))
        else:
            self._again(ChildEvent.PROVEN_UNSENT, **told)

    async def _lost(self) -> None:
        """Entered as SENDING: its answer was lost with an earlier run."""
        self._move(ChildEvent.ANSWER_UNKNOWN, reason="the answer was lost")

    async def _resolve(self) -> None:
        state = self.state
        resolved = await ports.resolve(
            ports.Resolve(intent=state.intent, attempt=state.attempt, epoch=state.epoch)
        )
        if resolved.kind is ports.ResolveKind.PROVEN_ABSENT:
            self._again(ChildEvent.PROVEN_ABSENT, reason="proven absent at the venue")
        elif resolved.kind is ports.ResolveKind.REJECTED:
            self._move(ChildEvent.REJECTED, reason=resolved.reason)
        else:
            self._move(ChildEvent.ADOPTED, reason="", code="", waits=0)
            if resolved.report is not None:
                self._learn(resolved.report)

    async def _wait(self) -> None:
        """Sleep until something happened; a slow timer re-reads in case a report was missed."""
        if self._must_stop():
            self._move(ChildEvent.CANCEL, waits=0)
            return
        pause, look_at = self._pause_before_reading(), self._context.look_at
        if look_at is not None:
            read_at = self.state.read_at or workflow.now() + pause
            self._change(read_at=read_at)
            if look_at < read_at:
                await self._sleep(look_at - workflow.now(), "until the market is looked at")
                return
            pause = read_at - workflow.now()
        if await self._sleep(pause, "wait for an execution report"):
            return
        self._change(waits=self.state.waits + 1, read_at=None)
        if not self._must_stop():
            await self._read_now(lambda: self._is_terminal() or self._context.is_cancelled())

    def _pause_before_reading(self) -> timedelta:
        if self.state.is_immediate:
            return doubled(_POLL_IMMEDIATE, _POLL_IMMEDIATE_LONGEST, self.state.waits)
        return doubled(_POLL_RESTING, _POLL_RESTING_LONGEST, self.state.waits)

    async def _cancel(self) -> None:
        """Ask, then read. Repeat with backoff while the venue still shows it open."""
        state = self.state
        if state.waits:
            pause = doubled(_RETRY_FIRST, _RETRY_LONGEST, state.waits)
            await wait_until(self._is_terminal, pause, "before cancelling again")
        if not self._is_terminal():
            venue_order_id = self._venue_order_id()
            request = ports.CancelChild(intent=state.intent, venue_order_id=venue_order_id)
            with suppress(ActivityError):  # not reached for a while: look around, ask again
                await ports.cancel_child(request)
        self._change(waits=state.waits + 1)
        if not self._is_terminal():
            await self._read_now(self._is_terminal)

    # --- helpers --------------------------------------------------------------------------------

    async def _refresh_price(self) -> bool:
        """Back off, then price the next attempt. False: not now, look around again."""
        pause = doubled(_RETRY_FIRST, _RETRY_LONGEST, self.state.waits)
        self._change(waits=self.state.waits + 1)
        if await self._sleep(pause, f"before attempt {self.state.attempt}"):
            return False
        priced = await self._context.reprice(self.state.intent)
        if priced is None or self._must_stop() or self.state.report is not None:
            return False
        self._change(
            intent=priced.intent,
            reference_price=priced.reference_price,
            priced_at=workflow.now(),
        )
        return True

    def _is_stale(self) -> bool:
        return workflow.now() - self.state.priced_at > REFERENCE_MAX_AGE

    def _is_known_at_venue(self) -> bool:
        """A report came for a child that we hold unsent: an earlier attempt got through."""
        if self.state.report is None:
            return False
        self._move(ChildEvent.ADOPTED, waits=0)
        return True

    def _must_resolve(self, attempt: int, epoch: str = "") -> None:
        self._move(
            ChildEvent.ANSWER_UNKNOWN,
            attempt=attempt,
            epoch=epoch or self.state.epoch,
            reason="the ledger knows more than we do",
        )

    async def _has_stopped(self) -> bool:
        """Give the child up when the parent wants no more of it."""
        if not self._must_stop():
            return False
        reason = self.state.reason or "stopped before it was sent"
        given_up = await self._context.give_up(self._giving_up(reason))
        if given_up.resolve_attempt is not None:
            self._must_resolve(given_up.resolve_attempt)
        else:
            self._move(ChildEvent.GIVE_UP, reason=reason)
        return True

    async def _release(self, denied: Denied) -> None:
        given_up = await self._context.give_up(self._giving_up(denied.code))
        if given_up.resolve_attempt is not None:
            self._must_resolve(given_up.resolve_attempt)
        else:
            self._deny(denied)

    def _time_left(self) -> timedelta:
        expires_at = self._context.expires_at
        return _NO_LIMIT if expires_at is None else expires_at - workflow.now()

    async def _read_now(self, is_needless: Callable[[], bool]) -> None:
        """Ask the venue, unless meanwhile the answer is needless: it may hang for a while."""
        read, may_leave = self._read(ports.ReadUntil.NOW), self._context.terms.reads_aside
        with suppress(ActivityError):  # no news is no news; reports and the next look remain
            report = await (unless(is_needless, read) if may_leave else read)
            if report is not None:
                self._learn(report)

    async def _sleep(self, pause: timedelta, why: str) -> bool:
        """Sleep until `pause` is over (False) or something needs attention (True)."""
        context = self._context
        known = self.state.report if self.state.status is ChildStatus.NEW else None

        def needs_attention() -> bool:
            if self.state.status is ChildStatus.NEW and self.state.report is not known:
                return True
            return self._is_terminal() or context.is_cancelled() or context.should_hand_over()

        return await wait_until(needs_attention, min(pause, self._time_left()), why)

    def _is_wanted_back(self) -> bool:
        look_at = self._context.look_at
        return look_at is not None and workflow.now() >= look_at

    async def _read(self, until: ports.ReadUntil) -> ChildReport:
        return await ports.read_child(
            ports.ReadChild(
                intent=self.state.intent, venue_order_id=self._venue_order_id(), until=until
            )
        )

    def _giving_up(self, reason: str) -> ports.GiveUp:
        return ports.GiveUp(client_order_id=self.state.intent.client_order_id, reason=reason)

    def _venue_order_id(self) -> str:
        assert self.state.report is not None, "a working child has the venue's order id"
        return self.state.report.venue_order_id

    def _must_stop(self) -> bool:
        expires_at = self._context.expires_at
        expired = expires_at is not None and workflow.now() >= expires_at
        return expired or self._context.is_cancelled()

    def _is_terminal(self) -> bool:
        return self.state.report is not None and self.state.report.status.is_terminal

    def _learn(self, report: ChildReport) -> None:
        known = self.state.report
        self._change(report=report if known is None else known.merged(report))

    def _conclude(self) -> None:
        """Draw the consequence of a terminal report, wherever it came from."""
        report = self.state.report
        if report is None or not report.status.is_terminal:
            return
        if self.state.status in (ChildStatus.WORKING, ChildStatus.CANCELLING):
            self._move(ChildEvent.TERMINAL)
        if self.state.status is ChildStatus.SETTLING and report.is_settled:
            self._move(_SETTLED[report.status])

    def _again(self, event: ChildEvent, *, code: str = "", reason: str) -> None:
        self._move(event, attempt=self.state.attempt + 1, code=code, reason=reason)

    def _deny(self, denied: Denied) -> None:
        self._move(ChildEvent.DENIED, denied=denied, code=denied.code, reason=denied.detail)

    def _move(self, event: ChildEvent, **changes: object) -> None:
        self._change(status=apply(self.state.status, event), **changes)

    def _change(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # checked by tests


def _outcome_of_failure(error: ActivityError) -> SubmitOutcome:
    """Only a schedule-to-start timeout proves that nothing ran."""
    cause = error.cause
    if isinstance(cause, TemporalTimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
        return SubmitOutcome(kind=SubmitKind.NOT_SENT, code="NO_WORKER", reason="no worker took it")
    return SubmitOutcome(kind=SubmitKind.UNKNOWN, reason="no outcome was reported")
