"""The tables of control: kill switch, alarms, limits, counters, overrides, verdicts, audit.

Rule: as in `models`. `audit` and `operator_verdicts` are append-only; `audit` is chained, so that a
row that was changed or taken out shows.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from activities.ledger.model_base import Base, Created, Key, Money, finite


class TradingStateRow(Base):
    """The kill switch of one scope: 'global', 'venue:x', 'symbol:x:y' or 'strategy:x'.

    `code` is what orders are denied with, where it is not the state's own: LOSS_LIMIT.
    """

    __tablename__ = "trading_state"

    scope: Mapped[Key]
    state: Mapped[str]
    code: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default=text("''"))
    updated_by: Mapped[str] = mapped_column(server_default=text("'engine'"))
    updated_at: Mapped[Created]

    __table_args__ = (
        CheckConstraint("state IN ('active', 'reducing', 'halted')", name="trading_state_value"),
    )


class Alarm(Base):
    """What a human must know. At most one open alarm per code and object."""

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    code: Mapped[str]
    object: Mapped[str]
    detail: Mapped[str]
    since: Mapped[Created]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default=text("''"))
    told_at: Mapped[datetime | None]
    """When it became a line of a log."""
    posted_at: Mapped[datetime | None]
    """When the webhook took it."""

    __table_args__ = (
        Index(
            "alarms_open",
            "code",
            "object",
            unique=True,
            postgresql_where=text("acknowledged_at IS NULL"),
        ),
    )


class RiskLimit(Base):
    """One limit that somebody set; what is not here has its default.

    `scope`: 'global', 'account:<venue>:<account>', 'symbol:<venue>:<symbol>', 'strategy:<id>'.
    The row is also the lock of a limit on a sum.
    """

    __tablename__ = "risk_limits"

    scope: Mapped[Key]
    name: Mapped[Key]
    value: Mapped[Money]
    updated_at: Mapped[Created]

    __table_args__ = (finite("value"), CheckConstraint("value >= 0", name="limit_not_negative"))


class StrategyCounter(Base):
    """What is counted of a strategy: orders of a UTC day, and rejections in a row.

    `disabled` says why it may not enlarge anything until a human re-arms it.
    """

    __tablename__ = "strategy_counters"

    strategy_id: Mapped[Key]
    day: Mapped[Any] = mapped_column(Date)
    parents_today: Mapped[int] = mapped_column(server_default=text("0"))
    rejects_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    disabled: Mapped[str | None]


class MessageWindow(Base):
    """Orders sent to an account's venue in this second and in the one before."""

    __tablename__ = "message_windows"

    exchange: Mapped[Key]
    account: Mapped[Key]
    second: Mapped[int] = mapped_column(BigInteger)
    current: Mapped[int]
    previous: Mapped[int]


class RiskOverride(Base):
    """Two people let a control pass for a while. In force between approval and expiry.

    `scope` as a limit's; `code` is the denial that it lets pass.
    """

    __tablename__ = "risk_overrides"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    scope: Mapped[str]
    code: Mapped[str]
    reason: Mapped[str]
    requested_by: Mapped[str]
    requested_at: Mapped[Created]
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("approved_by <> requested_by", name="override_takes_two"),
        CheckConstraint(
            "expires_at <= requested_at + interval '15 minutes'", name="override_is_short"
        ),
    )


class OperatorVerdict(Base):
    """What a human decided of an attempt that the engine could not resolve; append-only.

    The newest one of an attempt counts: a wrong one can be put right.
    """

    __tablename__ = "operator_verdicts"

    client_order_id: Mapped[str] = mapped_column(
        ForeignKey("child_orders.client_order_id"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    verdict: Mapped[str]
    venue_order_id: Mapped[str | None]
    reason: Mapped[str]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=text("now()"), primary_key=True)

    __table_args__ = (
        CheckConstraint("verdict IN ('absent', 'adopt')", name="verdict_value"),
        CheckConstraint(
            "(verdict = 'adopt') = (venue_order_id IS NOT NULL)", name="verdict_names_its_order"
        ),
    )


class AuditRow(Base):
    """Who did what to what, when, and why; append-only. The database fills `chain`.

    `chain` is the SHA-256 of the row before and this one, in hex.
    """

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Created]
    who: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    reason: Mapped[str] = mapped_column(server_default=text("''"))
    chain: Mapped[str] = mapped_column(server_default=text("''"))

    __table_args__ = (Index("audit_of_object", "object", "id"),)


class Chore(Base):
    """When work that one process of the fleet does now and then was last begun."""

    __tablename__ = "chores"

    name: Mapped[Key]
    begun_at: Mapped[datetime]


class OrderStatistic(Base):
    """Ended orders in sums, so that statistics cost the same whatever the ledger holds.

    Quantities in base units, values in quote units. `fill_shares`: the parts of their quantity that
    the orders filled, 1 for one that filled. `slippage_value`: what the fills cost above the price
    when the order was accepted (below it for sells); `measured_value`: what those fills would have
    cost at that price. `timed_orders` filled, within `seconds_to_fill` of their acceptance in all.
    """

    __tablename__ = "order_statistics"

    strategy_id: Mapped[Key]
    exchange: Mapped[Key]
    symbol: Mapped[Key]
    order_type: Mapped[Key]
    status: Mapped[Key]
    orders: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[Money]
    filled_quantity: Mapped[Money]
    fill_shares: Mapped[Money]
    filled_value: Mapped[Money]
    slippage_value: Mapped[Money]
    measured_value: Mapped[Money]
    seconds_to_fill: Mapped[Money]
    timed_orders: Mapped[int] = mapped_column(BigInteger)
