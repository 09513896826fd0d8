"""Where a rebalancing can trade an asset, at which prices, and the most that one order may have.

Costs are at the limit prices that would be sent, so that no fill can cost more than there is. The
value of an order is judged as the risk check judges it: at the dearer of its limit and the middle.
Quantities in base units, prices and values in units of the cash asset; fees are fractions.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from workflows.domain.exact import exact, floored, rounded, times
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side

ABOVE_ORDER_VALUE = "above MAX_ORDER_VALUE"
ABOVE_QUANTITY = "above the exchange's largest order"
CUTS = (ABOVE_ORDER_VALUE, ABOVE_QUANTITY)
"""How the reasons of all caps begin."""
_ALL = Fraction(1)
_HALF = Decimal("0.5")
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that one order may have at a place, in base units, and what says so."""

    quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One asset at one venue: its market, the taker's fee, and what of it is free to sell.

    `slippage` is the fraction by which an order may trade beyond the touch. `max_value` is what one
    order may be worth; None is no limit.
    """

    asset: str
    instrument: Instrument
    bid: Decimal
    ask: Decimal
    fee: Decimal
    buys_pay_base: bool = False
    free: Decimal = _NOTHING
    slippage: Decimal = _NOTHING
    max_value: Decimal | None = None

    @property
    def venue(self) -> str:
        return self.instrument.venue

    def touch(self, side: Side) -> Decimal:
        """The price at which an order of `side` would trade now."""
        return self.ask if side is Side.BUY else self.bid

    def limit(self, side: Side) -> Decimal:
        """The worst price that an order of `side` may get, on the tick; at least one tick."""
        with exact():
            bound = self.touch(side) * (1 + side.sign * self.slippage)
        return max(self.instrument.round_price(bound, side), self.instrument.tick)

    @property
    def reference(self) -> Decimal:
        """The middle of the touch, which the risk check holds an order against."""
        with exact():
            return (self.bid + self.ask) * _HALF

    def cap(self, side: Side) -> Cap | None:
        """The most that one order may have here; None without a limit.

        In whole lots, and 0 where that is less than the venue takes.
        """
        caps = []
        if self.max_value is not None:
            dearest = max(self.limit(side), self.reference)
            lots = int(Fraction(self.max_value) / Fraction(dearest) / Fraction(self._step))
            reason = f"{ABOVE_ORDER_VALUE}={self.max_value:f}"
            caps.append(Cap(quantity=times(self._step, lots), reason=reason))
        most = self.instrument.max_quantity
        if most is not None:
            reason = f"{ABOVE_QUANTITY}: max={most:f} exchange={self.venue}"
            caps.append(Cap(quantity=floored(most, self._step), reason=reason))
        least = min(caps, key=lambda each: each.quantity, default=None)
        if least is None or self.takes(side, least.quantity):
            return least
        return Cap(quantity=_NOTHING, reason=least.reason)

    def takes(self, side: Side, quantity: Decimal) -> bool:
        """Whether a quantity on the lot is above the minimums of the venue."""
        rules = self.instrument
        with exact():
            return (
                quantity > 0
                and quantity >= rules.min_quantity
                and quantity * self.limit(side) >= rules.min_notional
            )

    def orderable(self, side: Side, quantity: Fraction) -> Decimal:
        """As much of the quantity as one order may have here; 0 when it is below a minimum."""
        cap = self.cap(side)
        if cap is not None:
            quantity = min(quantity, Fraction(cap.quantity))
        lots = times(self._step, int(quantity / Fraction(self._step)))
        return lots if self.takes(side, lots) else _NOTHING

    @property
    def net_bid(self) -> Fraction:
        """What one unit sold brings."""
        return Fraction(self.bid) * (1 - Fraction(self.fee))

    @property
    def net_ask(self) -> Fraction:
        """What one unit costs that stays ours."""
        return Fraction(self.ask) * self._paid / self._kept

    @property
    def unit_cost(self) -> Fraction:
        """Cash that one unit ordered can take at most."""
        return Fraction(self.limit(Side.BUY)) * self._paid

    @property
    def unit_need(self) -> Fraction:
        """Cash that one unit which stays ours can take at most."""
        return self.unit_cost / self._kept

    @property
    def _step(self) -> Decimal:
        return self.instrument.step

    @property
    def _paid(self) -> Fraction:
        return _ALL if self.buys_pay_base else 1 + Fraction(self.fee)

    @property
    def _kept(self) -> Fraction:
        return 1 - Fraction(self.fee) if self.buys_pay_base else _ALL

    def ordered_for(self, kept: Decimal) -> Fraction:
        """Units to order so that `kept` stay ours."""
        return Fraction(kept) / self._kept

    def kept_of(self, ordered: Decimal) -> Decimal:
        """Units of a buy that stay ours."""
        return rounded(Fraction(ordered) * self._kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One order: quantity in base units; `price` is the touch, `limit` the worst price."""

    asset: str
    place: Place
    side: Side
    quantity: Decimal

    @property
    def venue(self) -> str:
        return self.place.venue

    @property
    def price(self) -> Decimal:
        return self.place.touch(self.side)

    @property
    def limit(self) -> Decimal:
        return self.place.limit(self.side)

    @property
    def value(self) -> Decimal:
        """Cash units at the touch, before fees."""
        with exact():
            return self.quantity * self.price
