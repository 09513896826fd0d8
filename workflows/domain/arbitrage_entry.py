"""Whether an arbitrage may start, and with what: two books judged before anything is sent.

The quantity is the plan's, floored to the common lot of both venues and capped by what the books
hold within the plan's prices, by balances including fees and by the largest order allowed. It is
then judged at the prices that are really sent, never at the middle of a book: the expected net by
walking both books, the worst net with both legs at their limits.

It must not know clocks (whoever calls has checked the age of the books), orders or venues.
Quantities in base units; prices, notionals and profits in quote units; fees are fractions.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from workflows.domain.arbitrage_legs import (
    EntryTerms,
    PricedLeg,
    VenueFacts,
    check_leg,
    check_rules,
    priced_legs,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact, floored, rounded, times
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side

__all__ = ["MINIMUM_BUFFER", "Entry", "EntryTerms", "VenueFacts", "common_lot", "plan_entry"]

MINIMUM_BUFFER = Decimal("1.05")
"""How far above a venue's minimum a leg must be, so that a moving price does not undercut it."""
_BPS = Decimal(10_000)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What to send. A limit of None is a market order. `harder` is the leg with the thinner book.

    Both nets are after fees, rounded to 18 decimals; what the sell leg leaves over counts at cost.
    """

    buy_quantity: Decimal
    sell_quantity: Decimal
    buy_limit: Decimal | None
    sell_limit: Decimal | None
    expected_net: Decimal
    worst_net: Decimal
    harder: Side


def common_lot(a: Instrument, b: Instrument) -> Decimal:
    """The smallest quantity that is a whole number of steps at both venues."""
    one, other = Fraction(a.step), Fraction(b.step)
    scale = one.denominator * other.denominator
    lot = Fraction(math.lcm(int(one * scale), int(other * scale)), scale)
    return times(a.step, int(lot / one))


def plan_entry(terms: EntryTerms, buy: VenueFacts, sell: VenueFacts) -> Entry | Denied:
    """The legs to send at the books of now, or the first reason why nothing is sent."""
    for facts in (buy, sell):
        if denied := check_rules(facts.instrument):
            return denied
    buy_leg, sell_leg = priced_legs(terms, buy, sell)
    for leg in (buy_leg, sell_leg):
        if denied := check_leg(leg):
            return denied
    pair = _Pair(buy=buy_leg, sell=sell_leg, lot=common_lot(buy.instrument, sell.instrument))
    quantity = _size(terms, pair)
    return quantity if isinstance(quantity, Denied) else _judge(terms, pair, quantity)


# --- the size -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Both legs and the lot that both venues trade."""

    buy: PricedLeg
    sell: PricedLeg
    lot: Decimal

    @property
    def kept(self) -> Fraction:
        """Share of the units bought that arrives: the rest is the fee, where that is in base."""
        facts = self.buy.facts
        fee = facts.taker_fee if facts.buys_pay_base else _ZERO
        return 1 - Fraction(max(fee, _ZERO))

    def sell_quantity(self, quantity: Decimal) -> Decimal:
        """What the sell leg sells of a bought quantity: what arrives, on its venue's step.

        Where the fee is taken in base, what arrives is seldom on the step; the rest, less than
        one step, then stays as a residual that this venue does not trade.
        """
        step = self.sell.facts.instrument.step
        lots = int(Fraction(quantity) * self.kept / Fraction(step))
        return times(step, lots)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cap:
    """The most that may be bought for one reason, and the denial if that is too little."""

    most: Fraction
    denied: Denied


def _size(terms: EntryTerms, pair: _Pair) -> Decimal | Denied:
    """The quantity to buy, or why there is none that both venues would trade."""
    wanted = floored(terms.amount, pair.lot)
    if denied := _check_minimums(pair, wanted):
        return denied
    binding = min(_caps(terms, pair), key=lambda cap: cap.most)
    if binding.most >= wanted:
        return wanted
    quantity = times(pair.lot, int(max(binding.most, Fraction(0)) / Fraction(pair.lot)))
    return binding.denied if _check_minimums(pair, quantity) else quantity


def _check_minimums(pair: _Pair, quantity: Decimal) -> Denied | None:
    """Both legs above the minimums of both venues: a compensation may go to either of them."""
    rules = (pair.buy.facts.instrument, pair.sell.facts.instrument)
    with exact():
        least = max(each.min_quantity for each in rules) * MINIMUM_BUFFER
        least_notional = max(each.min_notional for each in rules) * MINIMUM_BUFFER
    sold = pair.sell_quantity(quantity)
    if sold <= 0 or sold < least:
        detail = f"quantity={sold:f} min={least:f} lot={pair.lot:f}"
        return Denied(code=DenialCode.OUT_OF_RANGE, field="amount", detail=detail)
    for leg, sent in ((pair.buy, quantity), (pair.sell, sold)):
        price = leg.touch if leg.limit is None else leg.limit
        with exact():
            notional = sent * price
        if notional < least_notional:
            detail = f"notional={notional:f} min={least_notional:f}"
            return Denied(code=DenialCode.MIN_NOTIONAL, field="amount", detail=detail)
    return None


