"""The calls that read public facts of a venue through a worker: symbols, the market's trades."""

import asyncio
import hashlib
import re
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from starters.calls import READ_WAIT
from starters.errors import Unavailable
from workflows import names
from workflows.ports.public_data import (
    MarketWindow,
    SymbolsRequest,
    VenueSymbols,
    WindowRequest,
)

READ_WITHIN = timedelta(seconds=10)
_PLAIN = re.compile(r"[A-Z0-9/]{0,64}", re.ASCII)
AnswerT = TypeVar("AnswerT")


async def read_symbols(client: Client, request: SymbolsRequest) -> VenueSymbols:
    """The venue's symbols. One that is being read is joined. Raises Unavailable."""
    return await _ask(client, "ReadSymbols", request, symbols_id(request), VenueSymbols)


def symbols_id(request: SymbolsRequest) -> str:
    """The same for the same question only. Any text may be asked for: Temporal's ids are short."""
    part = request.symbol or f"{request.after}+{request.limit}"
    if not _PLAIN.fullmatch(request.symbol or request.after):
        asked = repr((request.symbol, request.after, request.limit))
        part = hashlib.sha256(asked.encode()).hexdigest()
    return names.symbols_id(request.venue, part)


async def read_window(client: Client, request: WindowRequest, order_id: str) -> MarketWindow:
    """What the market traded while an order worked. Raises Unavailable."""
    return await _ask(client, "ReadWindow", request, names.window_id(order_id), MarketWindow)


async def _ask(client: Client, kind: str, request: Any, id: str, answer: type[AnswerT]) -> AnswerT:
    try:
        async with asyncio.timeout(READ_WITHIN.total_seconds()):
            handle: WorkflowHandle[object, AnswerT] = await client.start_workflow(
                kind,
                request,
                id=id,
                task_queue=names.ORDERS_QUEUE,
                result_type=answer,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=READ_WITHIN,
                static_summary=f"read {request.venue}",
                rpc_timeout=READ_WAIT,
            )
            return await handle.result(rpc_timeout=READ_WITHIN)
    except RPCError as error:
        raise Unavailable(f"Temporal gives no answer: {error.message}") from error
    except (TimeoutError, WorkflowFailureError) as error:
        raise Unavailable(f"{request.venue} was not read in time; ask again") from error
