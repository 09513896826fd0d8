"""The ledger's own checks as pure functions: kill switch, readiness, parent cap, and their order.

They complete `workflows.domain.risk`; the facts are read by the caller in its transaction. The
first refusal counts that no override in force lets pass; nothing lets pass a halt.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from activities.ledger.results import TradingState
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.orders import OrderType, Side
from workflows.domain.risk import (
    Cap,
    Exposure,
    Funds,
    Limits,
    Proposal,
    check_collar,
    check_exposure,
    check_funds,
    check_order_value,
    check_position,
    check_quantity,
    check_reduce_only,
    check_self_match,
    free_to_close,
)

_BLOCK_CODES = {
    TradingState.HALTED: DenialCode.TRADING_HALTED,
    TradingState.REDUCING: DenialCode.TRADING_REDUCING,
}
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The kill switch that binds; `state` is None where all scopes are active.

    `code`: what it denies with, where that is not the state's own.
    """

    state: str | None
    scope: str | None
    reason: str | None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What the ledger holds against an order beside its position and the kill switch.

    `disabled`: why its strategy may enlarge nothing. `own_best`: see `check_self_match`. `funds`:
    None where no books are kept. `parents_today`: orders of the strategy that were accepted since
    00:00 UTC. `messages`: what was sent for the account within a second. `same_as`: an order that
    was the same, a moment ago.
    """

    overridden: frozenset[DenialCode] = frozenset()
    disabled: str | None = None
    own_best: Decimal | None = None
    funds: Funds | None = None
    caps: tuple[Cap, ...] = ()
    parents_today: int = 0
    messages: Decimal = _NOTHING
    same_as: str | None = None

    @property
    def told(self) -> str:
        """What an approval has to tell of them."""
        return f"overrides={','.join(sorted(self.overridden))}" if self.overridden else ""


UNCONTROLLED = Controls()
"""Nothing is held against it: no books, no sums, no counters."""

Check = Callable[[], Denied | None]


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
    code = _BLOCK_CODES[state] if block.code is None else DenialCode(block.code)
    return Denied(code=code, detail=f"scope={block.scope}{reason}")


def check_overshoot(used: Decimal, quantity: Decimal, parent_quantity: Decimal) -> Denied | None:
    """What the other children filled or may still fill, and this one, within the parent."""
    with exact():
        total = used + quantity
    if total <= parent_quantity:
        return None
    detail = f"children={total:f} parent={parent_quantity:f}"
    return Denied(code=DenialCode.RISK_OVERSHOOT, field="quantity", detail=detail)


def check_children(siblings: int, limits: Limits) -> Denied | None:
    """One child more than the parent has."""
    if siblings < limits.max_children:
        return None
    detail = f"children={siblings + 1} max={limits.max_children:f}"
    return Denied(code=DenialCode.RISK_OVERSHOOT, detail=detail)


def check_residual(compensation: Compensation, side: Side, quantity: Decimal) -> Denied | None:
    """A compensation may miss zero by a fee or a lot, and never leave more than there was.

    A workflow that was set back may have forgotten that it compensated already.
    """
    if not compensation.is_enlarged_by(side, quantity):
        return None
    left, residual = compensation.left(side), compensation.residual
    detail = f"side={side} quantity={quantity:f} left={left:f} residual={residual:f}"
    return Denied(code=DenialCode.RISK_OVERSHOOT, field="quantity", detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """What an order skips because it only reduces.

    `by_nature`: it says so (a protective exit), or it reduces a residual. `in_fact`: that, or its
    position shows that it cannot enlarge anything; it may still be a slip of the finger.
    """

    by_nature: bool
    in_fact: bool


def exemption_of(
    proposal: Proposal, exposure: Exposure, compensation: Compensation | None
) -> Exemption:
    """What `proposal` skips, as its facts are now."""
    side, quantity = proposal.side, proposal.quantity
    by_nature = proposal.reduce_only or (
        compensation is not None and compensation.is_reduced_by(side, quantity)
    )
    return Exemption(by_nature=by_nature, in_fact=by_nature or reduces(exposure, side, quantity))


def check_child(
    proposal: Proposal,
    exposure: Exposure,
    block: Block,
    limits: Limits,
    compensation: Compensation | None = None,
    controls: Controls = UNCONTROLLED,
) -> Denied | None:
    """All checks of one child but the parent cap; the first refusal counts."""
    exempt = exemption_of(proposal, exposure, compensation)
    if block.state == TradingState.HALTED:
        return _check_block(proposal, exposure, block, exempt)

    def checks() -> Iterator[Check]:
        yield lambda: _check_block(proposal, exposure, block, exempt)
        yield lambda: check_reduce_only(proposal, exposure)
        if compensation is not None and not exempt.by_nature:
            yield lambda: check_residual(compensation, proposal.side, proposal.quantity)
        yield from _limits(proposal, exposure, limits, controls, exempt, is_whole=True)
        if not exempt.in_fact:
            yield lambda: check_self_match(proposal, controls.own_best)
        yield lambda: check_funds(proposal, controls.funds)

    return _first(checks(), controls)


def check_parent(
    proposal: Proposal,
    exposure: Exposure,
    block: Block,
    limits: Limits,
    *,
    order_type: OrderType,
    account_ready: bool,
    compensation: Compensation | None = None,
    controls: Controls = UNCONTROLLED,
) -> Denied | None:
    """All checks of a parent. Order value only where its single child is the whole order.

    What only reduces is held to that child by child: its position, and with it what it will sell,
    may still have to be opened.
    """
    exempt = exemption_of(proposal, exposure, compensation)
    is_whole = is_sent_whole(order_type)
    if block.state == TradingState.HALTED:
        return _check_block(proposal, exposure, block, exempt)

    def checks() -> Iterator[Check]:
        yield lambda: _check_block(proposal, exposure, block, exempt)
        yield lambda: None if account_ready else _RECONCILING
        if compensation is None:
            yield lambda: _check_rate(limits, controls)
        if not exempt.by_nature:
            yield lambda: _check_same(limits, controls)
        if not exempt.in_fact:
            yield lambda: _check_parents(limits, controls)
        if compensation is not None and not exempt.by_nature:
            yield lambda: check_residual(compensation, proposal.side, proposal.quantity)
        yield from _limits(proposal, exposure, limits, controls, exempt, is_whole=is_whole)
        if not proposal.reduce_only:
            yield lambda: check_funds(proposal, controls.funds)

    return _first(checks(), controls)


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
    controls: Controls = UNCONTROLLED,
) -> Denied | None:
    """Checks of an order that becomes another; `proposal` is what nobody has reserved of it yet.

    One that is enlarged is checked as a new one of that size. Otherwise only its price matters,
    and what shrinks is let at any time.
    """
    if is_enlarged:
        return check_parent(
            proposal,
            exposure,
            block,
            limits,
            order_type=order_type,
            account_ready=account_ready,
            controls=controls,
        )

    def checks() -> Iterator[Check]:
        if not proposal.reduce_only:
            yield lambda: check_collar(proposal, limits)
            if is_sent_whole(order_type):
                yield lambda: check_order_value(proposal, limits)

    return _first(checks(), controls)


# --- their order --------------------------------------------------------------------------------

_RECONCILING = Denied(code=DenialCode.RECONCILING, detail="account=reconciling")


def _first(checks: Iterator[Check], controls: Controls) -> Denied | None:
    with exact():
        for check in checks:
            denied = check()
            if denied is not None and denied.code not in controls.overridden:
                return denied
    return None


def _check_block(
    proposal: Proposal, exposure: Exposure, block: Block, exempt: Exemption
) -> Denied | None:
    side, quantity = proposal.side, proposal.quantity
    return check_block(block, exposure, side, quantity, may_reduce=exempt.by_nature)


def _limits(
    proposal: Proposal,
    exposure: Exposure,
    limits: Limits,
    controls: Controls,
    exempt: Exemption,
    *,
    is_whole: bool,
) -> Iterator[Check]:
    """An exit that is too large or too far away to be sent would protect nothing.

    What only happens to reduce is still held to the price and size of an order.
    """
    if not exempt.in_fact:
        yield lambda: _check_disabled(controls)
    if not exempt.by_nature:
        yield lambda: check_collar(proposal, limits)
        if is_whole:
            yield lambda: check_quantity(proposal, limits)
            yield lambda: check_order_value(proposal, limits)
    if not exempt.in_fact:
        yield lambda: check_position(proposal, limits, exposure)
        yield lambda: check_exposure(proposal, controls.caps)


def _check_disabled(controls: Controls) -> Denied | None:
    if controls.disabled is None:
        return None
    return Denied(code=DenialCode.STRATEGY_DISABLED, detail=controls.disabled)


def _check_parents(limits: Limits, controls: Controls) -> Denied | None:
    """The order that is one too many disables its strategy."""
    if controls.disabled is not None or controls.parents_today < limits.max_parents_per_day:
        return None
    detail = f"parents_today={controls.parents_today} max={limits.max_parents_per_day:f}"
    return Denied(code=DenialCode.STRATEGY_DISABLED, detail=detail)


def _check_rate(limits: Limits, controls: Controls) -> Denied | None:
    if controls.messages + 1 <= limits.max_messages_per_s:
        return None
    detail = f"messages_per_s={controls.messages + 1:f} max={limits.max_messages_per_s:f}"
    return Denied(code=DenialCode.RATE_LIMITED, detail=detail)


def _check_same(limits: Limits, controls: Controls) -> Denied | None:
    if controls.same_as is None:
        return None
    detail = f"same_as={controls.same_as} window_s={limits.duplicate_window_s:f}"
    return Denied(code=DenialCode.RISK_DUPLICATE, detail=detail)
