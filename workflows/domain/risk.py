"""Pre-trade checks as pure functions: facts in, `Denied` or None out.

The caller reads the facts and books the reservation in the same transaction, so that no two
orders can pass on the same headroom.
"""

from dataclasses import dataclass
from decimal import Decimal

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.instruments import Instrument
from workflows.domain.orders import ChildIntent, ChildType, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Values in quote units; collars are fractions of the reference price."""

    max_order_value: Decimal
    max_position_value: Decimal
    aggressive_collar: Decimal = Decimal("0.02")
    passive_collar: Decimal = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Base units of one strategy, account, venue and symbol.

    `working_buy` and `working_sell` are the open reservations: working and unknown orders alike.
    """

    position: Decimal
    working_buy: Decimal
    working_sell: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is about to be reserved. `price` is None for market orders.

    With a `trigger_price`, `price` is what the order becomes there, and is measured from it. An
    order list also has a leg that rests at `limit_leg_price`, measured from the market.
    """

    side: Side
    quantity: Decimal
    price: Decimal | None
    reference_price: Decimal
    trigger_price: Decimal | None = None
    limit_leg_price: Decimal | None = None
    reduce_only: bool = False
    was_fired: bool = False
    """It leaves by a trigger: its bounds were checked with the order, and the market has moved."""

    @property
    def anchor(self) -> Decimal:
        """The market where it trades: at its trigger, else now."""
        return self.reference_price if self.trigger_price is None else self.trigger_price


def proposal_of(
    intent: ChildIntent, reference_price: Decimal, *, was_fired: bool = False
) -> Proposal:
    """A child as the checks see it."""
    is_list = intent.child_type is ChildType.OCO
    return Proposal(
        side=intent.side,
        quantity=intent.quantity,
        price=intent.stop_limit_price if is_list else intent.price,
        reference_price=reference_price,
        trigger_price=intent.trigger_price,
        limit_leg_price=intent.price if is_list else None,
        reduce_only=intent.reduce_only,
        was_fired=was_fired,
    )


def free_to_close(exposure: Exposure, side: Side) -> Decimal:
    """Base units that `side` may trade, beside all working orders, without flipping the position.

    0 where it would enlarge it.
    """
    working = exposure.working_buy if side is Side.BUY else exposure.working_sell
    with exact():
        return max(-side.sign * exposure.position - working, Decimal(0))


def check_filters(
    instrument: Instrument, quantity: Decimal, price: Decimal | None, reference: Decimal
) -> Denied | None:
    """The venue's own filters, applied before the venue has to; nothing is rounded."""
    if not instrument.has_valid_rules:
        return Denied(code=DenialCode.SYMBOL_RULES_INVALID, detail=f"symbol={instrument.symbol}")
    if not instrument.is_trading:
        return Denied(code=DenialCode.SYMBOL_NOT_TRADING, detail=f"symbol={instrument.symbol}")
    if not instrument.is_on_step(quantity):
        return _denied(DenialCode.PRECISION, "quantity", quantity, "step", instrument.step)
    if quantity < instrument.min_quantity:
        return _denied(
            DenialCode.OUT_OF_RANGE, "quantity", quantity, "min", instrument.min_quantity
        )
    if instrument.max_quantity is not None and quantity > instrument.max_quantity:
        return _denied(
            DenialCode.OUT_OF_RANGE, "quantity", quantity, "max", instrument.max_quantity
        )
    if price is not None and not instrument.is_on_tick(price):
        return _denied(DenialCode.PRECISION, "price", price, "tick", instrument.tick)
    with exact():
        notional = quantity * (price or reference)
    if notional < instrument.min_notional:
        minimum = instrument.min_notional
        return Denied(
            code=DenialCode.MIN_NOTIONAL,
            field="quantity",
            detail=f"notional={notional:f} min={minimum:f}",
        )
    return None


def check_collar(proposal: Proposal, limits: Limits) -> Denied | None:
    """A limit price far through the market, or far through its trigger, is a typing error."""
    reference = proposal.reference_price
    if reference <= 0:
        return Denied(code=DenialCode.RISK_STALE_REF, detail="reference=absent")
    if proposal.was_fired:
        return None
    return _check_distance(proposal.side, proposal.price, proposal.anchor, limits) or (
        _check_distance(proposal.side, proposal.limit_leg_price, reference, limits)
    )


def _check_distance(
    side: Side, price: Decimal | None, reference: Decimal, limits: Limits
) -> Denied | None:
    if price is None:
        return None
    through = (price - reference) * side.sign
    collar = limits.aggressive_collar if through > 0 else limits.passive_collar
    if abs(price - reference) > collar * reference:
        return Denied(
            code=DenialCode.RISK_PRICE_COLLAR,
            field="price",
            detail=f"price={price:f} reference={reference:f} collar={collar:f}",
        )
    return None


def check_order_value(proposal: Proposal, limits: Limits) -> Denied | None:
    """The value of one order sent to a venue; market orders at their market plus collar."""
    worst = proposal.anchor * (1 + limits.aggressive_collar)
    price = worst if proposal.price is None else max(proposal.price, proposal.anchor)
    if proposal.limit_leg_price is not None:
        price = max(price, proposal.limit_leg_price)
    value = proposal.quantity * price
    if value > limits.max_order_value:
        return Denied(
            code=DenialCode.RISK_MAX_NOTIONAL,
            field="quantity",
            detail=f"notional={value:f} max={limits.max_order_value:f}",
        )
    return None


def check_position(proposal: Proposal, limits: Limits, exposure: Exposure) -> Denied | None:
    """Position plus everything working or unknown on this side, plus this order."""
    working = exposure.working_buy if proposal.side is Side.BUY else -exposure.working_sell
    after = exposure.position + working + proposal.side.sign * proposal.quantity
    value = abs(after) * proposal.reference_price
    grows = abs(after) > abs(exposure.position)
    if grows and value > limits.max_position_value:
        return Denied(
            code=DenialCode.RISK_MAX_POSITION,
            field="quantity",
            detail=f"position_value={value:f} max={limits.max_position_value:f}",
        )
    return None


def check_reduce_only(proposal: Proposal, exposure: Exposure) -> Denied | None:
    """What may only reduce takes no more than is left of the position."""
    free = free_to_close(exposure, proposal.side)
    if not proposal.reduce_only or proposal.quantity <= free:
        return None
    detail = f"quantity={proposal.quantity:f} free={free:f} position={exposure.position:f}"
    return Denied(code=DenialCode.RISK_REDUCE_ONLY, field="quantity", detail=detail)


def _denied(
    code: DenialCode, field: str, value: Decimal, bound_name: str, bound: Decimal
) -> Denied:
    return Denied(code=code, field=field, detail=f"{field}={value:f} {bound_name}={bound:f}")
