"""The typed client: how other services, the HTTP API and the command line ask for work.

It speaks to Temporal only: an order, an arbitrage, a rebalancing is a workflow under its own id.
Every wait is bounded; the errors are drawn in `starters.errors`.

It must not know HTTP, the ledger, or any exchange.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self
from uuid import uuid4

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from starters.calls import POLL_INTERVAL_S, READ_WAIT, WATCH_PATIENCE_S, Calls, Start
from starters.errors import (
    AlreadyTerminal,
    DeltaError,
    EffectPending,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionNotFound,
    OrderFailed,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from starters.kinds import (
    ARBITRAGES,
    EXECUTION_TYPES,
    ORDERS,
    REBALANCES,
    WORKFLOW_TYPES,
    Kind,
    SnapshotT,
)
from starters.order_calls import PREVIEW_WAIT, OrderCalls
from starters.sync_calls import sync_venue
from workers.connection import connect
from workers.settings import Settings
from workflows.domain.executions import ExecutionKind
from workflows.execution_messages import (
    ArbitragePlan,
    ArbitrageSnapshot,
    RebalancePlan,
    RebalanceSnapshot,
)
from workflows.fields import plain
from workflows.messages import CancelRequest, OrderRequest, OrderSnapshot
from workflows.names import made_order_id
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import (
    ActionKind,
    AmendRequest,
    ResolveRequest,
    SteerRequest,
)
from workflows.sync_messages import SyncReport, SyncRequest

__all__ = [
    "WORKFLOW_TYPES",
    "AlreadyTerminal",
    "DeltaClient",
    "DeltaError",
    "EffectPending",
    "ExecutionEnded",
    "ExecutionFailed",
    "ExecutionNotFound",
    "OrderFailed",
    "OrderNotFound",
    "OutcomeUnknown",
    "Refused",
    "Unavailable",
]

CONNECT_WAIT_S = 3.0
_USER_REQUEST = CancelRequest().reason


class DeltaClient:
    """Work by its ids; safe to share between tasks. See `starters.errors` for what it raises."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._orders = OrderCalls(client, ORDERS)
        self._arbitrages = Calls(client, ARBITRAGES)
        self._rebalances = Calls(client, REBALANCES)

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Connect to the Temporal server that the settings name; raises Unavailable."""
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                return cls(await connect(settings))
        except (RuntimeError, RPCError, TimeoutError) as error:
            raise Unavailable(f"Temporal at {settings.temporal_target} does not answer") from error

    @property
    def temporal(self) -> Client:
        """The connection itself, for what is asked about the server and not about work."""
        return self._client

    async def check(self) -> None:
        """Ask the server for our namespace; raises Unavailable."""
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._client.workflow_service.describe_namespace(request, timeout=READ_WAIT)
        except RPCError as error:
            raise Unavailable(f"Temporal gives no answer: {error.message}") from error

    def calls(self, kind: Kind[SnapshotT]) -> Calls[SnapshotT]:
        """The calls for one kind, for those who treat all kinds alike."""
        return Calls(self._client, kind)

    # --- orders ---------------------------------------------------------------------------------

    async def submit(self, request: OrderRequest) -> OrderSnapshot:
        """Start the order and wait at most 5 s for the verdict.

        The id is made before the start where the request has none. A denied order is an answer
        (status `denied`), not an error. The same id with the same body gives the same answer;
        with another body it is denied IDEMPOTENCY_CONFLICT. Raises OutcomeUnknown, Unavailable.
        """
        snapshot = await self._orders.submit(_start_of_order(request))
        # an order of another type has this id, and its workflow cannot compare
        is_another = snapshot.order_type not in (None, request.order_type)
        return ORDERS.conflict(snapshot.order_id) if is_another else snapshot

    async def progress(self, order_id: str) -> OrderSnapshot:
        """The order now. Raises OrderNotFound, OrderFailed, Unavailable."""
        return await self._orders.progress(order_id)

    async def cancel(self, order_id: str, reason: str = _USER_REQUEST) -> OrderSnapshot:
        """Ask for a cancel and wait a little over 5 s at most for the final state.

        Returns the final state, or status `cancelling`: then the request is durable and the
        cancel goes on. Raises AlreadyTerminal, OrderNotFound, OrderFailed, Unavailable.
        """
        return await self._orders.cancel(order_id, reason)

    async def pause(self, order_id: str, request: SteerRequest | None = None) -> OrderSnapshot:
        """Stop sending and take back what rests, until `resume`. The order, paused.

        Waits a little over 5 s at most. Raises Refused (its `denied` has the code),
        EffectPending (accepted; takes effect within one slice or tip), AlreadyTerminal,
        OrderNotFound, OrderFailed, OutcomeUnknown (ask again: that is safe), Unavailable.
        """
        return await self._orders.steer(ActionKind.PAUSE, order_id, request or SteerRequest())

    async def resume(self, order_id: str, request: SteerRequest | None = None) -> OrderSnapshot:
        """Let a paused order go on. Waits and raises as `pause`."""
        return await self._orders.steer(ActionKind.RESUME, order_id, request or SteerRequest())

    async def amend(self, order_id: str, request: AmendRequest) -> OrderSnapshot:
        """Change price, total, end or rate of a running order. Waits and raises as `pause`."""
        return await self._orders.steer(ActionKind.AMEND, order_id, request)

    async def steer(
        self, kind: ActionKind, order_id: str, request: SteerRequest | AmendRequest
    ) -> OrderSnapshot:
        """`pause`, `resume` or `amend`, for those who treat them alike."""
        return await self._orders.steer(kind, order_id, request)

    async def resolve(self, order_id: str, request: ResolveRequest) -> None:
        """An operator's verdict on a child whose outcome is unknown; it follows within 30 s.

        `request.child` is its index. Raises Refused, OrderNotFound when no workflow is at work on
        the order, OutcomeUnknown, Unavailable.
        """
        await self._orders.resolve(order_id, request)

    async def preview(self, request: OrderRequest) -> OrderPreview:
        """What the order would do and cost now, and whether it would be accepted; nothing is sent.

        Sizes drawn at random are those of the order with this id. Waits at most PREVIEW_WAIT.
        Raises Unavailable.
        """
        asked = _start_of_order(request)
        if request.order_id is None:
            del asked.body["order_id"]  # one that we make up is none that the order will have
        return await self._orders.preview(asked)

    async def result(self, order_id: str) -> OrderSnapshot:
        """Wait for the order's end, however long it takes, and return it.

        Raises OrderNotFound, OrderFailed, Unavailable (ask again: the wait changes nothing).
        """
        return await self._orders.result(order_id)

    def watch(
        self,
        order_id: str,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
        patience_s: float = WATCH_PATIENCE_S,
        enrich: Callable[[OrderSnapshot], Awaitable[OrderSnapshot]] | None = None,
    ) -> AsyncIterator[OrderSnapshot]:
        """The order now and after each change, up to its final state; `enrich` may add to it.

        A server or worker that is away for up to `patience_s` is waited for; later Unavailable
        is raised. Also raises OrderNotFound and OrderFailed.
        """
        return self._orders.watch(
            order_id, poll_interval_s=poll_interval_s, patience_s=patience_s, enrich=enrich
        )

    async def sync(self, exchange: str, *, requested_by: str = "client") -> SyncReport:
        """Compare every account of a venue with the ledger now; waits at most SYNC_WAIT.

        Of two who ask at the same time both get the answer of the first. Raises Unavailable.
        """
        return await sync_venue(
            self._client, SyncRequest(exchange=exchange, requested_by=requested_by)
        )

    # --- arbitrages -----------------------------------------------------------------------------

    async def execute_arbitrage(self, plan: ArbitragePlan) -> ArbitrageSnapshot:
        """Start the arbitrage and wait at most 5 s for the verdict; the rules are `submit`'s."""
        return await self._arbitrages.submit(_start_of_arbitrage(plan))

    async def arbitrage(self, execution_id: str) -> ArbitrageSnapshot:
        """The arbitrage now. Raises ExecutionNotFound, ExecutionFailed, Unavailable."""
        return await self._arbitrages.progress(execution_id)

    async def cancel_arbitrage(
        self, execution_id: str, reason: str = _USER_REQUEST
    ) -> ArbitrageSnapshot:
        """Ask for a cancel, as `cancel` does for an order; what filled is settled first."""
        return await self._arbitrages.cancel(execution_id, reason)

    async def arbitrage_result(self, execution_id: str) -> ArbitrageSnapshot:
        """Wait for its end. Raises ExecutionNotFound, ExecutionFailed, Unavailable."""
        return await self._arbitrages.result(execution_id)

    def watch_arbitrage(
        self,
        execution_id: str,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
        patience_s: float = WATCH_PATIENCE_S,
    ) -> AsyncIterator[ArbitrageSnapshot]:
        """The arbitrage now and after each change, as `watch` does for an order."""
        return self._arbitrages.watch(
            execution_id, poll_interval_s=poll_interval_s, patience_s=patience_s
        )

    # --- rebalancings ---------------------------------------------------------------------------

    async def rebalance(self, plan: RebalancePlan) -> RebalanceSnapshot:
        """Start the rebalancing and wait at most 5 s for the verdict; the rules are `submit`'s."""
        return await self._rebalances.submit(_start_of_rebalance(plan))

    async def preview_rebalance(self, plan: RebalancePlan) -> RebalanceSnapshot:
        """What the rebalancing would trade now; nothing is sent.

        Waits at most PREVIEW_WAIT after the verdict. Raises OutcomeUnknown, Unavailable.
        """
        asked = _start_of_rebalance(plan.model_copy(update={"preview": True}))
        told = await self._rebalances.submit(asked)
        if told.status.is_terminal:
            return told
        return await self._rebalances.result(asked.id, within=PREVIEW_WAIT)

    async def rebalance_status(self, execution_id: str) -> RebalanceSnapshot:
        """The rebalancing now. Raises ExecutionNotFound, ExecutionFailed, Unavailable."""
        return await self._rebalances.progress(execution_id)

    async def cancel_rebalance(
        self, execution_id: str, reason: str = _USER_REQUEST
    ) -> RebalanceSnapshot:
        """Ask for a cancel, as `cancel` does for an order; what filled stays."""
        return await self._rebalances.cancel(execution_id, reason)

    async def rebalance_result(self, execution_id: str) -> RebalanceSnapshot:
        """Wait for its end. Raises ExecutionNotFound, ExecutionFailed, Unavailable."""
        return await self._rebalances.result(execution_id)

    def watch_rebalance(
        self,
        execution_id: str,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
        patience_s: float = WATCH_PATIENCE_S,
    ) -> AsyncIterator[RebalanceSnapshot]:
        """The rebalancing now and after each change, as `watch` does for an order."""
        return self._rebalances.watch(
            execution_id, poll_interval_s=poll_interval_s, patience_s=patience_s
        )


