"""The routes of those who run orders: how they went, and a verdict on a child that is unknown."""

from fastapi import APIRouter, Depends, Request

from starters import lookup, statistics
from starters.api.access import Asking, needs
from starters.api.bodies import read_decision
from starters.api.decision_bodies import DECISION_CODES, VERDICT_BODY
from starters.api.documentation import ONE_ORDER, PAGE_CODES, error_answers
from starters.api.errors import ApiCode, ApiError
from starters.api.models import ORDERS_PATH, Order, order_view
from starters.api.parameters import (
    Configured,
    Connected,
    ExchangeFilter,
    OrderId,
    StrategyFilter,
    SymbolFilter,
    WholeId,
    only,
)
from starters.decisions import ChildVerdict
from starters.errors import AlreadyTerminal, OutcomeUnknown
from starters.statistics import OrderStatistics
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode

router = APIRouter(prefix=ORDERS_PATH, tags=["orders"])


@router.get(
    "/statistics",
    responses=error_answers(*PAGE_CODES),
    dependencies=[Depends(needs(Scope.READ)), Depends(only("strategy_id", "exchange", "symbol"))],
)
async def read_statistics(
    connections: Connected,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    exchange: ExchangeFilter = None,
    symbol: SymbolFilter = None,
) -> OrderStatistics:
    """Counts by status and type, fill ratio, volumes, fees, average slippage and time to fill."""
    return await statistics.order_statistics(
        connections,
        strategy_id=strategy_id,
        exchange=exchange,
        symbol=symbol,
        accounts=caller.accounts,
    )


@router.post(
    "/{order_id}/children/{child}/resolve",
    openapi_extra=VERDICT_BODY,
    responses=error_answers(
        *ONE_ORDER,
        *DECISION_CODES,
        DenialCode.NOT_UNKNOWN,
        DenialCode.ALREADY_TERMINAL,
        ApiCode.OUTCOME_UNKNOWN,
    ),
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def resolve_child(
    order_id: OrderId,
    child: WholeId,
    request: Request,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> Order:
    """An operator's verdict on a child whose outcome is unknown; the order as it is now.

    `absent`: it may be sent again. `adopt`: it is the exchange's order of this id. The verdict is
    kept in the audit trail; the child follows it within half a minute. An answer of the exchange
    that came first stands.
    """
    verdict = await read_decision(request, ChildVerdict)
    try:
        snapshot = await lookup.resolve_child(
            connections, order_id, verdict.of_child(child), accounts=caller.accounts
        )
    except AlreadyTerminal as error:
        raise ApiError(DenialCode.ALREADY_TERMINAL, str(error)) from error
    except OutcomeUnknown as error:
        raise ApiError(ApiCode.OUTCOME_UNKNOWN, str(error)) from error
    return order_view(snapshot, settings)
