"""The arbitrages' routes: execute a plan, read, list, cancel."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from starters import executions
from starters.api.access import Asking, needs
from starters.api.bodies import idempotency_key, read_plan
from starters.api.documentation import (
    ARBITRAGE_BODY,
    BODY_CODES,
    PATH_CODES,
    QUERY_CODES,
    error_answers,
)
from starters.api.errors import EXECUTION_ID_HEADER
from starters.api.executions import ONE_EXECUTION, cancel, start
from starters.api.models import ARBITRAGE_PATH, Arbitrage, ArbitragePage, arbitrage_view
from starters.api.parameters import (
    DEFAULT_LIMIT,
    DEFAULT_REASON,
    Configured,
    Connected,
    Cursor,
    ExecutionId,
    ExecutionStatusFilter,
    Limit,
    Reason,
    StrategyFilter,
    checked_cursor,
    only,
)
from starters.kinds import ARBITRAGES
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.execution_messages import ArbitragePlan

router = APIRouter(prefix=ARBITRAGE_PATH, tags=["arbitrage"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    openapi_extra=ARBITRAGE_BODY,
    responses=error_answers(*BODY_CODES, *QUERY_CODES),
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def execute_plan(
    request: Request,
    response: Response,
    key: Annotated[str | None, Depends(idempotency_key)],
    connections: Connected,
    settings: Configured,
) -> Arbitrage:
    """Check a plan against both books and start it; the answer is its verdict.

    Every answer about a readable plan carries its id in `X-Execution-Id`, also a 503: then ask for
    it under that id after `Retry-After`; what was not accepted by then never trades.
    """
    plan = await read_plan(request, key, ArbitragePlan)
    path = f"{ARBITRAGE_PATH}/{plan.id}"
    headers = {EXECUTION_ID_HEADER: plan.id or "", "Location": path}
    snapshot = await start(
        lambda client: client.execute_arbitrage(plan),
        f"arbitrage {plan.id}",
        headers,
        connections,
        settings,
    )
    response.headers.update(headers)
    return arbitrage_view(snapshot, settings)


@router.get(
    "",
    responses=error_answers(
        *QUERY_CODES,
        *PATH_CODES,
        DenialCode.INVALID_TYPE,
        DenialCode.OUT_OF_RANGE,
        DenialCode.UNKNOWN_ENUM,
        DenialCode.INVALID_CURSOR,
        DenialCode.UNAVAILABLE,
    ),
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "status", "limit", "cursor")),
    ],
)
async def list_arbitrages(
    connections: Connected,
    settings: Configured,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    status: ExecutionStatusFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ArbitragePage:
    """Arbitrages, newest first, one page at a time; what is at work is told as the ledger knows."""
    with checked_cursor():
        found, following = await executions.list_executions(
            connections,
            ARBITRAGES,
            strategy_id=strategy_id,
            status=status,
            accounts=caller.accounts,
            limit=limit,
            cursor=cursor,
        )
    shown = [arbitrage_view(each, settings) for each in found]
    return ArbitragePage(arbitrages=shown, next_cursor=following)


@router.get(
    "/{execution_id}",
    responses=error_answers(*ONE_EXECUTION),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_arbitrage(
    execution_id: ExecutionId, connections: Connected, settings: Configured, caller: Asking
) -> Arbitrage:
    """One arbitrage: both legs with price, fills and fees, and the profit so far."""
    found = await executions.find_execution(
        connections, ARBITRAGES, execution_id, accounts=caller.accounts
    )
    return arbitrage_view(found, settings)


@router.post(
    "/{execution_id}/cancel",
    responses={
        HTTPStatus.ACCEPTED: {"model": Arbitrage, "description": "The cancel goes on."},
        **error_answers(*ONE_EXECUTION, DenialCode.ALREADY_TERMINAL),
    },
    dependencies=[Depends(needs(Scope.TRADE, Scope.KILL)), Depends(only("reason"))],
)
async def cancel_arbitrage(
    execution_id: ExecutionId,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
    reason: Reason = DEFAULT_REASON,
) -> Arbitrage:
    """Cancel; what filled is settled and compensated. Up to 5 s for the final state, else 202."""
    found = await cancel(connections, ARBITRAGES, execution_id, reason, response, caller.accounts)
    return arbitrage_view(found, settings)
