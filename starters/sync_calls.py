"""The call that compares a venue with the ledger: the workflow `SyncPositions`, one at a time."""

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from starters.calls import READ_WAIT
from starters.errors import Unavailable
from starters.kinds import SYNC_TYPE
from workflows import names
from workflows.sync_messages import SyncReport, SyncRequest

SYNC_WAIT = timedelta(seconds=60)
"""How long the answer is waited for; a venue that is slow may take longer."""
_SYNC_LIVES = timedelta(minutes=5)


async def sync_venue(client: Client, request: SyncRequest) -> SyncReport:
    """What differed. One that is at work is joined. Raises Unavailable."""
    exchange = request.exchange
    try:
        async with asyncio.timeout(SYNC_WAIT.total_seconds()):
            handle: WorkflowHandle[object, SyncReport] = await client.start_workflow(
                SYNC_TYPE,
                request,
                id=names.sync_id(exchange),
                task_queue=names.ORDERS_QUEUE,
                result_type=SyncReport,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=_SYNC_LIVES,
                static_summary=f"compare {exchange} with the ledger",
                rpc_timeout=READ_WAIT,
            )
            return await handle.result(rpc_timeout=SYNC_WAIT)
    except RPCError as error:
        raise Unavailable(f"Temporal gives no answer: {error.message}") from error
    except (TimeoutError, WorkflowFailureError) as error:
        raise Unavailable(f"{exchange} was not compared in time; ask again") from error
