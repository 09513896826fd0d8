"""One order of an execution: a leg, with exactly one child order and an id of its own.

A leg is sent once. Where the child protocol would price an order anew and try again (refused for
the clock, proven absent, a market that grew old), a leg ends instead: what its absence means is
for the execution to decide, which looks at all legs. Everything else is the child protocol's.

The state is data (`LegRecord`); a `LegOrder` works it in a running workflow.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from temporalio import workflow

from workflows import ports
from workflows.child_order import ChildContext, ChildOrder
from workflows.child_state import ChildState, Priced
from workflows.domain.exact import exact, minus
from workflows.domain.legs import LegFacts, LegState
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import (
    ChildIntent,
    ChildType,
    OrderType,
    Side,
    TimeInForce,
    client_order_id,
)
from workflows.domain.reports import ChildReport
from workflows.execution_messages import LegOrderView
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.names import leg_order_id
from workflows.order_state import average_price, view_of

_STATUS = {
    ChildStatus.FILLED: OrderStatus.FILLED,
    ChildStatus.CANCELLED: OrderStatus.CANCELLED,
    ChildStatus.EXPIRED: OrderStatus.EXPIRED,
    ChildStatus.DENIED: OrderStatus.DENIED,
    ChildStatus.REJECTED: OrderStatus.REJECTED,
    ChildStatus.NOT_SENT: OrderStatus.CANCELLED,
    ChildStatus.SETTLING: OrderStatus.SETTLING,
    ChildStatus.CANCELLING: OrderStatus.CANCELLING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRecord:
    """A leg as data. `expires_at` is when it must be off its venue; `stopped` says why before."""

    leg: str
    order_id: str
    request: OrderRequest
    child: ChildState
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    is_started: bool = False
    stopped: str = ""
    compensates: str | None = None

    @property
    def executed(self) -> Decimal:
        """Base units executed so far, by the larger of the venue's word and the fills."""
        return self.child.executed_quantity

    @property
    def is_over(self) -> bool:
        """True when nothing of it can execute any more."""
        return self.child.is_off_venue

    @property
    def was_sent(self) -> bool:
        """False when it is certain that its venue never saw it."""
        status = self.child.status
        unsent = (ChildStatus.NEW, ChildStatus.READY, ChildStatus.NOT_SENT, ChildStatus.DENIED)
        return self.child.attempt > 1 or status not in unsent

    @property
    def facts(self) -> LegFacts:
        """The leg as the decision table sees it."""
        return LegFacts(
            state=self._state, is_live=self.is_started and not self.is_over, is_sent=self.was_sent
        )

    @property
    def _state(self) -> LegState:
        if self.executed >= self.child.intent.quantity:
            return LegState.FILLED
        if self.is_started and not self.is_over:
            if self.child.status is ChildStatus.UNKNOWN:
                return LegState.UNKNOWN
            return LegState.PARTIAL if self.executed else LegState.OPEN
        if self.executed:
            return LegState.PARTIAL
        return LegState.REJECTED if self.was_sent else LegState.NONE

    @property
    def status(self) -> OrderStatus:
        """The leg's state in the words of any order."""
        if self.child.status in _STATUS:
            return _STATUS[self.child.status]
        return OrderStatus.WORKING if self.is_started else OrderStatus.ACCEPTED


def new_leg(
    execution_id: str,
    leg: str,
    request: OrderRequest,
    *,
    reference_price: Decimal,
    expires_at: datetime | None,
    compensates: str | None = None,
) -> LegRecord:
    """A leg that is about to be reserved, priced in the market of now."""
    now, order_id = workflow.now(), leg_order_id(execution_id, leg)
    is_market = request.order_type is OrderType.MARKET
    intent = ChildIntent(
        client_order_id=client_order_id(order_id, 0),
        order_id=order_id,
        child_index=0,
        strategy_id=request.strategy_id,
        account=request.account,
        venue=request.exchange,
        symbol=request.symbol,
        side=request.side,
        child_type=ChildType.MARKET if is_market else ChildType.LIMIT,
        quantity=request.quantity,
        price=request.price,
        time_in_force=TimeInForce.GTC if is_market else request.time_in_force,
    )
    child = ChildState(intent=intent, reference_price=reference_price, priced_at=now)
    return LegRecord(
        leg=leg,
        order_id=order_id,
        request=request,
        child=child,
        created_at=now,
        updated_at=now,
        expires_at=expires_at,
        compensates=compensates,
    )


def adopted_leg(known: ports.KnownLeg, epoch: str, leg: str) -> LegRecord:
    """A leg that a lost workflow left. What may have been sent is looked for, never sent."""
    now = workflow.now()
    status = known.status
    if status in (ChildStatus.SENDING, ChildStatus.CANCELLING):
        status = ChildStatus.UNKNOWN if known.report is None else ChildStatus.WORKING
    child = ChildState(
        intent=known.intent,
        reference_price=known.intent.price or Decimal(1),
        priced_at=now,
        status=status,
        attempt=known.attempt,
        epoch=epoch,
        report=known.report,
    )
    return LegRecord(
        leg=leg,
        order_id=known.order_id,
        request=known.request,
        child=child,
        created_at=now,
        updated_at=now,
        is_started=True,
        stopped="its workflow was lost",
    )


