"""The tables of events: what changed, in the order in which it was committed.

Theory. The number of an event is the one after the newest, under a lock that a transaction takes
as its very last, while it commits; so the numbers have no gaps, and whoever sees one sees all
before it. The database itself writes the rows, so that workers of every version tell what they
change.

Rule: events are news, not books. They go after a while, but for the newest, from which the next
number follows; and nothing is counted from them.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from activities.ledger.model_base import Base, Key, Money


class EventRow(Base):
    """One change. What it is not about is NULL; decimals in `data` are text, times RFC 3339."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[str]
    account: Mapped[str | None]
    strategy_id: Mapped[str | None]
    exchange: Mapped[str | None]
    symbol: Mapped[str | None]
    order_id: Mapped[str | None]
    execution_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]

    __table_args__ = (
        CheckConstraint(
            "kind IN ('order', 'fill', 'position', 'execution', 'alarm', 'trading_state')",
            name="event_kind",
        ),
    )


class OrderTotal(Base):
    """What an order has filled (base units) for how much (quote units), as its events tell it."""

    __tablename__ = "order_totals"

    order_id: Mapped[Key]
    filled_quantity: Mapped[Money]
    filled_value: Mapped[Money]
