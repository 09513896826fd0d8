"""The tables of the ledger, as the migrations make them.

Rule: money is NUMERIC without bounds, times are timestamptz written by the database's clock, ids
are text. `fills`, `postings` and `risk_checks` are append-only; the database refuses anything
else. Statements are built from these classes; nothing here runs one.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from activities.ledger.model_base import Base, Created, Key, Money, finite

_OPEN = text("state = 'open'")


class LedgerMeta(Base):
    """One row: the ledger's incarnation. A restore writes another epoch."""

    __tablename__ = "ledger_meta"

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[str]

    __table_args__ = (CheckConstraint("singleton", name="one_row"),)


class ExecutionRow(Base):
    """Several orders under one id that the user chose: an arbitrage, a rebalancing.

    `run_chain` registered it; `adopted_by` is the chain that took it over since, and `failures`
    how often one was begun after a workflow that failed.
    """

    __tablename__ = "executions"

    execution_id: Mapped[Key]
    kind: Mapped[str]
    run_chain: Mapped[str]
    adopted_by: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    body_hash: Mapped[str]
    strategy_id: Mapped[str]
    account: Mapped[str]
    venues: Mapped[list[str]]
    plan: Mapped[dict[str, Any]]
    status: Mapped[str]
    snapshot: Mapped[dict[str, Any] | None]
    code: Mapped[str | None]
    field: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[Created]
    accepted_at: Mapped[datetime | None]
    updated_at: Mapped[Created]
    finished_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]
    """When somebody last asked whether its workflow runs."""

    __table_args__ = (
        Index("executions_newest", "kind", "created_at", "execution_id"),
        Index("executions_open", "created_at", postgresql_where=text("finished_at IS NULL")),
    )


class ExecutionLock(Base):
    """What one execution holds alone until it ends."""

    __tablename__ = "execution_locks"

    key: Mapped[Key]
    execution_id: Mapped[str] = mapped_column(ForeignKey("executions.execution_id"), index=True)
    taken_at: Mapped[Created]


class ParentOrder(Base):
    """What the user asked for, under the id that the user chose; or a leg of an execution."""

    __tablename__ = "parent_orders"

    order_id: Mapped[Key]
    run_chain: Mapped[str]
    body_hash: Mapped[str]
    strategy_id: Mapped[str]
    account: Mapped[str]
    exchange: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    order_type: Mapped[str]
    quantity: Mapped[Money]
    price: Mapped[Money | None]
    priority: Mapped[int]
    request: Mapped[dict[str, Any]]
    amended_request: Mapped[dict[str, Any] | None]
    """The order as it was last amended; `quantity` and `price` are its."""
    arrival_price: Mapped[Money | None]
    """The market when it was accepted, in quote units."""
    status: Mapped[str]
    filled_quantity: Mapped[Money] = mapped_column(server_default=text("0"))
    code: Mapped[str | None]
    field: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default=text("''"))
    snapshot: Mapped[dict[str, Any] | None]
    execution_id: Mapped[str | None] = mapped_column(ForeignKey("executions.execution_id"))
    created_at: Mapped[Created]
    accepted_at: Mapped[datetime | None]
    updated_at: Mapped[Created]
    finished_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]
    """When somebody last asked whether its workflow runs."""

    __table_args__ = (
        finite("quantity", positive=True),
        Index(
            "parent_orders_of_execution",
            "execution_id",
            postgresql_where=text("execution_id IS NOT NULL"),
        ),
        Index("parent_orders_newest", "created_at", "order_id"),
        Index("parent_orders_of_strategy", "strategy_id", "created_at", "order_id"),
        Index("parent_orders_by_status", "status", "created_at", "order_id"),
        Index(
            "parent_orders_open",
            "strategy_id",
            "exchange",
            "symbol",
            postgresql_where=text("finished_at IS NULL"),
        ),
    )


