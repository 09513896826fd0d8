"""Market and limit orders: parents with one child order at a time.

A limit order that is paused takes its child back and places another when it goes on; so does one
that is amended, since no venue changes every order in place: its priority in the book is lost.
"""

from abc import ABC, abstractmethod
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import ports
from workflows.acceptance import Market, read_market
from workflows.child_state import ChildState
from workflows.domain.exact import minus
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent, ChildType, OrderType, TimeInForce
from workflows.domain.reports import VenueStatus
from workflows.fields import plain
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import next_intent
from workflows.parent_order import ParentOrder
from workflows.steering_messages import AmendRequest
from workflows.waiting import wait_until

_QUOTE_WITHIN = timedelta(seconds=5)


class _SingleChild(ParentOrder, ABC):
    """One child order at a time, whose own end is the parent's end."""

    @abstractmethod
    def next_child(self, market: Market, quantity: Decimal) -> ChildIntent:
        """The child order that this parent is now, `quantity` in base units."""

    def first_reservation(
        self, request: OrderRequest, terms: ports.EngineTerms, market: Market
    ) -> ports.Reserve | None:
        self._change(request=request, terms=terms)
        child = self._first_child(market)
        return ports.Reserve(
            intent=child.intent,
            attempt=child.attempt,
            reference_price=child.reference_price,
            parent_quantity=request.quantity,
        )

    def _first_child(self, market: Market) -> ChildState:
        return ChildState(
            intent=self.next_child(market, minus(self.request.quantity, self.totals.executed)),
            reference_price=market.quote.mid,
            priced_at=market.read_at,
        )

    async def trade(self, market: Market | None) -> None:
        child = self.state.child
        if child is None and market is not None:
            child = self._first_child(market)
        while True:
            if child is not None:
                child = await self.work_child(
                    child, self.state.deadline, may_hand_over=True, until=self.is_asked
                )
                if not child.is_off_venue:
                    self.hand_over()
                    return
                if not self._was_taken_back(child):
                    break
            await self.hold(lambda: self.state.deadline)
            if self._has_nothing_to_do():
                break
            if self.should_hand_over():
                self.hand_over()
                return
            child = await self._again()
        await self.settle_children()
        await self._conclude(child)

    def _was_taken_back(self, child: ChildState) -> bool:
        """True when the child ended because the order is steered, and something is left of it."""
        is_ours = (
            child.status in (ChildStatus.CANCELLED, ChildStatus.NOT_SENT)
            or self.was_stopped_by_switch(child)
            or (
                child.status is ChildStatus.SETTLING
                and child.report is not None
                and child.report.status is VenueStatus.CANCELLED
            )
        )
        return is_ours and self.is_asked() and not self._has_nothing_to_do()

    def _has_nothing_to_do(self) -> bool:
        deadline = self.state.deadline
        is_late = deadline is not None and workflow.now() >= deadline
        is_done = self.totals.executed >= self.request.quantity
        return is_late or is_done or self.is_cancelled()

    async def _again(self) -> ChildState | None:
        """The rest as a new child, priced in the market of now; None when that is unknown."""
        market = await read_market(self.request, self.terms, _QUOTE_WITHIN)
        if market is not None:
            return self._first_child(market)
        await wait_until(self.needs_attention, _QUOTE_WITHIN, "no market data")
        return None

    async def _conclude(self, child: ChildState | None) -> None:
        remaining = minus(self.request.quantity, self.totals.executed)
        status = child.status if child else None
        is_untouched = not self.totals.executed
        is_suspended = child is not None and self.is_steerable and self.was_stopped_by_switch(child)
        if remaining <= 0:
            await self.end(OrderStatus.FILLED)
        elif child and status is ChildStatus.DENIED and is_untouched and not is_suspended:
            await self.end(OrderStatus.DENIED, child.reason, child.code)
        elif child and status is ChildStatus.REJECTED and is_untouched:
            await self.end(OrderStatus.REJECTED, f"{child.code}: {child.reason}")
        elif self.is_cancelled():
            await self.end(OrderStatus.CANCELLED)
        else:
            await self.end(OrderStatus.EXPIRED, self._why_expired(child, remaining))

    def _why_expired(self, child: ChildState | None, remaining: Decimal) -> str:
        deadline = self.state.deadline
        if deadline is not None and workflow.now() >= deadline:
            return f"timeout: {plain(remaining)} unfilled"
        if child and child.status in (ChildStatus.DENIED, ChildStatus.REJECTED):
            return f"{child.code}: {plain(remaining)} unfilled"
        if child and child.status is ChildStatus.CANCELLED:
            return f"cancelled at the venue: {plain(remaining)} unfilled"
        return f"liquidity: {plain(remaining)} unfilled"


@workflow.defn(name="MarketOrder")
class MarketOrder(_SingleChild):
    """Trade now. With `slippage_tolerance` a bounded IOC, else the venue's MARKET order."""

    ORDER_TYPES = (OrderType.MARKET,)

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderSnapshot:
        """`request` is an order as JSON; a continued run gets the state of the run before."""
        del request
        return await self.run_order()

    def next_child(self, market: Market, quantity: Decimal) -> ChildIntent:
        bounded = self.request.slippage_tolerance is not None
        return next_intent(
            self.state,
            self.order_id,
            quantity=quantity,
            child_type=ChildType.LIMIT if bounded else ChildType.MARKET,
            price=self.child_price(market),
            time_in_force=TimeInForce.IOC if bounded else TimeInForce.GTC,
        )

    def child_price(self, market: Market) -> Decimal | None:
        tolerance, side = self.request.slippage_tolerance, self.request.side
        if tolerance is None:
            return None
        bound = market.quote.touch(side) * (1 + side.sign * tolerance)
        return market.instrument.round_price(bound, side)


@workflow.defn(name="LimitOrder")
class LimitOrder(_SingleChild):
    """Rest at a price (GTC, optionally post-only), or take at most that price (IOC, FOK)."""

    ORDER_TYPES = (OrderType.LIMIT,)
    AMENDABLE = ("price", "quantity", "end_at")

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderSnapshot:
        """`request` is an order as JSON; a continued run gets the state of the run before."""
        del request
        return await self.run_order()

    @property
    def is_steerable(self) -> bool:
        return self.request.time_in_force is TimeInForce.GTC

    async def amended(self, amend: AmendRequest) -> None:
        if amend.end_at is not None:
            self._change(deadline=amend.end_at)

    def next_child(self, market: Market, quantity: Decimal) -> ChildIntent:
        del market
        return next_intent(
            self.state,
            self.order_id,
            quantity=quantity,
            child_type=ChildType.LIMIT,
            price=self.request.price,
            time_in_force=self.request.time_in_force,
            post_only=self.request.post_only,
        )
