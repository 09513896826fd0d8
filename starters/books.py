"""The books as they are shown, over HTTP and on the command line alike: positions, fills, balances.

Rule: nothing is computed here that the ledger's views know. Quantities are in base units, signed;
prices and money in quote units; balances in units of their asset.
"""

import csv
import io
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.view_position_models import BalanceView, PositionView
from activities.ledger.view_positions import PositionViews
from starters.connections import Connections
from starters.decisions import TransferRequest, decide
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.fields import Amount, plain

Accounts = frozenset[str] | None
"""Accounts that the caller sees; None: all."""
_FORMULA_BEGINS_WITH = ("=", "+", "-", "@", "\t")


class Method(StrEnum):
    """Which lots a closing fill closes. The total is the same."""

    AVERAGE = "average"
    FIFO = "fifo"


class GroupBy(StrEnum):
    """What positions are summed by."""

    SYMBOL = "symbol"


class Shape(StrEnum):
    """How a list is written."""

    JSON = "json"
    CSV = "csv"


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Worth(_View):
    quantity: Amount
    average_price: Amount | None
    cost: Amount = Field(description="of what is held; short: below zero")
    realised_gross: Amount
    fees_quote: Amount = Field(description="all fees whose value is known, in quote units")
    fees_other: Amount = Field(description="those in third assets among them")
    fees_unvalued: dict[str, Amount] = Field(description="fees without a known price, by asset")
    realised_net: Amount
    cash: Amount = Field(description="what fills and fees in the quote asset moved")
    mark: Amount | None = Field(description="the middle of the touch")
    mark_age_s: Amount | None
    unrealised: Amount | None
    total: Amount | None = Field(description="realised_net + unrealised")


class Lot(_View):
    """What is left of one fill."""

    quantity: Amount
    price: Amount


class Position(_Worth):
    """What one strategy holds of one symbol in one account."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    fill_count: int
    traded_at: datetime | None = Field(description="when its last fill traded")
    method: Method = Method.AVERAGE
    lots: list[Lot] | None = Field(None, description="with method=fifo, the oldest first")


class SymbolPosition(_Worth):
    """Positions of one symbol, summed over strategies, accounts and exchanges."""

    symbol: str
    exchanges: list[str]
    positions: int = Field(description="how many are summed")


class PositionPage(BaseModel):
    """Every position that ever had a fill, or their sums by symbol."""

    positions: list[Position] | list[SymbolPosition]


class Snapshot(_View):
    """A position as it was."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    taken_at: datetime
    why: str = Field(description="time, day (the last of a UTC day) or fills (every so many)")
    quantity: Amount
    average_price: Amount | None
    cost: Amount
    realised_gross: Amount
    fees_quote: Amount
    realised_net: Amount
    cash: Amount
    mark: Amount | None
    unrealised: Amount | None
    total: Amount | None


class HistoryPage(BaseModel):
    """Snapshots, oldest first."""

    snapshots: list[Snapshot]
    next_since: datetime | None = Field(
        description="give it as `since` for what follows; those taken at that moment come again"
    )


class Fill(_View):
    """One booked trade, and whose it was."""

    trade_id: str
    order_id: str | None = Field(description="null: an order that is not ours")
    client_order_id: str | None
    venue_order_id: str
    strategy_id: str
    account: str
    exchange: str
    symbol: str
    side: Side
    price: Amount
    quantity: Amount
    fee: Amount = Field(description="below zero: a rebate")
    fee_asset: str
    is_maker: bool
    traded_at: datetime
    booked_at: datetime


class FillPage(BaseModel):
    """Fills, newest first."""

    fills: list[Fill]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")


class Balance(_View):
    """One asset of an account."""

    asset: str
    ours: Amount | None = Field(description="opening balance + fills + transfers")
    venue_total: Amount | None = Field(description="what the venue said at read_at")
    venue_free: Amount | None
    difference: Amount | None = Field(description="ours - venue_total")
    read_at: datetime | None


class Balances(BaseModel):
    """What an account holds, by our books and by the venue."""

    exchange: str
    account: str
    balances: list[Balance]


# --- positions ----------------------------------------------------------------------------------


async def list_positions(
    connections: Connections,
    *,
    strategy_id: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    group_by: GroupBy | None = None,
    method: Method = Method.AVERAGE,
    accounts: Accounts = None,
) -> PositionPage | Denied:
    """Positions, or their sums; sums are at average cost only. Raises Unavailable."""
    async with connections.reading(PositionViews) as views:
        if group_by is None:
            found = await views.positions(
                strategy_id=strategy_id, exchange=exchange, symbol=symbol, account=accounts
            )
            return PositionPage(positions=[await _shown(views, each, method) for each in found])
        if method is Method.FIFO:
            detail = "method=fifo does not go with group_by"
            return Denied(code=DenialCode.FIELD_NOT_ALLOWED, field="method", detail=detail)
        sums = await views.by_symbol(strategy_id=strategy_id, exchange=exchange, account=accounts)
    chosen = [each for each in sums if symbol in (None, each.symbol)]
    return PositionPage(positions=[SymbolPosition.model_validate(each) for each in chosen])


