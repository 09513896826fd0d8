"""The typed client: how other services, the HTTP API and the command line ask for orders.

It speaks to Temporal only: an order is a workflow under its own id. Every wait is bounded, and an
answer that did not come is an error that says so, never a guess.

It must not know HTTP, the ledger, or any exchange.

    DeltaError
      Unavailable       nothing was asked, or a read stayed unanswered: try again
      OutcomeUnknown    the order may have been started: ask for it under its id
      OrderNotFound     no order has this id
      AlreadyTerminal   the order has ended: `snapshot` is its end
      OrderFailed       the workflow broke or was terminated: a human must look
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn, Self
from uuid import uuid4

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from workers.connection import connect
from workers.settings import Settings
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.messages import CancelRequest, OrderRequest, OrderSnapshot

CONNECT_WAIT_S = 3.0
ACCEPT_WAIT_S = 5.0
READ_WAIT = timedelta(seconds=2)
# The workflow answers a cancel after 5 s at the latest; a little longer, to hear it.
CANCEL_WAIT = timedelta(seconds=5.5)
WORKFLOW_TASK_TIMEOUT = timedelta(seconds=5)
"""How long an order waits for a worker that died in the middle of its workflow task. Temporal's
default is 10 s; much less would let a loaded worker's tasks time out while it replays."""
POLL_INTERVAL_S = 0.5
WATCH_PATIENCE_S = 60.0
_SUMMARY_CHARACTERS = 100  # Temporal allows 400 bytes

WORKFLOW_TYPES: dict[OrderType, str] = {
    OrderType.MARKET: "MarketOrder",
    OrderType.LIMIT: "LimitOrder",
    OrderType.TWAP: "TwapOrder",
}
"""The workflow that works each type of order."""

OrderHandle = WorkflowHandle[object, OrderSnapshot]

# Answers of the server which prove that it did nothing.
_REFUSED = {
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.NOT_FOUND,
}


class DeltaError(Exception):
    """What can go wrong between the caller and its order; see the module's docstring."""


class Unavailable(DeltaError):  # noqa: N818 - part of the public face: named as the state it is
    """Temporal, a worker or the ledger does not answer. Nothing was changed."""


class _OrderError(DeltaError):
    """About one order."""

    def __init__(self, order_id: str, message: str) -> None:
        super().__init__(message)
        self.order_id = order_id


class OutcomeUnknown(_OrderError):  # noqa: N818 - part of the public face, named as the state
    """The order was asked for and no verdict came in time; it may be started or not.

    Asking again with the same `order_id` is safe. An order that was not accepted within
    ACCEPT_TIMEOUT ends denied and never trades late.
    """

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id, f"no verdict yet on order {order_id}; ask for it by its id")


class OrderNotFound(_OrderError):  # noqa: N818 - part of the public face, named as the state
    """No order has this id."""

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id, f"no order {order_id}")


class AlreadyTerminal(_OrderError):  # noqa: N818 - part of the public face, named as the state
    """The order had ended before it could be cancelled; `snapshot` is its final state."""

    def __init__(self, snapshot: OrderSnapshot) -> None:
        super().__init__(snapshot.order_id, f"order {snapshot.order_id} is {snapshot.status}")
        self.snapshot = snapshot


class OrderFailed(_OrderError):  # noqa: N818 - part of the public face, named as the state
    """The order's workflow failed or was terminated: no snapshot of its end exists."""


