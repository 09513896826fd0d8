"""What the books show, as plain values. Amounts are exact, times are UTC.

`quantity` is signed, in base units; prices and money in quote units. `mark_age_s` is how old the
mark is, in seconds; where something is held and no mark is known, what depends on it is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from workflows.domain.positions import Lot


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Figures that every view of a position has.

    `fees_quote` are all fees whose value is known, `fees_other` those in third assets among them,
    `fees_unvalued` by asset those that no price is known of yet. `cash` is what fills and fees in
    the quote asset moved: realised_net + unrealised = cash - fees_other + quantity * mark.
    """

    quantity: Decimal
    average_price: Decimal | None
    cost: Decimal
    realised_gross: Decimal
    fees_quote: Decimal
    fees_other: Decimal
    fees_unvalued: Mapping[str, Decimal]
    realised_net: Decimal
    cash: Decimal
    mark: Decimal | None
    mark_age_s: Decimal | None
    unrealised: Decimal | None
    total: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView(Worth):
    """What one strategy holds of one symbol in one account, at average cost."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    fill_count: int
    traded_at: datetime | None
    """When its last fill traded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolView(Worth):
    """Positions of one symbol, summed over strategies, accounts and exchanges.

    The mark is that of the only exchange, else None; `mark_age_s` is the oldest mark's.
    `average_price` is None where some are long and some short.
    """

    symbol: str
    exchanges: tuple[str, ...]
    positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FifoPosition:
    """One position with its oldest lots closed first. The total is that of average cost."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    lots: tuple[Lot, ...]
    quantity: Decimal
    average_price: Decimal | None
    cost: Decimal
    realised_gross: Decimal
    fees_quote: Decimal
    realised_net: Decimal
    mark: Decimal | None
    mark_age_s: Decimal | None
    unrealised: Decimal | None
    total: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotView:
    """A position as it was at `taken_at`; `why` is 'time', 'day' or 'fills'."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    taken_at: datetime
    why: str
    quantity: Decimal
    average_price: Decimal | None
    cost: Decimal
    realised_gross: Decimal
    fees_quote: Decimal
    realised_net: Decimal
    cash: Decimal
    mark: Decimal | None
    unrealised: Decimal | None
    total: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """One booked trade, and whose it was. `order_id` is None for one that is not ours."""

    trade_id: str
    order_id: str | None
    client_order_id: str | None
    venue_order_id: str
    strategy_id: str
    account: str
    exchange: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    traded_at: datetime
    booked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceView:
    """An asset of an account: by our books, and as the venue said it at `read_at`.

    `ours` is None for what no book of ours has; the venue's figures are None until it was asked.
    """

    asset: str
    ours: Decimal | None
    venue_total: Decimal | None
    venue_free: Decimal | None
    read_at: datetime | None
