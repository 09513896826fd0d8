"""The routes of those who watch the engine: its queues, its breaks with exchanges, its audit trail,
and what an order cost."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from starters import analytics, audit_trail, breaks, queues
from starters.analytics_models import OrderAnalytics
from starters.api.access import Asking, needs, unbound
from starters.api.documentation import ONE_ORDER, PAGE_CODES, QUERY_CODES, error_answers
from starters.api.models import ANALYTICS_PATH, AUDIT_PATH, BREAKS_PATH, ORDERS_PATH
from starters.api.parameters import (
    DEFAULT_LIMIT,
    Configured,
    Connected,
    Cursor,
    ExchangeFilter,
    Limit,
    OrderId,
    TrueOrFalse,
    checked_cursor,
    only,
)
from starters.audit_trail import AuditPage
from starters.breaks import Breaks
from starters.queues import QueuesStatus
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.fields import Text

router = APIRouter()


@router.get(
    ORDERS_PATH + "/queue/status",
    tags=["orders"],
    responses=error_answers(*QUERY_CODES, DenialCode.UNAVAILABLE),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_queues(connections: Connected, settings: Configured, caller: Asking) -> QueuesStatus:
    """Per task queue: what waits and since when, who serves it, its rate limit; per priority."""
    return await queues.queue_status(connections, settings, accounts=caller.accounts)


@router.get(
    ANALYTICS_PATH + "/orders/{order_id}",
    tags=["orders"],
    responses=error_answers(*ONE_ORDER),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_analytics(
    order_id: OrderId, connections: Connected, caller: Asking
) -> OrderAnalytics:
    """What the order cost: implementation shortfall and its parts, slippage, fees, timing.

    A positive figure is a cost. What cannot be measured is null; `not_available` says why.
    """
    return await analytics.order_analytics(connections, order_id, accounts=caller.accounts)


@router.get(
    BREAKS_PATH,
    tags=["books"],
    responses=error_answers(*PAGE_CODES),
    dependencies=[Depends(needs(Scope.READ)), Depends(only("exchange"))],
)
async def list_breaks(
    connections: Connected, caller: Asking, exchange: ExchangeFilter = None
) -> Breaks:
    """Where our books and the exchanges differ now, and orders there that are not ours."""
    return await breaks.list_breaks(connections, exchange=exchange, accounts=caller.accounts)


@router.get(
    AUDIT_PATH,
    tags=["control"],
    responses=error_answers(*PAGE_CODES),
    dependencies=[
        Depends(needs(Scope.ADMIN)),
        Depends(unbound),
        Depends(only("who", "action", "object", "verify", "limit", "cursor")),
    ],
)
async def list_audit(
    connections: Connected,
    who: Annotated[Text | None, Query(description="only of this key or person")] = None,
    action: Annotated[Text | None, Query(description="only this kind of decision")] = None,
    about: Annotated[
        Text | None, Query(alias="object", description="only what was decided about this")
    ] = None,
    verify: Annotated[
        TrueOrFalse, Query(description="check the chain of the whole trail, which takes longer")
    ] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AuditPage:
    """Who decided what, when and why, newest first."""
    with checked_cursor():
        return await audit_trail.list_audit(
            connections,
            who=who,
            action=action,
            object=about,
            verify=verify,
            limit=limit,
            cursor=cursor,
        )
