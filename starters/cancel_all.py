"""Cancelling many orders at once: all of a strategy, a symbol, an exchange, or simply all.

Every order is asked first, side by side, which is durable; then all are waited for together. So the
answer takes 5 s at most however many they are, and what still cancels goes on by itself. An order
that is started meanwhile is not among them: to stop those too is what the trading state is for.

Legs are left to their executions, which would compensate for the loss of one; with `executions`
the executions themselves are cancelled.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.view_open import MAX_OPEN, OpenExecution, OpenOrder, OpenViews, Wanted
from starters.client import DeltaClient
from starters.connections import Connections
from starters.errors import DeltaError, NotFound, Unavailable
from starters.kinds import ARBITRAGES, ORDERS, REBALANCES
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus

WITHIN_S = 5.0
ASK_WITHIN_S = 4.0
"""What was not asked by then is told as UNAVAILABLE: the rest of the time is for the ends."""
AT_ONCE = 50
POLL_INTERVAL_S = 0.1


class Filter(BaseModel):
    """Which orders: those that fit all that is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy_id: str | None = None
    symbol: str | None = None
    exchange: str | None = None
    everything: bool = False
    executions: bool = False


class CancelledOrder(BaseModel):
    """What became of one order."""

    order_id: str
    status: OrderStatus = Field(description="its end, or cancelling")
    code: DenialCode | None = Field(None, description="why it is not being cancelled")
    message: str = ""


class CancelledExecution(BaseModel):
    """What became of one execution."""

    execution_id: str
    kind: ExecutionKind
    status: ExecutionStatus = Field(description="its end, or cancelling")
    code: DenialCode | None = Field(None, description="why it is not being cancelled")
    message: str = ""


class CancelAllReport(BaseModel):
    """Each order that was at work, oldest first, and what became of it."""

    orders: list[CancelledOrder]
    executions: list[CancelledExecution] = Field(description="with executions=true")
    cancelled: int = Field(description="ended as cancelled by now")
    cancelling: int = Field(description="asked, and not at their end yet")
    ended: int = Field(description="at another end")
    failed: int = Field(description="not asked: see their code; ask again")
    more: bool = Field(description="there are more than one answer takes: ask again")

    @property
    def is_done(self) -> bool:
        """Nothing of what was asked for is at work any more."""
        return not (self.cancelling or self.failed or self.more)


async def cancel_all(
    connections: Connections,
    wanted: Filter,
    reason: str,
    *,
    accounts: frozenset[str] | None = None,
) -> CancelAllReport | Denied:
    """Cancel what fits; denied where nothing is named. Answers within WITHIN_S.

    `accounts` are those that the caller sees. Raises Unavailable where nothing was asked.
    """
    named = (wanted.strategy_id, wanted.symbol, wanted.exchange)
    if wanted.everything == any(named):
        code = DenialCode.FIELD_NOT_ALLOWED if any(named) else DenialCode.MISSING_FIELD
        detail = "name strategy_id, symbol or exchange, or say all=true alone"
        return Denied(code=code, field="all", detail=detail)
    started = time.monotonic()
    chosen = Wanted(
        strategy_id=wanted.strategy_id,
        symbol=wanted.symbol,
        exchange=wanted.exchange,
        accounts=accounts,
    )
    async with connections.reading(OpenViews) as views:
        orders = await views.orders(chosen)
        executions = await views.executions(chosen) if wanted.executions else []
    if not orders and not executions:
        return _report([], [])
    client = await connections.orders()
    asked = await _ask_all(_requests(client, orders, executions, reason))
    ids = [each.order_id for each in orders], [each.execution_id for each in executions]
    ends, execution_ends = await _await_ends(connections, *ids, asked, started + WITHIN_S)
    return _report(
        [_order(each, asked[each.order_id], ends) for each in orders],
        [_execution(each, asked[each.execution_id], execution_ends) for each in executions],
    )


# --- asking ---------------------------------------------------------------------------------------

_Asked = Mapping[str, DeltaError | None]
"""None for what was asked; else why it was not."""
_Request = Callable[[], Awaitable[None]]


