"""What every parent order does, whatever its strategy: accept, answer, cancel, end.

The Temporal side stays here: handlers, Temporal's own cancellation, continue-as-new, search
attributes, details for the UI. A strategy implements `trade` and, where it has one, `plan`.

Two rules hold it together. The protocol runs in a task of its own under `asyncio.shield`, and
every kind of cancel only sets one flag: nothing is torn in the middle. And the whole state is
one model, `ParentState`, so that a new run goes on where the old one was.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError

from workflows import names, ports
from workflows.acceptance import Market, admit, deadline_of, is_same_order, read_market
from workflows.child_order import ChildContext, ChildOrder
from workflows.child_state import ChildState, Priced, read_report
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import OrderStatus, move_parent
from workflows.domain.orders import ChildIntent, OrderType
from workflows.messages import (
    MAX_CHILDREN_SHOWN,
    OrderRequest,
    OrderSnapshot,
    TwapProgress,
    cancel_reason,
)
from workflows.order_state import (
    ParentState,
    Totals,
    continued_state,
    details_of,
    snapshot_of,
    totals_of,
    view_of,
)

HISTORY_EVENTS_PER_RUN = 1_000
_CANCEL_ANSWER_WITHIN = timedelta(seconds=5)
_REPRICE_WITHIN = timedelta(seconds=5)


class ParentOrder(ABC):
    """Base of the order workflows; see the module's docstring."""

    ORDER_TYPE: ClassVar[OrderType]

    def __init__(self, raw: RawValue | None) -> None:
        info = workflow.info()
        self._raw = raw
        # only Temporal sets this id, so a caller cannot pass a state off as an order
        carried = continued_state(raw) if info.continued_run_id is not None else None
        self._is_continued = carried is not None
        self.state = carried or ParentState(created_at=info.start_time)
        self._child: ChildOrder | None = None
        self._updated_at = info.start_time
        self._stored: OrderSnapshot | None = None
        self._hands_over = False

    # --- what a strategy adds -------------------------------------------------------------------

    @abstractmethod
    async def trade(self, market: Market | None) -> None:
        """Work the order from `self.state` until nothing is left to do or it must hand over.

        `market` is what acceptance saw, None in a continued run. Ends by calling `end`.
        """

    def plan(
        self,
        request: OrderRequest,
        terms: ports.EngineTerms,
        instrument: Instrument,
        reference_price: Decimal,
    ) -> Denied | None:
        """Prepare the strategy's own state before acceptance, or say why it cannot work."""
        del request, terms, instrument, reference_price
        return None

    def twap_progress(self) -> TwapProgress | None:
        """The schedule's progress, for strategies that have one."""
        return None

    # --- the run --------------------------------------------------------------------------------

    async def run_order(self) -> OrderSnapshot:
        """Run the protocol to its end; a cancel of the workflow becomes a cancel of the order."""
        protocol = asyncio.create_task(self._protocol())
        while not protocol.done():
            try:
                await asyncio.shield(protocol)
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None or protocol.cancelled():
                    raise  # the worker drops this run from its cache
                self._show_cancelling()
            except FailureError:
                break
        await self._own_up(protocol)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._hands_over:
            workflow.continue_as_new(self.state)
        return self.snapshot()

    async def _own_up(self, protocol: asyncio.Task[None]) -> None:
        """A promise that could not be kept: say so in the ledger, then fail the workflow."""
        try:
            protocol.result()
        except FailureError as error:
            self.become(OrderStatus.FAILED, f"a human must look at the venue: {error}")
            await self._save()
            raise

    async def _protocol(self) -> None:
        market: Market | None = None
        if not self._is_continued:
            market = await self._admit()
            if self.state.status.is_terminal:
                return
        self._show()
        await self.trade(market)

    # --- acceptance -----------------------------------------------------------------------------

    async def _admit(self) -> Market | None:
        """Leave the state accepted, denied, or with the end that is stored under this id."""
        admission = await admit(self._raw, self.ORDER_TYPE, self.state.created_at, self.plan)
        self._change(request=admission.request, terms=admission.terms)
        if admission.stored is not None:
            self._stored = admission.stored
            self._change(status=admission.stored.status)
        elif admission.denied is not None:
            self._deny(admission.denied)
            if admission.is_registered:
                await self._save()
        else:
            deadline = deadline_of(self.request, self.terms, self.state.created_at)
            self._change(deadline=deadline)
            self.become(OrderStatus.ACCEPTED)
            self._index()
        return admission.market

    # --- children -------------------------------------------------------------------------------

    async def work_child(
        self, state: ChildState, expires_at: datetime | None, *, may_hand_over: bool = False
    ) -> ChildState:
        """Work one child. It is kept in the state while live, and folded into totals after."""
        if state.intent.child_index == self.state.children_total:
            self._change(children_total=self.state.children_total + 1)
        self._child = ChildOrder(state, self._context(expires_at, may_hand_over=may_hand_over))
        self._change(child=state)
        if self.state.status is OrderStatus.ACCEPTED:
            self.become(OrderStatus.WORKING)
        worked = await self._child.work()
        self._change(child=worked)
        if worked.is_off_venue:
            self._put_away(worked)
        return worked

    def _context(self, expires_at: datetime | None, *, may_hand_over: bool = False) -> ChildContext:
        return ChildContext(
            terms=self.terms,
            parent_quantity=self.request.quantity,
            reprice=self.reprice,
            is_cancelled=self.is_cancelled,
            should_hand_over=self.should_hand_over if may_hand_over else lambda: False,
            expires_at=expires_at,
        )

    def _put_away(self, child: ChildState) -> None:
        self._child = None
        shown = (*self.state.recent, view_of(child))[-MAX_CHILDREN_SHOWN:]
        self._change(child=None, recent=shown)
        if child.status.is_final:
            self._change(settled=self.state.settled.plus(child.report))
        else:
            self._change(unsettled=(*self.state.unsettled, child))

    async def reprice(self, intent: ChildIntent) -> Priced | None:
        """The intent at the price it should carry now; None when there is no market now."""
        market = await read_market(self.request, _REPRICE_WITHIN)
        if market is None:
            return None
        price = self.child_price(market) if intent.price is not None else None
        return Priced(intent=replace(intent, price=price), reference_price=market.quote.mid)

    def child_price(self, market: Market) -> Decimal | None:
        """Limit price of a child in this market; the caller's own price unless overridden."""
        del market
        return self.request.price

    async def settle_children(self) -> None:
        """Wait for the missing fills of children that ended before them."""
        if self.state.unsettled:
            self.become(OrderStatus.SETTLING)
        while self.state.unsettled:
            first, *rest = self.state.unsettled
            settled = await ChildOrder(first, self._context(None)).settle()
            self._change(unsettled=tuple(rest), settled=self.state.settled.plus(settled.report))
            self._show_again(settled)

    def _show_again(self, child: ChildState) -> None:
        index = child.intent.child_index
        recent = tuple(
            view_of(child) if view.index == index else view for view in self.state.recent
        )
        self._change(recent=recent)

    # --- state ----------------------------------------------------------------------------------

    @property
    def request(self) -> OrderRequest:
        """What the caller asked for."""
        assert self.state.request is not None, "an accepted order has its request"
        return self.state.request

    @property
    def order_id(self) -> str:
        """The workflow id: the caller's own id of the order."""
        return workflow.info().workflow_id

    @property
    def terms(self) -> ports.EngineTerms:
        """The settings that this order began with."""
        assert self.state.terms is not None, "an accepted order has its terms"
        return self.state.terms

    def is_cancelled(self) -> bool:
        """True once anybody asked for a cancel, by signal, update or Temporal itself."""
        return (
            self.state.cancelled_because is not None or workflow.cancellation_reason() is not None
        )

    @property
    def live(self) -> ChildState | None:
        """The child that is being worked, as its machine knows it."""
        return self._child.state if self._child else self.state.child

    @property
    def totals(self) -> Totals:
        """Sums over all children, the live one included."""
        return totals_of(self.state, self.live)

    def should_hand_over(self) -> bool:
        """True when this run's history is long enough for a new one. Never while cancelling."""
        return (
            not self.is_cancelled()
            and workflow.info().get_current_history_length() > HISTORY_EVENTS_PER_RUN
        )

    def hand_over(self) -> None:
        """End this run after the handlers; the next one continues from the state."""
        self._hands_over = True

    def become(self, status: OrderStatus, reason: str = "") -> None:
        """Move along the legal graph and show it."""
        self._change(status=move_parent(self.state.status, status), reason=reason)
        self._show()

    async def end(self, status: OrderStatus, reason: str = "", code: str = "") -> None:
        """The order's final state, stored in the ledger before the workflow ends."""
        denied = DenialCode(code) if code in DenialCode.__members__ else None
        if status is OrderStatus.CANCELLED and not reason:
            reason = self._cancel_reason()
        self._change(code=denied)
        self.become(status, reason)
        await self._save()
        workflow.upsert_search_attributes([names.ORDER_STATUS.value_set(status)])

    def _cancel_reason(self) -> str:
        return self.state.cancelled_because or workflow.cancellation_reason() or "user_request"

    def _deny(self, denied: Denied) -> None:
        self._change(
            status=move_parent(self.state.status, OrderStatus.DENIED),
            code=denied.code,
            field=denied.field,
            reason=denied.detail,
        )
        self._show()

    async def _save(self) -> None:
        await ports.save_order(ports.SaveOrder(snapshot=self.snapshot(), status=self.state.status))

    def _change(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # checked by tests
        self._updated_at = workflow.now()

    # --- what people and services see -----------------------------------------------------------

    def snapshot(self) -> OrderSnapshot:
        """The order now."""
        if self._stored is not None:
            return self._stored
        return snapshot_of(
            self.state,
            order_id=self.order_id,
            order_type=self.ORDER_TYPE,
            live=self.live,
            twap=self.twap_progress() if self.state.twap and self.state.request else None,
            updated_at=self._updated_at,
        )

    def _index(self) -> None:
        request = self.request
        workflow.upsert_search_attributes(
            [
                names.STRATEGY_ID.value_set(request.strategy_id),
                names.EXCHANGE.value_set(request.exchange),
                names.SYMBOL.value_set(request.symbol),
                names.SIDE.value_set(request.side),
                names.ORDER_TYPE.value_set(request.order_type),
                names.ORDER_STATUS.value_set(OrderStatus.WORKING),
            ]
        )

    def _show(self) -> None:
        """Current details for Temporal's UI, in Markdown."""
        workflow.set_current_details(details_of(self.snapshot()))

    # --- handlers -------------------------------------------------------------------------------

    @workflow.update(name=names.ACCEPT, description="accepted or denied, once that is known")
    async def accept(self, order: RawValue | None = None) -> OrderSnapshot:
        """Wait for the verdict. With an order, deny a body other than the running one's."""
        await workflow.wait_condition(lambda: self.state.status is not OrderStatus.PENDING)
        if order is None or is_same_order(order, self.ORDER_TYPE, self.state.request):
            return self.snapshot()
        return OrderSnapshot(
            order_id=self.order_id,
            status=OrderStatus.DENIED,
            code=DenialCode.IDEMPOTENCY_CONFLICT,
            reason="another order runs under this id",
        )

    @workflow.query(name=names.PROGRESS, description="the order now")
    def progress(self) -> OrderSnapshot:
        """The order now."""
        return self.snapshot()

    @workflow.signal(name=names.CANCEL, description="cancel the order; any input or none")
    def cancel_by_signal(self, request: RawValue | None = None) -> None:
        """Ask for a cancel; what was sent with it never makes it fail."""
        self._request_cancel(request)

    @workflow.update(name=names.CANCEL, description="cancel; answers after at most 5 s")
    async def cancel(self, request: RawValue | None = None) -> OrderSnapshot:
        """Ask for a cancel and wait a little for the final state; else status `cancelling`."""
        self._request_cancel(request)
        try:
            await workflow.wait_condition(
                lambda: self.state.status.is_terminal or self._hands_over,
                timeout=_CANCEL_ANSWER_WITHIN,
            )
        except TimeoutError:
            return self.snapshot().model_copy(update={"status": OrderStatus.CANCELLING})
        return self.snapshot()

    @workflow.signal(name=names.EXECUTION_REPORT, description="from the account feed")
    def execution_report(self, report: RawValue | None = None) -> None:
        """A hint of the account feed about a child; an unreadable one is ignored."""
        known = read_report(report)
        if known is None:
            workflow.logger.warning("an execution report could not be read")
            return
        if self._child is not None:
            self._child.on_report(known)
            self._show()

    def _request_cancel(self, request: RawValue | None) -> None:
        if self.state.cancelled_because is None and not self.state.status.is_terminal:
            reason = cancel_reason(request.payload.data if request else None)
            self._change(cancelled_because=reason)
            self._show_cancelling()

    def _show_cancelling(self) -> None:
        status = self.state.status
        if not status.is_terminal and status not in (OrderStatus.PENDING, OrderStatus.CANCELLING):
            self.become(OrderStatus.CANCELLING, self._cancel_reason())
