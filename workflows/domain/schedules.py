"""TWAP schedules: how much to trade in which slice, and when.

Rule: a schedule is a pure function of its parameters and of the minimum child at planning time,
so a workflow keeps those two and plans again instead of storing thousands of numbers. Quantities
are whole lots, times are exact fractions of a second after the start t0, and every random-looking
draw is sha256 of the seed: the same order id gives the same plan on every machine and replay.

The cumulative target is rounded, never a single slice: C_k = round_half_up(q * W_k / W_N). So the
line is never left by more than half a lot, the sum is exact, and no remainder is dumped at the end.

It must not know clocks, venues, prices that move, or how a child is worked. It is told what has
been confirmed as executed and answers with the next size; only confirmed lots may be passed in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.draws import DRAW_BITS, divide_half_up, draw
from workflows.domain.exact import minus, times
from workflows.domain.twap_parameters import (
    MAX_DURATION_S,
    MAX_SLICES,
    CatchUp,
    TwapParameters,
    deny,
    deny_parameters,
    deny_weights,
    duration_and_interval,
    is_plain,
    segment,
    slices_requested,
)

__all__ = [  # the face of TWAP planning: whoever plans imports from here alone
    "MAX_DURATION_S",
    "MAX_SLICES",
    "CatchUp",
    "TwapParameters",
    "TwapSchedule",
    "duration_and_interval",
    "executed_lots_of",
    "minimum_child_lots",
    "next_child",
    "plan_twap",
    "quantity_of",
    "residual_lots",
    "segment",
    "slice_at",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapSchedule:
    """A plan: slice k = 0..slices-1 owns the window [boundaries[k], boundaries[k+1]).

    cumulative_lots: C_0..C_N; slice k is planned to trade C_{k+1} - C_k.
    offsets: start of each slice in seconds after t0, time jitter included. Round them up, never
        down, when a timer needs a coarser unit: a timer that fires early is in the slice before.
    boundaries: N+1 window edges in seconds after t0; the last one is the duration.
    dust: base quantity below one lot, which this order will never trade.
    min_child_lots: the minimum used for planning; with parameters it recomputes this schedule.
    """

    parameters: TwapParameters
    min_child_lots: int
    total_lots: int
    step: Decimal
    dust: Decimal
    slices_requested: int
    slices: int
    spacing_s: Fraction
    cumulative_lots: tuple[int, ...]
    offsets: tuple[Fraction, ...]
    boundaries: tuple[Fraction, ...]


def minimum_child_lots(
    *,
    step: Decimal,
    min_qty: Decimal,
    min_notional: Decimal,
    price: Decimal,
    buffer: Decimal = Decimal("0.05"),
) -> int:
    """Smallest child in lots that the venue takes: mc = max(1, minQty, minNotional with buffer).

    step and min_qty are base quantities, min_notional is in quote, price is quote per base, and
    buffer is the fraction by which the price may move before the order arrives.
    Raises ValueError for a step or price that is not positive, or any other value below zero.
    """
    if not (is_plain(step) and step > 0 and is_plain(price) and price > 0):
        raise ValueError(f"step and price must be positive: step={step} price={price}")
    if not all(is_plain(value) and value >= 0 for value in (min_qty, min_notional, buffer)):
        raise ValueError(
            "minimums must not be negative: "
            f"min_qty={min_qty} min_notional={min_notional} buffer={buffer}"
        )
    notional = Fraction(min_notional) * (1 + Fraction(buffer))
    return max(
        1,
        math.ceil(Fraction(min_qty) / Fraction(step)),
        math.ceil(notional / Fraction(price) / Fraction(step)),
    )


def plan_twap(parameters: TwapParameters, *, min_child_lots: int) -> TwapSchedule | Denied:
    """Plan the slices, or say why there is no plan.

    A total below the minimum child is denied MIN_NOTIONAL: the venue's own quantity filter has
    been checked before, what is left is the notional with its buffer.
    Raises ValueError if min_child_lots is below one.
    """
    _require_minimum(min_child_lots)
    denied = deny_parameters(parameters)
    if denied is not None:
        return denied
    lots, dust = _lots_and_dust(parameters)
    if lots < min_child_lots:
        minimum = quantity_of(min_child_lots, step=parameters.step)
        code = DenialCode.MIN_NOTIONAL
        return deny(code, "quantity", quantity=parameters.total, minimum=minimum)
    slices = _slice_count(parameters, lots, min_child_lots)
    denied = deny_weights(parameters.weights, slices)
    if denied is not None:
        return denied
    spacing_s = Fraction(parameters.duration_s) / slices
    return TwapSchedule(
        parameters=parameters,
        min_child_lots=min_child_lots,
        total_lots=lots,
        step=parameters.step,
        dust=dust,
        slices_requested=slices_requested(parameters),
        slices=slices,
        spacing_s=spacing_s,
        cumulative_lots=_cumulative_lots(lots, _weights(parameters, slices)),
        offsets=_offsets(parameters, slices, spacing_s),
        boundaries=tuple(k * spacing_s for k in range(slices + 1)),
    )


def slice_at(schedule: TwapSchedule, elapsed_s: Fraction | Decimal | int) -> int:
    """Index of the slice whose window holds this moment; `slices` once the duration is over.

    elapsed_s is in seconds since t0. A worker that wakes up late goes on here and skips what it
    missed; next_child catches up under the cap. Raises ValueError for a moment before t0.
    """
    if elapsed_s < 0:
        raise ValueError(f"the schedule has not started: elapsed_s={elapsed_s}")
    return min(schedule.slices, math.floor(Fraction(elapsed_s) / schedule.spacing_s))


def next_child(schedule: TwapSchedule, *, k: int, executed_lots: int, min_child_lots: int) -> int:
    """Lots to trade in slice k; 0 means: trade nothing now, the amount is carried.

    executed_lots counts confirmed execution with nothing outstanding. min_child_lots is the
    minimum at the present price, which may differ from the one at planning.
    Raises ValueError if k is no slice of the schedule, executed_lots is below zero or
    min_child_lots below one.
    """
    _require_minimum(min_child_lots)
    if not 0 <= k < schedule.slices:
        raise ValueError(f"no such slice: k={k} slices={schedule.slices}")
    remaining = residual_lots(schedule, executed_lots=executed_lots)
    want = min(_wanted_lots(schedule, k, executed_lots), remaining)
    is_last = k == schedule.slices - 1
    if not (is_last and schedule.parameters.end_sweep):
        want = min(want, _cap_lots(schedule, min_child_lots))
    # In the last slice want is all that remains, or the cap, which is never below the minimum:
    # what is refused here is then truly untradable.
    if want < min_child_lots:
        return 0
    # Last step, and stronger than the cap: never leave a tail that nobody can trade.
    if remaining - want < min_child_lots:
        return remaining
    return want


def residual_lots(schedule: TwapSchedule, *, executed_lots: int) -> int:
    """Lots still to trade, 0 if the venue executed more than was asked.

    Raises ValueError for executed_lots below zero.
    """
    if executed_lots < 0:
        raise ValueError(f"execution cannot be negative: executed_lots={executed_lots}")
    return max(0, schedule.total_lots - executed_lots)


def executed_lots_of(quantity: Decimal, *, step: Decimal) -> int:
    """Lots used up by an executed base quantity, a broken lot counted as a whole one.

    Counting up is the safe side: what has been traded must not become tradable again.
    """
    return math.ceil(Fraction(quantity) / Fraction(step))


def quantity_of(lots: int, *, step: Decimal) -> Decimal:
    """Exact base quantity of so many lots, whatever the decimal context of the caller."""
    return times(step, lots)


def _wanted_lots(schedule: TwapSchedule, k: int, executed_lots: int) -> int:
    """Nominal size plus what the catch-up rule adds, before cap and minimum."""
    nominal = schedule.cumulative_lots[k + 1] - schedule.cumulative_lots[k]
    deficit = schedule.cumulative_lots[k] - executed_lots
    # Being ahead of the line always counts in full: it must never turn into over-trading.
    if deficit < 0 or schedule.parameters.catch_up is CatchUp.IMMEDIATE:
        return nominal + deficit
    return nominal + divide_half_up(deficit, schedule.slices - k)


def _cap_lots(schedule: TwapSchedule, min_child_lots: int) -> int:
    even_share = -(-schedule.total_lots // schedule.slices)
    return max(min_child_lots, schedule.parameters.cap_multiple * even_share)


def _slice_count(parameters: TwapParameters, lots: int, min_child_lots: int) -> int:
    """As many slices as asked for, but so few that the smallest draw still is a valid child."""
    jitter = Fraction(parameters.size_jitter)
    affordable = math.floor(lots * (1 - jitter) / (min_child_lots * (1 + jitter)))
    return max(1, min(slices_requested(parameters), affordable))


def _lots_and_dust(parameters: TwapParameters) -> tuple[int, Decimal]:
    lots = math.floor(Fraction(parameters.total) / Fraction(parameters.step))
    traded = quantity_of(lots, step=parameters.step)
    return lots, minus(parameters.total, traded)


def _weights(parameters: TwapParameters, slices: int) -> list[int]:
    """Weights as integers on one common scale: only their ratios matter, and integers are fast."""
    if parameters.weights is not None:
        exact = [Fraction(weight) for weight in parameters.weights]
        scale = math.lcm(*(weight.denominator for weight in exact))
        return [weight.numerator * (scale // weight.denominator) for weight in exact]
    jitter = Fraction(parameters.size_jitter)
    if jitter == 0:
        return [1] * slices
    # 1 - r + 2*r*u, multiplied by the denominators of r and u.
    lowest = (jitter.denominator - jitter.numerator) << DRAW_BITS
    return [lowest + 2 * jitter.numerator * draw(parameters.seed, "size", k) for k in range(slices)]


def _cumulative_lots(lots: int, weights: Sequence[int]) -> tuple[int, ...]:
    running = list(accumulate(weights, initial=0))
    return tuple(divide_half_up(lots * weight, running[-1]) for weight in running)


def _offsets(parameters: TwapParameters, slices: int, spacing_s: Fraction) -> tuple[Fraction, ...]:
    jitter = Fraction(parameters.time_jitter)
    if jitter == 0:
        return tuple(k * spacing_s for k in range(slices))
    unit_s = jitter * spacing_s / (1 << DRAW_BITS)
    return tuple(k * spacing_s + unit_s * draw(parameters.seed, "time", k) for k in range(slices))


def _require_minimum(min_child_lots: int) -> None:
    if min_child_lots < 1:
        raise ValueError(f"the minimum child is at least one lot: {min_child_lots}")