class DeltaClient:
    """Orders by their ids; safe to share between tasks. See the module for the errors."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Connect to the Temporal server that the settings name; raises Unavailable."""
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                return cls(await connect(settings))
        except (RuntimeError, RPCError, TimeoutError) as error:
            raise Unavailable(f"Temporal at {settings.temporal_target} does not answer") from error

    async def submit(self, request: OrderRequest) -> OrderSnapshot:
        """Start the order and wait at most ACCEPT_WAIT_S for the verdict.

        The id is made before the start where the request has none. A denied order is an answer
        (status `denied`), not an error. The same id with the same body gives the same answer;
        with another body it is denied IDEMPOTENCY_CONFLICT. Raises OutcomeUnknown, Unavailable.
        """
        order_id = request.order_id or uuid4().hex
        body = request.model_dump(mode="json", exclude_none=True) | {"order_id": order_id}
        start = self._start_operation(order_id, request, body)
        try:
            async with asyncio.timeout(ACCEPT_WAIT_S):
                snapshot = await self._client.execute_update_with_start_workflow(
                    names.ACCEPT,
                    body,
                    # A repeated update id is answered from the first call without a look at the
                    # body, also after the order's end. So the id says which body it stands for.
                    id=f"{names.ACCEPT}-{request.body_hash()[:32]}",
                    result_type=OrderSnapshot,
                    start_workflow_operation=start,
                    rpc_timeout=timedelta(seconds=ACCEPT_WAIT_S),
                )
        except WorkflowUpdateFailedError:
            return await self.progress(order_id)  # it ended before it could answer
        except (WorkflowUpdateRPCTimeoutOrCancelledError, RPCError, TimeoutError) as error:
            await _forget(start)
            _refused_or_unknown(order_id, error)
        return _conflict(order_id) if _is_another(snapshot, request) else snapshot

    def _start_operation(
        self, order_id: str, request: OrderRequest, body: dict[str, object]
    ) -> WithStartWorkflowOperation[object, OrderSnapshot]:
        summary = f"{request.side} {body['quantity']} {request.symbol} {request.order_type}"
        return WithStartWorkflowOperation(
            WORKFLOW_TYPES[request.order_type],
            body,
            id=order_id,
            task_queue=names.ORDERS_QUEUE,
            result_type=OrderSnapshot,
            # A known id is the ledger's to answer: it outlives Temporal's retention.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            priority=Priority(priority_key=request.priority),
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            static_summary=summary[:_SUMMARY_CHARACTERS],
        )

    async def progress(self, order_id: str) -> OrderSnapshot:
        """The order now. Raises OrderNotFound, OrderFailed, Unavailable."""
        handle = self._handle(order_id)
        with _errors(order_id):
            if await _is_running(handle):
                now: OrderSnapshot = await handle.query(
                    names.PROGRESS, result_type=OrderSnapshot, rpc_timeout=READ_WAIT
                )
                return now
        return await self._outcome(handle, READ_WAIT)

    async def cancel(self, order_id: str, reason: str = "user_request") -> OrderSnapshot:
        """Ask for a cancel and wait a little over 5 s at most for the final state.

        Returns the final state, or status `cancelling`: then the request is durable and the
        cancel goes on. Raises AlreadyTerminal, OrderNotFound, OrderFailed, Unavailable.
        """
        handle, request = self._handle(order_id), CancelRequest(reason=reason)
        if not await _is_running(handle):
            raise AlreadyTerminal(await self._outcome(handle, READ_WAIT))
        try:
            answer: OrderSnapshot = await handle.execute_update(
                names.CANCEL, request, result_type=OrderSnapshot, rpc_timeout=CANCEL_WAIT
            )
        except RPCError as error:
            # a run that hands over to the next one aborts its updates, as one that ends does
            if error.status is RPCStatusCode.NOT_FOUND and not await _is_running(handle):
                raise AlreadyTerminal(await self._outcome(handle, READ_WAIT)) from error
            return await self._cancel_by_signal(handle, request)
        except (WorkflowUpdateRPCTimeoutOrCancelledError, WorkflowUpdateFailedError):
            return await self._cancel_by_signal(handle, request)
        return answer

    async def _cancel_by_signal(self, handle: OrderHandle, request: CancelRequest) -> OrderSnapshot:
        """An update waits for a worker and may be lost; the signal is kept until one is there."""
        with _errors(handle.id):
            await handle.signal(names.CANCEL, request, rpc_timeout=READ_WAIT)
        return OrderSnapshot(
            order_id=handle.id,
            status=OrderStatus.CANCELLING,
            reason="the cancel is stored; no worker has answered yet",
        )

    async def result(self, order_id: str) -> OrderSnapshot:
        """Wait for the order's end, however long it takes, and return it.

        Raises OrderNotFound, OrderFailed, Unavailable (ask again: the wait changes nothing).
        """
        return await self._outcome(self._handle(order_id), None)

    async def watch(
        self,
        order_id: str,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
        patience_s: float = WATCH_PATIENCE_S,
    ) -> AsyncIterator[OrderSnapshot]:
        """The order now and after each change, up to its final state.

        A server or worker that is away for up to `patience_s` is waited for; later Unavailable
        is raised. Also raises OrderNotFound and OrderFailed.
        """
        last: OrderSnapshot | None = None
        silent_since: float | None = None
        while last is None or not last.status.is_terminal:
            if last is not None or silent_since is not None:
                await asyncio.sleep(poll_interval_s)
            try:
                now = await self.progress(order_id)
            except Unavailable:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > patience_s:
                    raise
                continue
            silent_since = None
            if now != last:
                yield now
            last = now

    async def check(self) -> None:
        """Ask the server for our namespace; raises Unavailable."""
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._client.workflow_service.describe_namespace(request, timeout=READ_WAIT)
        except RPCError as error:
            raise Unavailable(f"Temporal gives no answer: {error.message}") from error

    def _handle(self, order_id: str) -> OrderHandle:
        return self._client.get_workflow_handle(order_id, result_type=OrderSnapshot)

    async def _outcome(self, handle: OrderHandle, wait: timedelta | None) -> OrderSnapshot:
        try:
            with _errors(handle.id):
                return await handle.result(rpc_timeout=wait)
        except WorkflowFailureError as error:
            cause = error.cause
            message = f"order {handle.id} failed: {cause if str(cause) else type(cause).__name__}"
            raise OrderFailed(handle.id, message) from error


