"""The rebalancings' routes: trade to target weights or only plan it, read, cancel."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from starters import executions
from starters.api.bodies import idempotency_key, read_plan
from starters.api.documentation import BODY_CODES, QUERY_CODES, REBALANCE_BODY, error_answers
from starters.api.errors import EXECUTION_ID_HEADER
from starters.api.executions import ONE_EXECUTION, cancel, start
from starters.api.models import REBALANCE_PATH, Rebalance, rebalance_view
from starters.api.parameters import (
    DEFAULT_REASON,
    Configured,
    Connected,
    ExecutionId,
    Reason,
    only,
)
from starters.kinds import REBALANCES
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
    dependencies=[Depends(only())],
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
    "/{execution_id}", responses=error_answers(*ONE_EXECUTION), dependencies=[Depends(only())]
)
async def read_rebalance(
    execution_id: ExecutionId, connections: Connected, settings: Configured
) -> Rebalance:
    """One rebalancing: the plan, its orders, what was skipped and what needs a transfer."""
    found = await executions.find_execution(connections, REBALANCES, execution_id)
    return rebalance_view(found, settings)


@router.post(
    "/{execution_id}/cancel",
    responses={
        HTTPStatus.ACCEPTED: {"model": Rebalance, "description": "The cancel goes on."},
        **error_answers(*ONE_EXECUTION, DenialCode.ALREADY_TERMINAL),
    },
    dependencies=[Depends(only("reason"))],
)
async def cancel_rebalance(
    execution_id: ExecutionId,
    response: Response,
    connections: Connected,
    settings: Configured,
    reason: Reason = DEFAULT_REASON,
) -> Rebalance:
    """Cancel; what filled stays. Up to 5 s for the final state, else 202."""
    found = await cancel(connections, REBALANCES, execution_id, reason, response)
    return rebalance_view(found, settings)
