"""Double entry: what a fill moves, as postings that balance per asset.

Every amount leaves one account and enters another, so the sum per asset is zero. `trading` is
our side of the account at the venue, `market` the counterparty's, `fees` the venue's.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from workflows.domain.orders import Side
from workflows.domain.reports import Fill


class Account(StrEnum):
    """The three sides of the books; see the module."""

    TRADING = "trading"
    MARKET = "market"
    FEES = "fees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """`amount` of `asset` entering (+) or leaving (-) the account."""

    account: Account
    asset: str
    amount: Decimal


def postings_of(fill: Fill, *, side: Side, base: str, quote: str) -> tuple[Posting, ...]:
    """The postings of one fill: base against quote, and the fee in whatever asset it was paid."""
    signed = fill.quantity * side.sign
    value = signed * fill.price
    entries = [
        Posting(account=Account.TRADING, asset=base, amount=signed),
        Posting(account=Account.MARKET, asset=base, amount=-signed),
        Posting(account=Account.TRADING, asset=quote, amount=-value),
        Posting(account=Account.MARKET, asset=quote, amount=value),
    ]
    if fill.fee:
        entries += [
            Posting(account=Account.TRADING, asset=fill.fee_asset, amount=-fill.fee),
            Posting(account=Account.FEES, asset=fill.fee_asset, amount=fill.fee),
        ]
    return tuple(entries)
