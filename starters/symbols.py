"""What a venue trades and by which rules: tick, lot, minimums, price bounds, whether it trades.

The venue is asked through a worker, whose gateway keeps the listing for a minute: starters reach
no exchange. Who asks at the same moment shares one answer.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.views import MAX_PAGE
from starters.connections import Connections
from starters.places import known_account
from starters.public_calls import read_symbols
from workers.settings import DEFAULT_ACCOUNT, Settings
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument, Native
from workflows.fields import Amount
from workflows.ports.public_data import SymbolsRequest


class PriceBounds(BaseModel):
    """How far from its average price the venue takes limit prices: factors of that price."""

    model_config = ConfigDict(from_attributes=True)

    buy_least: Amount
    buy_most: Amount
    sell_least: Amount
    sell_most: Amount


class SymbolRules(BaseModel):
    """One symbol. Quantities in base units, notionals in quote units."""

    symbol: str
    base: str
    quote: str
    status: str = Field(description="trading, or halted: the venue takes no orders")
    configured: bool = Field(description="one of SYMBOLS: followed from the start")
    tick: Amount = Field(description="prices are whole multiples of it")
    lot: Amount = Field(description="quantities are whole multiples of it")
    min_quantity: Amount
    max_quantity: Amount | None
    min_notional: Amount
    percent_price: PriceBounds | None = Field(description="null: the venue names no bounds")
    natives: list[Native] = Field(description="what the venue works by itself")


class Symbols(BaseModel):
    """The spot symbols of one venue, by name."""

    exchange: str
    symbols: list[SymbolRules]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")
    read_at: datetime = Field(description="when the venue was asked, at most a minute ago")


async def list_symbols(
    connections: Connections,
    settings: Settings,
    exchange: str,
    *,
    symbol: str | None = None,
    limit: int = MAX_PAGE,
    cursor: str | None = None,
) -> Symbols | Denied:
    """A page of them, or the one that is named; denied for what is not configured or listed.

    Raises Unavailable.
    """
    if denied := known_account(settings, exchange, DEFAULT_ACCOUNT):
        return denied
    request = SymbolsRequest(
        venue=exchange,
        account=DEFAULT_ACCOUNT,
        symbol=symbol,
        after=cursor or "",
        limit=limit,
    )
    found = await read_symbols((await connections.orders()).temporal, request)
    if symbol is not None and not found.symbols:
        detail = f"exchange={exchange}"
        return Denied(code=DenialCode.UNKNOWN_SYMBOL, field="symbol", detail=detail)
    shown = [_rules(each, settings) for each in found.symbols]
    return Symbols(
        exchange=exchange,
        symbols=shown,
        next_cursor=shown[-1].symbol if found.more else None,
        read_at=datetime.fromisoformat(found.read_at),
    )


def _rules(instrument: Instrument, settings: Settings) -> SymbolRules:
    bounds = instrument.percent_price
    return SymbolRules(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        status="trading" if instrument.is_trading and instrument.has_valid_rules else "halted",
        configured=instrument.symbol in settings.symbols,
        tick=instrument.tick,
        lot=instrument.step,
        min_quantity=instrument.min_quantity,
        max_quantity=instrument.max_quantity,
        min_notional=instrument.min_notional,
        percent_price=None if bounds is None else PriceBounds.model_validate(bounds),
        natives=list(instrument.natives),
    )
