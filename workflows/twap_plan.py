"""From a TWAP's request and state to its schedule: pure, the same in every run.

The first plan comes from the request; each amendment of quantity or end begins a new segment,
which plans what is left over the time that is left.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from workflows import ports
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import minus
from workflows.domain.instruments import Instrument
from workflows.domain.minimums import minimum_lots
from workflows.domain.schedules import (
    CatchUp,
    TwapParameters,
    TwapSchedule,
    duration_and_interval,
    plan_twap,
    segment,
)
from workflows.durations import in_seconds
from workflows.fields import plain
from workflows.messages import OrderRequest
from workflows.order_state import TwapState

DEFAULT_CAP_MULTIPLE = 3
_LEAST_SPACING_S = Fraction(1, 20)


def plan_order(
    request: OrderRequest,
    terms: ports.EngineTerms,
    instrument: Instrument,
    reference: Decimal,
    *,
    now: datetime,
    seed: str,
) -> tuple[TwapState, TwapSchedule] | Denied:
    """The first plan, which begins at `now` or when the order asks for it."""
    begins = max(now, request.start_at or now)
    duration_s, interval_s = timing_of(request, terms, begins)
    twap = TwapState(
        started_at=begins,
        step=instrument.step,
        min_child_lots=minimum_lots(instrument, request.price or reference),
        duration_s=duration_s,
        interval_s=interval_s,
    )
    schedule = schedule_of(request, terms, twap, seed)
    if isinstance(schedule, Denied):
        return schedule
    if schedule.spacing_s < _LEAST_SPACING_S:
        return Denied(
            code=DenialCode.OUT_OF_RANGE,
            field="twap_slices",
            detail=f"slices={schedule.slices} duration_s={plain(duration_s)} least_spacing_s=0.05",
        )
    return twap, schedule


def parameters_of(
    request: OrderRequest, terms: ports.EngineTerms, twap: TwapState, seed: str
) -> TwapParameters:
    """What the present segment plans."""
    times = (twap.duration_s, twap.interval_s)
    if twap.duration_s is None or twap.interval_s is None:  # planned before these were kept
        times = timing_of(request, terms, twap.started_at)
    duration_s, interval_s = times
    assert duration_s is not None
    assert interval_s is not None
    first = TwapParameters(
        total=request.quantity,
        step=twap.step,
        duration_s=duration_s,
        interval_s=interval_s,
        size_jitter=request.size_jitter or Decimal(0),
        time_jitter=request.time_jitter or Decimal(0),
        catch_up=request.catch_up or CatchUp.SPREAD,
        cap_multiple=request.catch_up_cap or DEFAULT_CAP_MULTIPLE,
        end_sweep=True if request.end_sweep is None else request.end_sweep,
        seed=seed,
    )
    if not twap.segment or twap.total is None:
        return first
    # the interval stays the first one's: `segment` cuts it to what is left, each time anew
    return segment(first, remaining=twap.total, duration_s=duration_s, index=twap.segment)


def timing_of(
    request: OrderRequest, terms: ports.EngineTerms, started_at: datetime
) -> tuple[Decimal, Decimal]:
    """Duration and interval in seconds, as asked for or by default."""
    duration_s = request.duration_s
    if request.end_at is not None:
        duration_s = in_seconds(request.end_at - started_at)
    return duration_and_interval(
        duration_s,
        request.twap_slices,
        request.twap_interval,
        terms.twap_slices,
        terms.twap_interval_s,
    )


def schedule_of(
    request: OrderRequest, terms: ports.EngineTerms, twap: TwapState, seed: str
) -> TwapSchedule | Denied:
    """The present segment's plan."""
    return plan_twap(parameters_of(request, terms, twap, seed), min_child_lots=twap.min_child_lots)


def next_segment(
    twap: TwapState,
    request: OrderRequest,
    *,
    executed: Decimal,
    now: datetime,
    ends_at: datetime,
) -> TwapState | Denied:
    """The state that plans what is left of the amended request until `ends_at`."""
    left_s = in_seconds(ends_at - now)
    if left_s <= 0:
        return Denied(
            code=DenialCode.END_BEFORE_START,
            field="end_at",
            detail=f"{ends_at.isoformat()} is over",
        )
    return replace(
        twap,
        started_at=now,
        segment=twap.segment + 1,
        slices_before=twap.slices_before + twap.next_slice,
        next_slice=0,
        slice_lots=0,
        executed_before=executed,
        total=minus(request.quantity, executed),
        duration_s=left_s,
    )


def moment_of(twap: TwapState, offset: Fraction) -> datetime:
    """Absolute time of an offset into the schedule, rounded up to the microsecond."""
    micros = -(-offset.numerator * 1_000_000 // offset.denominator)
    return twap.started_at + timedelta(microseconds=micros)