class ChildOrder(Base):
    """One order at a venue: the intent, and what is known of it.

    `venue_status` is the venue's word, which never goes back from terminal to open;
    `filled_quantity` is the sum of this child's fills, kept beside them.
    """

    __tablename__ = "child_orders"

    client_order_id: Mapped[Key]
    order_id: Mapped[str] = mapped_column(ForeignKey("parent_orders.order_id"))
    child_index: Mapped[int]
    generation: Mapped[int]
    strategy_id: Mapped[str]
    account: Mapped[str]
    exchange: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    child_type: Mapped[str]
    time_in_force: Mapped[str]
    post_only: Mapped[bool]
    quantity: Mapped[Money]
    price: Mapped[Money | None]
    status: Mapped[str]
    venue_order_id: Mapped[str | None]
    venue_status: Mapped[str | None]
    executed_quantity: Mapped[Money] = mapped_column(server_default=text("0"))
    filled_quantity: Mapped[Money] = mapped_column(server_default=text("0"))
    reason: Mapped[str] = mapped_column(server_default=text("''"))
    compensates: Mapped[str | None] = mapped_column(ForeignKey("executions.execution_id"))
    """The execution whose residual it was to reduce."""
    display_quantity: Mapped[Money | None]
    trigger_price: Mapped[Money | None]
    trailing_delta_bps: Mapped[int | None]
    stop_limit_price: Mapped[Money | None]
    reduce_only: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Created]
    updated_at: Mapped[Created]

    __table_args__ = (
        finite("quantity", positive=True),
        finite("executed_quantity"),
        UniqueConstraint("order_id", "child_index", "generation", name="child_orders_place"),
        Index(
            "child_orders_at_venue",
            "exchange",
            "account",
            "symbol",
            "venue_order_id",
            postgresql_where=text("venue_order_id IS NOT NULL"),
        ),
        Index(
            "child_orders_resting",
            "exchange",
            "symbol",
            postgresql_where=text("venue_status = 'open'"),
        ),
    )


class Attempt(Base):
    """One permission to send a child; only READY can be claimed, and only once."""

    __tablename__ = "attempts"

    client_order_id: Mapped[str] = mapped_column(
        ForeignKey("child_orders.client_order_id"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str]
    signed_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    claimed_at: Mapped[datetime | None]
    outcome_code: Mapped[str] = mapped_column(server_default=text("''"))
    outcome_reason: Mapped[str] = mapped_column(server_default=text("''"))

    __table_args__ = (
        CheckConstraint(
            "state IN ('READY', 'SENDING', 'ACKED', 'REJECTED', 'UNKNOWN', 'CLOSED')",
            name="attempt_state",
        ),
        Index(
            "attempts_unanswered",
            "client_order_id",
            postgresql_where=text("state IN ('SENDING', 'UNKNOWN')"),
        ),
    )


class RiskCheck(Base):
    """The answer of one check; append-only. `kind` tells whose id `subject` is.

    `execution`: all legs of one request, their ids joined by a space.
    """

    __tablename__ = "risk_checks"

    kind: Mapped[Key]
    subject: Mapped[Key]
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """0 for a parent; for an execution the number of the leg that was denied, 0 for all."""
    verdict: Mapped[str]
    code: Mapped[str | None]
    field: Mapped[str | None]
    detail: Mapped[str] = mapped_column(server_default=text("''"))
    checked_at: Mapped[Created]

    __table_args__ = (
        CheckConstraint("kind IN ('parent', 'child', 'execution')", name="risk_check_kind"),
        CheckConstraint("verdict IN ('approved', 'denied')", name="risk_check_verdict"),
        Index("risk_checks_denied", "kind", "code", postgresql_where=text("verdict = 'denied'")),
    )


class Reservation(Base):
    """Base units that one child may still add to the position. Counts while open.

    Each unit holds `unit_funds` of `asset`: its price in quote units for a buy, 1 of the base asset
    for a sell; and counts `unit_value` quote units towards the exposure.
    """

    __tablename__ = "reservations"

    client_order_id: Mapped[str] = mapped_column(
        ForeignKey("child_orders.client_order_id"), primary_key=True
    )
    strategy_id: Mapped[str]
    account: Mapped[str]
    exchange: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[Money]
    state: Mapped[str]
    asset: Mapped[str | None]
    unit_funds: Mapped[Money] = mapped_column(server_default=text("0"))
    unit_value: Mapped[Money] = mapped_column(server_default=text("0"))

    __table_args__ = (
        CheckConstraint("state IN ('open', 'released')", name="reservation_state"),
        CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="reservation_quantity"),
        Index(
            "reservations_open",
            *("strategy_id", "account", "exchange", "symbol"),
            postgresql_where=_OPEN,
        ),
        Index("reservations_of_account", "exchange", "account", "symbol", postgresql_where=_OPEN),
    )


