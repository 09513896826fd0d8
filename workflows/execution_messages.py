"""The public messages of executions: plans as callers write them, snapshots as we tell them.

The same JSON is the HTTP body, the workflow's input, the Python client's model and the CLI's
options. `plans.parse_plan` is the only way from JSON to a plan.
"""

import hashlib
import json
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side, TimeInForce
from workflows.fields import (
    Amount,
    Boolean,
    ExactDecimal,
    Identifier,
    PositiveDecimal,
    Stamp,
    Text,
    WholeNumber,
    in_range,
)

MAX_ASSETS = 30
MAX_VENUES = 5
_ZERO, _ONE = Decimal(0), Decimal(1)
_HOUR_S, _DAY_S = Decimal(3_600), Decimal(86_400)
_MONEY = in_range(Decimal(-1_000_000_000), Decimal(1_000_000_000))


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Plan(_Message):
    id: Identifier | None = Field(None, description="the caller's id; the workflow id")
    account: Identifier = Field("main", description="account at every exchange of the plan")
    priority: Annotated[WholeNumber, in_range(_ONE, Decimal(5))] = Field(
        3, description="1 (first) to 5"
    )

    def body_hash(self) -> str:
        """SHA-256 of the plan as validated, without its id: equal means the same plan.

        The order of names says nothing: a stored plan comes back in another one.
        """
        plan = self.model_dump(mode="json", exclude={"id"}, exclude_none=True)
        body = json.dumps(plan, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


# --- arbitrage ----------------------------------------------------------------------------------


class LegMode(StrEnum):
    """How the two legs are sent."""

    CONCURRENT = "concurrent"
    SEQUENTIAL = "sequential"


class LegLife(StrEnum):
    """How long a leg may wait at its venue: not at all, or until the leg's deadline."""

    IOC = TimeInForce.IOC.value
    GTC = TimeInForce.GTC.value


class HoldEnd(StrEnum):
    """What becomes of a residual that could not be hedged within its bound in time."""

    HOLD = "hold"
    """It is kept, reported, and left to a human."""
    FLATTEN = "flatten"
    """It is traded away within the price collar, whatever that costs."""


class PlannedLeg(_Message):
    """One explicit leg. `price` is then the limit; `slippage_t` its own gate."""

    exchange: Identifier
    symbol: Text
    side: Side
    type: OrderType = OrderType.LIMIT
    price: PositiveDecimal | None = None
    amount: PositiveDecimal
    slippage_t: Annotated[ExactDecimal, in_range(_ZERO, Decimal("0.5"))] | None = None


class ArbitragePlan(_Plan):
    """Buy here, sell there. Amounts in base units; prices, profits in quote units."""

    strategy_id: Identifier = Field("arbitrage", description="who trades")
    opportunity_id: Text | None = None
    symbol: Text = Field(description="unified symbol, the same at both exchanges")
    buy_exchange: Identifier
    sell_exchange: Identifier
    buy_price: PositiveDecimal
    sell_price: PositiveDecimal
    amount: PositiveDecimal = Field(description="base quantity")
    est_profit: Annotated[ExactDecimal, _MONEY] | None = Field(
        None, description="what the caller expects; must agree with prices and amount"
    )
    orders: tuple[PlannedLeg, ...] | None = Field(None, description="explicit legs, one each side")
    timeout: Annotated[ExactDecimal, in_range(Decimal("0.1"), _HOUR_S)] = Field(
        Decimal(30), description="seconds that the legs may take"
    )
    created_at: Text | None = None
    mode: LegMode = LegMode.CONCURRENT
    leg_time_in_force: LegLife = Field(
        LegLife.IOC, description="IOC: take or leave; GTC: rest until the timeout"
    )
    one_sided_timeout: Annotated[ExactDecimal, in_range(_ZERO, _HOUR_S)] = Field(
        Decimal(5), description="seconds that a leg may still rest once the other one has filled"
    )
    min_profit: Annotated[ExactDecimal, _MONEY] = Field(
        _ZERO, description="least expected net profit at the limits sent; below it nothing starts"
    )
    min_profit_worst: Annotated[ExactDecimal, _MONEY] | None = Field(
        None,
        description="least net profit if both legs fill at their limits; default: a loss of"
        " max_loss_bps of the buy value",
    )
    limit_tolerance: Annotated[ExactDecimal, in_range(_ZERO, Decimal("0.1"))] = Field(
        Decimal("0.001"), description="leg limit = plan price x (1 +- this), to the filling side"
    )
    slippage_tolerance: Annotated[ExactDecimal, in_range(_ZERO, Decimal("0.1"))] = Field(
        Decimal("0.002"),
        description="refuse when the executable average is worse than plan price x (1 +- this)",
    )
    max_loss_bps: Annotated[ExactDecimal, in_range(_ZERO, Decimal(1_000))] = Field(
        Decimal(50), description="bound of a compensation, in 1/10,000 of the residual's value"
    )
    max_age: Annotated[ExactDecimal, in_range(Decimal("0.05"), Decimal(60))] = Field(
        Decimal(2), description="seconds; older books start nothing"
    )
    max_skew: Annotated[ExactDecimal, in_range(Decimal("0.01"), Decimal(60))] = Field(
        Decimal("0.5"), description="seconds between the readings of both books"
    )
    hold_retry: Annotated[ExactDecimal, in_range(Decimal("0.1"), _HOUR_S)] = Field(
        Decimal(10), description="seconds between looks at a residual beyond its bound"
    )
    hold_for: Annotated[ExactDecimal, in_range(_ZERO, _DAY_S)] = Field(
        Decimal(300), description="seconds; then hold_end decides"
    )
    hold_end: HoldEnd = HoldEnd.HOLD


class LegOrderView(_Message):
    """One order of an execution. Times are UTC, RFC 3339."""

    order_id: str
    leg: str = Field(description="buy, sell, complete-n, unwind-n, hold-n; or of a rebalancing")
    exchange: str
    symbol: str
    side: Side
    type: OrderType
    price: Amount | None = None
    amount: Amount
    filled_amount: Amount = Decimal(0)
    avg_price: Amount | None = None
    fee: dict[str, Amount] = Field(default_factory=dict, description="by asset")
    status: OrderStatus
    exchange_order_id: str | None = None
    reason: str = ""
    created_at: Stamp
    updated_at: Stamp


class CompensationView(_Message):
    """One look at a residual: what was decided, why, and the order that carried it out."""

    at: Stamp
    action: str = Field(description="complete, unwind, carry_dust, hold, flatten")
    residual: Amount = Field(description="base units before it; long > 0, short < 0")
    expected_pnl: Amount | None = Field(None, description="quote units, by the book walked")
    expected_pnl_bps: Amount | None = None
    order_id: str | None = None
    reason: str = ""


class ArbitrageSnapshot(_Message):
    """One arbitrage now: query `progress`, its updates, and its result.

    Profits in quote units by the definitions of matched and residual quantity; while it runs they
    are of what has filled so far.
    """

    execution_id: str
    status: ExecutionStatus
    outcome: Outcome | None = None
    opportunity_id: str | None = None
    strategy_id: str | None = None
    account: str | None = None
    symbol: str | None = None
    buy_exchange: str | None = None
    sell_exchange: str | None = None
    mode: LegMode | None = None
    amount: Amount | None = Field(None, description="base quantity of the plan")
    quantity: Amount | None = Field(None, description="base quantity that was sent")
    est_profit: Amount | None = None
    expected_profit: Amount | None = Field(None, description="net, by the books at the start")
    actual_profit: Amount | None = Field(None, description="realised and residual")
    realised_profit: Amount | None = None
    residual_profit: Amount | None = None
    fees_total: Amount | None = None
    matched_quantity: Amount = Decimal(0)
    residual_quantity: Amount = Field(Decimal(0), description="long > 0, short < 0")
    residual_mark: Amount | None = None
    naked_seconds: Amount = Field(Decimal(0), description="how long one leg stood alone")
    orders: tuple[LegOrderView, ...] = ()
    compensation: tuple[CompensationView, ...] = ()
    compensation_cost: Amount | None = Field(
        None, description="what compensating cost against the plan's prices, quote units"
    )
    code: DenialCode | None = None
    field: str | None = None
    error: str = ""
    started_at: Stamp | None = None
    completed_at: Stamp | None = None
    updated_at: Stamp | None = None


# --- rebalancing --------------------------------------------------------------------------------


class TradeTo(StrEnum):
    """Where a drifted asset is traded to."""

    TARGET = "target"
    EDGE = "edge"


class Scope(StrEnum):
    """Which assets are traded once one is out of its band."""

    OFFENDERS = "offenders"
    ALL_IF_ANY = "all_if_any"


_WEIGHT = in_range(_ZERO, _ONE)
Weight = Annotated[ExactDecimal, _WEIGHT]


class RebalancePlan(_Plan):
    """Target allocations over one or several venues. Weights are fractions of the whole value."""

    strategy_id: Identifier = Field("rebalance", description="who trades")
    exchanges: tuple[Identifier, ...] = Field(min_length=1, max_length=MAX_VENUES)
    targets: dict[Text, Weight] = Field(
        min_length=1, max_length=MAX_ASSETS, description="asset -> weight, cash included"
    )
    cash: Text = Field("USDT", description="the asset that everything is valued in")
    assets: tuple[Text, ...] | None = Field(
        None, description="only these, cash aside; default: all that is held or has a target"
    )
    band_abs: Annotated[ExactDecimal, _WEIGHT] = _ZERO
    band_rel: Annotated[ExactDecimal, _WEIGHT] = _ZERO
    to: TradeTo = TradeTo.TARGET
    scope: Scope = Scope.OFFENDERS
    min_trade_value: Annotated[ExactDecimal, in_range(_ZERO, Decimal(1_000_000_000))] = Field(
        Decimal(100), description="smaller adjustments are left out, quote units"
    )
    cash_reserve: Annotated[ExactDecimal, in_range(_ZERO, Decimal(1_000_000_000))] = _ZERO
    slippage_tolerance: Annotated[ExactDecimal, in_range(_ZERO, Decimal("0.1"))] = Field(
        Decimal("0.002"), description="worst price of an order, from the touch"
    )
    timeout: Annotated[ExactDecimal, in_range(Decimal("0.1"), _HOUR_S)] = Field(
        Decimal(30), description="seconds that each of its orders may take"
    )
    preview: Boolean = Field(False, description="only plan")


class PlannedTrade(_Message):
    """One order that a rebalancing would send. Quantity in base units, value in quote units."""

    exchange: str
    asset: str
    side: Side
    quantity: Amount
    price: Amount
    value: Amount


class SkippedTrade(_Message):
    """An adjustment that is left out, and why."""

    asset: str
    side: Side
    quantity: Amount
    value: Amount
    reason: str


class NeededTransfer(_Message):
    """What only a transfer between venues could do: base units of an asset to sell, or to buy."""

    asset: str
    side: Side
    quantity: Amount
    value: Amount


class RebalanceSnapshot(_Message):
    """One rebalancing now: query `progress`, its updates, and its result.

    `sells` and `buys` are the plan's; `orders` are what was sent, over all passes. Values in cash.
    """

    execution_id: str
    status: ExecutionStatus
    preview: bool = False
    strategy_id: str | None = None
    account: str | None = None
    exchanges: tuple[str, ...] = ()
    cash: str | None = None
    targets: dict[str, Amount] = Field(default_factory=dict)
    portfolio_value: Amount | None = None
    value_after_fees: Amount | None = None
    weights_before: dict[str, Amount] = Field(default_factory=dict)
    weights_after: dict[str, Amount] = Field(default_factory=dict)
    out_of_band: tuple[str, ...] = ()
    sells: tuple[PlannedTrade, ...] = ()
    buys: tuple[PlannedTrade, ...] = ()
    buy_scale: Amount | None = Field(None, description="share of the buys that the cash allowed")
    skipped: tuple[SkippedTrade, ...] = ()
    needs_transfer: tuple[NeededTransfer, ...] = ()
    passes: int = 0
    fees: dict[str, Amount] = Field(default_factory=dict, description="by asset")
    orders: tuple[LegOrderView, ...] = ()
    code: DenialCode | None = None
    field: str | None = None
    error: str = ""
    started_at: Stamp | None = None
    completed_at: Stamp | None = None
    updated_at: Stamp | None = None