async def one_position(
    connections: Connections,
    strategy_id: str,
    exchange: str,
    symbol: str,
    *,
    account: str,
    method: Method = Method.AVERAGE,
) -> Position | Denied:
    """One position; denied NOT_FOUND where nothing was ever traded. Raises Unavailable."""
    async with connections.reading(PositionViews) as views:
        found = await views.position(strategy_id, exchange, symbol, account)
        if found is not None:
            return await _shown(views, found, method)
    detail = f"{strategy_id} never traded {symbol} at {exchange}/{account}"
    return Denied(code=DenialCode.NOT_FOUND, field="symbol", detail=detail)


async def _shown(views: PositionViews, position: PositionView, method: Method) -> Position:
    shown = Position.model_validate(position)
    if method is Method.AVERAGE:
        return shown
    lots = await views.fifo(
        position.strategy_id, position.exchange, position.symbol, position.account
    )
    if lots is None:
        return shown
    names = set(lots.__dataclass_fields__) - {"lots"}
    changed = {name: getattr(lots, name) for name in names}
    changed["lots"] = [Lot.model_validate(each) for each in lots.lots]
    return shown.model_copy(update={**changed, "method": method})


async def history(
    connections: Connections,
    strategy_id: str,
    *,
    since: datetime,
    until: datetime,
    exchange: str | None = None,
    symbol: str | None = None,
    accounts: Accounts = None,
    limit: int = 500,
) -> HistoryPage:
    """Snapshots in [since, until). Raises Unavailable."""
    async with connections.reading(PositionViews) as views:
        found = await views.snapshots(
            strategy_id,
            since=since,
            until=until,
            exchange=exchange,
            symbol=symbol,
            account=accounts,
            limit=limit,
        )
    following = found[-1].taken_at if len(found) == limit else None
    shown = [Snapshot.model_validate(each) for each in found]
    return HistoryPage(snapshots=shown, next_since=following)


# --- fills and balances -------------------------------------------------------------------------


async def list_fills(
    connections: Connections,
    *,
    strategy_id: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    order_id: str | None = None,
    accounts: Accounts = None,
    limit: int = 50,
    cursor: str | None = None,
) -> FillPage:
    """A page of fills, newest first. Raises InvalidCursorError, Unavailable."""
    async with connections.reading(PositionViews) as views:
        found, following = await views.fills(
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
            account=accounts,
            order_id=order_id,
            limit=limit,
            cursor=cursor,
        )
    return FillPage(fills=[Fill.model_validate(each) for each in found], next_cursor=following)


async def balances(connections: Connections, exchange: str, account: str) -> Balances:
    """Every asset of the account that our books or the venue know. Raises Unavailable."""
    async with connections.reading(PositionViews) as views:
        found = await views.balances(exchange, account)
    shown = [_balance(each) for each in found]
    return Balances(exchange=exchange, account=account, balances=shown)


def _balance(view: BalanceView) -> Balance:
    difference: Decimal | None = None
    if view.ours is not None and view.venue_total is not None:
        with exact():
            difference = view.ours - view.venue_total
    names = view.__dataclass_fields__
    return Balance(**{name: getattr(view, name) for name in names}, difference=difference)


async def transfer(
    connections: Connections, exchange: str, asked: TransferRequest
) -> Balances | Denied:
    """Book it; the account's balances as they are then. Raises Unavailable."""
    denied = await decide(
        connections,
        lambda desk: desk.book_transfer(
            exchange,
            asked.account,
            asked.asset,
            asked.amount,
            reason=asked.reason,
            by=asked.requested_by,
        ),
    )
    return denied or await balances(connections, exchange, asked.account)


RowT = TypeVar("RowT", bound=BaseModel)


def as_csv(kind: type[RowT], rows: Sequence[RowT], *, without: Collection[str] = ()) -> str:
    """The rows with a line of names, for spreadsheets: no text becomes a formula there.

    Names of a list are parted by spaces, sums by asset are JSON. `without`: columns left out.
    """
    names = [name for name in kind.model_fields if name not in without]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        told = row.model_dump(mode="json", include=set(names))
        writer.writerow([_csv_cell(getattr(row, name), told[name]) for name in names])
    return text.getvalue()


def _csv_cell(value: object, told: object) -> str:
    """`told`: the value as JSON has it."""
    if told is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(told, bool | dict):
        return json.dumps(told)
    text = " ".join(str(each) for each in told) if isinstance(told, list) else str(told)
    return f"'{text}" if text.startswith(_FORMULA_BEGINS_WITH) else text
