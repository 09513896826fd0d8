"""Market and limit orders: parents with exactly one child order."""

from abc import ABC, abstractmethod
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue

from workflows import ports
from workflows.acceptance import Market
from workflows.child_state import ChildState
from workflows.domain.exact import minus
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent, ChildType, OrderType, TimeInForce
from workflows.fields import plain
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import next_intent
from workflows.parent_order import ParentOrder


class _SingleChild(ParentOrder, ABC):
    """One child order, whose end is the parent's end."""

    @abstractmethod
    def first_intent(self, market: Market) -> ChildIntent:
        """The child order that this parent is."""

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
            intent=self.first_intent(market),
            reference_price=market.quote.mid,
            priced_at=market.read_at,
        )

    async def trade(self, market: Market | None) -> None:
        child = self.state.child
        if child is None:
            assert market is not None, "a first run was accepted with a market"
            child = self._first_child(market)
        worked = await self.work_child(child, self.state.deadline, may_hand_over=True)
        if not worked.is_off_venue:
            self.hand_over()
            return
        await self.settle_children()
        await self._conclude(worked)

    async def _conclude(self, child: ChildState) -> None:
        remaining = minus(self.request.quantity, self.totals.executed)
        if remaining == 0:
            await self.end(OrderStatus.FILLED)
        elif child.status is ChildStatus.DENIED:
            await self.end(OrderStatus.DENIED, child.reason, child.code)
        elif child.status is ChildStatus.REJECTED and not self.totals.executed:
            await self.end(OrderStatus.REJECTED, f"{child.code}: {child.reason}")
        elif self.is_cancelled():
            await self.end(OrderStatus.CANCELLED)
        else:
            await self.end(OrderStatus.EXPIRED, self._why_expired(child, remaining))

    def _why_expired(self, child: ChildState, remaining: Decimal) -> str:
        deadline = self.state.deadline
        if deadline is not None and workflow.now() >= deadline:
            return f"timeout: {plain(remaining)} unfilled"
        if child.status is ChildStatus.CANCELLED:
            return f"cancelled at the venue: {plain(remaining)} unfilled"
        return f"liquidity: {plain(remaining)} unfilled"


@workflow.defn(name="MarketOrder")
class MarketOrder(_SingleChild):
    """Trade now. With `slippage_tolerance` a bounded IOC, else the venue's MARKET order."""

    ORDER_TYPE = OrderType.MARKET

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderSnapshot:
        """`request` is an order as JSON; a continued run gets the state of the run before."""
        del request
        return await self.run_order()

    def first_intent(self, market: Market) -> ChildIntent:
        bounded = self.request.slippage_tolerance is not None
        return next_intent(
            self.state,
            self.order_id,
            quantity=self.request.quantity,
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

    ORDER_TYPE = OrderType.LIMIT

    @workflow.init
    def __init__(self, request: RawValue | None = None) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RawValue | None = None) -> OrderSnapshot:
        """`request` is an order as JSON; a continued run gets the state of the run before."""
        del request
        return await self.run_order()

    def first_intent(self, market: Market) -> ChildIntent:
        del market
        return next_intent(
            self.state,
            self.order_id,
            quantity=self.request.quantity,
            child_type=ChildType.LIMIT,
            price=self.request.price,
            time_in_force=self.request.time_in_force,
            post_only=self.request.post_only,
        )
