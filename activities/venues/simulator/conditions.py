"""What can change while the exchange runs: halted symbols, and the asset that fees are taken in.

Rule: not part of the durable state. What was done under a condition is in the events; a restart
begins with normal conditions. Knows nothing of orders.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from activities.venues.simulator.accounts import fee_asset_of, fee_of
from activities.venues.simulator.matching import Fill
from activities.venues.simulator.orders import Side
from activities.venues.simulator.specs import SymbolSpec, cut


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdAssetFee:
    """Fees are taken in `asset`, one unit of it counted as one of quote; `rate` is a fraction."""

    asset: str
    rate: Decimal


@dataclass(slots=True)
class Conditions:
    """Halted symbols by unified name; without `fee_in` a fee is taken from what is received.

    So it is, too, in a symbol of which `fee_in` is no third asset.
    """

    halted: set[str] = field(default_factory=set)
    fee_in: ThirdAssetFee | None = None

    def fee(self, spec: SymbolSpec, side: Side, fill: Fill, rate: Decimal) -> tuple[Decimal, str]:
        """Amount and asset of the fee of one side of a trade."""
        if self.fee_in is None or self.fee_in.asset in (spec.base, spec.quote):
            return fee_of(side, fill.price, fill.quantity, rate), fee_asset_of(spec, side)
        return cut(fill.price * fill.quantity * self.fee_in.rate), self.fee_in.asset