def _caps(terms: EntryTerms, pair: _Pair) -> list[_Cap]:
    buy, sell, kept = pair.buy, pair.sell, pair.kept
    fee = Fraction(0) if buy.facts.buys_pay_base else Fraction(max(buy.facts.taker_fee, _ZERO))
    funds = Fraction(buy.facts.free_quote) / (Fraction(buy.worst) * (1 + fee))
    caps = [
        _depth_cap(buy, Fraction(1)),
        _depth_cap(sell, kept),
        _funds_cap(buy, buy.facts.instrument.quote, buy.facts.free_quote, funds),
        _funds_cap(
            sell,
            sell.facts.instrument.base,
            sell.facts.free_base,
            Fraction(sell.facts.free_base) / kept,
        ),
    ]
    for leg, share in ((buy, Fraction(1)), (sell, kept)):
        most = leg.facts.instrument.max_quantity
        if most is not None:
            detail = f"max={most:f} exchange={leg.facts.instrument.venue}"
            caps.append(_cap(Fraction(most) / share, DenialCode.OUT_OF_RANGE, detail))
        if terms.max_notional is not None:
            detail = f"max_notional={terms.max_notional:f} price={leg.dearest:f}"
            most_by_value = Fraction(terms.max_notional) / Fraction(leg.dearest) / share
            caps.append(_cap(most_by_value, DenialCode.RISK_MAX_NOTIONAL, detail))
    return caps


def _depth_cap(leg: PricedLeg, share: Fraction) -> _Cap:
    detail = f"depth={leg.depth:f} within={leg.reach:f} exchange={leg.facts.instrument.venue}"
    return _cap(Fraction(leg.depth) / share, DenialCode.INSUFFICIENT_DEPTH, detail)


def _funds_cap(leg: PricedLeg, asset: str, free: Decimal, most: Fraction) -> _Cap:
    detail = f"asset={asset} free={free:f} exchange={leg.facts.instrument.venue}"
    return _cap(most, DenialCode.INSUFFICIENT_FUNDS, detail)


def _cap(most: Fraction, code: DenialCode, detail: str) -> _Cap:
    return _Cap(most=most, denied=Denied(code=code, field="amount", detail=detail))


# --- the profit -----------------------------------------------------------------------------------


def _judge(terms: EntryTerms, pair: _Pair, quantity: Decimal) -> Entry | Denied:
    """The entry of this size, if it is worth its while at the prices that are sent."""
    buy, sell, sold = pair.buy, pair.sell, pair.sell_quantity(quantity)
    spent = buy.value(quantity)
    expected = _net(pair, quantity, bought_for=spent, sold_for=sell.value(sold))
    with exact():
        worst_spent, worst_got = quantity * buy.worst, sold * sell.worst
        default = -terms.max_loss_bps * spent / _BPS
    worst = _net(pair, quantity, bought_for=worst_spent, sold_for=worst_got)
    least_worst = default if terms.min_profit_worst is None else terms.min_profit_worst
    for name, net, field, least in (
        ("expected_net", expected, "min_profit", terms.min_profit),
        ("worst_net", worst, "min_profit_worst", least_worst),
    ):
        if net < least:
            detail = f"{name}={rounded(net, 8):f} {field}={least:f} quantity={quantity:f}"
            return Denied(code=DenialCode.BELOW_MIN_PROFIT, field=field, detail=detail)
    return Entry(
        buy_quantity=quantity,
        sell_quantity=sold,
        buy_limit=buy.limit,
        sell_limit=sell.limit,
        expected_net=rounded(expected),
        worst_net=rounded(worst),
        harder=Side.BUY if buy.depth <= sell.depth else Side.SELL,
    )


def _net(pair: _Pair, quantity: Decimal, *, bought_for: Decimal, sold_for: Decimal) -> Fraction:
    """Profit after fees of what is bought and sold again; the rest of the buy stands at its cost.

    Where fees are in quote: sold * (1 - fee) - bought * (1 + fee).
    """
    buy, sell = pair.buy.facts, pair.sell.facts
    cost, arrived = Fraction(bought_for), Fraction(quantity) * pair.kept
    if not buy.buys_pay_base:
        cost *= 1 + Fraction(buy.taker_fee)
    matched = Fraction(pair.sell_quantity(quantity)) / arrived
    return Fraction(sold_for) * (1 - Fraction(sell.taker_fee)) - cost * matched
