"""The rules of executions: several orders under one id, at one exchange or two.

Rule: every figure is worked out from the trades in the exchanges' logs, with none of the engine's
own code for profits, and compared to the last digit with what the execution told. An execution
with a leg at a venue without a log is not judged.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from activities.venues.simulator.judge import JudgedTrade
from activities.venues.simulator.specs import SymbolSpec, symbols_of
from workers.checker_evidence import Evidence, Invariant, Violation
from workers.checker_ledger import ExecutionFacts
from workflows.domain.exact import whole_steps
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.execution_messages import ArbitrageSnapshot, LegOrderView, RebalanceSnapshot

_ZERO = Decimal(0)
_REALISED_STEP = Fraction(1, 10**12)
"""Realised profits are quotients: they are told to twelve places."""
_NEARLY_ENOUGH = Decimal("1.05")
"""A residual this close to the least order value may have been below it when it was decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CashFlows:
    """What the trades of an execution come to; base and quote units, fees positive when paid.

    `has_other_fees`: some were paid in a third asset, whose rate no log tells.
    """

    bought: Decimal
    sold: Decimal
    cost: Decimal
    proceeds: Decimal
    has_other_fees: bool

    @property
    def matched(self) -> Decimal:
        """Base units that were bought and sold."""
        return min(self.bought, self.sold)

    @property
    def residual(self) -> Decimal:
        """Base units left over: long above zero, short below."""
        return self.bought - self.sold

    @property
    def cash(self) -> Decimal:
        """Quote units received less those paid."""
        return self.proceeds - self.cost

    @property
    def realised(self) -> Fraction:
        """Profit of the matched units, in quote units."""
        if not self.matched:
            return Fraction(0)
        unit_proceeds = Fraction(self.proceeds) / Fraction(self.sold)
        return Fraction(self.matched) * (
            unit_proceeds - Fraction(self.cost) / Fraction(self.bought)
        )


def execution_violations(evidence: Evidence) -> Iterator[Violation]:
    """Everything that is wrong with finished executions."""
    trades = _trades_of_executions(evidence)
    for each in evidence.ledger.executions:
        if not each.status.is_terminal:
            continue
        yield from _ended(evidence, each)
        if not set(each.venues) <= set(evidence.logs):
            continue
        own = trades.get(each.execution_id, {})
        match each.kind:
            case ExecutionKind.ARBITRAGE:
                yield from _arbitrage(each, own)
            case ExecutionKind.REBALANCE:
                told = RebalanceSnapshot.model_validate(each.snapshot or {})
                yield from _legs_told(each, told.orders, own)


def unfinished_executions(evidence: Evidence) -> Iterator[Violation]:
    """Executions that have not reached a final state."""
    for each in evidence.ledger.executions:
        if not each.status.is_terminal:
            yield _violation(Invariant.NONE_LOST, each, f"is {each.status}")


# --- what a finished one must have given back -----------------------------------------------------


def _ended(evidence: Evidence, execution: ExecutionFacts) -> Iterator[Violation]:
    if execution.locks:
        yield _violation(Invariant.ENDED, execution, f"holds {', '.join(execution.locks)}")
    own_id = execution.execution_id
    legs = {each.order_id: each for each in evidence.ledger.parents if each.execution_id == own_id}
    for leg in legs.values():
        if not leg.status.is_terminal:
            yield _violation(Invariant.ENDED, execution, f"its leg {leg.order_id} is {leg.status}")
    for child in evidence.ledger.children:
        if child.order_id in legs and child.reservation_open:
            detail = f"the reservation of its leg {child.order_id} is open"
            yield _violation(Invariant.ENDED, execution, detail)


# --- what it told ---------------------------------------------------------------------------------


def _trades_of_executions(evidence: Evidence) -> dict[str, dict[str, list[JudgedTrade]]]:
    """The trades at the exchanges by execution and leg order."""
    execution_of = {
        parent.order_id: parent.execution_id
        for parent in evidence.ledger.parents
        if parent.execution_id is not None
    }
    leg_of = {
        child.client_order_id: child.order_id
        for child in evidence.ledger.children
        if child.order_id in execution_of
    }
    found: dict[str, dict[str, list[JudgedTrade]]] = defaultdict(lambda: defaultdict(list))
    for _, our_id, trade in evidence.our_trades():
        if our_id in leg_of:
            leg = leg_of[our_id]
            found[execution_of[leg]][leg].append(trade)
    return found


