"""What the price did while nobody watched, and whether it would have fired a trigger.

Theory. After an outage the path is read from the market's trades: exact. Where they are not to be
had, candles are the path; within a candle nobody knows what came first. Its better extreme is
taken first and its worse one then, so that a trailing trigger fires if it may have been reached:
a position without protection costs more than an early exit, and Flag.CANDLE tells a human.

A trade happens at the bid or at the ask, so its price stands in for both, and for their middle. Of
mark and index prices trades say nothing: such triggers wait for the next live price.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain

from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.triggers import (
    Direction,
    Fired,
    Flag,
    TriggerSource,
    TriggerSpec,
    TriggerState,
    advance_to,
    followed,
    quiet_range,
)

_NOT_TRADED = (TriggerSource.MARK, TriggerSource.INDEX)


@dataclass(frozen=True, slots=True)
class Point:
    """One price of the path, in quote units; ms since 1970 by the venue's clock."""

    price: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class Span:
    """The lowest and the highest price of a path."""

    low: Decimal
    high: Decimal


Path = Sequence[PublicTrade] | Sequence[Candle]
"""Oldest first."""


def run_path(
    spec: TriggerSpec,
    state: TriggerState,
    path: Path,
    span: Span | None,
    *,
    armed_ms: int,
    since_ms: int,
) -> tuple[TriggerState, Fired | None]:
    """The state after the path that began at `since_ms`, the moment of `state`; ends if it fires.

    `armed_ms` is when the trigger was armed: of a candle that began before, only the close counts.
    `span` is that of the whole path (see `span_of`): given so that a thousand triggers that it
    does not reach need not walk it.
    """
    if spec.source in _NOT_TRADED or span is None:
        return state, None
    quiet = quiet_range(spec, state)
    if quiet.low < span.low and span.high < quiet.high:
        return state, None
    state, points = _begun(spec, state, path, armed_ms=armed_ms, since_ms=since_ms)
    quiet = quiet_range(spec, state)
    for point in points:
        if quiet.low < point.price < quiet.high:
            continue
        state, fired = advance_to(spec, state, point.price, point.at_ms)
        if fired is not None:
            late = (Flag.LATE, Flag.CANDLE) if isinstance(path[0], Candle) else (Flag.LATE,)
            return state, replace(fired, flags=(*fired.flags, *late))
        quiet = quiet_range(spec, state)
    return state, None


def span_of(path: Path) -> Span | None:
    """The extremes of a path; None for an empty one."""
    if not path:
        return None
    lows = [step.low if isinstance(step, Candle) else step.price for step in path]
    highs = [step.high if isinstance(step, Candle) else step.price for step in path]
    return Span(low=min(lows), high=max(highs))


def _begun(
    spec: TriggerSpec, state: TriggerState, path: Path, *, armed_ms: int, since_ms: int
) -> tuple[TriggerState, Iterable[Point]]:
    """The prices that are certainly not older than the state, which knows those before them.

    It may know some trades of its own very millisecond: they move the extreme, and only the last
    of them is compared with it, for none of them came after that one.
    """
    candles = [step for step in path if isinstance(step, Candle)]
    if candles:
        ends = [candle for candle in candles if candle.opened_ms + candle.length_ms > since_ms]
        points = [_points_of(candle, spec.direction, armed_ms) for candle in ends]
        return state, chain.from_iterable(points)
    trades = [step for step in path if isinstance(step, PublicTrade)]
    first = bisect_left(trades, since_ms, key=_moment)
    sure = max(first, bisect_right(trades, since_ms, key=_moment) - 1)
    for trade in trades[first:sure]:
        state = followed(spec, state, trade.price)
    return state, (Point(trade.price, trade.at_ms) for trade in trades[sure:])


def _moment(trade: PublicTrade) -> int:
    return trade.at_ms


def _points_of(candle: Candle, direction: Direction, armed_ms: int) -> Iterable[Point]:
    last_ms = candle.opened_ms + candle.length_ms - 1
    if candle.opened_ms >= armed_ms:
        is_down = direction is Direction.DOWN
        better, worse = (candle.high, candle.low) if is_down else (candle.low, candle.high)
        for price in (candle.open, better, worse):
            yield Point(price, candle.opened_ms)
    if last_ms >= armed_ms:
        yield Point(candle.close, last_ms)
