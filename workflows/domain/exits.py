"""Leaving a position: at which price and how much an exit is sent.

Rule: an exit never trades unbounded. Try k goes s_k through the touch of its moment, and s_k
widens by one step per try, from `first` up to `last`; whatever the market does meanwhile, no try
goes further than `last` through the touch at which the exit began. When nothing wider is left the
bound is exhausted, and the caller's policy decides, not this module.

It must not know clocks, venues or orders. Slippages are fractions, prices in quote units,
quantities in base units.
"""

import math
from decimal import Decimal
from fractions import Fraction

from workflows.domain.instruments import Instrument, price_on_tick
from workflows.domain.orders import Side

# A first slippage that is tiny beside the last would widen for ever: this many tries reach it.
MAX_EXIT_TRIES = 20


def bounded_price(
    touch: Decimal,
    side: Side,
    *,
    slippage: Decimal,
    limit: Decimal | None = None,
    instrument: Instrument,
) -> Decimal:
    """The touch plus the slippage (a sell: less), on the tick grid, never beyond the limit.

    It is never worse for `side` than either bound: a buy is rounded down, a sell up.
    """
    return _bounded(Fraction(touch), side, Fraction(slippage), limit, instrument)


def is_beyond(touch: Decimal, limit: Decimal | None, side: Side) -> bool:
    """Whether an order of `side` with this limit could not trade at the touch."""
    return limit is not None and (touch - limit) * side.sign > 0


def exit_slippage(*, first: Decimal, last: Decimal, tries: int) -> Fraction:
    """s_k of the try after so many: `first`, then one step more each time, at most `last`.

    The step is `first`, or what reaches `last` within MAX_EXIT_TRIES if that is more.
    Raises ValueError unless 0 <= first <= last and tries >= 0.
    """
    if not 0 <= first <= last or tries < 0:
        raise ValueError(f"no such exit: first={first} last={last} tries={tries}")
    start, widest = Fraction(first), Fraction(last)
    step = max(start, (widest - start) / (MAX_EXIT_TRIES - 1))
    return min(widest, start + tries * step)


def widest_try(*, first: Decimal, last: Decimal) -> int:
    """The first try whose bound is `last`: from there on, no try goes further."""
    tries = 0
    while exit_slippage(first=first, last=last, tries=tries) < Fraction(last):
        tries += 1
    return tries


def exit_price(
    touch: Decimal,
    side: Side,
    *,
    first: Decimal,
    last: Decimal,
    tries: int,
    first_touch: Decimal,
    instrument: Instrument,
) -> Decimal | None:
    """Limit price of an IOC exit after `tries` that did not fill it, or None: exhausted.

    first_touch is the touch of the first try. The bound is exhausted when the last try was as
    wide as any may be (s_k = s_{k-1}), or when the touch itself is more than `last` away from
    first_touch, so that nothing within the bound is on offer.
    Raises ValueError unless 0 <= first <= last and tries >= 0.
    """
    slippage = exit_slippage(first=first, last=last, tries=tries)
    if tries > 0 and slippage == exit_slippage(first=first, last=last, tries=tries - 1):
        return None
    worst = bounded_price(first_touch, side, slippage=last, instrument=instrument)
    if is_beyond(touch, worst, side):
        return None
    return _bounded(Fraction(touch), side, slippage, worst, instrument)


def protected_lots(
    quantity: Decimal,
    free_position: Decimal | None,
    side: Side,
    step: Decimal,
    tp_executed: Decimal,
) -> int:
    """Lots that an exit of `side` may still close: min(protected less executed, free position).

    quantity is what was to be protected, tp_executed what the take-profit or earlier exits of the
    same order have executed of it. free_position is signed, less what other open orders will
    close; None where the quantity does not follow the position. Never below 0: a position on the
    other side is not closed by this exit.
    """
    left = Fraction(quantity) - Fraction(tp_executed)
    if free_position is not None:
        left = min(left, -side.sign * Fraction(free_position))
    return max(0, math.floor(left / Fraction(step)))


def _bounded(
    touch: Fraction, side: Side, slippage: Fraction, limit: Decimal | None, instrument: Instrument
) -> Decimal:
    bound = touch * (1 + side.sign * slippage)
    if limit is not None:
        nearer = min if side is Side.BUY else max
        bound = nearer(bound, Fraction(limit))
    return price_on_tick(bound, instrument.tick, side)
