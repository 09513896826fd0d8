"""A TWAP that is steered, on the pure schedule alone: what a worker would do, without one.

The model wakes for a slice, looks where in time it is, prices and sizes one child with the rules
of the product, and is told what became of it. Between slices it is paused, delayed and amended.
What it trades and when is written down, and the tests judge that. Times are quarters of the first
interval, prices ticks around 1,000, quantities lots.
"""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from fractions import Fraction

from workflows.domain.denials import Denied
from workflows.domain.exits import bounded_price, is_beyond
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side
from workflows.domain.schedules import (
    TwapParameters,
    TwapSchedule,
    executed_lots_of,
    next_child,
    plan_twap,
    quantity_of,
    residual_lots,
    segment,
    slice_at,
)

TICK = Decimal("0.5")
MIDDLE = 1_000


class Move(Enum):
    """What happens next, with an amount."""

    SLICE = "the next slice leaves so many eighths of its child; all eight is a rejection"
    SLEEP = "no worker for so many quarters of an interval"
    PAUSE = "paused for so many quarters, then resumed"
    TOTAL = "amended to so many percent of the total"
    END = "amended to end so many quarters from now"
    LIMIT = "amended to a limit so many ticks from the middle, towards worse for the order"
    MARKET = "the touch moves to so many ticks from the middle, towards worse for the order"
    MINIMUM = "the venue's minimum becomes so many lots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One child as it was sent, and the facts that bind it."""

    lots: int
    executed: int
    touch: Decimal
    price: Decimal
    limit: Decimal | None
    at_s: Fraction
    ends_s: Fraction
    window: tuple[int, int]
    total_lots: int
    executed_before: int


@dataclass(slots=True, kw_only=True)
class SteeredTwap:
    """The order as the model keeps it; `plan` is of the present segment."""

    side: Side
    plan: TwapSchedule
    instrument: Instrument
    minimum: int
    pause_shifts_end: bool
    limit_ticks: int | None
    touch_ticks: int = 0
    now_s: Fraction = Fraction(0)
    started_s: Fraction = Fraction(0)
    executed: int = 0
    executed_before: int = 0
    segments: int = 0
    next_slice: int = 0
    refused: int = 0
    children: list[Child] = field(default_factory=list)
    swept: bool = False
    """The last slice found a tradable rest, was allowed to take all of it, and got it."""

    @property
    def total_lots(self) -> int:
        """What the order may trade in all, as amended."""
        return self.executed_before + self.plan.total_lots

    @property
    def limit(self) -> Decimal | None:
        return None if self.limit_ticks is None else price(self.side, self.limit_ticks)

    @property
    def is_over(self) -> bool:
        return self.next_slice >= self.plan.slices or self.residual == 0

    @property
    def residual(self) -> int:
        return residual_lots(self.plan, executed_lots=self.executed - self.executed_before)

    @property
    def quarter_s(self) -> Fraction:
        return Fraction(self.plan.parameters.interval_s) / 4

    def make(self, move: Move, amount: int) -> None:
        """Let this happen now."""
        if move is Move.SLICE:
            self._work_slice(1 - Fraction(amount, 8))
        elif move is Move.SLEEP:
            self.now_s += amount * self.quarter_s
        elif move is Move.PAUSE:
            self._pause(amount * self.quarter_s)
        elif move is Move.TOTAL:
            self._amend(self.total_lots * amount // 100, self._ends_s() - self.now_s)
        elif move is Move.END:
            self._amend(self.total_lots, amount * self.quarter_s)
        elif move is Move.LIMIT:
            self.limit_ticks = amount
        elif move is Move.MARKET:
            self.touch_ticks = amount
        else:
            self.minimum = amount

    def _work_slice(self, outcome: Fraction) -> None:
        """Sleep until the slice begins, skip the windows that passed, then work one child."""
        self.now_s = max(self.now_s, self.started_s + self.plan.offsets[self.next_slice])
        self.next_slice = max(self.next_slice, slice_at(self.plan, self.now_s - self.started_s))
        if self.next_slice >= self.plan.slices:
            return
        k, self.next_slice = self.next_slice, self.next_slice + 1
        touch = price(self.side, self.touch_ticks)
        if is_beyond(touch, self.limit, self.side):
            return
        left = self.residual
        lots = next_child(
            self.plan,
            k=k,
            executed_lots=self.executed - self.executed_before,
            min_child_lots=self.minimum,
        )
        if lots:
            self._trade(k, lots, math.floor(lots * outcome), touch)
        is_sweep = k == self.plan.slices - 1 and self.plan.parameters.end_sweep
        self.swept = is_sweep and outcome == 1 and left >= self.minimum

    def _trade(self, k: int, lots: int, executed: int, touch: Decimal) -> None:
        child = Child(
            lots=lots,
            executed=executed,
            touch=touch,
            price=bounded_price(
                touch,
                self.side,
                slippage=Decimal("0.005"),
                limit=self.limit,
                instrument=self.instrument,
            ),
            limit=self.limit,
            at_s=self.now_s,
            ends_s=self._ends_s(),
            window=(self.segments, k),
            total_lots=self.total_lots,
            executed_before=self.executed,
        )
        self.children.append(child)
        self.executed += executed

    def _pause(self, length_s: Fraction) -> None:
        self.now_s += length_s
        if self.pause_shifts_end:
            self.started_s += length_s

    def _amend(self, total_lots: int, duration_s: Fraction) -> None:
        """Plan what is left anew, in whole microseconds; a plan that cannot be is refused."""
        step = self.plan.step
        remaining = quantity_of(max(0, total_lots - self.executed), step=step)
        micros = max(0, math.floor(duration_s * 1_000_000))
        parameters: TwapParameters = segment(
            self.plan.parameters,
            remaining=remaining,
            duration_s=Decimal(micros).scaleb(-6),
            index=self.segments + 1,
        )
        planned = plan_twap(parameters, min_child_lots=self.minimum)
        if isinstance(planned, Denied):
            self.refused += 1
            return
        assert executed_lots_of(remaining, step=step) == planned.total_lots
        self.plan, self.segments = planned, self.segments + 1
        self.started_s, self.next_slice = self.now_s, 0
        self.executed_before = self.executed

    def _ends_s(self) -> Fraction:
        return self.started_s + Fraction(self.plan.parameters.duration_s)


def price(side: Side, ticks: int) -> Decimal:
    """The price so many ticks from the middle in quote units: up for a buy, down for a sell."""
    return MIDDLE + side.sign * ticks * TICK
