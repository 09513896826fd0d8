"""The routes of the books: positions, history, fills, balances, and comparing with a venue."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from starters import books
from starters.api.access import Asking, check_account, check_unbound, needs
from starters.api.bodies import read_decision, refuse
from starters.api.decision_bodies import DECISION_CODES, TRANSFER_BODY
from starters.api.documentation import PAGE_CODES, QUERY_CODES, error_answers
from starters.api.models import BALANCES_PATH, FILLS_PATH, POSITIONS_PATH
from starters.api.parameters import (
    DEFAULT_LIMIT,
    AccountFilter,
    Configured,
    Connected,
    Cursor,
    ExchangeFilter,
    GivenExchange,
    GivenStrategy,
    GivenSymbol,
    Limit,
    OrderFilter,
    StrategyFilter,
    SymbolFilter,
    answered,
    checked_cursor,
    only,
)
from starters.api.sheets import CSV_TOO, AskedShape, csv_answer
from starters.books import (
    Balances,
    Fill,
    FillPage,
    GroupBy,
    HistoryPage,
    Method,
    Position,
    PositionPage,
    Shape,
    SymbolPosition,
)
from starters.decisions import TransferRequest
from starters.places import known_account
from starters.sync import sync_positions
from starters.times import GivenTime
from workers.settings import DEFAULT_ACCOUNT
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.fields import Identifier
from workflows.sync_messages import SyncReport

router = APIRouter(tags=["books"])

Grouped = Annotated[GroupBy | None, Query(description="sum over strategies and exchanges")]
By = Annotated[Method, Query(description="which lots a closing fill closes; same total")]
DAY = timedelta(days=1)


@router.get(
    POSITIONS_PATH,
    response_model=PositionPage,
    responses={
        **CSV_TOO,
        **error_answers(*PAGE_CODES, DenialCode.UNKNOWN_ENUM, DenialCode.FIELD_NOT_ALLOWED),
    },
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "exchange", "symbol", "group_by", "method", "format")),
    ],
)
async def list_positions(
    connections: Connected,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    exchange: ExchangeFilter = None,
    symbol: SymbolFilter = None,
    group_by: Grouped = None,
    method: By = Method.AVERAGE,
    shape: AskedShape = Shape.JSON,
) -> PositionPage | Response:
    """Positions with average price, realised and unrealised PnL; with `group_by` their sums."""
    page = answered(
        await books.list_positions(
            connections,
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
            group_by=group_by,
            method=method,
            accounts=caller.accounts,
        )
    )
    if shape is Shape.JSON:
        return page
    kind = Position if group_by is None else SymbolPosition
    return csv_answer(kind, page.positions, without=("lots",))


@router.get(
    f"{POSITIONS_PATH}/history",
    responses=error_answers(*PAGE_CODES, DenialCode.MISSING_FIELD, DenialCode.INVALID_TIME),
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "exchange", "symbol", "since", "until", "limit")),
    ],
)
async def read_history(
    connections: Connected,
    caller: Asking,
    strategy_id: Annotated[Identifier, Query(description="whose")],
    exchange: ExchangeFilter = None,
    symbol: SymbolFilter = None,
    since: Annotated[GivenTime | None, Query(description="default a day before `until`")] = None,
    until: Annotated[GivenTime | None, Query(description="default now")] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> HistoryPage:
    """Positions as they were over time, for plots: one a minute, and the last of each UTC day."""
    end = until or datetime.now(UTC)
    return await books.history(
        connections,
        strategy_id,
        since=since or end - DAY,
        until=end,
        exchange=exchange,
        symbol=symbol,
        accounts=caller.accounts,
        limit=limit,
    )


@router.get(
    POSITIONS_PATH + "/{strategy_id}/{exchange}/{symbol:path}",
    responses=error_answers(*PAGE_CODES, DenialCode.UNKNOWN_ENUM, DenialCode.NOT_FOUND),
    dependencies=[Depends(needs(Scope.READ)), Depends(only("account", "method"))],
)
async def read_position(
    strategy_id: GivenStrategy,
    exchange: GivenExchange,
    symbol: GivenSymbol,
    connections: Connected,
    caller: Asking,
    account: AccountFilter = DEFAULT_ACCOUNT,
    method: By = Method.AVERAGE,
) -> Position:
    """One position. The symbol may be written `BTC-USDT`, `BTC%2FUSDT` or `BTC/USDT`."""
    check_account(caller, account)
    return answered(
        await books.one_position(
            connections, strategy_id, exchange, symbol, account=account, method=method
        )
    )


@router.post(
    POSITIONS_PATH + "/sync/{exchange}",
    responses=error_answers(*QUERY_CODES, DenialCode.UNKNOWN_ENUM, DenialCode.UNAVAILABLE),
    dependencies=[Depends(needs(Scope.TRADE)), Depends(only())],
)
async def sync(
    exchange: GivenExchange, connections: Connected, settings: Configured, caller: Asking
) -> SyncReport:
    """Compare every account of the exchange with the ledger now, and say what differed.

    Trades that the exchange names and we had missed are booked. Nothing else is changed: what
    stays `open` is a break, which is alarmed after a minute.
    """
    check_unbound(caller)
    if denied := known_account(settings, exchange, DEFAULT_ACCOUNT):
        raise refuse(denied)
    return answered(await sync_positions(connections, exchange, requested_by=caller.name))


@router.get(
    FILLS_PATH,
    response_model=FillPage,
    responses={**CSV_TOO, **error_answers(*PAGE_CODES, DenialCode.UNKNOWN_ENUM)},
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "exchange", "symbol", "order_id", "limit", "cursor", "format")),
    ],
)
async def list_fills(
    connections: Connected,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    exchange: ExchangeFilter = None,
    symbol: SymbolFilter = None,
    order_id: OrderFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    shape: AskedShape = Shape.JSON,
) -> FillPage | Response:
    """Booked trades, newest first. Of CSV the next cursor is in the header `X-Next-Cursor`."""
    with checked_cursor():
        page = await books.list_fills(
            connections,
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
            order_id=order_id,
            accounts=caller.accounts,
            limit=limit,
            cursor=cursor,
        )
    if shape is Shape.JSON:
        return page
    return csv_answer(Fill, page.fills, next_cursor=page.next_cursor)


@router.get(
    BALANCES_PATH + "/{exchange}",
    responses=error_answers(*PAGE_CODES, DenialCode.UNKNOWN_ENUM),
    dependencies=[Depends(needs(Scope.READ)), Depends(only("account"))],
)
async def read_balances(
    exchange: GivenExchange,
    connections: Connected,
    settings: Configured,
    caller: Asking,
    account: AccountFilter = DEFAULT_ACCOUNT,
) -> Balances:
    """What the account holds by our books, what the venue said and when, and the difference."""
    check_account(caller, account)
    if denied := known_account(settings, exchange, account):
        raise refuse(denied)
    return await books.balances(connections, exchange, account)


@router.post(
    BALANCES_PATH + "/{exchange}/transfers",
    openapi_extra=TRANSFER_BODY,
    responses=error_answers(
        *DECISION_CODES, *QUERY_CODES, DenialCode.UNKNOWN_ENUM, DenialCode.UNKNOWN_ASSET
    ),
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def book_transfer(
    exchange: GivenExchange, request: Request, connections: Connected, caller: Asking
) -> Balances:
    """Book a deposit or withdrawal that no trade explains; the balances as they are then.

    Repeating it books it again: look at the balances first when no answer came.
    """
    asked = await read_decision(request, TransferRequest)
    check_account(caller, asked.account)
    return answered(await books.transfer(connections, exchange, asked))
