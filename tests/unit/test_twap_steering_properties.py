"""What holds for a TWAP however it is filled, refused, delayed, paused and amended.

Rule: the tests judge what the model traded and when; they never ask the schedule.
"""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.unit.twap_steering_model import TICK, Move, SteeredTwap
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side
from workflows.domain.schedules import CatchUp, TwapParameters, TwapSchedule, plan_twap

TEN_THOUSAND = settings(
    max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
AMOUNTS = {
    Move.SLICE: (0, 8),
    Move.SLEEP: (1, 12),
    Move.PAUSE: (1, 12),
    Move.TOTAL: (20, 250),
    Move.END: (2, 80),
    Move.LIMIT: (-2, 20),
    Move.MARKET: (-10, 10),
    Move.MINIMUM: (1, 30),
}
MIN_MOVES, MAX_MOVES = 8, 20
MAX_SLICES_LEFT = 400
KINDS = (Move.SLICE,) * 6 + tuple(AMOUNTS)
STEP = Decimal("0.001")
VENUE = Instrument(
    venue="v",
    symbol="A/B",
    base="A",
    quote="B",
    tick=TICK,
    step=STEP,
    min_quantity=STEP,
    max_quantity=None,
    min_notional=Decimal(0),
    is_trading=True,
)


def order(
    *,
    minimum: int,
    lots: int,
    interval_s: int,
    slices: int,
    side: Side,
    pause_shifts_end: bool,
    limit_ticks: int | None,
    **options: Any,
) -> SteeredTwap:
    """A planned TWAP of so many slices, or of as few as its minimum allows."""
    plan = plan_twap(
        TwapParameters(
            total=STEP * lots,
            step=STEP,
            duration_s=Decimal(interval_s * slices),
            interval_s=Decimal(interval_s),
            seed="order-1",
            **options,
        ),
        min_child_lots=minimum,
    )
    assert isinstance(plan, TwapSchedule)
    return SteeredTwap(
        side=side,
        plan=plan,
        instrument=VENUE,
        minimum=minimum,
        pause_shifts_end=pause_shifts_end,
        limit_ticks=limit_ticks,
    )


jitters = st.sampled_from([Decimal(tenths) / 10 for tenths in range(6)])
orders = st.builds(
    order,
    minimum=st.integers(1, 20),
    lots=st.integers(50, 2_000),
    interval_s=st.integers(1, 60),
    slices=st.integers(3, 20),
    size_jitter=jitters,
    time_jitter=jitters,
    catch_up=st.sampled_from(CatchUp),
    cap_multiple=st.integers(1, 4),
    end_sweep=st.booleans(),
    side=st.sampled_from(Side),
    pause_shifts_end=st.booleans(),
    limit_ticks=st.none() | st.integers(0, 20),
)
scripts = st.binary(min_size=2 * MIN_MOVES, max_size=2 * MAX_MOVES)


def moves_of(script: bytes) -> list[tuple[Move, int]]:
    """Two bytes name a move and its amount: one draw for a whole life keeps examples quick."""
    made = []
    for kind, amount in zip(script[::2], script[1::2], strict=False):
        move = KINDS[kind % len(KINDS)]
        least, most = AMOUNTS[move]
        made.append((move, least + amount % (most - least + 1)))
    return made


@pytest.mark.timeout(600)  # seconds of work, but on machines that others use too
@TEN_THOUSAND
@given(orders, scripts)
def test_no_life_of_a_twap_trades_too_much_beyond_its_limit_or_after_its_end(
    life: SteeredTwap, script: bytes
) -> None:
    for move, amount in moves_of(script):
        if not life.is_over:
            life.make(move, amount)
    for _ in range(MAX_SLICES_LEFT):  # what is left goes undisturbed
        if life.is_over:
            break
        life.make(Move.SLICE, 0)
    assert life.is_over
    event("amended" if life.segments else "never amended")
    event("complete" if life.residual == 0 else "short")
    assert sum(child.executed for child in life.children) == life.executed
    assert life.executed + life.residual == life.total_lots
    assert life.residual == 0 or not life.swept
    assert max(Counter(child.window for child in life.children).values(), default=0) <= 1
    sign = life.side.sign
    for child in life.children:
        assert child.executed_before + child.lots <= child.total_lots
        assert child.at_s < child.ends_s
        if child.limit is not None:
            assert max(child.price * sign, child.touch * sign) <= child.limit * sign
