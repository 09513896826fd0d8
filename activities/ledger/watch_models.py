"""The tables of triggers that the engine keeps, and of who steered which order.

Rule: as in `models`. A watch ends once: fired or disarmed. `order_actions` is append-only.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from activities.ledger.model_base import Base, Created, Key, Money


class PriceWatch(Base):
    """One trigger of an order. Armed until it fires or is disarmed; `told_at`: its owner knows.

    `side` is the one of the order that is sent when it fires: a sell follows the highest price, a
    buy the lowest.
    """

    __tablename__ = "price_watches"

    watch_id: Mapped[Key]
    order_id: Mapped[str] = mapped_column(ForeignKey("parent_orders.order_id"), index=True)
    exchange: Mapped[str]
    account: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    spec: Mapped[dict[str, Any]]
    status: Mapped[str]
    is_active: Mapped[bool]
    extreme: Mapped[Money | None]
    confirmed: Mapped[int]
    confirmed_since_ms: Mapped[int | None] = mapped_column(BigInteger)
    is_blind: Mapped[bool] = mapped_column(server_default=text("false"))
    fired: Mapped[dict[str, Any] | None]
    armed_at: Mapped[Created]
    ended_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("status IN ('armed', 'fired', 'disarmed')", name="watch_status"),
        CheckConstraint("(status = 'fired') = (fired IS NOT NULL)", name="watch_fired"),
        CheckConstraint("extreme > 0 AND extreme < 'Infinity'", name="extreme_is_finite"),
        Index(
            "price_watches_armed", "exchange", "symbol", postgresql_where=text("status = 'armed'")
        ),
        Index(
            "price_watches_untold",
            "exchange",
            "symbol",
            postgresql_where=text("status = 'fired' AND told_at IS NULL"),
        ),
    )


class PriceFollower(Base):
    """Up to when (ms since 1970, the venue's clock) a symbol's prices were seen by its watches."""

    __tablename__ = "price_followers"

    exchange: Mapped[Key]
    symbol: Mapped[Key]
    seen_until_ms: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[Created]


class OrderAction(Base):
    """Who steered an order, when, and whether it was let; append-only.

    `request`: the order as an amendment makes it. A workflow that was set back may take another
    action under an index that it used before: the newest row of an index counts, and of those
    only the ones that no lower index came after.
    """

    __tablename__ = "order_actions"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("parent_orders.order_id"))
    action_index: Mapped[int]
    kind: Mapped[str]
    requested_by: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    request: Mapped[dict[str, Any] | None]
    verdict: Mapped[str]
    code: Mapped[str | None]
    field: Mapped[str | None]
    denial: Mapped[str] = mapped_column(server_default=text("''"))
    at: Mapped[Created]

    __table_args__ = (
        CheckConstraint("verdict IN ('approved', 'denied')", name="action_verdict"),
        Index("order_actions_of_order", "order_id", "action_index", "id"),
    )