class Position(Base):
    """What one strategy holds of one symbol, at average cost. The row is the lock of its limits.

    `quantity` is signed, in base units, net of fees in the base asset. In quote units: `cost` of
    what is held (signed as the quantity), `realised_gross`, all fees, the fees in third assets
    among them, and `cash` (what fills and quote fees moved). The state after the fill
    (`traded_at`, `trade_id`), the last by the venue's time. `fill_count` is -1 where only the
    quantity is known, and the rest is still to be counted from the fills.
    """

    __tablename__ = "positions"

    strategy_id: Mapped[Key]
    account: Mapped[Key]
    exchange: Mapped[Key]
    symbol: Mapped[Key]
    quantity: Mapped[Money] = mapped_column(server_default=text("0"))
    cost: Mapped[Money] = mapped_column(server_default=text("0"))
    realised_gross: Mapped[Money] = mapped_column(server_default=text("0"))
    fees_quote: Mapped[Money] = mapped_column(server_default=text("0"))
    fees_other: Mapped[Money] = mapped_column(server_default=text("0"))
    cash: Mapped[Money] = mapped_column(server_default=text("0"))
    fill_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    traded_at: Mapped[datetime | None]
    trade_id: Mapped[str | None]

    __table_args__ = (finite("quantity"),)


class FillRow(Base):
    """One trade of an account; append-only. Without `client_order_id` it is not ours: EXTERNAL."""

    __tablename__ = "fills"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    exchange: Mapped[str]
    account: Mapped[str]
    symbol: Mapped[str]
    trade_id: Mapped[str]
    venue_order_id: Mapped[str]
    client_order_id: Mapped[str | None] = mapped_column(ForeignKey("child_orders.client_order_id"))
    strategy_id: Mapped[str | None]
    side: Mapped[str]
    price: Mapped[Money]
    quantity: Mapped[Money]
    fee: Mapped[Money]
    fee_asset: Mapped[str]
    is_maker: Mapped[bool]
    traded_at: Mapped[datetime]
    booked_at: Mapped[Created]

    __table_args__ = (
        finite("price", positive=True),
        finite("quantity", positive=True),
        finite("fee"),
        # with the side: both sides of a trade with oneself bear one trade id
        UniqueConstraint("exchange", "account", "symbol", "trade_id", "side", name="fills_once"),
        Index("fills_of_child", "client_order_id"),
        Index("fills_of_position", "strategy_id", "account", "exchange", "symbol", "traded_at"),
        Index("fills_of_account", "exchange", "account", "traded_at"),
    )


class PostingRow(Base):
    """One side of a double entry; append-only. `entry` numbers the postings of a fill."""

    __tablename__ = "postings"

    fill_id: Mapped[int] = mapped_column(ForeignKey("fills.id"), primary_key=True)
    entry: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account: Mapped[str]
    asset: Mapped[str]
    amount: Mapped[Money]

    __table_args__ = (finite("amount"),)


class AccountReadiness(Base):
    """Whether the account feed vouches for an account, and until when.

    `opened_at` is when its opening balances were taken.
    """

    __tablename__ = "account_readiness"

    exchange: Mapped[Key]
    account: Mapped[Key]
    state: Mapped[str]
    ready_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(server_default=text("''"))
    opened_at: Mapped[datetime | None]
    updated_at: Mapped[Created]

    __table_args__ = (CheckConstraint("state IN ('READY', 'RECONCILING')", name="readiness_state"),)


class FeedCursorRow(Base):
    """The last trade that the feed booked and signalled."""

    __tablename__ = "feed_cursors"

    exchange: Mapped[Key]
    account: Mapped[Key]
    symbol: Mapped[Key]
    trade_id: Mapped[str]


class OpeningBalance(Base):
    """What an account held of an asset before the first fill that we booked."""

    __tablename__ = "opening_balances"

    exchange: Mapped[Key]
    account: Mapped[Key]
    asset: Mapped[Key]
    amount: Mapped[Money]
    taken_at: Mapped[Created]

    __table_args__ = (finite("amount"),)
