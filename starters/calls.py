"""The calls to Temporal, the same for all kinds: start, ask, cancel, wait, watch.

Every wait is bounded, and an answer that did not come is an error that says so, never a guess.
The id of what is started is made before the start and is in every error.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, NoReturn

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
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from starters.errors import NotFound, OutcomeUnknown, Unavailable
from starters.kinds import CANCELLING, Kind, SnapshotT
from workflows import names
from workflows.messages import CancelRequest

ACCEPT_WAIT_S = 5.0
READ_WAIT = timedelta(seconds=2)
# The workflow answers a cancel after 5 s at the latest; a little longer, to hear it.
CANCEL_WAIT = timedelta(seconds=5.5)
WORKFLOW_TASK_TIMEOUT = timedelta(seconds=5)
"""How long a workflow waits for a worker that died in the middle of its workflow task. Temporal's
default is 10 s; much less would let a loaded worker's tasks time out while it replays."""
POLL_INTERVAL_S = 0.5
WATCH_PATIENCE_S = 60.0
_SUMMARY_CHARACTERS = 100  # Temporal allows 400 bytes

# Answers of the server which prove that it did nothing.
_REFUSED = {
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.NOT_FOUND,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is started: its body with its id in it, and the body's hash without the id."""

    id: str
    workflow_type: str
    body: dict[str, object]
    body_hash: str
    priority: int
    summary: str


class Calls(Generic[SnapshotT]):
    """The workflows of one kind, by their ids; safe to share between tasks."""

    def __init__(self, client: Client, kind: Kind[SnapshotT]) -> None:
        self._client = client
        self._kind = kind

    async def submit(self, asked: Start) -> SnapshotT:
        """Start it and wait at most ACCEPT_WAIT_S for the verdict; a denial is an answer.

        The same id with the same body gives the same answer; with another body it is denied
        IDEMPOTENCY_CONFLICT. Raises OutcomeUnknown, Unavailable.
        """
        start = self._start_operation(asked)
        try:
            async with asyncio.timeout(ACCEPT_WAIT_S):
                verdict: SnapshotT = await self._client.execute_update_with_start_workflow(
                    names.ACCEPT,
                    asked.body,
                    # A repeated update id is answered from the first call without a look at the
                    # body, also after the end. So the id says which body it stands for.
                    id=f"{names.ACCEPT}-{asked.body_hash[:32]}",
                    result_type=self._kind.snapshot,
                    start_workflow_operation=start,
                    rpc_timeout=timedelta(seconds=ACCEPT_WAIT_S),
                )
        except WorkflowUpdateFailedError:
            return await self._ended_first(asked.id)
        except ApplicationError:
            if not await self._is_of_another_kind(self._handle(asked.id)):
                raise
            return self._kind.conflict(asked.id)
        except (WorkflowUpdateRPCTimeoutOrCancelledError, RPCError, TimeoutError) as error:
            await _forget(start)
            self._refused_or_unknown(asked.id, error)
        return verdict

    def _start_operation(self, asked: Start) -> WithStartWorkflowOperation[object, SnapshotT]:
        return WithStartWorkflowOperation(
            asked.workflow_type,
            asked.body,
            id=asked.id,
            task_queue=names.ORDERS_QUEUE,
            result_type=self._kind.snapshot,
            # A known id is the ledger's to answer: it outlives Temporal's retention.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            priority=Priority(priority_key=asked.priority),
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            static_summary=asked.summary[:_SUMMARY_CHARACTERS],
        )

    async def _ended_first(self, id: str) -> SnapshotT:
        """It ended before it could answer."""
        try:
            return await self.progress(id)
        except NotFound:
            return self._kind.conflict(id)

    async def progress(self, id: str) -> SnapshotT:
        """How it is now. Raises NotFound, WorkflowBroke, Unavailable."""
        handle = self._handle(id)
        with self._errors(id):
            if await self._is_running(handle):
                now: SnapshotT = await handle.query(
                    names.PROGRESS, result_type=self._kind.snapshot, rpc_timeout=READ_WAIT
                )
                return now
        return await self._outcome(handle, READ_WAIT)

    async def cancel(self, id: str, reason: str) -> SnapshotT:
        """Ask for a cancel and wait a little over 5 s at most for the final state.

        Returns the final state, or status `cancelling`: then the request is durable and the
        cancel goes on. Raises Ended, NotFound, WorkflowBroke, Unavailable.
        """
        handle, request = self._handle(id), CancelRequest(reason=reason)
        if not await self._is_running(handle):
            raise self._kind.ended(await self._outcome(handle, READ_WAIT))
        try:
            answer: SnapshotT = await handle.execute_update(
                names.CANCEL, request, result_type=self._kind.snapshot, rpc_timeout=CANCEL_WAIT
            )
        except RPCError as error:
            # a run that hands over to the next one aborts its updates, as one that ends does
            if error.status is RPCStatusCode.NOT_FOUND and not await self._is_running(handle):
                raise self._kind.ended(await self._outcome(handle, READ_WAIT)) from error
            return await self._cancel_by_signal(handle, request)
        except (WorkflowUpdateRPCTimeoutOrCancelledError, WorkflowUpdateFailedError):
            return await self._cancel_by_signal(handle, request)
        return answer

    async def request_cancel(self, id: str, reason: str) -> None:
        """Ask for a cancel and wait for nothing: it is durable when this returns.

        Raises NotFound for what has ended or never was, Unavailable.
        """
        with self._errors(id):
            await self._handle(id).signal(
                names.CANCEL, CancelRequest(reason=reason), rpc_timeout=READ_WAIT
            )

    async def _cancel_by_signal(
        self, handle: WorkflowHandle[object, SnapshotT], request: CancelRequest
    ) -> SnapshotT:
        """An update waits for a worker and may be lost; the signal is kept until one is there."""
        try:
            await handle.signal(names.CANCEL, request, rpc_timeout=READ_WAIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not await self._is_running(handle):
                return await self._outcome(handle, READ_WAIT)  # it ended while we asked
            with self._errors(handle.id):
                raise
        why = "the cancel is stored; no worker has answered yet"
        return self._kind.tell(handle.id, CANCELLING, why, None)

    async def result(self, id: str, *, within: timedelta | None = None) -> SnapshotT:
        """Wait for the end, however long it takes or for `within`, and return it.

        Raises NotFound, WorkflowBroke, Unavailable (ask again: the wait changes nothing).
        """
        return await self._outcome(self._handle(id), within)

    async def watch(
        self,
        id: str,
        *,
        poll_interval_s: float,
        patience_s: float,
        enrich: Callable[[SnapshotT], Awaitable[SnapshotT]] | None = None,
    ) -> AsyncIterator[SnapshotT]:
        """How it is now and after each change, up to its final state; `enrich` may add to it.

        A server or worker that is away for up to `patience_s` is waited for; later Unavailable
        is raised. Also raises NotFound and WorkflowBroke.
        """
        last: SnapshotT | None = None
        silent_since: float | None = None
        while last is None or not last.status.is_terminal:
            if last is not None or silent_since is not None:
                await asyncio.sleep(poll_interval_s)
            try:
                now = await self.progress(id)
                if enrich is not None:
                    now = await enrich(now)
            except Unavailable:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > patience_s:
                    raise
                continue
            silent_since = None
            if now != last:
                yield now
            last = now

    # --- pieces ---------------------------------------------------------------------------------

    def _handle(self, id: str) -> WorkflowHandle[object, SnapshotT]:
        return self._client.get_workflow_handle(id, result_type=self._kind.snapshot)

    async def _outcome(
        self, handle: WorkflowHandle[object, SnapshotT], wait: timedelta | None
    ) -> SnapshotT:
        try:
            with self._errors(handle.id):
                return await handle.result(rpc_timeout=wait)
        except WorkflowFailureError as error:
            cause = error.cause
            what = cause if str(cause) else type(cause).__name__
            raise self._kind.broke(
                handle.id, f"{self._kind.noun} {handle.id} failed: {what}"
            ) from error
        except ApplicationError as error:
            if not await self._is_of_another_kind(handle):
                raise
            raise self._kind.absent(handle.id) from error

    async def _is_running(self, handle: WorkflowHandle[object, SnapshotT]) -> bool:
        """Raises NotFound for what is of another kind, and what `_errors` makes of the read."""
        with self._errors(handle.id):
            description = await handle.describe(rpc_timeout=READ_WAIT)
        if description.workflow_type not in self._kind.workflow_types:
            raise self._kind.absent(handle.id)
        return description.status in (
            WorkflowExecutionStatus.RUNNING,
            WorkflowExecutionStatus.CONTINUED_AS_NEW,
        )

    async def _is_of_another_kind(self, handle: WorkflowHandle[object, SnapshotT]) -> bool:
        """True when an answer could not be read because another kind of workflow gave it."""
        try:
            await self._is_running(handle)
        except NotFound:
            return True
        return False

    @contextmanager
    def _errors(self, id: str) -> Iterator[None]:
        """Errors of a read, in our terms."""
        try:
            yield
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise self._kind.absent(id) from error
            raise Unavailable(f"Temporal gives no answer: {error.message}") from error
        except WorkflowQueryFailedError as error:
            raise Unavailable(f"the workflow cannot answer now: {error}") from error

    def _refused_or_unknown(self, id: str, error: Exception) -> NoReturn:
        if isinstance(error, RPCError) and error.status in _REFUSED:
            noun = self._kind.noun
            raise Unavailable(f"Temporal refused to start the {noun}: {error.message}") from error
        raise OutcomeUnknown(id, self._kind.noun) from error


async def _forget(start: WithStartWorkflowOperation[object, SnapshotT]) -> None:
    """Collect the operation's own copy of the error, which nobody else will read."""
    with suppress(Exception, asyncio.CancelledError):
        await asyncio.wait_for(start.workflow_handle(), 0.1)
