"""Orders whose workflow was lost: found by asking Temporal, and settled by a workflow of their own.

A workflow can be terminated, time out, or be deleted. What it left at a venue, what it reserved and
what it armed must not stay. Temporal's list of running workflows says which orders may be lost; it
lags, so each of those is asked for by its id before anything is done. One process of the fleet
looks per period; it must not know how an order is settled. Executions have `adoption`.
"""

import asyncio
import logging
from datetime import timedelta
from decimal import Decimal

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.adoption import TASK_TIMEOUT, status_of
from activities.ledger.chores import Chores
from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.lost_store import LostStore
from workflows import names
from workflows.ports import LostOrder

_ASK_WITHIN = timedelta(seconds=5)
_ROUNDS_PER_PERIOD = 4
_RUNS = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)
_RUNNING = f"TaskQueue = '{names.ORDERS_QUEUE}' AND ExecutionStatus = 'Running'"
_CHORE = "lost-orders"
_PAGE = 1_000

log = logging.getLogger(__name__)


class OrderAdoption:
    """Looks for lost orders once per `every_s`, among those that are `older_than_s` old."""

    def __init__(
        self,
        store: LostStore,
        chores: Chores,
        client: Client,
        *,
        every_s: Decimal,
        older_than_s: Decimal,
    ) -> None:
        self._store = store
        self._chores = chores
        self._client = client
        self._every_s = every_s
        self._older_than_s = older_than_s

    async def run(self) -> None:
        """Sweep until cancelled. A ledger or Temporal that is away only costs time."""
        pause = timedelta(milliseconds=int(self._every_s * 1000)) / _ROUNDS_PER_PERIOD
        while True:
            try:
                if await self._chores.is_mine(_CHORE, self._every_s):
                    await self.sweep()
            except LEDGER_AWAY as error:
                log.warning("lost orders were not looked for: %s", error)
            except RPCError as error:
                log.warning("lost orders were not looked for: %s", error.message)
            await asyncio.sleep(pause.total_seconds())

    async def sweep(self) -> list[str]:
        """Have what was lost settled; the ids. Raises what the database and Temporal raise."""
        found = await self._store.open_orders(older_than_s=self._older_than_s)
        if not found:
            return []
        running = {each.id async for each in self._client.list_workflows(_RUNNING, page_size=_PAGE)}
        adopted = []
        for order_id in found:
            if order_id in running or names.settle_id(order_id) in running:
                continue
            status = await status_of(self._client, order_id)
            if status not in _RUNS:
                await self._settle(order_id, status)
                adopted.append(order_id)
        return adopted

    async def _settle(self, order_id: str, status: WorkflowExecutionStatus | None) -> None:
        how = "deleted" if status is None else status.name.lower()
        await self._client.start_workflow(
            "SettleOrder",
            LostOrder(order_id=order_id, how=how),
            id=names.settle_id(order_id),
            task_queue=names.ORDERS_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=TASK_TIMEOUT,
            static_summary=f"settles {order_id}, whose workflow was {how}",
            rpc_timeout=_ASK_WITHIN,
        )
