"""The routes that steer a running order, and the one that previews an order before it is sent.

An action is kept with the order: who asked, when, why. Asking twice is safe: a pause of a paused
order changes nothing, and an amendment names what shall be, not by how much it changes.
"""

from collections.abc import Awaitable
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from starters import lookup
from starters.api.access import Asking, needs
from starters.api.bodies import read_amend, read_steer, read_unnamed_order
from starters.api.documentation import (
    AMEND_BODY,
    AMEND_CODES,
    ONE_ORDER,
    ORDER_BODY,
    PREVIEW_CODES,
    QUERY_CODES,
    STEER_BODY,
    STEER_CODES,
    error_answers,
)
from starters.api.errors import ApiCode, ApiError
from starters.api.models import ORDERS_PATH, Order, order_view
from starters.api.parameters import Configured, Connected, OrderId, only
from starters.errors import AlreadyTerminal, EffectPending, OrderFailed, OutcomeUnknown
from workers.settings import Settings
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.messages import OrderSnapshot
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import ActionKind

router = APIRouter(prefix=ORDERS_PATH, tags=["orders"])

_LATER = {
    HTTPStatus.ACCEPTED: {
        "model": Order,
        "description": "Accepted and kept; it takes effect within one slice or tip.",
    }
}


@router.post(
    "/preview",
    openapi_extra=ORDER_BODY,
    responses=error_answers(*PREVIEW_CODES, *QUERY_CODES),
    dependencies=[Depends(needs(Scope.READ, Scope.TRADE)), Depends(only())],
)
async def preview_order(request: Request, connections: Connected) -> OrderPreview:
    """The schedule, what it should cost, and the verdict that the order would get now.

    The body is an order. Nothing is sent or stored. An order that would be denied is no error
    here: `accepted` is false then, and `code`, `field` and `reason` say why.
    """
    order = await read_unnamed_order(request)
    return await (await connections.orders()).preview(order)


@router.post(
    "/{order_id}/pause",
    openapi_extra=STEER_BODY,
    responses=_LATER | error_answers(*ONE_ORDER, *STEER_CODES),
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def pause_order(
    order_id: OrderId,
    request: Request,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> Order:
    """Stop sending, take back what rests, and wait for `resume`. Up to 5 s, else 202."""
    asked = await read_steer(request)
    call = lookup.steer_order(
        connections, ActionKind.PAUSE, order_id, asked, accounts=caller.accounts
    )
    return await _steered(call, settings, response)


@router.post(
    "/{order_id}/resume",
    openapi_extra=STEER_BODY,
    responses=_LATER
    | error_answers(*ONE_ORDER, *STEER_CODES, DenialCode.NOT_PAUSED, DenialCode.TRADING_HALTED),
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def resume_order(
    order_id: OrderId,
    request: Request,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> Order:
    """Let a paused order go on; refused while its scope is halted. Up to 5 s, else 202."""
    asked = await read_steer(request)
    call = lookup.steer_order(
        connections, ActionKind.RESUME, order_id, asked, accounts=caller.accounts
    )
    return await _steered(call, settings, response)


@router.patch(
    "/{order_id}",
    openapi_extra=AMEND_BODY,
    responses=_LATER | error_answers(*ONE_ORDER, *AMEND_CODES),
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def amend_order(
    order_id: OrderId,
    request: Request,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> Order:
    """Change the limit price, the total, the end or the rate of a running order.

    What the change adds is checked as an order of its own. Up to 5 s, else 202.
    """
    asked = await read_amend(request)
    call = lookup.steer_order(
        connections, ActionKind.AMEND, order_id, asked, accounts=caller.accounts
    )
    return await _steered(call, settings, response)


async def _steered(call: Awaitable[OrderSnapshot], settings: Settings, response: Response) -> Order:
    """The order as it was steered; 202 where that takes effect later. Raises ApiError."""
    try:
        snapshot = await call
    except EffectPending as error:
        response.status_code = HTTPStatus.ACCEPTED
        snapshot = error.snapshot
    except (AlreadyTerminal, OrderFailed) as error:
        raise ApiError(DenialCode.ALREADY_TERMINAL, str(error)) from error
    except OutcomeUnknown as error:
        raise ApiError(ApiCode.OUTCOME_UNKNOWN, str(error)) from error
    return order_view(snapshot, settings)
