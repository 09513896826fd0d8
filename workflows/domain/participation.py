"""How much of the market's volume an order may be.

Rule: a rate is the share of the volume of *all* traders, ourselves included. Volume that excludes
our own trades therefore allows rate / (1 - rate) of it; volume that includes them allows the rate
itself. Confusing the two under-trades by the factor 1 - rate, so the caller says which it has.

It must not know clocks or venues. Volumes and quantities in base units.
"""

import math
from decimal import Decimal
from fractions import Fraction


def own_target(rate: Decimal, volume: Fraction | Decimal, *, includes_own: bool) -> Fraction:
    """Base units of ours that are `rate` of all volume, exact.

    Raises ValueError for a rate outside (0, 1) or a volume below zero.
    """
    if not 0 < rate < 1 or volume < 0:
        raise ValueError(f"no participation of rate={rate} in volume={volume}")
    share = Fraction(rate)
    if not includes_own:
        share /= 1 - share
    return share * Fraction(volume)


def cap_lots(rate: Decimal, market_volume: Decimal, own_volume: Decimal, step: Decimal) -> int:
    """Most lots that we may trade against the others' volume of a window.

    market_volume is everybody's in the window, own_volume what of it was ours. The answer counts
    from the start of the window: for a window that is still open, or since the order began,
    subtract what was traded in it. Our late fills make others look larger by what is missing, and
    a venue's late trades make them look smaller, never below zero.
    Raises ValueError as `own_target` does.
    """
    others = max(Fraction(0), Fraction(market_volume) - Fraction(own_volume))
    return math.floor(own_target(rate, others, includes_own=False) / Fraction(step))