def _requests(
    client: DeltaClient,
    orders: Sequence[OpenOrder],
    executions: Sequence[OpenExecution],
    reason: str,
) -> dict[str, _Request]:
    calls = client.calls(ORDERS)
    arbitrages, rebalances = client.calls(ARBITRAGES), client.calls(REBALANCES)

    def of_order(order_id: str) -> _Request:
        return lambda: calls.request_cancel(order_id, reason)

    def of_execution(each: OpenExecution) -> _Request:
        if each.kind is ExecutionKind.ARBITRAGE:
            return lambda: arbitrages.request_cancel(each.execution_id, reason)
        return lambda: rebalances.request_cancel(each.execution_id, reason)

    return {each.order_id: of_order(each.order_id) for each in orders} | {
        each.execution_id: of_execution(each) for each in executions
    }


async def _ask_all(requests: Mapping[str, _Request]) -> _Asked:
    """Ask each, AT_ONCE at a time; what cannot be asked in time is Unavailable."""
    late = Unavailable("Temporal was too slow to be asked in time")
    asked: dict[str, DeltaError | None] = dict.fromkeys(requests, late)
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(id: str, request: _Request) -> None:
        async with gate:
            try:
                await request()
            except (NotFound, Unavailable) as error:
                asked[id] = error
            else:
                asked[id] = None

    tasks = [asyncio.create_task(ask(id, request)) for id, request in requests.items()]
    try:
        _done, left = await asyncio.wait(tasks, timeout=ASK_WITHIN_S)
    finally:
        for task in tasks:
            task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return asked


async def _await_ends(
    connections: Connections,
    order_ids: Sequence[str],
    execution_ids: Sequence[str],
    asked: _Asked,
    deadline: float,
) -> tuple[dict[str, OrderStatus], dict[str, ExecutionStatus]]:
    """The ends that are known when all that was asked has one, or at the deadline."""
    waited_for = {id for id, error in asked.items() if error is None}
    while True:
        async with connections.reading(OpenViews) as views:
            ends = await views.ends(order_ids)
            execution_ends = await views.execution_ends(execution_ids)
        is_over = waited_for <= ends.keys() | execution_ends.keys()
        if is_over or time.monotonic() + POLL_INTERVAL_S > deadline:
            return ends, execution_ends
        await asyncio.sleep(POLL_INTERVAL_S)


# --- telling --------------------------------------------------------------------------------------


def _order(
    order: OpenOrder, error: DeltaError | None, ends: Mapping[str, OrderStatus]
) -> CancelledOrder:
    order_id, end = order.order_id, ends.get(order.order_id)
    if end is OrderStatus.CANCELLED:
        return CancelledOrder(order_id=order_id, status=end)
    if end is not None:
        code, message = DenialCode.ALREADY_TERMINAL, "it had ended"
        return CancelledOrder(order_id=order_id, status=end, code=code, message=message)
    if error is None:
        return CancelledOrder(order_id=order_id, status=OrderStatus.CANCELLING)
    code, message = DenialCode.UNAVAILABLE, _why(error)
    return CancelledOrder(order_id=order_id, status=order.status, code=code, message=message)


def _execution(
    execution: OpenExecution, error: DeltaError | None, ends: Mapping[str, ExecutionStatus]
) -> CancelledExecution:
    execution_id, kind = execution.execution_id, execution.kind
    is_left = error is not None and execution_id not in ends
    asked = execution.status if is_left else ExecutionStatus.CANCELLING
    return CancelledExecution(
        execution_id=execution_id,
        kind=kind,
        status=ends.get(execution_id, asked),
        code=DenialCode.UNAVAILABLE if is_left else None,
        message=_why(error) if is_left and error is not None else "",
    )


def _why(error: DeltaError) -> str:
    """A workflow that is gone while its order is at work was lost: the engine takes it up again."""
    return "its workflow is being taken up again" if isinstance(error, NotFound) else str(error)


def _report(orders: list[CancelledOrder], executions: list[CancelledExecution]) -> CancelAllReport:
    told = [
        *((each.status.value, each.status.is_terminal, each.code) for each in orders),
        *((each.status.value, each.status.is_terminal, each.code) for each in executions),
    ]
    failed = sum(code is DenialCode.UNAVAILABLE for _, _, code in told)
    ended = sum(is_over for _, is_over, _ in told)
    cancelled = sum(status == OrderStatus.CANCELLED.value for status, _, _ in told)
    return CancelAllReport(
        orders=orders,
        executions=executions,
        cancelled=cancelled,
        cancelling=len(told) - ended - failed,
        ended=ended - cancelled,
        failed=failed,
        more=MAX_OPEN in (len(orders), len(executions)),
    )
