"""The arbitrages' routes: execute a plan, read, list, cancel."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from activities.ledger.views import InvalidCursorError
from starters import executions
from starters.api.bodies import idempotency_key, read_plan
from starters.api.documentation import (
    ARBITRAGE_BODY,
    BODY_CODES,
    PATH_CODES,
    QUERY_CODES,
    error_answers,
)
from starters.api.errors import EXECUTION_ID_HEADER, ApiError
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
    only,
)
from starters.kinds import ARBITRAGES
from workflows.domain.denials import DenialCode
from workflows.execution_messages import ArbitragePlan

router = APIRouter(prefix=ARBITRAGE_PATH, tags=["arbitrage"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    openapi_extra=ARBITRAGE_BODY,
    responses=error_answers(*BODY_CODES, *QUERY_CODES),
    dependencies=[Depends(only())],
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
    dependencies=[Depends(only("strategy_id", "status", "limit", "cursor"))],
)
async def list_arbitrages(
    connections: Connected,
    settings: Configured,
    strategy_id: StrategyFilter = None,
    status: ExecutionStatusFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ArbitragePage:
    """Arbitrages, newest first, one page at a time; what is at work is told as the ledger knows."""
    try:
        found, following = await executions.list_arbitrages(
            connections, strategy_id=strategy_id, status=status, limit=limit, cursor=cursor
        )
    except InvalidCursorError as error:
        raise ApiError(
            DenialCode.INVALID_CURSOR, "the cursor is not one of ours", field="cursor"
        ) from error
    shown = [arbitrage_view(each, settings) for each in found]
    return ArbitragePage(arbitrages=shown, next_cursor=following)


@router.get(
    "/{execution_id}", responses=error_answers(*ONE_EXECUTION), dependencies=[Depends(only())]
)
async def read_arbitrage(
    execution_id: ExecutionId, connections: Connected, settings: Configured
) -> Arbitrage:
    """One arbitrage: both legs with price, fills and fees, and the profit so far."""
    found = await executions.find_execution(connections, ARBITRAGES, execution_id)
    return arbitrage_view(found, settings)


@router.post(
    "/{execution_id}/cancel",
    responses={
        HTTPStatus.ACCEPTED: {"model": Arbitrage, "description": "The cancel goes on."},
        **error_answers(*ONE_EXECUTION, DenialCode.ALREADY_TERMINAL),
    },
    dependencies=[Depends(only("reason"))],
)
async def cancel_arbitrage(
    execution_id: ExecutionId,
    response: Response,
    connections: Connected,
    settings: Configured,
    reason: Reason = DEFAULT_REASON,
) -> Arbitrage:
    """Cancel; what filled is settled and compensated. Up to 5 s for the final state, else 202."""
    found = await cancel(connections, ARBITRAGES, execution_id, reason, response)
    return arbitrage_view(found, settings)
