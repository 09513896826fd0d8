"""What the analysis of one order tells. A positive figure is a cost; null cannot be measured."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workflows.domain.exact import times
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, OrderType, Side
from workflows.fields import Amount
from workflows.ports.public_data import WindowSource


def _rounded(places: int) -> AfterValidator:
    grid = Decimal(1).scaleb(-places)

    def quantized(value: Decimal) -> Decimal:
        return times(grid, round(Fraction(value) / Fraction(grid)))

    return AfterValidator(quantized)


Bps = Annotated[Amount, _rounded(4)]
"""1/10,000, to four decimals."""
Share = Annotated[Amount, _rounded(8)]
"""A quotient of two quantities, to eight decimals."""
Average = Annotated[Amount, _rounded(8)]
"""A price that is a quotient, to eight decimals; prices that were traded at are never rounded."""


class PriceSource(StrEnum):
    """Where the decision price is from."""

    ARRIVAL = "arrival"
    """The order was decided when it was accepted."""
    PLAN = "plan"
    """The price of an arbitrage's plan."""
    TRIGGER = "trigger"
    """The price that fired."""


class _Part(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ShortfallParts(_Part):
    """Implementation shortfall (Perold) and its parts, in quote units."""

    total: Amount | None = Field(description="delay + impact + opportunity + fees")
    total_bps: Bps | None = Field(description="of the ordered quantity at the decision price")
    delay: Amount = Field(description="what the price moved from decision to arrival, on fills")
    impact: Amount = Field(description="what the fills cost above the arrival price")
    opportunity: Amount | None = Field(description="what the unfilled rest missed")
    fees: Amount
    wagner_delay: Amount = Field(description="delay on the whole order (Wagner's form)")
    wagner_opportunity: Amount | None = Field(description="from arrival on (Wagner's form)")
    paper_gain: Amount | None
    real_gain: Amount | None


class Slippages(BaseModel):
    """The average price against each benchmark, in 1/10,000 of it."""

    arrival: Bps | None
    decision: Bps | None
    market_vwap: Bps | None
    market_twap: Bps | None


class MarketBenchmarks(BaseModel):
    """The market from the first moment the order could trade to its end."""

    since: datetime | None
    until: datetime | None
    vwap: Average | None = Field(description="by volume, our own fills included")
    twap: Average | None = Field(description="by time, of the middles that the ledger saw")
    volume: Amount | None = Field(description="base units of all traders")
    participation: Share | None = Field(description="our share of the volume")
    source: WindowSource | None = Field(description="trades: exact; candles: an estimate")
    middles: int = Field(description="how many middles the ledger saw, about one a minute")


class FillTiming(BaseModel):
    """When it happened; seconds from acceptance."""

    accepted_at: datetime | None
    first_sent_at: datetime | None
    first_fill_at: datetime | None
    last_fill_at: datetime | None
    finished_at: datetime | None
    to_first_sent_s: Amount | None
    to_first_fill_s: Amount | None
    to_last_fill_s: Amount | None
    duration_s: Amount | None = Field(description="to its end, or until now")


class ChildCosts(BaseModel):
    """One child order: what it filled, at what cost, how fast."""

    index: int
    client_order_id: str
    child_type: ChildType
    status: ChildStatus
    quantity: Amount
    price: Amount | None
    filled_quantity: Amount
    average_price: Average | None
    arrival_slippage_bps: Bps | None
    fees_quote: Amount | None = Field(description="null: one has no known price")
    maker_ratio: Share | None
    fills: int
    sent_at: datetime | None
    first_fill_at: datetime | None
    last_fill_at: datetime | None
    sent_to_first_fill_s: Amount | None


class NotAvailable(BaseModel):
    """A figure that is null, and why."""

    figure: str
    why: str


class OrderAnalytics(BaseModel):
    """What one order cost. Base units, quote units; of a running order, as it is now."""

    order_id: str
    execution_id: str | None
    strategy_id: str
    account: str
    exchange: str
    symbol: str
    side: Side
    order_type: OrderType
    status: OrderStatus
    quantity: Amount
    filled_quantity: Amount
    fill_ratio: Share
    fills: int
    average_price: Average | None = Field(description="the VWAP that was achieved")
    notional: Amount
    decision_price: Amount | None
    decision_source: PriceSource | None
    arrival_price: Amount | None = Field(description="the middle of the touch at acceptance")
    end_price: Amount | None = Field(description="the last middle seen by its end")
    shortfall: ShortfallParts | None
    slippage_bps: Slippages
    market: MarketBenchmarks
    fees_quote: Amount | None = Field(description="null: one has no known price")
    fees_bps: Bps | None = Field(description="of the notional")
    fees_unvalued: dict[str, Amount] = Field(description="fees without a known price, by asset")
    maker_ratio: Share | None = Field(description="share of the filled quantity that rested")
    effective_spread_bps: Bps | None = Field(
        description="2 x distance from the middle at each fill, of the notional"
    )
    markout_60s_bps: Bps | None = Field(description="positive: the price moved our way")
    timing: FillTiming
    children: list[ChildCosts] = Field(description="oldest first")
    children_total: int
    not_available: list[NotAvailable]
