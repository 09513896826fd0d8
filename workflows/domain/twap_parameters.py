"""What a TWAP is asked to do: its parameters, and what may be wrong with them.

Also how duration, slices and interval follow from each other, and the parameters of the rest
after an amendment (a *segment*). Pure: it must not know clocks, venues or how a slice is worked.
Quantities in base units, times in seconds.
"""

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact, times

# Each slice costs events and at least one order: beyond this a plan is a mistake, not a wish.
MAX_SLICES = 5_000
# An order works for at most 365 days.
MAX_DURATION_S = 31_536_000
MAX_JITTER = Decimal("0.5")

# Digits allowed on either side of the point; without a bound 1E+999999 would expand in memory.
_MAX_DIGITS = 40
_INTERVAL_UNIT = Decimal("1E-18")


class CatchUp(StrEnum):
    """What happens to a deficit: shared among the slices left, or taken by the next one."""

    SPREAD = "spread"
    IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapParameters:
    """What the user asked for, in base quantity and seconds.

    weights: None for equal slices, or one non-negative number per planned slice (a volume curve).
    seed: the order id; only the two jitters read it.
    """

    total: Decimal
    step: Decimal
    duration_s: Decimal
    interval_s: Decimal
    size_jitter: Decimal = Decimal(0)
    time_jitter: Decimal = Decimal(0)
    catch_up: CatchUp = CatchUp.SPREAD
    cap_multiple: int = 3
    end_sweep: bool = True
    seed: str
    weights: tuple[Decimal, ...] | None = None


def duration_and_interval(
    duration_s: Decimal | None,
    slices: int | None,
    interval_s: Decimal | None,
    default_slices: int,
    default_interval_s: Decimal,
) -> tuple[Decimal, Decimal]:
    """Duration and interval in seconds, such that floor(duration / interval) slices are asked for.

    Two of the three name a schedule; of all three the duration is not read, it has been checked
    to be their product. What is missing takes its default. A duration divided by slices is cut
    after 18 decimals, which never changes the count.
    """
    if duration_s is None or (slices is not None and interval_s is not None):
        spacing_s = interval_s if interval_s is not None else default_interval_s
        count = slices if slices is not None else default_slices
        return times(spacing_s, count), spacing_s
    if interval_s is not None:
        return duration_s, interval_s
    count = slices if slices is not None else default_slices
    units = math.floor(Fraction(duration_s) / count / Fraction(_INTERVAL_UNIT))
    with exact():
        return duration_s, (units * _INTERVAL_UNIT).normalize()


def segment(
    parameters: TwapParameters, *, remaining: Decimal, duration_s: Decimal, index: int
) -> TwapParameters:
    """The parameters of what is left after the `index`-th amendment: plan them anew.

    remaining: base quantity that may still trade, execution confirmed and nothing outstanding.
    duration_s: seconds left. The segment counts its own slices, lots and time from zero, keeps
    the old interval unless less time than that is left, and draws from a seed of its own.
    Raises ValueError for a volume curve, whose rest is not a matter of numbers left.
    """
    if parameters.weights is not None:
        raise ValueError("a schedule with given weights has no segments")
    return replace(
        parameters,
        total=remaining,
        duration_s=duration_s,
        interval_s=min(parameters.interval_s, duration_s),
        seed=f"{parameters.seed}#{index}",
    )


def slices_requested(parameters: TwapParameters) -> int:
    """Whole intervals within the duration: N before the minimum child is looked at."""
    return math.floor(Fraction(parameters.duration_s) / Fraction(parameters.interval_s))


def is_plain(value: Decimal) -> bool:
    """Finite, and short enough to be expanded to all its digits."""
    if not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # only NaN and infinities have a letter here
    return exponent >= -_MAX_DIGITS and value.adjusted() < _MAX_DIGITS


def deny_parameters(parameters: TwapParameters) -> Denied | None:
    """The first parameter that cannot be planned with, or None."""
    return _deny_quantity(parameters) or _deny_timing(parameters) or _deny_options(parameters)


def deny_weights(weights: tuple[Decimal, ...] | None, slices: int) -> Denied | None:
    """Why these weights do not fit so many slices, or None."""
    code = DenialCode.OUT_OF_RANGE
    if weights is None:
        return None
    if len(weights) != slices:
        return deny(code, "weights", weights=len(weights), slices=slices)
    if not all(is_plain(weight) and weight >= 0 for weight in weights):
        return deny(code, "weights", minimum=0)
    if not any(weights):
        return deny(code, "weights", sum=0)
    return None


def deny(code: DenialCode, field: str, **facts: object) -> Denied:
    """A denial of `field` whose detail is the facts as `key=value`."""
    detail = " ".join(f"{key}={value}" for key, value in facts.items())
    return Denied(code=code, field=field, detail=detail)


def _deny_quantity(parameters: TwapParameters) -> Denied | None:
    code, total, step = DenialCode, parameters.total, parameters.step
    if not is_plain(total):
        return deny(code.INVALID_DECIMAL, "quantity", quantity=total)
    if total <= 0:
        return deny(code.NOT_POSITIVE, "quantity", quantity=total)
    if not (is_plain(step) and step > 0):
        return deny(code.SYMBOL_RULES_INVALID, "symbol", step=step)
    return None


def _deny_timing(parameters: TwapParameters) -> Denied | None:
    code = DenialCode.OUT_OF_RANGE
    duration_s, interval_s = parameters.duration_s, parameters.interval_s
    if not (is_plain(interval_s) and 0 < interval_s <= MAX_DURATION_S):
        return deny(code, "twap_interval", interval_s=interval_s, maximum_s=MAX_DURATION_S)
    if not is_plain(duration_s):
        return deny(code, "duration_s", duration_s=duration_s)
    # A duration shorter than one interval is a schedule of no slices.
    requested = slices_requested(parameters)
    if not 1 <= requested <= MAX_SLICES:
        return deny(code, "twap_slices", slices=requested, minimum=1, maximum=MAX_SLICES)
    if duration_s > MAX_DURATION_S:
        return deny(code, "duration_s", duration_s=duration_s, maximum_s=MAX_DURATION_S)
    return None


def _deny_options(parameters: TwapParameters) -> Denied | None:
    code = DenialCode
    jitters = {"size_jitter": parameters.size_jitter, "time_jitter": parameters.time_jitter}
    for field, jitter in jitters.items():
        if not (is_plain(jitter) and 0 <= jitter <= MAX_JITTER):
            return deny(code.OUT_OF_RANGE, field, **{field: jitter}, maximum=MAX_JITTER)
    if parameters.cap_multiple < 1:
        return deny(code.OUT_OF_RANGE, "catch_up_cap", catch_up_cap=parameters.cap_multiple)
    if parameters.weights is not None and parameters.size_jitter != 0:
        # A weight is drawn or given, not both; to ignore one of the two would be a silent surprise.
        return deny(code.FIELD_NOT_ALLOWED, "size_jitter", weights=len(parameters.weights))
    return None
