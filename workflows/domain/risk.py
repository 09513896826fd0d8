"""Pre-trade checks as pure functions: facts in, `Denied` or None out.

The caller reads the facts and books the reservation in the same transaction, so that no two
orders can pass on the same headroom.
"""

from dataclasses import dataclass
from decimal import Decimal

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side


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
    """What is about to be reserved. `price` is None for market orders."""

    side: Side
    quantity: Decimal
    price: Decimal | None
    reference_price: Decimal


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
    """A limit price far through the market is a typing error."""
    price, reference = proposal.price, proposal.reference_price
    if reference <= 0:
        return Denied(code=DenialCode.RISK_STALE_REF, detail="reference=absent")
    if price is None:
        return None
    through = (price - reference) * proposal.side.sign
    collar = limits.aggressive_collar if through > 0 else limits.passive_collar
    if abs(price - reference) > collar * reference:
        return Denied(
            code=DenialCode.RISK_PRICE_COLLAR,
            field="price",
            detail=f"price={price:f} reference={reference:f} collar={collar:f}",
        )
    return None


def check_order_value(proposal: Proposal, limits: Limits) -> Denied | None:
    """The value of one order sent to a venue; market orders at reference plus collar."""
    worst = proposal.reference_price * (1 + limits.aggressive_collar)
    price = worst if proposal.price is None else max(proposal.price, proposal.reference_price)
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


def _denied(
    code: DenialCode, field: str, value: Decimal, bound_name: str, bound: Decimal
) -> Denied:
    return Denied(code=code, field=field, detail=f"{field}={value:f} {bound_name}={bound:f}")
