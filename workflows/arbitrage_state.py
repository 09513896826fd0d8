"""The state of an arbitrage as data, and the sums that everything is decided by.

Continue-as-new carries `ArbitrageState` and nothing else. The functions are pure.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from workflows import ports
from workflows.domain.arbitrage_profit import LegSum, Marks, Profit, leg_sum, profit
from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.execution_face import ExecutionState
from workflows.execution_messages import ArbitragePlan, CompensationView
from workflows.leg_order import LegRecord

NOTHING = LegSum(
    quantity=Decimal(0),
    quote=Decimal(0),
    base_fee=Decimal(0),
    quote_fee=Decimal(0),
    other_fee=Decimal(0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What was decided before anything was sent. Prices in quote units, `None` for market legs.

    `dust` is the largest quantity that is too small to be traded, and so no exposure; the
    references are the middles of both books.
    """

    buy_quantity: Decimal
    sell_quantity: Decimal
    buy_limit: Decimal | None
    sell_limit: Decimal | None
    lot: Decimal
    """The common lot of both venues."""
    expected_net: Decimal
    worst_net: Decimal
    harder: Side
    dust: Decimal
    buy_reference: Decimal
    sell_reference: Decimal

    def quantity(self, side: Side) -> Decimal:
        """Base units of one leg."""
        return self.buy_quantity if side is Side.BUY else self.sell_quantity

    def limit(self, side: Side) -> Decimal | None:
        """Limit price of one leg."""
        return self.buy_limit if side is Side.BUY else self.sell_limit

    def reference(self, side: Side) -> Decimal:
        """Middle of the book that one leg was judged by."""
        return self.buy_reference if side is Side.BUY else self.sell_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageState(ExecutionState):
    """Everything that continue-as-new carries.

    `buy_leg` and `sell_leg` name the pair's legs; all others are compensation. `rates` are quote
    units per unit of a third asset that fees were paid in, by asset, as of the first such fee.
    """

    plan: ArbitragePlan | None = None
    opening: Opening | None = None
    deadline: datetime | None = None
    buy_leg: str = Side.BUY.value
    sell_leg: str = Side.SELL.value
    held_back: Side | None = None
    """The leg of a sequential plan that waits for the other one."""
    one_sided_since: datetime | None = None
    naked_since: datetime | None = None
    naked_s: Decimal = Decimal(0)
    rates: dict[str, Decimal] = field(default_factory=dict)
    compensation: tuple[CompensationView, ...] = ()
    tries: int = 0
    held_since: datetime | None = None
    was_cancelled_before_hold: bool = False
    marks: Marks | None = None

    def leg_name(self, side: Side) -> str:
        """Name of the pair's leg of this side."""
        return self.buy_leg if side is Side.BUY else self.sell_leg


def assets_of(symbol: str) -> tuple[str, str]:
    """Base and quote of a unified symbol."""
    base, _, quote = symbol.partition("/")
    return base, quote


def sum_of(records: tuple[LegRecord, ...], side: Side, rates: dict[str, Decimal]) -> LegSum:
    """All that the legs of one side executed. A unit whose fill is missing counts at its limit.

    A fee in a third asset without a rate counts as nothing until its rate is known.
    """
    total = NOTHING
    for record in records:
        report = record.child.report
        if record.request.side is not side or report is None:
            continue
        base, quote = assets_of(record.request.symbol)
        known = {base, quote, *rates}
        fees = {asset: fee for asset, fee in report.fees.items() if asset in known}
        with exact():
            missing = record.executed - report.filled_quantity
            price = record.child.intent.price or record.child.reference_price
            value = report.filled_quote + missing * price
        total = total.plus(leg_sum(record.executed, value, fees, base, quote, rates))
    return total


def profit_of(records: tuple[LegRecord, ...], state: ArbitrageState) -> Profit:
    """The arbitrage by the definitions of matched and residual quantity, as of now."""
    return profit(
        sum_of(records, Side.BUY, state.rates), sum_of(records, Side.SELL, state.rates), state.marks
    )


def pair_of(records: tuple[LegRecord, ...]) -> tuple[LegRecord, ...]:
    """The legs of the plan, without compensation but with what completed them."""
    return tuple(each for each in records if not is_reversal(each.leg))


def is_reversal(leg: str) -> bool:
    """True for legs that trade back where the pair's leg filled."""
    return leg.partition("-")[0] in ("unwind", "hold", "flatten")


def unpriced_assets(
    records: tuple[LegRecord, ...], rates: dict[str, Decimal]
) -> list[tuple[str, str]]:
    """(venue, asset) of fees in third assets whose rate is not known yet, in a fixed order."""
    found: list[tuple[str, str]] = []
    for record in records:
        known = assets_of(record.request.symbol)
        for asset in record.child.report.fees if record.child.report else {}:
            place = (record.request.exchange, asset)
            if asset not in known and asset not in rates and place not in found:
                found.append(place)
    return found


def views_of(plan: ArbitragePlan) -> tuple[ports.ViewRequest, ports.ViewRequest]:
    """What is to be seen: the buy venue, then the sell venue."""
    buy, sell = (
        ports.ViewRequest(venue=venue, account=plan.account, symbol=plan.symbol)
        for venue in (plan.buy_exchange, plan.sell_exchange)
    )
    return buy, sell
