"""The tables of the books: balances, marks, values of fees, snapshots, and what a venue differs in.

Rule: as in `models`. A position's own columns are in `models`; what is here is kept beside it, and
can be made again from fills, opening balances and transfers. `transfers` is append-only.
"""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from activities.ledger.model_base import Base, Created, Key, Money, finite


class AccountBalance(Base):
    """What an account holds of an asset by our books: opening + fills + transfers."""

    __tablename__ = "account_balances"

    exchange: Mapped[Key]
    account: Mapped[Key]
    asset: Mapped[Key]
    amount: Mapped[Money] = mapped_column(server_default=text("0"))

    __table_args__ = (finite("amount"),)


class VenueBalance(Base):
    """What the venue said it holds, when it was last asked."""

    __tablename__ = "venue_balances"

    exchange: Mapped[Key]
    account: Mapped[Key]
    asset: Mapped[Key]
    total: Mapped[Money]
    free: Mapped[Money]
    read_at: Mapped[Created]

    __table_args__ = (finite("total"), finite("free"))


class Transfer(Base):
    """A deposit, a withdrawal, an interest: what moved a balance and was no trade; append-only.

    `amount` enters (+) our side from outside, so the two sides of the entry balance by themselves.
    """

    __tablename__ = "transfers"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    exchange: Mapped[str]
    account: Mapped[str]
    asset: Mapped[str]
    amount: Mapped[Money]
    reason: Mapped[str]
    booked_by: Mapped[str]
    booked_at: Mapped[Created]

    __table_args__ = (finite("amount"), CheckConstraint("amount <> 0", name="transfer_moves"))


class Mark(Base):
    """The middle of the touch, in quote units, when it was last read."""

    __tablename__ = "marks"

    exchange: Mapped[Key]
    symbol: Mapped[Key]
    price: Mapped[Money]
    marked_at: Mapped[Created]

    __table_args__ = (finite("price", positive=True),)


class FeeValue(Base):
    """What one unit of a fee's asset was worth in quote units when the fee was paid.

    Only of fills whose fee is neither in the base nor in the quote asset; append-only.
    """

    __tablename__ = "fee_values"

    fill_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("fills.id"), primary_key=True, autoincrement=False
    )
    rate: Mapped[Money]
    source: Mapped[str]
    valued_at: Mapped[Created]

    __table_args__ = (finite("rate", positive=True),)


class FeeToValue(Base):
    """A fill whose fee is in a third asset and has no value yet. The row goes when it has one."""

    __tablename__ = "fees_to_value"

    fill_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("fills.id"), primary_key=True, autoincrement=False
    )


class PositionSnapshot(Base):
    """A position as it was after one fill, and what it was worth at a mark.

    The state after (`traded_at`, `trade_id`) is also where a position is counted again from when a
    fill arrives late. `why`: 'time', 'day' (the last before a new UTC day) or 'fills'.
    """

    __tablename__ = "position_snapshots"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    strategy_id: Mapped[str]
    account: Mapped[str]
    exchange: Mapped[str]
    symbol: Mapped[str]
    traded_at: Mapped[datetime | None]
    trade_id: Mapped[str | None]
    fill_count: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[Money]
    cost: Mapped[Money]
    realised_gross: Mapped[Money]
    fees_quote: Mapped[Money]
    fees_other: Mapped[Money]
    cash: Mapped[Money]
    mark: Mapped[Money | None]
    marked_at: Mapped[datetime | None]
    why: Mapped[str]
    taken_at: Mapped[Created]

    __table_args__ = (
        CheckConstraint("why IN ('time', 'day', 'fills')", name="snapshot_why"),
        Index(
            "position_snapshots_newest",
            "strategy_id",
            "account",
            "exchange",
            "symbol",
            "taken_at",
        ),
    )


class ExternalOrder(Base):
    """An order of the account that is not ours: made by hand, or by another program."""

    __tablename__ = "external_orders"

    exchange: Mapped[Key]
    account: Mapped[Key]
    symbol: Mapped[Key]
    venue_order_id: Mapped[Key]
    side: Mapped[str]
    quantity: Mapped[Money]
    price: Mapped[Money | None]
    executed_quantity: Mapped[Money] = mapped_column(server_default=text("0"))
    status: Mapped[str]
    first_seen_at: Mapped[Created]
    last_seen_at: Mapped[Created]

    __table_args__ = (finite("quantity", positive=True), finite("executed_quantity"))


class Break(Base):
    """One difference between our books and a venue, as one observer sees it.

    Open until it is seen no more. At most one open row per observer, account, kind and object.
    """

    __tablename__ = "breaks"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    observer: Mapped[str]
    exchange: Mapped[str]
    account: Mapped[str]
    kind: Mapped[str]
    object: Mapped[str]
    ours: Mapped[Money | None]
    theirs: Mapped[Money | None]
    value: Mapped[Money | None]
    """In quote units, where a mark is known."""
    detail: Mapped[str] = mapped_column(server_default=text("''"))
    first_seen_at: Mapped[Created]
    last_seen_at: Mapped[Created]
    alarmed_at: Mapped[datetime | None]
    acted_at: Mapped[datetime | None]
    """When trading at the venue was set to reducing for it."""
    resolved_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("observer IN ('sync', 'drop_copy')", name="break_observer"),
        Index(
            "breaks_open",
            "observer",
            "exchange",
            "account",
            "kind",
            "object",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )
