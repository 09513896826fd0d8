"""The orders' routes: start, read, list, cancel.

Starting and cancelling go through Temporal. What has ended is read from the ledger, which outlives
Temporal's retention; what runs is asked of its workflow, which knows the newest.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from activities.failpoints import fp
from activities.ledger.views import InvalidCursorError
from starters import lookup
from starters.api.access import Asking, needs
from starters.api.bodies import idempotency_key, read_order, refuse
from starters.api.documentation import (
    BODY_CODES,
    ONE_ORDER,
    ORDER_BODY,
    PATH_CODES,
    QUERY_CODES,
    error_answers,
)
from starters.api.errors import ORDER_ID_HEADER, ApiCode, ApiError, no_verdict, retry_after
from starters.api.models import (
    ORDERS_PATH,
    Order,
    OrderPage,
    order_path,
    order_view,
)
from starters.api.parameters import (
    DEFAULT_LIMIT,
    DEFAULT_REASON,
    Configured,
    Connected,
    Cursor,
    ExchangeFilter,
    Limit,
    OrderId,
    Reason,
    StatusFilter,
    StrategyFilter,
    SymbolFilter,
    only,
)
from starters.api.sheets import CSV_TOO, AskedShape, csv_answer
from starters.books import Shape
from starters.errors import AlreadyTerminal, DeltaError, OrderFailed
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

router = APIRouter(prefix=ORDERS_PATH, tags=["orders"])
_NESTED = ("children", "twap", "iceberg", "stop", "actions", "links")
"""Of an order, what a line of CSV leaves out."""


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    openapi_extra=ORDER_BODY,
    responses=error_answers(*BODY_CODES, *QUERY_CODES),
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def start_order(
    request: Request,
    response: Response,
    key: Annotated[str | None, Depends(idempotency_key)],
    connections: Connected,
    settings: Configured,
) -> Order:
    """Check and start an order; the answer is its verdict.

    Every answer about a readable order carries its id in `X-Order-Id`, also a 503: then ask for
    the order under that id after `Retry-After`; what was not accepted by then never trades.
    """
    order = await read_order(request, key)
    order_id = order.order_id or ""
    headers = {ORDER_ID_HEADER: order_id, "Location": order_path(order_id)}
    fp("api.before_start", order_id)
    try:
        snapshot = await (await connections.orders()).submit(order)
    except DeltaError as error:
        late = headers | retry_after(settings.accept_timeout)
        raise no_verdict(f"order {order_id}", error, late) from error
    if snapshot.status is OrderStatus.DENIED:
        raise _denied(snapshot, headers | retry_after(settings.accept_timeout))
    response.headers.update(headers)
    return order_view(snapshot, settings)


def _denied(snapshot: OrderSnapshot, headers: dict[str, str]) -> ApiError:
    code = snapshot.code or DenialCode.INVALID_INPUT
    return refuse(Denied(code=code, detail=snapshot.reason, field=snapshot.field), headers)


@router.get(
    "",
    response_model=OrderPage,
    responses={
        **CSV_TOO,
        **error_answers(
            *QUERY_CODES,
            *PATH_CODES,
            DenialCode.INVALID_TYPE,
            DenialCode.OUT_OF_RANGE,
            DenialCode.UNKNOWN_ENUM,
            DenialCode.INVALID_CURSOR,
            DenialCode.UNAVAILABLE,
        ),
    },
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "symbol", "status", "exchange", "limit", "cursor", "format")),
    ],
)
async def list_orders(
    connections: Connected,
    settings: Configured,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    symbol: SymbolFilter = None,
    status: StatusFilter = None,
    exchange: ExchangeFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    shape: AskedShape = Shape.JSON,
) -> OrderPage | Response:
    """Orders, newest first, one page at a time.

    With the `status` of running orders a page may hold fewer than `limit` although more follow:
    go on while there is a `next_cursor`. Of CSV it is in the header `X-Next-Cursor`.
    """
    try:
        found, following = await lookup.list_orders(
            connections,
            strategy_id=strategy_id,
            symbol=symbol,
            status=status,
            exchange=exchange,
            accounts=caller.accounts,
            limit=limit,
            cursor=cursor,
        )
    except InvalidCursorError as error:
        raise ApiError(
            DenialCode.INVALID_CURSOR, "the cursor is not one of ours", field="cursor"
        ) from error
    orders = [order_view(each, settings) for each in found]
    if shape is Shape.JSON:
        return OrderPage(orders=orders, next_cursor=following)
    return csv_answer(Order, orders, next_cursor=following, without=_NESTED)


@router.get(
    "/{order_id}",
    responses=error_answers(*ONE_ORDER),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_one_order(
    order_id: OrderId, connections: Connected, settings: Configured, caller: Asking
) -> Order:
    """One order: state, fills, average price, fees, newest children."""
    found = await lookup.find_order(connections, order_id, accounts=caller.accounts)
    return order_view(found, settings)


@router.post(
    "/{order_id}/cancel",
    responses={
        HTTPStatus.ACCEPTED: {"model": Order, "description": "The cancel goes on."},
        **error_answers(*ONE_ORDER, DenialCode.ALREADY_TERMINAL, ApiCode.PART_OF_EXECUTION),
    },
    dependencies=[Depends(needs(Scope.TRADE, Scope.KILL)), Depends(only("reason"))],
)
async def cancel_order(
    order_id: OrderId,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
    reason: Reason = DEFAULT_REASON,
) -> Order:
    """Cancel; waits up to 5 s for the final state, else 202. Cancelling twice is no error.

    `filled_quantity` is what had traded. Of a protective order `stop.is_protected` says whether
    anything stands between the position and the market now. A leg of an execution is cancelled
    with its execution only.
    """
    try:
        snapshot = await lookup.cancel_order(
            connections, order_id, reason, accounts=caller.accounts
        )
    except AlreadyTerminal as error:
        if error.snapshot.status is not OrderStatus.CANCELLED:
            raise ApiError(DenialCode.ALREADY_TERMINAL, str(error)) from error
        snapshot = error.snapshot
    except OrderFailed as error:
        raise ApiError(DenialCode.ALREADY_TERMINAL, str(error)) from error
    if not snapshot.status.is_terminal:
        response.status_code = HTTPStatus.ACCEPTED
    return order_view(snapshot, settings)
