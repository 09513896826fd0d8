"""From JSON to a plan of several orders, with everything judged that needs no market.

`parse_plan` answers a denial with the code and the field, and never raises on bad input.
"""

from decimal import Decimal
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.orders import OrderType, Side
from workflows.execution_messages import ArbitragePlan, PlannedLeg, RebalancePlan
from workflows.fields import denial_of, plain
from workflows.messages import MAX_BODY_BYTES
from workflows.payloads import InvalidJsonError, strict_loads

LEGS = 2
_MOST_FEES = Decimal("0.02")
"""Share of the traded value that an estimate may have taken off for the fees of both legs."""
_ROUNDING = Decimal("0.0001")
"""Share of the traded value by which an estimate may exceed the difference of the prices."""
_WEIGHTS_TOLERANCE = Decimal("0.000001")

PlanT = TypeVar("PlanT", ArbitragePlan, RebalancePlan)


def parse_plan(raw: bytes, kind: type[PlanT]) -> PlanT | Denied:
    """A plan from JSON text, or the first thing wrong with it."""
    if len(raw) > MAX_BODY_BYTES:
        return Denied(
            code=DenialCode.INVALID_INPUT, detail=f"a plan has at most {MAX_BODY_BYTES} bytes"
        )
    try:
        value = strict_loads(raw)
    except InvalidJsonError as error:
        return Denied(code=error.code, detail=str(error))
    return validate_plan(value, kind)


def validate_plan(value: Any, kind: type[PlanT]) -> PlanT | Denied:
    """A plan from parsed JSON (numbers exact), or the first thing wrong with it."""
    if not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the plan must be a JSON object")
    try:
        plan = kind.model_validate(value)
    except ValidationError as error:
        return denial_of(error)
    denied = _check_arbitrage(plan) if isinstance(plan, ArbitragePlan) else _check_rebalance(plan)
    return denied or plan


def planned_leg(plan: ArbitragePlan, side: Side) -> PlannedLeg | None:
    """The explicit leg of this side, where the plan has explicit legs."""
    return next((leg for leg in plan.orders or () if leg.side is side), None)


def _check_arbitrage(plan: ArbitragePlan) -> Denied | None:
    if plan.buy_exchange == plan.sell_exchange:
        return _denied(
            DenialCode.SAME_VENUE, "sell_exchange", f"both legs are at {plan.buy_exchange}"
        )
    return _check_estimate(plan) or _check_legs(plan)


def _check_estimate(plan: ArbitragePlan) -> Denied | None:
    """The estimate may be before or after fees, but it must be of these prices."""
    if plan.est_profit is None:
        return None
    with exact():
        gross = (plan.sell_price - plan.buy_price) * plan.amount
        value = plan.buy_price * plan.amount
        low, high = gross - value * _MOST_FEES, gross + value * _ROUNDING
    if low <= plan.est_profit <= high:
        return None
    return _denied(
        DenialCode.INCONSISTENT_PLAN,
        "est_profit",
        f"est_profit={plain(plan.est_profit)} prices_give={plain(gross)}",
    )


def _check_legs(plan: ArbitragePlan) -> Denied | None:
    legs = plan.orders
    if legs is None:
        return None
    if len(legs) != LEGS:
        return _denied(DenialCode.UNSUPPORTED_LEGS, "orders", f"legs={len(legs)} supported={LEGS}")
    for side, exchange in ((Side.BUY, plan.buy_exchange), (Side.SELL, plan.sell_exchange)):
        leg = planned_leg(plan, side)
        if leg is None:
            return _denied(DenialCode.UNSUPPORTED_LEGS, "orders", f"there is no {side} leg")
        if denied := _check_leg(plan, leg, exchange):
            return denied
    return None


def _check_leg(plan: ArbitragePlan, leg: PlannedLeg, exchange: str) -> Denied | None:
    told = {"exchange": leg.exchange, "symbol": leg.symbol, "amount": plain(leg.amount)}
    want = {"exchange": exchange, "symbol": plan.symbol, "amount": plain(plan.amount)}
    for name, value in told.items():
        if value != want[name]:
            detail = f"{leg.side} leg {name}={value} plan={want[name]}"
            return _denied(DenialCode.INCONSISTENT_PLAN, "orders", detail)
    if leg.type not in (OrderType.LIMIT, OrderType.MARKET):
        return _denied(DenialCode.UNSUPPORTED_LEGS, "orders", f"{leg.side} leg type={leg.type}")
    if (leg.type is OrderType.LIMIT) is (leg.price is None):
        detail = f"{leg.side} leg: a limit has a price, a market order none"
        return _denied(DenialCode.INCONSISTENT_PLAN, "orders", detail)
    return None


def _check_rebalance(plan: RebalancePlan) -> Denied | None:
    if len(set(plan.exchanges)) != len(plan.exchanges):
        return _denied(DenialCode.SAME_VENUE, "exchanges", "an exchange is named twice")
    managed = {*(plan.assets or plan.targets), plan.cash}
    outside = [asset for asset in plan.targets if asset not in managed]
    if outside:
        detail = f"{outside[0]} has a target but is not among them"
        return _denied(DenialCode.INCONSISTENT_PLAN, "assets", detail)
    with exact():
        total = sum(plan.targets.values(), Decimal(0))
    # without a weight of its own, cash gets what the others leave
    too_little = plan.cash in plan.targets and total < 1 - _WEIGHTS_TOLERANCE
    if too_little or total > 1 + _WEIGHTS_TOLERANCE:
        return _denied(DenialCode.INVALID_WEIGHTS, "targets", f"sum={plain(total)} want=1")
    return None


def _denied(code: DenialCode, field: str, detail: str) -> Denied:
    return Denied(code=code, field=field, detail=detail)
