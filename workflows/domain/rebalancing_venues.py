"""A rebalancing's trades, split over venues: where each asset sells and buys best.

Sells go where the net bid is best, up to what is free there; buys where the net ask is best, up
to the cash there. Cash at one venue buys nothing at another: what that leaves is a transfer that
somebody would have to make. Whatever no venue takes is told as skipped, with the reason.

Costs are at the limit prices that would be sent, so that no fill can cost more than there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from workflows.domain.exact import exact, minus, rounded, times
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side
from workflows.domain.rebalancing import (
    BELOW_MINIMUM,
    Adjustment,
    Skipped,
    below_minimum,
    scaled,
    skip,
    value_of,
)

_NO_VENUE = "no venue trades it now"
_RULES = f"{BELOW_MINIMUM} or above the maximum of an order"
_ALL = Fraction(1)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One asset at one venue: its market, the taker's fee, and what of it is free to sell.

    `slippage` is the fraction by which an order may trade beyond the touch.
    """

    asset: str
    instrument: Instrument
    bid: Decimal
    ask: Decimal
    fee: Decimal
    buys_pay_base: bool = False
    free: Decimal = _NOTHING
    slippage: Decimal = _NOTHING

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What only a transfer between venues could do."""

    asset: str
    side: Side
    quantity: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Orders in the order of execution, and all that no order covers. `scale` is of buys."""

    trades: tuple[VenueTrade, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    scale: Decimal = Decimal(1)


@dataclass(slots=True)
class Funds:
    """Cash that may still be spent, by venue, and over all of them."""

    by_venue: dict[str, Fraction]
    total: Fraction = field(default_factory=Fraction)

    @classmethod
    def of(cls, cash: Mapping[str, Decimal], reserve: Decimal) -> "Funds":
        """All the cash, but for a reserve that may lie anywhere."""
        by_venue = {venue: Fraction(max(amount, _NOTHING)) for venue, amount in cash.items()}
        total = sum(by_venue.values(), Fraction()) - Fraction(reserve)
        return cls(by_venue, max(total, Fraction()))

    def at(self, venue: str) -> Fraction:
        return min(self.by_venue.get(venue, Fraction()), self.total)

    def spend(self, venue: str, cost: Fraction) -> None:
        self.by_venue[venue] -= cost
        self.total -= cost


Places = Mapping[str, Sequence[Place]]
"""By asset: every venue where it can be traded."""


def split_sells(
    sells: Sequence[Adjustment], places: Places, stranded: Mapping[str, Decimal]
) -> Split:
    """Orders that sell; `stranded` is what is held, by asset, where it has no market."""
    trades: list[VenueTrade] = []
    skipped: list[Skipped] = []
    transfers: list[Transfer] = []
    for sell in sells:
        here = places.get(sell.asset, ())
        if not here:
            skipped.append(skip(sell, sell.quantity, _NO_VENUE))
            continue
        orders, left = sell_at_best(sell, here)
        trades += orders
        if left < _finest(here):
            continue
        with exact():
            free = sum((place.free for place in here), _NOTHING)
        out_of_reach = max(_NOTHING, minus(sell.quantity, free))
        moved = min(left, out_of_reach, stranded.get(sell.asset, _NOTHING))
        locked = minus(min(left, out_of_reach), moved)
        rest = minus(minus(left, moved), locked)
        if moved:
            transfers.append(_transfer(sell, moved))
        if locked:
            skipped.append(skip(sell, locked, "locked by open orders"))
        if rest:
            skipped.append(skip(sell, rest, _RULES))
    return Split(trades=tuple(trades), skipped=tuple(skipped), transfers=tuple(transfers))


def split_buys(
    buys: Sequence[Adjustment],
    places: Places,
    cash: Mapping[str, Decimal],
    *,
    reserve: Decimal = _NOTHING,
    min_trade_value: Decimal = _NOTHING,
) -> Split:
    """Orders that buy for the cash there is: all scaled by one share when it is short."""
    share = _share(buys, places, cash, reserve)
    funds = Funds.of(cash, reserve)
    trades: list[VenueTrade] = []
    skipped: list[Skipped] = []
    transfers: list[Transfer] = []
    for whole in _scarcest_first(buys, places):
        here = places.get(whole.asset, ())
        if not here:
            skipped.append(skip(whole, whole.quantity, _NO_VENUE))
            continue
        buy = scaled(whole, share, _finest(here)) if share < 1 else whole
        left_out = below_minimum(buy, min_trade_value)
        if left_out is not None:
            skipped.append(replace(left_out, reason=f"{left_out.reason}, scaled to the cash"))
            continue
        orders, left = buy_at_best(buy, here, funds)
        trades += orders
        if left < _finest(here):
            continue
        untakable = min(left, _untakable(buy, here))
        moved = minus(left, untakable)
        if untakable:
            skipped.append(skip(buy, untakable, _RULES))
        if moved:
            transfers.append(_transfer(buy, moved))
    return Split(
        trades=tuple(trades),
        skipped=tuple(skipped),
        transfers=tuple(transfers),
        scale=rounded(share),
    )


def sell_at_best(sell: Adjustment, places: Sequence[Place]) -> tuple[list[VenueTrade], Decimal]:
    """Orders by the best net bid, up to what is free; and the quantity that none covers."""
    orders: list[VenueTrade] = []
    left = sell.quantity
    for place in sorted(places, key=lambda each: (-each.net_bid, each.venue)):
        quantity = _orderable(place, Side.SELL, Fraction(min(left, place.free)))
        if quantity:
            orders.append(
                VenueTrade(asset=sell.asset, place=place, side=Side.SELL, quantity=quantity)
            )
            left = minus(left, quantity)
    return orders, left


def buy_at_best(
    buy: Adjustment, places: Sequence[Place], funds: Funds
) -> tuple[list[VenueTrade], Decimal]:
    """Orders by the best net ask, up to the cash, which is spent; and what none covers."""
    orders: list[VenueTrade] = []
    left = buy.quantity
    for place in sorted(places, key=lambda each: (each.net_ask, each.venue)):
        affordable = funds.at(place.venue) / place.unit_cost
        wanted = min(place.ordered_for(left), affordable)
        quantity = _orderable(place, Side.BUY, wanted)
        if quantity:
            orders.append(
                VenueTrade(asset=buy.asset, place=place, side=Side.BUY, quantity=quantity)
            )
            funds.spend(place.venue, Fraction(quantity) * place.unit_cost)
            left = minus(left, place.kept_of(quantity))
    return orders, left


def cash_after(cash: Mapping[str, Decimal], sells: Sequence[VenueTrade]) -> dict[str, Decimal]:
    """The cash by venue if all these sells fill at the touch: an expectation, for a preview."""
    after = dict(cash)
    with exact():
        for sell in sells:
            proceeds = sell.value * (1 - sell.place.fee)
            after[sell.venue] = after.get(sell.venue, _NOTHING) + proceeds
    return after


def _share(
    buys: Sequence[Adjustment], places: Places, cash: Mapping[str, Decimal], reserve: Decimal
) -> Fraction:
    """How much of the buys all the cash allows, wherever it lies: 1 when it is enough."""
    funds, need = Funds.of(cash, _NOTHING), Fraction()
    for buy in _scarcest_first(buys, places):
        here = places.get(buy.asset, ())
        orders, left = buy_at_best(buy, here, funds)
        need += sum(
            (Fraction(order.quantity) * order.place.unit_cost for order in orders), Fraction()
        )
        short = max(_NOTHING, minus(left, _untakable(buy, here)))
        if here and short >= _finest(here):
            need += Fraction(short) * max(place.unit_need for place in here)
    spendable = Funds.of(cash, reserve).total
    return min(_ALL, spendable / need) if need else _ALL


def _scarcest_first(buys: Sequence[Adjustment], places: Places) -> list[Adjustment]:
    """What few venues trade comes first, before others spend the cash there."""
    return sorted(buys, key=lambda buy: (len(places.get(buy.asset, ())), buy.asset))


def _untakable(buy: Adjustment, places: Sequence[Place]) -> Decimal:
    """What the venues' rules leave of a buy, were there cash without limit."""
    left = buy.quantity
    for place in sorted(places, key=lambda each: (each.net_ask, each.venue)):
        quantity = _orderable(place, Side.BUY, place.ordered_for(left))
        left = minus(left, place.kept_of(quantity))
    return left


def _orderable(place: Place, side: Side, quantity: Fraction) -> Decimal:
    """As much of the quantity as one order may have there; 0 when it is below a minimum."""
    rules = place.instrument
    if rules.max_quantity is not None:
        quantity = min(quantity, Fraction(rules.max_quantity))
    floored = times(rules.step, int(quantity / Fraction(rules.step)))
    with exact():
        is_enough = (
            floored > 0
            and floored >= rules.min_quantity
            and floored * place.limit(side) >= rules.min_notional
        )
    return floored if is_enough else _NOTHING


def _finest(places: Sequence[Place]) -> Decimal:
    """The smallest lot; the remainder below it is rounding, not an adjustment left out."""
    return min((place.instrument.step for place in places), default=_NOTHING)


def _transfer(trade: Adjustment, quantity: Decimal) -> Transfer:
    return Transfer(
        asset=trade.asset,
        side=trade.side,
        quantity=quantity,
        value=value_of(trade, quantity),
    )
