"""A rebalancing's trades, split over venues: where each asset sells and buys best.

Sells go where the net bid is best, up to what is free there; buys where the net ask is best, up
to the cash there. Cash at one venue buys nothing at another: what that leaves is a transfer that
somebody would have to make. Whatever no venue takes is told as skipped, with the reason; so is
what is cut off because one order may not have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from workflows.domain.exact import exact, floored, minus, rounded
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
from workflows.domain.rebalancing_places import Cap, Place, VenueTrade

__all__ = ["Place", "Split", "Transfer", "VenueTrade", "cash_after", "split_buys", "split_sells"]

_NO_VENUE = "no venue trades it now"
_RULES = f"{BELOW_MINIMUM} of the exchange"
_NO_CASH = "no cash is left for it"
_ALL = Fraction(1)
_NOTHING = Decimal(0)


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

    @property
    def is_cut(self) -> bool:
        """True when an order would have more, were it allowed to."""
        return any(each.is_cut for each in self.skipped)


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
            skipped.append(_left_of_sell(sell, rest, here, orders))
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
    buys, cuts = _cut(buys, places)
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
        left_out = below_minimum(buy, min_trade_value) if share < 1 else None
        if left_out is not None:
            skipped.append(replace(left_out, reason=f"{left_out.reason}, scaled to the cash"))
            continue
        orders, left = buy_at_best(buy, here, funds)
        trades += orders
        if left < _finest(here):
            continue
        untakable = min(left, _untakable(buy, here))
        more, cap = _affordable_beyond_caps(here, orders, left, funds)
        cut = min(more, minus(left, untakable))
        moved = minus(minus(left, untakable), cut)
        if untakable:
            skipped.append(skip(buy, untakable, _RULES))
        if cut and cap is not None:
            skipped.append(skip(buy, cut, cap.reason, is_cut=True))
        if moved:
            transfers.append(_transfer(buy, moved))
    return Split(
        trades=tuple(trades),
        skipped=(*skipped, *(_judged(cut, places[cut.asset], funds) for cut in cuts)),
        transfers=tuple(transfers),
        scale=rounded(share),
    )


def sell_at_best(sell: Adjustment, places: Sequence[Place]) -> tuple[list[VenueTrade], Decimal]:
    """Orders by the best net bid, up to what is free; and the quantity that none covers."""
    orders: list[VenueTrade] = []
    left = sell.quantity
    for place in sorted(places, key=lambda each: (-each.net_bid, each.venue)):
        quantity = place.orderable(Side.SELL, Fraction(min(left, place.free)))
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
        quantity = place.orderable(Side.BUY, wanted)
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
        quantity = place.orderable(Side.BUY, place.ordered_for(left))
        left = minus(left, place.kept_of(quantity))
    return left


# --- what one order may not have ------------------------------------------------------------------


def _left_of_sell(
    sell: Adjustment, rest: Decimal, places: Sequence[Place], orders: Sequence[VenueTrade]
) -> Skipped:
    """What is free and not sold: cut off, or too little for its venue."""
    for place in places:
        taken, cap = _taken(place, orders), place.cap(Side.SELL)
        with exact():
            wanted = min(taken + rest, place.free)
        if cap is not None and floored(wanted, place.instrument.step) > cap.quantity:
            return skip(sell, rest, cap.reason, is_cut=True)
    return skip(sell, rest, _RULES)


def _cut(
    buys: Sequence[Adjustment], places: Places
) -> tuple[tuple[Adjustment, ...], list[Skipped]]:
    """The buys as far as one order at each venue may have them, and what that cuts off."""
    kept: list[Adjustment] = []
    skipped: list[Skipped] = []
    for buy in buys:
        here = places.get(buy.asset, ())
        caps = [(place, cap) for place in here if (cap := place.cap(Side.BUY)) is not None]
        with exact():
            most = sum((place.kept_of(cap.quantity) for place, cap in caps), _NOTHING)
        if not caps or len(caps) < len(here) or minus(buy.quantity, most) < _finest(here):
            kept.append(buy)
            continue
        skipped.append(skip(buy, minus(buy.quantity, most), caps[0][1].reason, is_cut=True))
        if most:
            kept.append(replace(buy, quantity=most, value=value_of(buy, most)))
    return tuple(kept), skipped


def _judged(cut: Skipped, places: Sequence[Place], funds: Funds) -> Skipped:
    """What is cut off, unless the cash that is left would not buy of it anyway."""
    for place in places:
        lots = floored(rounded(funds.at(place.venue) / place.unit_cost), place.instrument.step)
        if place.takes(Side.BUY, lots):
            return cut
    return replace(cut, reason=_NO_CASH, is_cut=False)


def _affordable_beyond_caps(
    places: Sequence[Place], orders: Sequence[VenueTrade], left: Decimal, funds: Funds
) -> tuple[Decimal, Cap | None]:
    """What the cash at venues with a full order would still buy there, and what filled them."""
    more, bound = _NOTHING, None
    for place in places:
        cap = place.cap(Side.BUY)
        if cap is None:
            continue
        wanted = Fraction(_taken(place, orders)) + place.ordered_for(left)
        if wanted >= Fraction(cap.quantity) + Fraction(place.instrument.step):
            bound = bound or cap
            with exact():
                more += place.kept_of(rounded(funds.at(place.venue) / place.unit_cost))
    return more, bound


def _taken(place: Place, orders: Sequence[VenueTrade]) -> Decimal:
    return next((order.quantity for order in orders if order.venue == place.venue), _NOTHING)


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
