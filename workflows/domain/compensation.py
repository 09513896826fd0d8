"""What to do about a residual: complete the missing leg, unwind the filled one, or neither.

A long residual is sold into bids, a short one bought from asks, either on the venue of the
missing leg (*complete*) or back where it was filled (*unwind*). Both are walked through the book
of now, with fees, and judged against one bound: a loss of `max_loss_bps` of the residual's value
at its all-in unit cost (long) or unit proceeds (short).

The bound is kept twice: an option whose walk is beyond it is never picked, and the price that is
sent is the bound itself, so that a book that moves meanwhile cannot make the loss larger.

It must not know orders, clocks or venues, and never cancels anything: the answer is a new order.
Quantities in base units; prices, values and profits in quote units; fees are fractions.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from workflows.domain.books import Level, depth_within, walk
from workflows.domain.exact import exact, floored, rounded, times
from workflows.domain.instruments import price_on_tick
from workflows.domain.orders import Side

_BPS = Decimal(10_000)
_ZERO = Decimal(0)

NO_DEPTH = "insufficient depth"
BELOW_MINIMUM = "below minimum"
NO_BALANCE = "insufficient balance"


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeVenue:
    """A venue that could take the residual.

    `levels`: its bids for a long residual, its asks for a short one, best first. `fee`: the
    taker's. `balance`: base units for selling, quote units for buying; None is not checked.
    """

    levels: tuple[Level, ...]
    fee: Decimal
    balance: Decimal | None
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    min_notional: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What trading `quantity` at one venue would come to, by the book walked.

    `edge` is the last price touched; `net_unit` the average after the fee; `pnl_bps` is of the
    residual's value. All rounded to 18 decimals, and None when it is not feasible (`why`).
    `is_within_bound` is judged before anything is rounded.
    """

    is_feasible: bool
    why: str = ""
    quantity: Decimal
    vwap: Decimal | None = None
    edge: Decimal | None = None
    net_unit: Decimal | None = None
    pnl: Decimal | None = None
    pnl_bps: Decimal | None = None
    is_within_bound: bool = False


