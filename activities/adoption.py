"""Executions whose workflow was lost: found by asking Temporal, and begun again to be settled.

A workflow can be terminated, time out, fail, or be deleted. What it left at venues and what it
reserved and locked must not stay: the same id is started again with the stored plan, and the ledger
tells the new run that it settles and trades nothing new.

It runs as a task of every worker process, not inside an account's feed: an execution has several
accounts, and must be settled also while one of their venues is away. The ledger hands each open
execution to one worker at a time; a worker that dies with it costs one more period. It must not
know what is settled, nor how.
"""

import asyncio
import logging
from datetime import timedelta
from decimal import Decimal

from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import (
    Priority,
    RawValue,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.execution_store import ExecutionStore
from activities.ledger.results import LostExecution
from workflows import names
from workflows.domain.alarms import AlarmCode
from workflows.domain.executions import ExecutionKind
from workflows.payloads import strict_loads

MOST_FAILURES = 3
"""Runs that may follow one that failed; after that a human must settle it."""
TASK_TIMEOUT = timedelta(seconds=5)
_ASK_WITHIN = timedelta(seconds=5)
_ROUNDS_PER_PERIOD = 4
_RUNS = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)
_TYPES = {ExecutionKind.ARBITRAGE: "Arbitrage", ExecutionKind.REBALANCE: "Rebalance"}
_DEFAULT_PRIORITY = 3

log = logging.getLogger(__name__)


class Adoption:
    """Looks at every open execution once per `every_s`, if it is `older_than_s` old (seconds)."""

    def __init__(
        self, store: ExecutionStore, client: Client, *, every_s: Decimal, older_than_s: Decimal
    ) -> None:
        self._store = store
        self._client = client
        self._every_s = every_s
        self._older_than_s = older_than_s

    async def run(self) -> None:
        """Sweep until cancelled. A ledger or Temporal that is away only costs time."""
        pause = timedelta(milliseconds=int(self._every_s * 1000)) / _ROUNDS_PER_PERIOD
        while True:
            try:
                await self.sweep()
            except LEDGER_AWAY as error:
                log.warning("lost executions were not looked for: %s", error)
            await asyncio.sleep(pause.total_seconds())

    async def sweep(self) -> list[str]:
        """Begin again what was lost; the ids. Raises what the database raises."""
        found = await self._store.take_open(older_than_s=self._older_than_s, every_s=self._every_s)
        adopted = []
        for execution in found:
            try:
                if await self._adopt_if_lost(execution):
                    adopted.append(execution.execution_id)
            except RPCError as error:
                log.warning("%s was not looked at: %s", execution.execution_id, error.message)
        return adopted

    async def _adopt_if_lost(self, execution: LostExecution) -> bool:
        """True when it was begun again. Raises RPCError."""
        status = await status_of(self._client, execution.execution_id)
        if status in _RUNS:
            return False
        # completed counts as lost: a refusal of another plan may be the newest run of this id
        has_failed = status is WorkflowExecutionStatus.FAILED
        how = "absent" if status is None else status.name.lower()
        if has_failed and execution.failures >= MOST_FAILURES:
            detail = f"its workflow failed {execution.failures + 1} times: settle it by hand"
            await self._store.raise_alarm(AlarmCode.EXECUTION_LOST, execution.execution_id, detail)
            return False
        is_open = await self._store.note_adoption(
            execution.execution_id, f"workflow={how}", has_failed=has_failed
        )
        if is_open:
            await self._begin_again(execution, how)
        return is_open

    async def _begin_again(self, execution: LostExecution, how: str) -> None:
        plan = execution.plan.encode()
        payload = Payload(metadata={"encoding": b"json/plain"}, data=plan)
        await self._client.start_workflow(
            _TYPES[execution.kind],
            RawValue(payload),
            id=execution.execution_id,
            task_queue=names.ORDERS_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=TASK_TIMEOUT,
            priority=Priority(priority_key=strict_loads(plan).get("priority", _DEFAULT_PRIORITY)),
            static_summary=f"settles what a workflow left that was {how}",
            rpc_timeout=_ASK_WITHIN,
        )


async def status_of(client: Client, workflow_id: str) -> WorkflowExecutionStatus | None:
    """Of the newest run under this id; None when Temporal knows none. Raises RPCError."""
    try:
        handle = client.get_workflow_handle(workflow_id)
        return (await handle.describe(rpc_timeout=_ASK_WITHIN)).status
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
