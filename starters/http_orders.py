"""The HTTP client's calls for orders and executions. Every one raises ApiError, NoAnswer."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel

from starters.analytics_models import OrderAnalytics
from starters.api.models import (
    ANALYTICS_PATH,
    ARBITRAGE_PATH,
    ORDERS_PATH,
    REBALANCE_PATH,
    Arbitrage,
    ArbitragePage,
    IcebergReport,
    Order,
    OrderPage,
    Rebalance,
    RebalancePage,
    StopReport,
    TwapReport,
)
from starters.cancel_all import CancelAllReport
from starters.decisions import ChildVerdict
from starters.http_transport import Transport
from starters.queues import QueuesStatus
from starters.statistics import OrderStatistics
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import OrderRequest
from workflows.names import made_order_id
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import AmendRequest, SteerRequest

_KEY = "Idempotency-Key"
StartedT = TypeVar("StartedT")


class _Starting(Transport):
    async def _start(
        self, answer: type[StartedT], path: str, asked: object, field: str, key: str | None
    ) -> StartedT:
        """Start it under an id that is known before: what it names itself, else a made one."""
        body: dict[str, Any] = _fields_of(asked)
        if key is None and body.get(field) is None:
            body[field] = made_order_id(uuid4().hex)
        headers = {_KEY: str(key or body[field])}
        return await self.ask(answer, "POST", path, body=body, headers=headers, is_repeatable=True)


class OrderCalls(_Starting):
    """Start, follow, steer, cancel and analyse orders."""

    async def submit(
        self, order: OrderRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Order:
        """Start an order; its verdict. A denial raises ApiError with the denial's code.

        An order without id and key gets its id here, so that a lost answer is asked for again
        without a second order. Raises ApiUnavailable OUTCOME_UNKNOWN with its `order_id` in the
        worst case.
        """
        return await self._start(Order, ORDERS_PATH, order, "order_id", idempotency_key)

    async def preview(self, order: OrderRequest | Mapping[str, Any]) -> OrderPreview:
        """What it would do and cost, and its verdict; nothing is sent."""
        path = f"{ORDERS_PATH}/preview"
        return await self.ask(OrderPreview, "POST", path, body=order, is_repeatable=True)

    async def order(self, order_id: str) -> Order:
        """One order now."""
        return await self.get(Order, _order(order_id))

    async def orders(
        self,
        *,
        strategy_id: str | None = None,
        symbol: str | None = None,
        status: OrderStatus | None = None,
        exchange: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> OrderPage:
        """A page of orders, newest first."""
        return await self.get(
            OrderPage,
            ORDERS_PATH,
            strategy_id=strategy_id,
            symbol=symbol,
            status=status,
            exchange=exchange,
            limit=limit,
            cursor=cursor,
        )

    async def all_orders(
        self,
        *,
        strategy_id: str | None = None,
        symbol: str | None = None,
        status: OrderStatus | None = None,
        exchange: str | None = None,
    ) -> AsyncIterator[Order]:
        """Every order that fits, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = await self.orders(
                strategy_id=strategy_id,
                symbol=symbol,
                status=status,
                exchange=exchange,
                cursor=cursor,
            )
            for each in page.orders:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return

    async def orders_csv(self, **filters: str | int | None) -> tuple[str, str | None]:
        """A page as CSV, and the next page's cursor; `filters` as of `orders`."""
        return await self.get_csv(ORDERS_PATH, **filters)

    async def cancel(self, order_id: str, *, reason: str | None = None) -> Order:
        """Cancel; the final state, or `cancelling`."""
        return await self.ask(
            Order,
            "POST",
            f"{_order(order_id)}/cancel",
            query={"reason": reason},
            is_repeatable=True,
        )

    async def cancel_all(
        self,
        *,
        strategy_id: str | None = None,
        symbol: str | None = None,
        exchange: str | None = None,
        everything: bool = False,
        executions: bool = False,
        reason: str | None = None,
    ) -> CancelAllReport:
        """Cancel what fits; at least one filter, or `everything`."""
        query = {
            "strategy_id": strategy_id,
            "symbol": symbol,
            "exchange": exchange,
            "all": everything or None,
            "executions": executions or None,
            "reason": reason,
        }
        path = f"{ORDERS_PATH}/cancel-all"
        return await self.ask(CancelAllReport, "POST", path, query=query, is_repeatable=True)

    async def pause(self, order_id: str, *, reason: str = "") -> Order:
        """Stop sending and take back what rests."""
        return await self._steer(order_id, "pause", reason)

    async def resume(self, order_id: str, *, reason: str = "") -> Order:
        """Let a paused order go on. Not repeated by itself: it may have been paused again since."""
        return await self._steer(order_id, "resume", reason)

    async def _steer(self, order_id: str, action: str, reason: str) -> Order:
        return await self.ask(
            Order,
            "POST",
            f"{_order(order_id)}/{action}",
            body=SteerRequest(reason=reason),
            is_repeatable=action == "pause",
        )

    async def amend(self, order_id: str, change: AmendRequest | Mapping[str, Any]) -> Order:
        """Change price, total, end or rate of a running order."""
        return await self.ask(Order, "PATCH", _order(order_id), body=change, is_repeatable=True)

    async def resolve(self, order_id: str, child: int, verdict: ChildVerdict) -> Order:
        """An operator's verdict on an unknown child; admin."""
        path = f"{_order(order_id)}/children/{child}/resolve"
        return await self.ask(Order, "POST", path, body=verdict)

    async def twap_progress(self, order_id: str) -> TwapReport:
        """Slices planned, sent, filled and late."""
        return await self.get(TwapReport, f"{_order(order_id)}/twap-progress")

    async def iceberg_progress(self, order_id: str) -> IcebergReport:
        """Tips shown and filled, and what is hidden."""
        return await self.get(IcebergReport, f"{_order(order_id)}/iceberg-progress")

    async def stop_progress(self, order_id: str) -> StopReport:
        """Where it fires, and whether the position is protected."""
        return await self.get(StopReport, f"{_order(order_id)}/stop-progress")

    async def analytics(self, order_id: str) -> OrderAnalytics:
        """What the order cost: transaction cost analysis."""
        return await self.get(OrderAnalytics, f"{ANALYTICS_PATH}/orders/{_quoted(order_id)}")

    async def statistics(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
    ) -> OrderStatistics:
        """Counts, fill ratio, volumes, fees, slippage, time to fill."""
        return await self.get(
            OrderStatistics,
            f"{ORDERS_PATH}/statistics",
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
        )

    async def queue_status(self) -> QueuesStatus:
        """What waits in each task queue."""
        return await self.get(QueuesStatus, f"{ORDERS_PATH}/queue/status")