def accept_leg(record: LegRecord) -> ports.AcceptLeg:
    """What the ledger is asked for this leg."""
    return ports.AcceptLeg(
        order_id=record.order_id,
        request=record.request,
        first=ports.Reserve(
            intent=record.child.intent,
            attempt=record.child.attempt,
            reference_price=record.child.reference_price,
            parent_quantity=record.request.quantity,
            compensates=record.compensates,
        ),
    )


class LegOrder:
    """Works one leg; `record` is always the whole truth."""

    def __init__(self, record: LegRecord, terms: ports.EngineTerms) -> None:
        self._record = record
        self._terms = terms
        self._child: ChildOrder | None = None
        self._task: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def record(self) -> LegRecord:
        """The leg now."""
        if self._child is not None and self._child.state is not self._record.child:
            self._change(child=self._child.state)
        return self._record

    def start(self, reserved: ports.Reserved | None = None) -> None:
        """Begin to work the leg, or go on with it, in a task of its own."""
        self._change(is_started=True)
        context = ChildContext(
            terms=self._terms,
            parent_quantity=self._record.request.quantity,
            reprice=self._grew_old,
            is_cancelled=self._is_stopped,
            should_hand_over=lambda: False,
            expires_at=self._record.expires_at,
            reserved=reserved,
            give_up=ports.give_up_in_turn,
        )
        self._child = ChildOrder(self._record.child, context)
        self._task = asyncio.create_task(self._work(self._child))

    def stop(self, reason: str) -> None:
        """Take it off the venue, or never send it; what filled meanwhile counts."""
        if not self._record.stopped:
            self._change(stopped=reason)

    def check(self) -> None:
        """Raise what broke the leg's protocol, if anything did."""
        for task in (self._task, self._settling):
            if task is not None and task.done():
                task.result()

    @property
    def is_broken(self) -> bool:
        """True when its protocol raised; `check` raises that."""
        tasks = (task for task in (self._task, self._settling) if task is not None)
        return any(task.done() and task.exception() is not None for task in tasks)

    def on_report(self, report: ChildReport) -> None:
        """Take in what the account feed told."""
        if self._child is not None:
            self._child.on_report(report)

    @property
    def is_settled(self) -> bool:
        """True when every executed unit has its fill, and so its fees."""
        return self.record.child.status.is_final

    def settle(self) -> None:
        """Look for missing fills in a task of its own; `is_settled` tells."""
        if self._child is not None and self._settling is None and not self.is_settled:
            self._settling = asyncio.create_task(self._settle(self._child))

    async def _work(self, child: ChildOrder) -> None:
        await child.work()

    async def _settle(self, child: ChildOrder) -> None:
        await child.settle()

    async def _grew_old(self, intent: ChildIntent) -> Priced | None:
        del intent
        self.stop("the market grew old before it was sent")
        return None

    def _is_stopped(self) -> bool:
        child = self._child
        return bool(self._record.stopped) or (child is not None and child.state.attempt > 1)

    def _change(self, **changes: object) -> None:
        now = workflow.now()
        self._record = replace(self._record, updated_at=now, **changes)  # type: ignore[arg-type]  # checked by tests


def view_of_leg(record: LegRecord) -> LegOrderView:
    """The leg as people and services see it."""
    child, report = record.child, record.child.report
    return LegOrderView(
        order_id=record.order_id,
        leg=record.leg,
        exchange=record.request.exchange,
        symbol=record.request.symbol,
        side=record.request.side,
        type=record.request.order_type,
        price=child.intent.price,
        amount=child.intent.quantity,
        filled_amount=record.executed,
        avg_price=average_price(report.filled_quote, report.filled_quantity) if report else None,
        fee=dict(report.fees) if report else {},
        status=record.status,
        exchange_order_id=report.venue_order_id if report else None,
        reason=_reason(record),
        created_at=record.created_at.isoformat(),
        updated_at=record.updated_at.isoformat(),
    )


def snapshot_of_leg(record: LegRecord) -> OrderSnapshot:
    """The leg as the ledger stores the end of any order."""
    request, child, report = record.request, record.child, record.child.report
    return OrderSnapshot(
        order_id=record.order_id,
        status=record.status,
        order_type=request.order_type,
        strategy_id=request.strategy_id,
        account=request.account,
        exchange=request.exchange,
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        price=request.price,
        filled_quantity=record.executed,
        remaining_quantity=minus(request.quantity, record.executed),
        average_price=average_price(report.filled_quote, report.filled_quantity)
        if report
        else None,
        fees=dict(report.fees) if report else {},
        code=child.denied.code if child.denied else None,
        field=child.denied.field if child.denied else None,
        reason=_reason(record),
        children=(view_of(child),),
        children_total=1,
        created_at=record.created_at.isoformat(),
        updated_at=record.updated_at.isoformat(),
    )


def _reason(record: LegRecord) -> str:
    child = record.child
    if child.status is ChildStatus.FILLED:
        return ""
    code = f"{child.code}: " if child.code and child.status is ChildStatus.REJECTED else ""
    return f"{code}{child.reason}" if child.reason else record.stopped


def executed_of(records: tuple[LegRecord, ...], side: Side) -> Decimal:
    """Base units that the legs of one side executed."""
    with exact():
        return sum((each.executed for each in records if each.request.side is side), Decimal(0))
