"""What every parent order does, whatever its strategy: accept, work children, end.

The Temporal side stays here, in `order_face` and in `steering` (state, handlers, what people see):
Temporal's own cancellation, continue-as-new. A strategy implements `trade` and, where it has one,
`plan`.

Two rules hold it together. The protocol runs shielded (`shielded`), and every kind of cancel only
sets one flag: nothing is torn in the middle. And the whole state is one model, `ParentState`, so
that a new run goes on where the old one was.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError

from workflows import names, ports
from workflows.acceptance import Market, admit, deadline_of, read_market
from workflows.child_order import ChildContext, ChildOrder
from workflows.child_state import ChildState, Priced
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import VenueStatus
from workflows.messages import (
    MAX_CHILDREN_SHOWN,
    OrderRequest,
    OrderSnapshot,
)
from workflows.order_state import view_of
from workflows.shielded import let_handlers_finish, run_to_its_end
from workflows.steering import SteeredOrder

_REPRICE_WITHIN = timedelta(seconds=5)
_HALT_IS_NEWS = timedelta(hours=1)
"""How long after a halt an order that it took off the venue may hear of it."""
SWITCH_CODES = frozenset(
    {
        DenialCode.TRADING_HALTED,
        DenialCode.TRADING_REDUCING,
        DenialCode.STRATEGY_DISABLED,
        DenialCode.LOSS_LIMIT,
    }
)
"""Denials that a human lifts: an order that runs waits for that."""


class ParentOrder(SteeredOrder, ABC):
    """Base of the order workflows; see the module's docstring."""

    def __init__(self, raw: RawValue | None) -> None:
        super().__init__(raw)
        self._reserved: ports.Reserved | None = None

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

    def first_reservation(
        self, request: OrderRequest, terms: ports.EngineTerms, market: Market
    ) -> ports.Reserve | None:
        """The child to be sent as soon as the order is accepted, for strategies that have one."""
        del request, terms, market
        return None

    # --- the run --------------------------------------------------------------------------------

    async def run_order(self) -> OrderSnapshot:
        """Run the protocol to its end; a cancel of the workflow becomes a cancel of the order."""
        protocol = await run_to_its_end(self._protocol(), self._heed_cancel)
        await self._own_up(protocol)
        self._is_stored = True
        await let_handlers_finish(self._heed_cancel)
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
        created_at = self.state.created_at
        admission = await admit(
            self._raw, self.ORDER_TYPES, created_at, self.plan, self.first_reservation
        )
        self._reserved = admission.reserved
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
        self,
        state: ChildState,
        expires_at: datetime | None,
        *,
        may_hand_over: bool = False,
        look_at: datetime | None = None,
        until: Callable[[], bool] = lambda: False,
    ) -> ChildState:
        """Work one child. It is kept in the state while live, and folded into totals after.

        It is taken off the venue when `until` holds. A child that still rests is answered when
        the run must end (`may_hand_over`), or at `look_at`: work it on with the same call.
        """
        if state.intent.child_index == self.state.children_total:
            self._change(children_total=self.state.children_total + 1)
        context = self._context(expires_at, may_hand_over=may_hand_over)
        self._child = ChildOrder(
            state,
            replace(context, look_at=look_at, is_cancelled=lambda: self.is_cancelled() or until()),
        )
        self._change(child=state)
        if self.state.status is OrderStatus.ACCEPTED:
            self.become(OrderStatus.WORKING)
        worked = await self._child.work()
        self._change(child=worked)
        if worked.is_off_venue:
            self._put_away(worked)
            if not until():
                await self._heed_switch(worked)
        return worked

    async def _heed_switch(self, worked: ChildState) -> None:
        """Suspend an order that the kill switch stopped: it shall not end, nor try on and on."""
        if not (self.terms.suspends and self.is_steerable) or self.needs_attention():
            return
        denied = worked.denied if self.was_stopped_by_switch(worked) else None
        if denied is None and self._was_taken_off(worked):
            denied = await self._switch(since=worked.priced_at)
        if denied is not None:
            await self.suspended(denied)
            self.suspend(str(denied))

    async def suspended(self, denied: Denied) -> None:
        """Tell who must know that the kill switch stops the order."""
        del denied

    async def _switch(self, since: datetime) -> Denied | None:
        """What stops the order, or stopped it a while ago: news may come after the re-arming."""
        request = self.request
        switch = await ports.read_switch(
            ports.ReadSwitch(
                strategy_id=request.strategy_id,
                account=request.account,
                venue=request.exchange,
                symbol=request.symbol,
                since=max(since, workflow.now() - _HALT_IS_NEWS),
            )
        )
        return switch.denied

    def was_stopped_by_switch(self, worked: ChildState) -> bool:
        """True for a child that was not sent because trading is halted or reducing."""
        return (
            self.terms.suspends and worked.denied is not None and worked.denied.code in SWITCH_CODES
        )

    def _was_taken_off(self, worked: ChildState) -> bool:
        """True when the venue says cancelled, though something is left and nobody here asked.

        Not for what ends at once: some venues say so of every immediate order that filled in part.
        """
        if worked.is_immediate:
            return False
        deadline = self.state.deadline
        is_late = deadline is not None and workflow.now() >= deadline
        is_cancelled = worked.report is not None and worked.report.status is VenueStatus.CANCELLED
        return is_cancelled and not is_late and self.totals.executed < self.request.quantity

    def _context(self, expires_at: datetime | None, *, may_hand_over: bool = False) -> ChildContext:
        reserved, self._reserved = self._reserved, None
        return ChildContext(
            terms=self.terms,
            parent_quantity=self.request.quantity,
            reprice=self.reprice,
            is_cancelled=self.is_cancelled,
            should_hand_over=self.should_hand_over if may_hand_over else lambda: False,
            expires_at=expires_at,
            reserved=reserved,
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
        market = await read_market(self.request, self.terms, _REPRICE_WITHIN)
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
        await self.count_fills()

    async def count_fills(self) -> None:
        """As `settle_children`, for an order that goes on."""
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

    async def wait_for_price(self, why: str) -> None:
        """Show that the order waits for a price, in the ledger too; its next child ends that."""
        is_new = self.state.status is not OrderStatus.WAITING_PRICE
        self.become_live(OrderStatus.WAITING_PRICE, why)
        if is_new and not self.is_cancelled() and self.terms.tells_waiting:
            await ports.save_order(
                ports.SaveOrder(snapshot=self.snapshot(), status=OrderStatus.WAITING_PRICE)
            )

    # --- the end --------------------------------------------------------------------------------

    async def end(self, status: OrderStatus, reason: str = "", code: str = "") -> None:
        """The order's final state, stored in the ledger before the workflow ends."""
        denied = DenialCode(code) if code in DenialCode.__members__ else None
        if status is OrderStatus.CANCELLED and not reason:
            reason = self._cancel_reason()
        self._change(code=denied)
        self.become(status, reason)
        await self._save()
        workflow.upsert_search_attributes([names.ORDER_STATUS.value_set(self.state.status)])

    async def _save(self) -> None:
        """Store the end. What an earlier try of this task stored stays, and becomes ours."""
        saved = await ports.save_order(
            ports.SaveOrder(snapshot=self.snapshot(), status=self.state.status)
        )
        if saved is not None and saved.stored is not None:
            self._stored = saved.stored
            self._change(status=saved.stored.status)
