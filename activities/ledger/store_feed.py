"""What the account feed writes: readiness, cursors, opening balances, the epoch."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Interval,
    Select,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.alarm_ends import OF_READY_ACCOUNT, ended
from activities.ledger.models import (
    AccountReadiness,
    ChildOrder,
    FeedCursorRow,
    LedgerMeta,
    OpeningBalance,
    ParentOrder,
)
from activities.ledger.statements import in_one_trip
from activities.ledger.store_positions import move_balances
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reports import VenueStatus

_MICROSECONDS = 1_000_000
_FINISHED = [status.value for status in OrderStatus if status.is_terminal]
_ENDED_UNFILLED = [
    status.value
    for status in VenueStatus
    if status.is_terminal and status is not VenueStatus.FILLED
]


async def set_readiness(
    connection: AsyncConnection,
    exchange: str,
    account: str,
    *,
    ready: bool,
    valid_s: Decimal,
    reason: str,
) -> None:
    """See LedgerStore.set_readiness."""
    valid = timedelta(microseconds=int(valid_s * _MICROSECONDS))
    until = func.clock_timestamp() + literal(valid, Interval)
    values = {
        "state": "READY" if ready else "RECONCILING",
        "ready_until": until if ready else None,
        "reason": reason,
    }
    new = insert(AccountReadiness).values(exchange=exchange, account=account, **values)
    said = new.on_conflict_do_update(
        index_elements=[AccountReadiness.exchange, AccountReadiness.account],
        set_={**values, "updated_at": func.now()},
    )
    news = [ended(OF_READY_ACCOUNT, f"{exchange}/{account}")] if ready else []
    await connection.execute(in_one_trip(said, *news))


def seconds_ago(amount_s: Decimal) -> ColumnElement[datetime]:
    """A moment of the past, by the database's clock."""
    ago = timedelta(microseconds=int(amount_s * _MICROSECONDS))
    return func.clock_timestamp() - literal(ago, Interval)


async def save_cursor(
    connection: AsyncConnection, exchange: str, account: str, symbol: str, trade_id: str
) -> None:
    """See LedgerStore.save_cursor."""
    new = insert(FeedCursorRow).values(
        exchange=exchange, account=account, symbol=symbol, trade_id=trade_id
    )
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=[FeedCursorRow.exchange, FeedCursorRow.account, FeedCursorRow.symbol],
            set_={"trade_id": trade_id},
        )
    )


async def load_cursors(connection: AsyncConnection, exchange: str, account: str) -> dict[str, str]:
    """See LedgerStore.load_cursors."""
    rows = await connection.execute(
        select(FeedCursorRow.symbol, FeedCursorRow.trade_id)
        .where(FeedCursorRow.exchange == exchange, FeedCursorRow.account == account)
        .order_by(FeedCursorRow.symbol)
    )
    return {row.symbol: row.trade_id for row in rows}


def ended_children_of_open_orders(exchange: str, account: str) -> Select[Any]:
    """See LedgerStore.ended_children_of_open_orders."""
    newest = (
        select(*ChildOrder.__table__.columns)
        .join(ParentOrder, ParentOrder.order_id == ChildOrder.order_id)
        .where(
            ParentOrder.exchange == exchange,
            ParentOrder.account == account,
            ParentOrder.status.not_in(_FINISHED),
        )
        .ext(distinct_on(ChildOrder.order_id))
        .order_by(ChildOrder.order_id, ChildOrder.child_index.desc(), ChildOrder.generation.desc())
        .subquery()
    )
    return select(newest).where(newest.c.venue_status.in_(_ENDED_UNFILLED))


# Numbers that readers of events have seen may be given again: from here on none of those is good.
_LEAP = text(
    "INSERT INTO events SELECT next_event() + 1000000000, clock_timestamp(), kind, account, "
    "strategy_id, exchange, symbol, order_id, execution_id, data "
    "FROM (SELECT * FROM events ORDER BY seq DESC LIMIT 1) AS newest"
)


async def new_epoch(connection: AsyncConnection) -> None:
    """See LedgerStore.new_epoch."""
    await connection.execute(update(LedgerMeta).values(epoch=secrets.token_hex(16)))
    await connection.execute(_LEAP)


async def record_opening_balances(
    connection: AsyncConnection, exchange: str, account: str, balances: Mapping[str, Decimal]
) -> bool:
    """See LedgerStore.record_opening_balances."""
    # the mark is on the account, not on the balances: an account may open empty
    mark = insert(AccountReadiness).values(
        exchange=exchange,
        account=account,
        state="RECONCILING",
        reason="opening balances taken",
        opened_at=func.now(),
    )
    taken = await connection.execute(
        mark.on_conflict_do_update(
            index_elements=[AccountReadiness.exchange, AccountReadiness.account],
            set_={"opened_at": func.now()},
            where=AccountReadiness.opened_at.is_(None),
        ).returning(AccountReadiness.opened_at)
    )
    if taken.first() is None:
        return False
    if balances:
        rows = [
            {"exchange": exchange, "account": account, "asset": asset, "amount": amount}
            for asset, amount in sorted(balances.items())
        ]
        await connection.execute(insert(OpeningBalance).values(rows))
    await move_balances(connection, exchange, account, balances)
    return True
