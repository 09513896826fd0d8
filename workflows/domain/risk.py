"""Pre-trade checks as pure functions: facts in, `Denied` or None out.

The caller reads the facts and books the reservation in the same transaction, so that no two
orders can pass on the same headroom.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.instruments import Instrument
from workflows.domain.orders import ChildIntent, ChildType, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Values in quote units, quantities in base units; collars are fractions of the reference.

    Of one order: what binds it. Of the engine: what holds where nothing is set; `venue_rates` are
    then the messages per second of each venue that has a rate of its own.
    """

    max_order_value: Decimal | None
    max_position_value: Decimal | None
    aggressive_collar: Decimal = Decimal("0.02")
    passive_collar: Decimal = Decimal("0.5")
    max_order_quantity: Decimal | None = None
    max_messages_per_s: Decimal = Decimal(100)
    duplicate_window_s: Decimal = Decimal(2)
    max_parents_per_day: Decimal = Decimal(10_000)
    max_children: Decimal = Decimal(5_000)
    max_rejects_in_row: Decimal = Decimal(10)
    venue_rates: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """What an account holds of an asset by our books, and what open orders hold of that."""

    asset: str
    held: Decimal
    reserved: Decimal

    @property
    def free(self) -> Decimal:
        """Units of the asset that no order holds; below zero where they hold too much."""
        with exact():
            return self.held - self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A limit on a sum of exposures, in quote value, and the sum without the order in question."""

    scope: str
    limit: Decimal
    used: Decimal


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

    @property
    def unit_value(self) -> Decimal:
        """Quote units that each unit counts in a sum of exposures: its price or the market."""
        return max(self.anchor, self.unit_price)

    @property
    def unit_price(self) -> Decimal:
        """Quote units that the venue holds for each unit of a buy; at the market, the market's."""
        own = self.anchor if self.price is None else self.price
        return own if self.limit_leg_price is None else max(own, self.limit_leg_price)

    @property
    def unit_funds(self) -> Decimal:
        """What each unit holds: quote units for a buy, itself for a sell."""
        return self.unit_price if self.side is Side.BUY else Decimal(1)

    @property
    def meets_book_at(self) -> Decimal | None:
        """The worst price at which it would trade now; None while it waits for a trigger."""
        if self.limit_leg_price is not None:
            return self.limit_leg_price
        if self.trigger_price is not None:
            return None
        return self.reference_price if self.price is None else self.price


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


def check_quantity(proposal: Proposal, limits: Limits) -> Denied | None:
    """The size of one order sent to a venue.

    The default is the largest value at the market's price, which `check_order_value` holds too:
    it takes no better price than that.
    """
    most = limits.max_order_quantity
    if most is None and limits.max_order_value is None:
        return Denied(code=DenialCode.RISK_NO_LIMIT, detail="max_order_value=unset")
    if most is None or proposal.quantity <= most:
        return None
    return _denied(DenialCode.RISK_MAX_QTY, "quantity", proposal.quantity, "max", most)


def check_order_value(proposal: Proposal, limits: Limits) -> Denied | None:
    """The value of one order sent to a venue; market orders at their market plus collar."""
    worst = proposal.anchor * (1 + limits.aggressive_collar)
    price = worst if proposal.price is None else max(proposal.price, proposal.anchor)
    if proposal.limit_leg_price is not None:
        price = max(price, proposal.limit_leg_price)
    value = proposal.quantity * price
    if limits.max_order_value is not None and value > limits.max_order_value:
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
    # a flip closes what is held and opens as much on the other side: it does not only shrink
    shrinks = after * exposure.position >= 0 and abs(after) <= abs(exposure.position)
    if limits.max_position_value is not None and not shrinks and value > limits.max_position_value:
        return Denied(
            code=DenialCode.RISK_MAX_POSITION,
            field="quantity",
            detail=f"position_value={value:f} max={limits.max_position_value:f}",
        )
    return None


def check_exposure(proposal: Proposal, caps: Iterable[Cap]) -> Denied | None:
    """Everything that is held, works or is unknown within a scope, and this order."""
    for cap in caps:
        value = cap.used + proposal.quantity * proposal.unit_value
        if value > cap.limit:
            detail = f"scope={cap.scope} exposure={value:f} max={cap.limit:f}"
            return Denied(code=DenialCode.RISK_MAX_EXPOSURE, field="quantity", detail=detail)
    return None


def check_self_match(proposal: Proposal, own_best: Decimal | None) -> Denied | None:
    """`own_best`: the best price of our own orders that may rest on the other side there."""
    price = proposal.meets_book_at
    if own_best is None or price is None or (own_best - price) * proposal.side.sign > 0:
        return None
    detail = f"price={price:f} own={own_best:f}"
    return Denied(code=DenialCode.RISK_SELF_MATCH, field="price", detail=detail)


def check_funds(proposal: Proposal, funds: Funds | None) -> Denied | None:
    """What the venue would hold for it must be free; None where no books are kept."""
    needed = proposal.quantity * proposal.unit_funds
    if funds is None or needed <= funds.free:
        return None
    detail = f"asset={funds.asset} needed={needed:f} free={funds.free:f}"
    return Denied(code=DenialCode.INSUFFICIENT_FUNDS, field="quantity", detail=detail)


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