class Action(StrEnum):
    """What becomes of a residual."""

    COMPLETE = "COMPLETE"
    UNWIND = "UNWIND"
    CARRY_DUST = "CARRY_DUST"
    """It is too small to be traded anywhere, and goes into the inventory with its cost."""
    HOLD_AND_ESCALATE = "HOLD_AND_ESCALATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The decision, and both options over the whole residual.

    For COMPLETE and UNWIND `quantity` is what to send: the residual floored to the venue's step,
    or the part of it that fits (then `taken`, the walk of exactly this quantity, says what that
    comes to). `limit` is the price to send, the bound. Else there is nothing to send: 0 and None.
    """

    action: Action
    complete: Option
    unwind: Option
    quantity: Decimal = _ZERO
    limit: Decimal | None = None
    taken: Option | None = None


def bound_price(
    *, is_long: bool, unit: Decimal, fee: Decimal, max_loss_bps: Decimal, tick: Decimal
) -> Decimal:
    """The worst price at which the residual may trade, on the tick that loses less.

    Long: price * (1 - fee) = unit * (1 - max_loss); short: price * (1 + fee) = unit * (1 +
    max_loss). At or below 0 when no price is within the bound. `fee` must be below 1.
    """
    sign = -1 if is_long else 1
    loss = abs(Fraction(unit)) * Fraction(max_loss_bps) / Fraction(_BPS)
    price = (Fraction(unit) + sign * loss) / (1 + sign * Fraction(fee))
    return price_on_tick(price, tick, Side.SELL if is_long else Side.BUY)


def choose(
    residual: Decimal,
    unit: Decimal,
    complete: HedgeVenue,
    unwind: HedgeVenue,
    max_loss_bps: Decimal,
) -> Choice:
    """Decide for a residual (not 0; long > 0) with its all-in unit cost or unit proceeds.

    The better one of the feasible options within the bound; a tie goes to complete. Else, where
    only depth or balance is missing, what fits of it. Else dust if no venue trades so little, or
    hold. Never more than the residual.
    """
    hedges = {
        action: _Hedge(residual, unit, venue, max_loss_bps)
        for action, venue in ((Action.COMPLETE, complete), (Action.UNWIND, unwind))
    }
    options = {action: hedge.option(hedge.most) for action, hedge in hedges.items()}
    action, taken = _best(options) or _what_fits(hedges, options) or (None, None)
    if action is None:
        is_dust = all(hedge.is_below_minimum(hedge.most) for hedge in hedges.values())
        action = Action.CARRY_DUST if is_dust else Action.HOLD_AND_ESCALATE
    return Choice(
        action=action,
        complete=options[Action.COMPLETE],
        unwind=options[Action.UNWIND],
        quantity=taken.quantity if taken else _ZERO,
        limit=hedges[action].limit if taken else None,
        taken=taken,
    )


def _best(options: dict[Action, Option]) -> tuple[Action, Option] | None:
    """The option that loses less, or gains more, per unit: steps may differ by a lot."""
    good = [item for item in options.items() if item[1].is_within_bound]
    return max(good, key=lambda item: _pnl_per_unit(item[1]), default=None)


def _what_fits(
    hedges: dict[Action, "_Hedge"], options: dict[Action, Option]
) -> tuple[Action, Option] | None:
    """The larger part of the residual that a venue short of depth or balance would take."""
    parts = [
        (action, hedge.option(hedge.fitting))
        for action, hedge in hedges.items()
        if options[action].why in (NO_DEPTH, NO_BALANCE)
    ]
    good = [part for part in parts if part[1].is_within_bound]
    return max(good, key=lambda part: (part[1].quantity, _pnl_per_unit(part[1])), default=None)


def _pnl_per_unit(option: Option) -> Fraction:
    return Fraction(option.pnl or 0) / Fraction(option.quantity)


class _Hedge:
    """One venue beside one residual."""

    def __init__(
        self, residual: Decimal, unit: Decimal, venue: HedgeVenue, max_loss_bps: Decimal
    ) -> None:
        self._venue, self._unit, self._max_loss_bps = venue, unit, max_loss_bps
        self._is_long = residual > 0
        self.most = floored(residual.copy_abs(), venue.step)
        """The residual without what is below one lot of this venue."""
        self.limit = bound_price(
            is_long=self._is_long,
            unit=unit,
            fee=venue.fee,
            max_loss_bps=max_loss_bps,
            tick=venue.tick,
        )

    @property
    def fitting(self) -> Decimal:
        """How much of the residual this venue takes now, within the bound and the balance."""
        side = Side.SELL if self._is_long else Side.BUY
        depth = depth_within(self._venue.levels, side, self.limit)
        most = min(self.most, floored(depth, self._venue.step))
        price = self._price_of_balance()
        if self._venue.balance is None or price <= 0:
            return most
        affordable = Fraction(max(self._venue.balance, _ZERO)) / price
        lots = int(affordable / Fraction(self._venue.step))
        return min(most, times(self._venue.step, lots))

    def is_below_minimum(self, quantity: Decimal) -> bool:
        """True when the venue takes no order so small at the price that would be sent."""
        if quantity <= 0 or quantity < self._venue.min_quantity:
            return True
        with exact():
            return self.limit > 0 and quantity * self.limit < self._venue.min_notional

    def option(self, quantity: Decimal) -> Option:
        """What trading this quantity here would come to."""
        walked = walk(self._venue.levels, quantity) if quantity > 0 else None
        if walked is None and quantity > 0:
            return Option(is_feasible=False, why=NO_DEPTH, quantity=quantity)
        if walked is None or self.is_below_minimum(quantity):
            return Option(is_feasible=False, why=BELOW_MINIMUM, quantity=quantity)
        balance = self._venue.balance
        if balance is not None and Fraction(quantity) * self._price_of_balance() > balance:
            return Option(is_feasible=False, why=NO_BALANCE, quantity=quantity)
        sign = 1 if self._is_long else -1
        with exact():
            net = walked.value * (1 - sign * self._venue.fee)
            basis = quantity * self._unit
            pnl = sign * (net - basis)
            is_within = pnl * _BPS >= -self._max_loss_bps * abs(basis)
        return Option(
            is_feasible=True,
            quantity=quantity,
            vwap=rounded(Fraction(walked.value) / Fraction(quantity)),
            edge=walked.edge,
            net_unit=rounded(Fraction(net) / Fraction(quantity)),
            pnl=rounded(Fraction(pnl)),
            pnl_bps=rounded(Fraction(pnl) / abs(Fraction(basis)) * Fraction(_BPS))
            if basis
            else None,
            is_within_bound=is_within,
        )

    def _price_of_balance(self) -> Fraction:
        """Balance that one unit takes: itself when sold; when bought, its limit and the fee."""
        if self._is_long:
            return Fraction(1)
        return Fraction(max(self.limit, _ZERO)) * (1 + Fraction(max(self._venue.fee, _ZERO)))
