"""The calls that only orders know: steer a running one, preview one that is not sent.

A running order is steered by updates. Each is accepted first, which is durable, and takes effect
at the order's next safe point: within one slice or tip. Both waits are bounded, and asking again is
safe: a pause of a paused order changes nothing, and an amendment names what shall be.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from starters.calls import READ_WAIT, WORKFLOW_TASK_TIMEOUT, Calls, Start
from starters.errors import EffectPending, NotFound, OutcomeUnknown, Refused, Unavailable
from starters.kinds import PREVIEW_TYPE
from workflows import names
from workflows.domain.denials import DenialCode, Denied
from workflows.messages import OrderSnapshot
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import (
    ActionKind,
    AmendRequest,
    ResolveRequest,
    SteerRequest,
)

STEER_WAIT_S = 5.5
"""How long the answer to a pause, resume or amendment is waited for."""
PREVIEW_WAIT = timedelta(seconds=10)
"""How long a preview may take, and live: it reads the market and the ledger, and sends nothing."""
_TRIES = 3  # a run that hands over to the next one may end the updates that wait in it
_UPDATES = {
    ActionKind.PAUSE: names.PAUSE,
    ActionKind.RESUME: names.RESUME,
    ActionKind.AMEND: names.AMEND,
}
# Answers of the server which prove that it kept nothing.
_NOT_KEPT = {
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.RESOURCE_EXHAUSTED,
}

AnswerT = TypeVar("AnswerT")


class _RunEndedError(Exception):
    """The run that was asked has ended; the order may go on in the next one."""


class OrderCalls(Calls[OrderSnapshot]):
    """The workflows of orders, by the orders' ids."""

    async def steer(
        self, kind: ActionKind, order_id: str, request: SteerRequest | AmendRequest
    ) -> OrderSnapshot:
        """Pause, resume or amend; the order once that is in effect.

        Raises Refused, EffectPending, AlreadyTerminal, OrderNotFound, OrderFailed,
        OutcomeUnknown, Unavailable.
        """
        handle = self._handle(order_id)
        for _ in range(_TRIES):
            if not await self._is_running(handle):
                raise self._kind.ended(await self._outcome(handle, READ_WAIT))
            try:
                answer = await self._ask(handle, _UPDATES[kind], request, OrderSnapshot)
            except _RunEndedError:
                continue
            if answer is None:
                raise EffectPending(await self.progress(order_id))
            return answer
        raise OutcomeUnknown(order_id)

    async def resolve(self, order_id: str, request: ResolveRequest) -> None:
        """Tell whoever works the order, its execution if it is a leg, the verdict on its child.

        Raises Refused, OrderNotFound when no workflow is at work on it, OutcomeUnknown,
        Unavailable. Asking again is safe: the newest verdict counts.
        """
        owner = names.owner_of(order_id)
        asked = request.model_copy(update={} if owner == order_id else {"order_id": order_id})
        for _ in range(_TRIES):
            handle = await self._at_work_on(owner)
            if handle is None:
                raise self._kind.absent(order_id)
            try:
                if await self._ask(handle, names.RESOLVE, asked, dict) is not None:
                    return
            except _RunEndedError:
                continue
        raise OutcomeUnknown(order_id)

    async def _at_work_on(self, owner: str) -> WorkflowHandle[object, Any] | None:
        """The workflow of the order, or the one that settles what a lost one left."""
        for name in (owner, names.settle_id(owner)):
            handle: WorkflowHandle[object, Any] = self._client.get_workflow_handle(name)
            with suppress(NotFound), self._errors(owner):
                description = await handle.describe(rpc_timeout=READ_WAIT)
                if description.status is WorkflowExecutionStatus.RUNNING:
                    return handle
        return None

    async def _ask(
        self,
        handle: WorkflowHandle[object, Any],
        name: str,
        request: SteerRequest | AmendRequest | ResolveRequest,
        result_type: type[AnswerT],
    ) -> AnswerT | None:
        """The answer, or None when it was accepted and kept, and takes its time.

        Raises _RunEndedError, Refused, OutcomeUnknown, Unavailable.
        """
        update: WorkflowUpdateHandle[AnswerT] | None = None
        update_id = uuid4().hex
        try:
            async with asyncio.timeout(STEER_WAIT_S):
                update = await handle.start_update(
                    name,
                    request,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    id=update_id,
                    result_type=result_type,
                    rpc_timeout=timedelta(seconds=STEER_WAIT_S),
                )
                return await update.result(rpc_timeout=timedelta(seconds=STEER_WAIT_S))
        except WorkflowUpdateFailedError as error:
            raise await self._refusal(handle.id, error) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise _RunEndedError from error
            if update is None and error.status in _NOT_KEPT:
                raise Unavailable(f"Temporal refused to ask: {error.message}") from error
        except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError):
            pass
        if update is None:
            raise OutcomeUnknown(handle.id)
        return None

    async def _refusal(self, order_id: str, error: WorkflowUpdateFailedError) -> Exception:
        cause = error.cause
        known = (cause.type or "") if isinstance(cause, ApplicationError) else ""
        if not isinstance(cause, ApplicationError) or known not in DenialCode.__members__:
            return _RunEndedError()  # the run ended with the update in it
        code = DenialCode(known)
        if code is DenialCode.ALREADY_TERMINAL:
            now = await self.progress(order_id)
            if now.status.is_terminal:
                return self._kind.ended(now)
        told: object = cause.details[0] if cause.details else None
        found = told if isinstance(told, dict) else {"detail": cause.message}
        field = found.get("field")
        detail = str(found.get("detail") or code)
        return Refused(order_id, Denied(code=code, detail=detail, field=field))

    async def preview(self, asked: Start) -> OrderPreview:
        """What the order would do now; nothing is sent. Raises Unavailable."""
        preview_id = names.preview_id(asked.id)
        try:
            async with asyncio.timeout(PREVIEW_WAIT.total_seconds()):
                handle: WorkflowHandle[object, OrderPreview] = await self._client.start_workflow(
                    PREVIEW_TYPE,
                    asked.body,
                    id=preview_id,
                    task_queue=names.ORDERS_QUEUE,
                    result_type=OrderPreview,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    priority=Priority(priority_key=asked.priority),
                    execution_timeout=PREVIEW_WAIT,
                    task_timeout=WORKFLOW_TASK_TIMEOUT,
                    static_summary=f"preview: {asked.summary}",
                    rpc_timeout=READ_WAIT,
                )
                return await handle.result(rpc_timeout=PREVIEW_WAIT)
        except WorkflowAlreadyStartedError as error:
            raise Unavailable(f"another preview of order {asked.id} is at work") from error
        except RPCError as error:
            raise Unavailable(f"Temporal gives no answer: {error.message}") from error
        except (TimeoutError, WorkflowFailureError) as error:
            raise Unavailable("no worker has previewed the order in time") from error
