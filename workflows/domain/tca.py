"""What an order cost against what it could have cost: implementation shortfall and benchmarks.

Theory. The paper portfolio trades all of Q at the decision price Pd and pays nothing; the real one
filled X of it at its prices and paid fees. What lies between them when the order ends, at Pn, is
the implementation shortfall (A. Perold, The Implementation Shortfall: Paper versus Reality, Journal
of Portfolio Management 14/3, 1988). With s = +1 for a buy and -1 for a sell, and Pa the middle of
the touch when the order was accepted:

    IS          = s * (sum q*p - X*Pd) + s * (Q - X) * (Pn - Pd) + fees = paper gain - real gain
    delay       = s * X * (Pa - Pd)
    impact      = s * (sum q*p - X*Pa)
    opportunity = s * (Q - X) * (Pn - Pd)
    IS          = delay + impact + opportunity + fees

W. Wagner and M. Edwards (Best Execution, Financial Analysts Journal 49/1, 1993) charge the delay to
all of Q and measure the opportunity from the arrival; the sum is the same.

Rule: a positive figure is a cost. Sums are exact, quotients are rounded once. What cannot be
measured is None, never 0. It must not know where prices come from; times are seconds on any one
clock.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from workflows.domain.exact import exact, rounded
from workflows.domain.orders import Side

MARKOUT_S = Decimal(60)
_BPS = 10_000
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One fill, or one trade of the market: seconds, quote units, base units."""

    at_s: Decimal
    price: Decimal
    quantity: Decimal
    is_maker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mid:
    """The middle of the touch from this moment on, until the next one is known."""

    at_s: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Decision, arrival and end price; `end` of None is not known."""

    decision: Decimal
    arrival: Decimal
    end: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """The formulas above, in quote units; `total_bps` on Q * Pd.

    Of an order that is filled whole the end price does not matter; else, where it is not known,
    what depends on it is None.
    """

    total: Decimal | None
    total_bps: Decimal | None
    delay: Decimal
    impact: Decimal
    opportunity: Decimal | None
    fees: Decimal
    wagner_delay: Decimal
    wagner_opportunity: Decimal | None
    paper_gain: Decimal | None
    real_gain: Decimal | None


def executed(fills: Iterable[Trade]) -> Decimal:
    """X: base units."""
    with exact():
        return sum((each.quantity for each in fills), _ZERO)


def notional(fills: Iterable[Trade]) -> Decimal:
    """Sum of quantity x price, in quote units."""
    with exact():
        return sum((each.quantity * each.price for each in fills), _ZERO)


def vwap(trades: Sequence[Trade]) -> Decimal | None:
    """Average price by quantity, in quote units; None where nothing traded."""
    quantity = executed(trades)
    return rounded(Fraction(notional(trades)) / Fraction(quantity)) if quantity else None


def shortfall(
    side: Side, ordered: Decimal, fills: Sequence[Trade], prices: Prices, fees: Decimal
) -> Shortfall:
    """See the module's theory. `ordered` is Q in base units, `fees` are in quote units."""
    s, filled, paid = side.sign, executed(fills), notional(fills)
    with exact():
        left = ordered - filled
        delay = s * filled * (prices.arrival - prices.decision)
        impact = s * (paid - filled * prices.arrival)
        wagner_delay = s * ordered * (prices.arrival - prices.decision)
        # what was not left over missed nothing, wherever the price went
        end = prices.end if left else prices.end or prices.decision
        known = dict.fromkeys(_OF_END)
        if end is not None:
            opportunity = s * left * (end - prices.decision)
            known = {
                "opportunity": opportunity,
                "total": delay + impact + opportunity + fees,
                "wagner_opportunity": s * left * (end - prices.arrival),
                "paper_gain": s * ordered * (end - prices.decision),
                "real_gain": s * (filled * end - paid) - fees,
            }
        whole = Fraction(ordered) * Fraction(prices.decision)
    total = known["total"]
    return Shortfall(
        total_bps=None if total is None else rounded(Fraction(total) / whole * _BPS),
        delay=delay,
        impact=impact,
        fees=fees,
        wagner_delay=wagner_delay,
        **known,
    )


_OF_END = ("opportunity", "total", "wagner_opportunity", "paper_gain", "real_gain")


def slippage_bps(side: Side, average: Decimal | None, benchmark: Decimal | None) -> Decimal | None:
    """s * (average - benchmark) / benchmark, in 1/10,000; None without either."""
    if average is None or not benchmark:
        return None
    return rounded(side.sign * (Fraction(average) / Fraction(benchmark) - 1) * _BPS)


def market_twap(mids: Sequence[Mid], since_s: Decimal, until_s: Decimal) -> Decimal | None:
    """The time-weighted mean of the middle as a step function over [since_s, until_s].

    `mids` by time. None where the middle at `since_s` is not known. Of no span: the middle then.
    """
    first = mid_at(mids, since_s)
    if first is None:
        return None
    span = Fraction(until_s) - Fraction(since_s)
    if span <= 0:
        return first
    within = [each for each in mids if since_s < each.at_s < until_s]
    steps = [Mid(at_s=since_s, price=first), *within]
    ends = [*(each.at_s for each in within), until_s]
    total = sum(
        Fraction(step.price) * (Fraction(end) - Fraction(step.at_s))
        for step, end in zip(steps, ends, strict=True)
    )
    return rounded(total / span)


def mid_at(mids: Sequence[Mid], at_s: Decimal) -> Decimal | None:
    """The last middle that was known then; `mids` by time."""
    place = bisect_right(mids, at_s, key=lambda each: each.at_s)
    return mids[place - 1].price if place else None


def share(part: Decimal, whole: Decimal) -> Decimal | None:
    """A quotient such as fill ratio or participation; None of nothing."""
    return rounded(Fraction(part) / Fraction(whole)) if whole else None


def maker_ratio(fills: Sequence[Trade]) -> Decimal | None:
    """The share of X that rested in the book."""
    return share(executed(each for each in fills if each.is_maker), executed(fills))


def effective_spread_bps(side: Side, fills: Sequence[Trade], mids: Sequence[Mid]) -> Decimal | None:
    """Sum of 2 * s * (p - mid) * q over the notional, with the middle when each fill traded."""
    return _against_mids(side, fills, mids, after_s=_ZERO, factor=2)


def markout_bps(side: Side, fills: Sequence[Trade], mids: Sequence[Mid]) -> Decimal | None:
    """Sum of s * (mid 60 s later - p) * q over the notional; positive: the price moved our way."""
    return _against_mids(side, fills, mids, after_s=MARKOUT_S, factor=-1)


def _against_mids(
    side: Side, fills: Sequence[Trade], mids: Sequence[Mid], *, after_s: Decimal, factor: int
) -> Decimal | None:
    whole = notional(fills)
    if not whole:
        return None
    total = Fraction(0)
    for fill in fills:
        mid = mid_at(mids, fill.at_s + after_s)
        if mid is None:
            return None
        total += Fraction(fill.price - mid) * Fraction(fill.quantity)
    return rounded(factor * side.sign * total / Fraction(whole) * _BPS)
