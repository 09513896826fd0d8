"""The ledger in memory, with the semantics of the attempts and bookings of the real one.

Each method is one transaction between two fault points, atomic like those of the database. The
rules for totals are the real ones (`store_fills.merge`, `still_reserved`). Left out: limits,
positions and postings, REDUCING, other children of the parent, and restores (one epoch).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

from activities.ledger.results import (
    MAY_BE_LIVE,
    AttemptState,
    AttemptTruth,
    Booked,
    ChildClosedError,
    ChildMayBeLiveError,
    ClaimCode,
    ClaimRefused,
    UnknownChildError,
)
from activities.ledger.store_fills import Known, merge, still_reserved
from tests.stateful.model import Model
from tests.stateful.runs import Scheduler
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, ExecutionReport, Fill, VenueStatus

T = TypeVar("T")
EPOCH = "epoch-1"
_ON_THE_WIRE = (AttemptState.SENDING, AttemptState.UNKNOWN)


@dataclass(kw_only=True)
class Attempt:
    """A row of `attempts`."""

    state: AttemptState = AttemptState.READY
    signed_at_ms: int | None = None
    code: str = ""
    reason: str = ""


@dataclass(kw_only=True)
class Child:
    """A row of `child_orders` with what hangs on it."""

    intent: ChildIntent
    known: Known
    attempts: dict[int, Attempt] = field(default_factory=dict)
    verdicts: dict[int, tuple[ChildIntent, Denied | None]] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    reserved: Decimal | None = None

    @property
    def is_untouched(self) -> bool:
        return self.known.venue_order_id is None and not self.known.status.is_final

    @property
    def live(self) -> int | None:
        """The latest attempt that may be live."""
        live = [n for n, each in self.attempts.items() if each.state.value in MAY_BE_LIVE]
        return max(live, default=None)


class MemoryLedger:
    """One child order, as `LedgerStore` would keep it."""

    def __init__(self, scheduler: Scheduler, model: Model) -> None:
        self._scheduler = scheduler
        self._model = model
        self.child: Child | None = None
        self._has_ended = False
        self.claimed_at_ms: dict[int, int] = {}
        self.alarms: set[str] = set()

    async def _transaction(self, name: str, work: Callable[[], T]) -> T:
        await self._scheduler.point(f"{name}.before")
        result = work()
        await self._scheduler.point(f"{name}.after")
        return result

    # --- attempts -------------------------------------------------------------------------------

    async def reserve(
        self,
        intent: ChildIntent,
        attempt: int,
        reference: Decimal,
        parent: Decimal,
        compensates: str | None,
    ) -> tuple[str, Denied | None]:
        del reference, parent
        assert compensates is None, "no execution runs here"
        denied = await self._transaction("reserve", lambda: self._reserve(intent, attempt))
        return EPOCH, denied

    def _reserve(self, intent: ChildIntent, attempt: int) -> Denied | None:
        child = self.child
        if child is not None and attempt in child.verdicts:
            return _stored_answer(child, intent, attempt)
        if child is not None:
            _refuse_reopening(child, attempt, is_over=self._has_ended)
        denied = self._judge()
        status = ChildStatus.READY if denied is None else ChildStatus.DENIED
        if child is None:
            child = self.child = Child(intent=intent, known=_fresh(status))
        child.intent = intent
        child.verdicts[attempt] = (intent, denied)
        self._close_ready(child)
        if denied is None:
            child.attempts[attempt] = Attempt()
        child.reserved = intent.quantity if denied is None else None
        self._set_child(child, status)
        return denied

    def _judge(self) -> Denied | None:
        if self._has_ended:
            return Denied(code=DenialCode.ALREADY_TERMINAL, detail="the order ended")
        if self._model.halted:
            return Denied(code=DenialCode.TRADING_HALTED, detail="scope=global")
        return None

    async def claim(
        self, client_order_id: str, attempt: int, signed_at_ms: int
    ) -> ClaimRefused | None:
        return await self._transaction("claim", lambda: self._claim(attempt, signed_at_ms))

    def _claim(self, attempt: int, signed_at_ms: int) -> ClaimRefused | None:
        child = self.child
        if child is None or attempt not in child.attempts:
            return ClaimRefused(code=ClaimCode.ATTEMPT_CLOSED, detail="state=absent")
        row = child.attempts[attempt]
        if not self._may_claim(child, row):
            return ClaimRefused(code=ClaimCode.ATTEMPT_CLOSED, detail=f"attempt={row.state}")
        refused = self._gate()
        if refused is not None:
            return refused
        row.state, row.signed_at_ms = AttemptState.SENDING, signed_at_ms
        self.claimed_at_ms[attempt] = self._scheduler.now_ms
        self._model.on_claim(attempt)
        self._set_child(child, ChildStatus.SENDING)
        return None

    def _may_claim(self, child: Child, row: Attempt) -> bool:
        is_untouched = child.known.venue_order_id is None
        is_ready = child.known.status is ChildStatus.READY
        return row.state is AttemptState.READY and is_untouched and is_ready

    def _gate(self) -> ClaimRefused | None:
        if self._model.halted:
            return ClaimRefused(code=ClaimCode.TRADING_HALTED, detail="scope=global")
        if not self._model.ready:
            return ClaimRefused(code=ClaimCode.RECONCILING, detail="account=main")
        return None

    async def record_rejection(
        self, name: str, attempt: int, code: str, reason: str, *, counts: bool = True
    ) -> None:
        await self._transaction(
            "record_rejection", lambda: self._record_rejection(attempt, code, reason)
        )

    def _record_rejection(self, attempt: int, code: str, reason: str) -> None:
        child, row = self._row(attempt)
        if child is None or row is None or row.state not in _ON_THE_WIRE:
            return
        row.state, row.code, row.reason = AttemptState.REJECTED, code, reason
        self._model.on_rejection(attempt)
        if child.is_untouched:
            self._set_child(child, ChildStatus.REJECTED)
            child.reserved = None

    async def count_cancel(self, exchange: str, account: str) -> None:
        """Messages are not counted here."""

    async def record_unknown(self, name: str, attempt: int, reason: str) -> None:
        await self._transaction("record_unknown", lambda: self._record_unknown(attempt, reason))

    def _record_unknown(self, attempt: int, reason: str) -> None:
        child, row = self._row(attempt)
        if child is None or row is None or row.state is not AttemptState.SENDING:
            return
        row.state, row.reason = AttemptState.UNKNOWN, reason
        if child.is_untouched:
            self._set_child(child, ChildStatus.UNKNOWN)

    async def close_attempt(self, client_order_id: str, attempt: int) -> AttemptTruth:
        return await self._transaction("close_attempt", lambda: self._close_attempt(attempt))

    def _close_attempt(self, attempt: int) -> AttemptTruth:
        child, row = self._row(attempt)
        if child is None or row is None:
            report = None if child is None else _report_of(child)
            return AttemptTruth(known=False, epoch=EPOCH, report=report)
        state = row.state
        if state is AttemptState.READY:
            row.state = AttemptState.CLOSED
            self._model.on_closed(attempt)
            if child.known.status is ChildStatus.READY:
                self._set_child(child, ChildStatus.NEW)
        elif state is AttemptState.SENDING:
            row.state = AttemptState.UNKNOWN
            if child.known.status is ChildStatus.SENDING:
                self._set_child(child, ChildStatus.UNKNOWN)
        return AttemptTruth(
            known=True,
            epoch=EPOCH,
            state=state,
            signed_at_ms=row.signed_at_ms,
            venue_order_id=child.known.venue_order_id,
            report=_report_of(child),
            outcome_code=row.code,
            outcome_reason=row.reason,
        )

    async def prove_absent(self, client_order_id: str, attempt: int) -> None:
        await self._transaction("prove_absent", lambda: self._prove_absent(attempt))

    def _prove_absent(self, attempt: int) -> None:
        child, row = self._row(attempt)
        if child is None or row is None:
            return
        if row.state not in (AttemptState.READY, *_ON_THE_WIRE):
            return
        row.state, row.code = AttemptState.CLOSED, "PROVEN_ABSENT"
        self._model.on_closed(attempt)
        if child.is_untouched:
            self._set_child(child, ChildStatus.NEW)

    async def give_up(self, client_order_id: str, reason: str) -> None:
        await self._transaction("give_up", self._give_up)

    def _give_up(self) -> None:
        child = self.child
        if child is None or child.known.status.is_final:
            return
        if child.live is not None:
            raise ChildMayBeLiveError("it may be live", attempt=child.live)
        self._model.on_given_up()
        self._release_unsent(child)

    def end_order(self) -> None:
        """What saving the ended parent does to a child that no attempt can have sent."""
        self._has_ended = True
        child = self.child
        unsent = (ChildStatus.NEW, ChildStatus.READY)
        if child is not None and child.known.status in unsent and child.live is None:
            self._release_unsent(child)

    def _release_unsent(self, child: Child) -> None:
        self._close_ready(child)
        self._set_child(child, ChildStatus.NOT_SENT)
        child.reserved = None

    def _close_ready(self, child: Child) -> None:
        for attempt, row in child.attempts.items():
            if row.state is AttemptState.READY:
                row.state = AttemptState.CLOSED
                self._model.on_closed(attempt)

    # --- reports --------------------------------------------------------------------------------

    async def record_ack(
        self, intent: ChildIntent, attempt: int, report: ExecutionReport, base: str, quote: str
    ) -> ChildReport:
        return await self._transaction("record_ack", lambda: self._ack(attempt, report))

    def _ack(self, attempt: int, report: ExecutionReport) -> ChildReport:
        booked = self.book(report)
        _, row = self._row(attempt)
        if row is not None:
            row.state = AttemptState.ACKED
        return booked.report

    async def book_report(
        self, intent: ChildIntent, report: ExecutionReport, base: str, quote: str
    ) -> Booked:
        return await self._transaction("book_report", lambda: self.book(report))

    def book(self, report: ExecutionReport) -> Booked:
        """Book a report, once per trade id. UnknownChildError."""
        child = self.child
        if child is None:
            raise UnknownChildError("the ledger holds no such child")
        fresh = [fill for fill in report.fills if fill.trade_id not in child.fills]
        child.fills |= {fill.trade_id: fill for fill in fresh}
        after = merge(child.known, report, fresh)
        child.known = replace(after, status=child.known.status)
        if child.reserved is not None:
            child.reserved = still_reserved(after, child.intent.quantity)
        self._set_child(child, after.status)
        if after.status.is_final:
            child.reserved = None
        self._model.on_booked(after.filled_quantity)
        booked = _report_of(child)
        assert booked is not None
        return Booked(report=booked, new_fills=len(fresh))

    async def raise_alarm(self, code: str, about: str, detail: str) -> None:
        self.alarms.add(code)

    # --- helpers --------------------------------------------------------------------------------

    def _row(self, attempt: int) -> tuple[Child | None, Attempt | None]:
        return self.child, self.child.attempts.get(attempt) if self.child else None

    def _set_child(self, child: Child, status: ChildStatus) -> None:
        child.known = replace(child.known, status=status)
        self._model.on_ledger_status(status)


def _fresh(status: ChildStatus) -> Known:
    return Known(
        status=status,
        venue_status=None,
        venue_order_id=None,
        executed_quantity=Decimal(0),
        filled_quantity=Decimal(0),
    )


def _stored_answer(child: Child, intent: ChildIntent, attempt: int) -> Denied | None:
    checked, denied = child.verdicts[attempt]
    if denied is None and checked != intent:
        raise ChildMayBeLiveError("it was approved otherwise", attempt=attempt)
    return denied


def _refuse_reopening(child: Child, attempt: int, *, is_over: bool) -> None:
    latest = max(child.attempts, default=0)
    if child.known.venue_order_id is not None or child.live is not None:
        raise ChildMayBeLiveError("it may be live", attempt=child.live or latest)
    given_up = child.known.status is ChildStatus.NOT_SENT and not is_over
    if given_up or latest >= attempt:
        raise ChildClosedError(f"attempt {attempt} cannot be reserved")


def _report_of(child: Child) -> ChildReport | None:
    known = child.known
    if known.venue_order_id is None:
        return None
    return ChildReport(
        client_order_id=child.intent.client_order_id,
        venue_order_id=known.venue_order_id,
        status=known.venue_status or VenueStatus.OPEN,
        executed_quantity=known.executed_quantity,
        filled_quantity=known.filled_quantity,
        filled_quote=sum((f.price * f.quantity for f in child.fills.values()), Decimal(0)),
    )
