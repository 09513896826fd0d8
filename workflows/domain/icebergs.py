"""Icebergs: how large the next tip is, when it is shown, and who can work it.

Rule: tips are whole lots and a pure function of the order's id, the number of the tip and what is
left: clamp(round_half_up(D * u), minimum, R) with u drawn from [1 - v, 1 + v]. What would be left
below the minimum is shown with the tip before it, so that no untradable tail remains.

It must not know clocks, venues' state or prices. `remaining_lots` may only count what is neither
executed nor outstanding: the caller never has two tips live.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.draws import divide_half_up, drawn_fraction
from workflows.domain.exact import is_multiple, times, whole_steps
from workflows.domain.instruments import Instrument, Native

# Each tip costs events and at least one order: beyond this an iceberg is a mistake, not a wish.
MAX_TIPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergParameters:
    """What the tips are made of. Quantities in base units, `variance` a fraction in [0, 0.5].

    display: whole lots, as `display_of` answers. seed: the order's id.
    """

    total: Decimal
    step: Decimal
    display: Decimal
    variance: Decimal
    min_visible_lots: int
    seed: str


def display_of(
    total: Decimal, ratio: Decimal | None, display: Decimal | None, step: Decimal
) -> Decimal:
    """The base quantity to show: `display`, else the ratio of the total.

    Floored to lots, but at least one, and never more than the total.
    Raises ValueError when neither is given.
    """
    if display is not None:
        wanted = Fraction(display)
    elif ratio is not None:
        wanted = Fraction(total) * Fraction(ratio)
    else:
        raise ValueError("an iceberg shows a quantity or a ratio of its total")
    lots = math.floor(wanted / Fraction(step))
    return times(step, max(1, min(lots, whole_steps(total, step))))


def min_visible_lots_of(min_visible: Decimal | None, *, step: Decimal, min_child_lots: int) -> int:
    """Least tip in lots: what the user wants shown at least, and never below the venue's minimum.

    min_child_lots is the minimum at the present price (schedules.minimum_child_lots).
    """
    if min_visible is None:
        return min_child_lots
    return max(min_child_lots, math.ceil(Fraction(min_visible) / Fraction(step)))


def next_tip(parameters: IcebergParameters, *, index: int, remaining_lots: int) -> int:
    """Lots of the tip number `index` (from 0), or 0 when nothing is left.

    Raises ValueError for remaining_lots below zero.
    """
    variance = Fraction(parameters.variance)
    factor = Fraction(1)
    if variance:
        factor += variance * (2 * drawn_fraction(parameters.seed, "tip", index) - 1)
    return tip_from_factor(parameters, factor, remaining_lots)


def tip_from_factor(parameters: IcebergParameters, factor: Fraction, remaining_lots: int) -> int:
    """The tip for a factor u that has been drawn already, in lots.

    Raises ValueError for remaining_lots below zero.
    """
    if remaining_lots < 0:
        raise ValueError(f"less than nothing cannot be left: {remaining_lots}")
    wanted = Fraction(parameters.display) / Fraction(parameters.step) * factor
    drawn = divide_half_up(wanted.numerator, wanted.denominator)
    tip = min(max(drawn, parameters.min_visible_lots), remaining_lots)
    if remaining_lots - tip < parameters.min_visible_lots:
        return remaining_lots
    return tip


def parts(quantity: Decimal, display: Decimal) -> int:
    """Parts of a native iceberg, the shown one included: ceil(quantity / display)."""
    return math.ceil(Fraction(quantity) / Fraction(display))


def native_possible(
    instrument: Instrument,
    quantity: Decimal,
    display: Decimal,
    variance: Decimal,
    is_pegged: bool,
    *,
    is_delayed: bool = False,
) -> bool:
    """Whether the venue itself can hide this order as it was asked for.

    `is_delayed`: the next tip waits a while, which no venue does. False too when all is shown:
    that is a plain limit order. A venue that names no limit of parts has none.
    """
    if Native.ICEBERG not in instrument.natives or display >= quantity:
        return False
    if variance != 0 or is_pegged or is_delayed or display < instrument.min_quantity:
        return False
    limit = instrument.iceberg_parts
    return limit is None or parts(quantity, display) <= limit


def replenish_delay_ms(seed: str, index: int, longest_s: Decimal) -> int:
    """Pause before tip number `index`, in whole ms, drawn evenly from [0, longest_s]."""
    choices = math.floor(Fraction(longest_s) * 1_000) + 1
    return math.floor(choices * drawn_fraction(seed, "delay", index))


def deny_iceberg(
    instrument: Instrument,
    quantity: Decimal,
    *,
    ratio: Decimal | None,
    display: Decimal | None,
    min_visible: Decimal | None,
    min_child_lots: int,
) -> Denied | None:
    """Why these tips cannot be shown, or None.

    `ratio` is the one that counts, the default included. Nothing is shown larger than was asked:
    a display below the minimum is refused and says what would do.
    """
    step, code = instrument.step, DenialCode
    asked = {"iceberg_display": display, "iceberg_min_visible": min_visible}
    for field, value in asked.items():
        if value is not None and not is_multiple(value, step):
            return Denied(code=code.PRECISION, field=field, detail=f"{field}={value} step={step}")
    least = times(step, min_visible_lots_of(min_visible, step=step, min_child_lots=min_child_lots))
    shown = display_of(quantity, ratio, display, step)
    if shown >= quantity:
        return None
    field = "iceberg_visible_ratio" if display is None else "iceberg_display"
    if shown < times(step, min_child_lots):
        detail = f"display={shown} min={times(step, min_child_lots)}"
        return Denied(code=code.MIN_NOTIONAL, field=field, detail=detail)
    if shown < least:
        detail = f"min_visible={least} display={shown}"
        return Denied(code=code.OUT_OF_RANGE, field="iceberg_min_visible", detail=detail)
    if parts(quantity, shown) > MAX_TIPS:
        detail = f"tips={parts(quantity, shown)} max={MAX_TIPS}"
        return Denied(code=code.OUT_OF_RANGE, field=field, detail=detail)
    return None