def _start_of_order(request: OrderRequest) -> Start:
    order_id = request.order_id or made_order_id(uuid4().hex)
    body = request.model_dump(mode="json", exclude_none=True) | {"order_id": order_id}
    return Start(
        id=order_id,
        workflow_type=WORKFLOW_TYPES[request.order_type],
        body=body,
        body_hash=request.body_hash(),
        priority=request.priority,
        summary=f"{request.side} {body['quantity']} {request.symbol} {request.order_type}",
    )


def _start_of_arbitrage(plan: ArbitragePlan) -> Start:
    buy = f"buy {plan.buy_exchange} {plain(plan.buy_price)}"
    sell = f"sell {plan.sell_exchange} {plain(plan.sell_price)}"
    summary = f"arbitrage {plain(plan.amount)} {plan.symbol}: {buy}, {sell}"
    return _start_of_plan(plan, ExecutionKind.ARBITRAGE, summary)


def _start_of_rebalance(plan: RebalancePlan) -> Start:
    verb = "preview of rebalancing" if plan.preview else "rebalance"
    targets = ", ".join(f"{asset} {plain(weight)}" for asset, weight in plan.targets.items())
    summary = f"{verb} {'+'.join(plan.exchanges)} to {targets}"
    return _start_of_plan(plan, ExecutionKind.REBALANCE, summary)


def _start_of_plan(plan: ArbitragePlan | RebalancePlan, kind: ExecutionKind, summary: str) -> Start:
    execution_id = plan.id or uuid4().hex
    return Start(
        id=execution_id,
        workflow_type=EXECUTION_TYPES[kind],
        body=plan.model_dump(mode="json", exclude_none=True) | {"id": execution_id},
        body_hash=plan.body_hash(),
        priority=plan.priority,
        summary=summary,
    )