def cash_flows(trades: Iterable[JudgedTrade]) -> CashFlows:
    """The sums of trades in one symbol."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    has_other_fees = False
    for trade in trades:
        base, quote = trade.symbol.split("/")
        sign, units, money = (
            (1, "bought", "cost") if trade.side == "BUY" else (-1, "sold", "proceeds")
        )
        sums[units] += trade.quantity
        sums[money] += trade.price * trade.quantity
        if trade.fee_asset == base:
            sums[units] -= sign * trade.fee
        elif trade.fee_asset == quote:
            sums[money] += sign * trade.fee
        elif trade.fee:
            has_other_fees = True
    return CashFlows(
        bought=sums["bought"],
        sold=sums["sold"],
        cost=sums["cost"],
        proceeds=sums["proceeds"],
        has_other_fees=has_other_fees,
    )


def _arbitrage(
    execution: ExecutionFacts, legs: dict[str, list[JudgedTrade]]
) -> Iterator[Violation]:
    trades = [trade for leg in legs.values() for trade in leg]
    told = ArbitrageSnapshot.model_validate(execution.snapshot) if execution.snapshot else None
    if told is None:
        if trades:
            detail = f"made {len(trades)} trades and has no result"
            yield _violation(Invariant.CASH_FLOWS, execution, detail)
        return
    flows = cash_flows(trades)
    yield from _legs_told(execution, told.orders, legs)
    for what in _false_figures(told, flows):
        yield _violation(Invariant.CASH_FLOWS, execution, what)
    if flows.residual and execution.status is not ExecutionStatus.RESIDUAL_HELD:
        price = told.residual_mark or trades[-1].price
        symbol = trades[-1].symbol
        specs = [symbols_of(venue, [symbol])[0] for venue in execution.venues]
        if not all(_is_dust(abs(flows.residual), price, spec) for spec in specs):
            detail = (
                f"ended {execution.status}, {flows.residual:f} {symbol} left over, and says nothing"
            )
            yield _violation(Invariant.NO_NAKED_LEG, execution, detail)


def _false_figures(told: ArbitrageSnapshot, flows: CashFlows) -> Iterator[str]:
    for name, figure in (
        ("matched_quantity", flows.matched),
        ("residual_quantity", flows.residual),
    ):
        if getattr(told, name) != figure:
            yield f"tells {name} {getattr(told, name)}, its trades {figure:f}"
    if flows.has_other_fees:
        return
    actual, realised = told.actual_profit or _ZERO, told.realised_profit or _ZERO
    if abs(Fraction(realised) - flows.realised) > _REALISED_STEP:
        yield f"tells realised_profit {realised}, its trades {float(flows.realised)}"
    if realised + (told.residual_profit or _ZERO) != actual:
        yield f"tells actual_profit {actual}, its parts {realised} and {told.residual_profit}"
    if not flows.residual or told.residual_mark is not None:
        true = flows.cash + flows.residual * (told.residual_mark or _ZERO)
        if actual != true:
            yield f"tells actual_profit {actual}, cash flows and the marked residual are {true:f}"


def _legs_told(
    execution: ExecutionFacts, told: Iterable[LegOrderView], legs: dict[str, list[JudgedTrade]]
) -> Iterator[Violation]:
    """Each leg as told against its trades; a leg with trades that is not told at all."""
    views = {view.order_id: view for view in told}
    for leg in sorted({*views, *legs}):
        trades, view = legs.get(leg, []), views.get(leg)
        filled = sum((trade.quantity for trade in trades), _ZERO)
        fees: dict[str, Decimal] = defaultdict(Decimal)
        for trade in trades:
            fees[trade.fee_asset] += trade.fee
        if view is None:
            detail = f"does not tell of its leg {leg}, which traded {filled:f}"
        elif view.filled_amount != filled:
            detail = f"tells that {leg} filled {view.filled_amount}, its trades {filled:f}"
        elif _paid(view.fee) != _paid(fees):
            detail = f"tells fees {_paid(view.fee)} of {leg}, its trades {_paid(fees)}"
        else:
            continue
        yield _violation(Invariant.CASH_FLOWS, execution, detail)


def _paid(fees: dict[str, Decimal]) -> dict[str, str]:
    return {asset: f"{fee.normalize():f}" for asset, fee in sorted(fees.items()) if fee}


# --- exposure -------------------------------------------------------------------------------------


def _is_dust(quantity: Decimal, price: Decimal, spec: SymbolSpec) -> bool:
    """Whether an order for it would be below a minimum of the venue."""
    whole = whole_steps(quantity, spec.lot) * spec.lot
    return whole < spec.least_quantity or whole * price < spec.min_notional * _NEARLY_ENOUGH


def _violation(invariant: Invariant, execution: ExecutionFacts, detail: str) -> Violation:
    return Violation(invariant=invariant, subject=execution.execution_id, detail=detail)