async def _is_running(handle: OrderHandle) -> bool:
    """Raises what `_errors` makes of a failed read."""
    with _errors(handle.id):
        description = await handle.describe(rpc_timeout=READ_WAIT)
    return description.status in (
        WorkflowExecutionStatus.RUNNING,
        WorkflowExecutionStatus.CONTINUED_AS_NEW,
    )


@contextmanager
def _errors(order_id: str) -> Iterator[None]:
    """Errors of a read, in our terms."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise OrderNotFound(order_id) from error
        raise Unavailable(f"Temporal gives no answer: {error.message}") from error
    except WorkflowQueryFailedError as error:
        raise Unavailable(f"the workflow cannot answer now: {error}") from error


def _refused_or_unknown(order_id: str, error: Exception) -> NoReturn:
    if isinstance(error, RPCError) and error.status in _REFUSED:
        raise Unavailable(f"Temporal refused to start the order: {error.message}") from error
    raise OutcomeUnknown(order_id) from error


async def _forget(start: WithStartWorkflowOperation[object, OrderSnapshot]) -> None:
    """Collect the operation's own copy of the error, which nobody else will read."""
    with suppress(Exception, asyncio.CancelledError):
        await asyncio.wait_for(start.workflow_handle(), 0.1)


def _is_another(snapshot: OrderSnapshot, request: OrderRequest) -> bool:
    """True when the id belongs to an order of another type, whose workflow cannot compare."""
    return snapshot.order_type not in (None, request.order_type)


def _conflict(order_id: str) -> OrderSnapshot:
    return OrderSnapshot(
        order_id=order_id,
        status=OrderStatus.DENIED,
        code=DenialCode.IDEMPOTENCY_CONFLICT,
        reason="another order has this id",
    )
