"""What an account pays for a trade at a venue."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Fractions of the value that the account pays; negative for a rebate.

    `buys_pay_base`: the fee of a buy is taken from the base units bought.
    """

    maker: Decimal
    taker: Decimal
    buys_pay_base: bool
