"""The ledger's own checks as pure functions: kill switch, readiness, parent cap, and their order.

They complete `workflows.domain.risk`; the facts are read by the caller in its transaction.
"""

from dataclasses import dataclass
from decimal import Decimal

from activities.ledger.results import TradingState
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.orders import OrderType, Side
from workflows.domain.risk import (
    Exposure,
    Limits,
    Proposal,
    check_collar,
    check_order_value,
    check_position,
)

_BLOCK_CODES = {
    TradingState.HALTED: DenialCode.TRADING_HALTED,
    TradingState.REDUCING: DenialCode.TRADING_REDUCING,
}
_SENT_WHOLE = (OrderType.MARKET, OrderType.LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The kill switch that binds; `state` is None where all scopes are active."""

    state: str | None
    scope: str | None
    reason: str | None


def reduces(exposure: Exposure, side: Side, quantity: Decimal) -> bool:
    """True when `quantity` more on `side`, beside all working orders, cannot flip the position."""
    with exact():
        if side is Side.SELL:
            return 0 < exposure.position >= exposure.working_sell + quantity
        return 0 > exposure.position <= -(exposure.working_buy + quantity)


def check_block(block: Block, exposure: Exposure, side: Side, quantity: Decimal) -> Denied | None:
    """HALTED stops all, REDUCING all that does not bring the position closer to zero."""
    if block.state is None:
        return None
    state = TradingState(block.state)
    if state is TradingState.REDUCING and reduces(exposure, side, quantity):
        return None
    reason = f" reason={block.reason}" if block.reason else ""
    return Denied(code=_BLOCK_CODES[state], detail=f"scope={block.scope}{reason}")


def check_overshoot(used: Decimal, quantity: Decimal, parent_quantity: Decimal) -> Denied | None:
    """What the other children filled or may still fill, and this one, within the parent."""
    with exact():
        total = used + quantity
    if total <= parent_quantity:
        return None
    detail = f"children={total:f} parent={parent_quantity:f}"
    return Denied(code=DenialCode.RISK_OVERSHOOT, field="quantity", detail=detail)


def check_child(
    proposal: Proposal, exposure: Exposure, block: Block, limits: Limits
) -> Denied | None:
    """All checks of one child but the parent cap; the first refusal counts."""
    with exact():
        return (
            check_block(block, exposure, proposal.side, proposal.quantity)
            or check_collar(proposal, limits)
            or check_order_value(proposal, limits)
            or check_position(proposal, limits, exposure)
        )


def check_parent(
    proposal: Proposal,
    exposure: Exposure,
    block: Block,
    limits: Limits,
    *,
    order_type: OrderType,
    account_ready: bool,
) -> Denied | None:
    """All checks of a parent. Order value only where its single child is the whole order."""
    blocked = check_block(block, exposure, proposal.side, proposal.quantity)
    if blocked is None and not account_ready:
        blocked = Denied(code=DenialCode.RECONCILING, detail="account=reconciling")
    if blocked is not None:
        return blocked
    with exact():
        return (
            check_collar(proposal, limits)
            or (check_order_value(proposal, limits) if order_type in _SENT_WHOLE else None)
            or check_position(proposal, limits, exposure)
        )
