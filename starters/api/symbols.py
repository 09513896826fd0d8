"""The route of an exchange's symbols."""

from fastapi import APIRouter, Depends

from activities.ledger.views import MAX_PAGE
from starters import symbols
from starters.api.access import needs
from starters.api.documentation import PAGE_CODES, error_answers
from starters.api.models import SYMBOLS_PATH
from starters.api.parameters import (
    Configured,
    Connected,
    Cursor,
    GivenExchange,
    Limit,
    SymbolFilter,
    answered,
    only,
)
from starters.symbols import Symbols
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode

router = APIRouter(prefix=SYMBOLS_PATH, tags=["books"])


@router.get(
    "/{exchange}",
    responses=error_answers(*PAGE_CODES, DenialCode.UNKNOWN_ENUM, DenialCode.UNKNOWN_SYMBOL),
    dependencies=[Depends(needs(Scope.READ)), Depends(only("symbol", "limit", "cursor"))],
)
async def list_symbols(
    exchange: GivenExchange,
    connections: Connected,
    settings: Configured,
    symbol: SymbolFilter = None,
    limit: Limit = MAX_PAGE,
    cursor: Cursor = None,
) -> Symbols:
    """Every spot symbol with its tick, lot and minimums, as the exchange told them just now."""
    return answered(
        await symbols.list_symbols(
            connections, settings, exchange, symbol=symbol, limit=limit, cursor=cursor
        )
    )
