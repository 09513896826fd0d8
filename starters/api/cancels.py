"""The route that cancels many orders at once."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from starters.api.access import Asking, needs
from starters.api.documentation import PATH_CODES, QUERY_CODES, error_answers
from starters.api.models import ORDERS_PATH
from starters.api.parameters import (
    DEFAULT_REASON,
    Connected,
    ExchangeFilter,
    Reason,
    StrategyFilter,
    SymbolFilter,
    TrueOrFalse,
    answered,
    only,
)
from starters.cancel_all import CancelAllReport, Filter, cancel_all
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode

router = APIRouter(prefix=ORDERS_PATH, tags=["orders"])


@router.post(
    "/cancel-all",
    responses={
        HTTPStatus.ACCEPTED: {
            "model": CancelAllReport,
            "description": "Something still cancels, or could not be asked.",
        },
        **error_answers(
            *QUERY_CODES,
            *PATH_CODES,
            DenialCode.INVALID_TYPE,
            DenialCode.MISSING_FIELD,
            DenialCode.FIELD_NOT_ALLOWED,
            DenialCode.UNAVAILABLE,
        ),
    },
    dependencies=[
        Depends(needs(Scope.TRADE, Scope.KILL)),
        Depends(only("strategy_id", "symbol", "exchange", "all", "executions", "reason")),
    ],
)
async def cancel_many(
    response: Response,
    connections: Connected,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    symbol: SymbolFilter = None,
    exchange: ExchangeFilter = None,
    everything: Annotated[
        TrueOrFalse, Query(alias="all", description="every order, instead of a filter")
    ] = False,
    executions: Annotated[
        TrueOrFalse, Query(description="the executions too, with their legs")
    ] = False,
    reason: Reason = DEFAULT_REASON,
) -> CancelAllReport:
    """Cancel every order that fits, also those that are paused or wait. Asking again is safe.

    Each is told with its state; within 5 s all of it (200), else 202: the rest goes on by itself.
    To stop what is started meanwhile too, halt the scope with the trading state.
    """
    wanted = Filter(
        strategy_id=strategy_id,
        symbol=symbol,
        exchange=exchange,
        everything=everything,
        executions=executions,
    )
    report = answered(await cancel_all(connections, wanted, reason, accounts=caller.accounts))
    if not report.is_done:
        response.status_code = HTTPStatus.ACCEPTED
    return report
