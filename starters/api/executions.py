"""What the routes of arbitrages and rebalancings have in common: start, find, cancel."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Response

from activities.failpoints import fp
from starters import executions
from starters.api.bodies import refuse
from starters.api.documentation import PATH_CODES, QUERY_CODES
from starters.api.errors import (
    EXECUTION_ID_HEADER,
    ApiCode,
    ApiError,
    Code,
    no_verdict,
    retry_after,
)
from starters.client import DeltaClient
from starters.connections import Connections
from starters.errors import DeltaError, ExecutionEnded
from starters.kinds import ExecutionsOf, ExecutionT
from workers.settings import Settings
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus

ONE_EXECUTION: tuple[Code, ...] = (
    *PATH_CODES,
    *QUERY_CODES,
    ApiCode.NOT_FOUND,
    DenialCode.UNAVAILABLE,
)


async def start(
    ask: Callable[[DeltaClient], Awaitable[ExecutionT]],
    what: str,
    headers: dict[str, str],
    connections: Connections,
    settings: Settings,
) -> ExecutionT:
    """The verdict on a plan; `headers` name the execution in every error too. Raises ApiError."""
    late = headers | retry_after(settings.accept_timeout)
    fp("api.before_start", headers[EXECUTION_ID_HEADER])
    try:
        snapshot = await ask(await connections.orders())
    except DeltaError as error:
        raise no_verdict(what, error, late) from error
    if snapshot.status is ExecutionStatus.DENIED:
        code = snapshot.code or DenialCode.INVALID_INPUT
        raise refuse(Denied(code=code, detail=snapshot.error, field=snapshot.field), late)
    return snapshot


async def cancel(
    connections: Connections,
    kind: ExecutionsOf[ExecutionT],
    execution_id: str,
    reason: str,
    response: Response,
    accounts: frozenset[str] | None,
) -> ExecutionT:
    """The final state, or `cancelling` with 202. Cancelling twice is no error."""
    try:
        snapshot = await executions.cancel_execution(
            connections, kind, execution_id, reason, accounts=accounts
        )
    except ExecutionEnded as error:
        if error.snapshot.status is not ExecutionStatus.CANCELLED:
            raise ApiError(DenialCode.ALREADY_TERMINAL, str(error)) from error
        return await executions.find_execution(connections, kind, execution_id)
    if not snapshot.status.is_terminal:
        response.status_code = HTTPStatus.ACCEPTED
    return snapshot
