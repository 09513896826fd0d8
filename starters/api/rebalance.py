"""The rebalancings' routes: trade to target weights or only plan it, read, cancel."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from starters import executions
from starters.api.access import Asking, needs
from starters.api.bodies import idempotency_key, read_plan
from starters.api.documentation import (
    BODY_CODES,
    PAGE_CODES,
    QUERY_CODES,
    REBALANCE_BODY,
    error_answers,
)
from starters.api.errors import EXECUTION_ID_HEADER
from starters.api.executions import ONE_EXECUTION, cancel, start
from starters.api.models import (
    REBALANCE_PATH,
    Rebalance,
    RebalancePage,
    rebalance_view,
)
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
from starters.kinds import REBALANCES
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.execution_messages import RebalancePlan

router = APIRouter(prefix=REBALANCE_PATH, tags=["rebalance"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    openapi_extra=REBALANCE_BODY,
    responses={
        HTTPStatus.OK: {"model": Rebalance, "description": "With `preview`: the plan alone."},
        **error_answers(*BODY_CODES, *QUERY_CODES),
    },
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def rebalance(
    request: Request,
    response: Response,
    key: Annotated[str | None, Depends(idempotency_key)],
    connections: Connected,
    settings: Configured,
) -> Rebalance:
    """Start trading towards the target weights; with `preview` only say what would be traded.

    Every answer about a readable plan carries its id in `X-Execution-Id`, also a 503.
    """
    plan = await read_plan(request, key, RebalancePlan)
    path = f"{REBALANCE_PATH}/{plan.id}"
    headers = {EXECUTION_ID_HEADER: plan.id or "", "Location": path}
    snapshot = await start(
        lambda client: client.preview_rebalance(plan) if plan.preview else client.rebalance(plan),
        f"rebalancing {plan.id}",
        headers,
        connections,
        settings,
    )
    response.headers.update(headers)
    if plan.preview:
        response.status_code = HTTPStatus.OK
    return rebalance_view(snapshot, settings)


@router.get(
    "",
    responses=error_answers(*PAGE_CODES, DenialCode.UNKNOWN_ENUM),
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "status", "limit", "cursor")),
    ],
)
async def list_rebalances(
    connections: Connected,
    settings: Configured,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    status: ExecutionStatusFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> RebalancePage:
    """Rebalancings, newest first, previews too; what is at work is told as the ledger knows."""
    with checked_cursor():
        found, following = await executions.list_executions(
            connections,
            REBALANCES,
            strategy_id=strategy_id,
            status=status,
            accounts=caller.accounts,
            limit=limit,
            cursor=cursor,
        )
    shown = [rebalance_view(each, settings) for each in found]
    return RebalancePage(rebalances=shown, next_cursor=following)


@router.get(
    "/{execution_id}",
    responses=error_answers(*ONE_EXECUTION),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_rebalance(
    execution_id: ExecutionId, connections: Connected, settings: Configured, caller: Asking
) -> Rebalance:
    """One rebalancing: the plan, its orders, what was skipped and what needs a transfer."""
    found = await executions.find_execution(
        connections, REBALANCES, execution_id, accounts=caller.accounts
    )
    return rebalance_view(found, settings)


@router.post(
    "/{execution_id}/cancel",
    responses={
        HTTPStatus.ACCEPTED: {"model": Rebalance, "description": "The cancel goes on."},
        **error_answers(*ONE_EXECUTION, DenialCode.ALREADY_TERMINAL),
    },
    dependencies=[Depends(needs(Scope.TRADE, Scope.KILL)), Depends(only("reason"))],
)
async def cancel_rebalance(
    execution_id: ExecutionId,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
    reason: Reason = DEFAULT_REASON,
) -> Rebalance:
    """Cancel; what filled stays. Up to 5 s for the final state, else 202."""
    found = await cancel(connections, REBALANCES, execution_id, reason, response, caller.accounts)
    return rebalance_view(found, settings)