class ExecutionCalls(_Starting):
    """Arbitrages and rebalancings."""

    async def execute_arbitrage(
        self, plan: ArbitragePlan | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Arbitrage:
        """Check and start a plan, as `submit` does an order."""
        return await self._start(Arbitrage, ARBITRAGE_PATH, plan, "id", idempotency_key)

    async def arbitrage(self, execution_id: str) -> Arbitrage:
        """One arbitrage now."""
        return await self.get(Arbitrage, f"{ARBITRAGE_PATH}/{_quoted(execution_id)}")

    async def arbitrages(
        self,
        *,
        strategy_id: str | None = None,
        status: ExecutionStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ArbitragePage:
        """A page of them, newest first."""
        return await self.get(
            ArbitragePage,
            ARBITRAGE_PATH,
            strategy_id=strategy_id,
            status=status,
            limit=limit,
            cursor=cursor,
        )

    async def cancel_arbitrage(self, execution_id: str, *, reason: str | None = None) -> Arbitrage:
        """Cancel; what filled is settled and compensated."""
        path = f"{ARBITRAGE_PATH}/{_quoted(execution_id)}/cancel"
        query = {"reason": reason}
        return await self.ask(Arbitrage, "POST", path, query=query, is_repeatable=True)

    async def rebalance(
        self, plan: RebalancePlan | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Rebalance:
        """Trade towards target weights, or with `preview` only plan it."""
        return await self._start(Rebalance, REBALANCE_PATH, plan, "id", idempotency_key)

    async def rebalancing(self, execution_id: str) -> Rebalance:
        """One rebalancing now."""
        return await self.get(Rebalance, f"{REBALANCE_PATH}/{_quoted(execution_id)}")

    async def rebalancings(
        self,
        *,
        strategy_id: str | None = None,
        status: ExecutionStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RebalancePage:
        """A page of them, newest first."""
        return await self.get(
            RebalancePage,
            REBALANCE_PATH,
            strategy_id=strategy_id,
            status=status,
            limit=limit,
            cursor=cursor,
        )

    async def cancel_rebalancing(
        self, execution_id: str, *, reason: str | None = None
    ) -> Rebalance:
        """Cancel; what filled stays."""
        path = f"{REBALANCE_PATH}/{_quoted(execution_id)}/cancel"
        query = {"reason": reason}
        return await self.ask(Rebalance, "POST", path, query=query, is_repeatable=True)


def _fields_of(asked: object) -> dict[str, Any]:
    """What was set, in a copy."""
    if isinstance(asked, BaseModel):
        return asked.model_dump(mode="json", exclude_unset=True)
    assert isinstance(asked, Mapping)
    return dict(asked)


def _order(order_id: str) -> str:
    return f"{ORDERS_PATH}/{_quoted(order_id)}"


def _quoted(id: str) -> str:
    return quote(id, safe=":")
