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
    check_reduce_only,
    free_to_close,
)

_BLOCK_CODES = {
    TradingState.HALTED: DenialCode.TRADING_HALTED,
    TradingState.REDUCING: DenialCode.TRADING_REDUCING,
}
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The kill switch that binds; `state` is None where all scopes are active."""

    state: str | None
    scope: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """What an execution has too much (long, above zero) or too little of, as the ledger knows it.

    Base units. `taken_by_buys` and `taken_by_sells`: what its open compensations may still trade.
    """

    execution_id: str
    residual: Decimal
    taken_by_buys: Decimal
    taken_by_sells: Decimal

    def left(self, side: Side) -> Decimal:
        """What `side` may trade, beside what is under way there, until nothing of it is left."""
        taken = self.taken_by_buys if side is Side.BUY else self.taken_by_sells
        with exact():
            return max(-side.sign * self.residual - taken, _NOTHING)

    def is_reduced_by(self, side: Side, quantity: Decimal) -> bool:
        """True when `quantity` on `side` brings it closer to zero, and not past it."""
        return quantity <= self.left(side)

    def is_enlarged_by(self, side: Side, quantity: Decimal) -> bool:
        """True when more would be left after `quantity` on `side` than before."""
        with exact():
            return quantity > 2 * self.left(side)


def reduces(exposure: Exposure, side: Side, quantity: Decimal) -> bool:
    """True when `quantity` more on `side`, beside all working orders, cannot flip the position."""
    return quantity <= free_to_close(exposure, side)


def check_block(
    block: Block, exposure: Exposure, side: Side, quantity: Decimal, *, may_reduce: bool = False
) -> Denied | None:
    """HALTED stops all, REDUCING all that does not reduce the position or a residual.

    `may_reduce`: the caller knows of something that it reduces, or sees to it that it only does.
    """
    if block.state is None:
        return None
    state = TradingState(block.state)
    if state is TradingState.REDUCING and (may_reduce or reduces(exposure, side, quantity)):
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


def check_residual(compensation: Compensation, side: Side, quantity: Decimal) -> Denied | None:
    """A compensation may miss zero by a fee or a lot, and never leave more than there was.

    A workflow that was set back may have forgotten that it compensated already.
    """
    if not compensation.is_enlarged_by(side, quantity):
        return None
    left, residual = compensation.left(side), compensation.residual
    detail = f"side={side} quantity={quantity:f} left={left:f} residual={residual:f}"
    return Denied(code=DenialCode.RISK_OVERSHOOT, field="quantity", detail=detail)


def check_child(
    proposal: Proposal,
    exposure: Exposure,
    block: Block,
    limits: Limits,
    compensation: Compensation | None = None,
) -> Denied | None:
    """All checks of one child but the parent cap; the first refusal counts."""
    side, quantity = proposal.side, proposal.quantity
    may_reduce = _may_reduce(proposal, compensation)
    return (
        check_block(block, exposure, side, quantity, may_reduce=may_reduce)
        or check_reduce_only(proposal, exposure)
        or _check_limits(proposal, exposure, limits, compensation, is_whole=True)
    )


def _may_reduce(proposal: Proposal, compensation: Compensation | None) -> bool:
    return proposal.reduce_only or (
        compensation is not None and compensation.is_reduced_by(proposal.side, proposal.quantity)
    )


def check_parent(
    proposal: Proposal,
    exposure: Exposure,
    block: Block,
    limits: Limits,
    *,
    order_type: OrderType,
    account_ready: bool,
    compensation: Compensation | None = None,
) -> Denied | None:
    """All checks of a parent. Order value only where its single child is the whole order.

    What only reduces is held to that child by child: its position may still have to be opened.
    """
    side, quantity = proposal.side, proposal.quantity
    may_reduce = _may_reduce(proposal, compensation)
    blocked = check_block(block, exposure, side, quantity, may_reduce=may_reduce)
    if blocked is None and not account_ready:
        blocked = Denied(code=DenialCode.RECONCILING, detail="account=reconciling")
    return blocked or _check_limits(
        proposal, exposure, limits, compensation, is_whole=is_sent_whole(order_type)
    )


def is_sent_whole(order_type: OrderType) -> bool:
    """True for orders whose children are not cut from it: one has all that is left."""
    return order_type.is_triggered or order_type in (OrderType.MARKET, OrderType.LIMIT)


def check_amendment(
    proposal: Proposal,
    exposure: Exposure,
    block: Block,
    limits: Limits,
    *,
    order_type: OrderType,
    account_ready: bool,
    is_enlarged: bool,
) -> Denied | None:
    """Checks of an order that becomes another; `proposal` is what nobody has reserved of it yet.

    One that is enlarged is checked as a new one of that size. Otherwise only its price matters,
    and what shrinks is let at any time.
    """
    if is_enlarged:
        return check_parent(
            proposal, exposure, block, limits, order_type=order_type, account_ready=account_ready
        )
    is_limited = is_sent_whole(order_type) and not proposal.reduce_only
    with exact():
        value = check_order_value(proposal, limits) if is_limited else None
        return check_collar(proposal, limits) or value


def _check_limits(
    proposal: Proposal,
    exposure: Exposure,
    limits: Limits,
    compensation: Compensation | None,
    *,
    is_whole: bool,
) -> Denied | None:
    """What reduces a residual, or only reduces, skips the limits on value and position.

    The collar stays. An exit that is too large to be sent would protect nothing.
    """
    side, quantity = proposal.side, proposal.quantity
    with exact():
        denied = check_collar(proposal, limits)
        if denied is None and compensation is not None:
            if compensation.is_reduced_by(side, quantity):
                return None
            denied = check_residual(compensation, side, quantity)
        if denied is not None or proposal.reduce_only:
            return denied
        value = check_order_value(proposal, limits) if is_whole else None
        return value or check_position(proposal, limits, exposure)
