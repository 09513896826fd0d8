"""When a trigger fires: the published scenarios tick by tick, and what holds for every path.

Rule: properties restate the rule in other words than the code. Never ask the code for its own
answer.
"""

import json
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trigger_samples import START, D, a_trigger, paths, shown, ticks_of, triggers
from workflows.domain.orders import Side
from workflows.domain.triggers import (
    Direction,
    Flag,
    Tick,
    TriggerSource,
    TriggerSpec,
    advance,
    quiet_range,
    trigger_price_of,
)

UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example
VECTORS = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "triggers.json").read_text(encoding="utf-8")
)
UPWARDS = {("STOP_LOSS", "BUY"), ("TAKE_PROFIT", "SELL")}
"""What the venue's documents call above the market."""


def direction_of(case: dict[str, Any]) -> Direction:
    return Direction.UP if (case["type"], case["side"]) in UPWARDS else Direction.DOWN


# --- the published examples ---------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["plain"], ids=lambda case: case["name"])
def test_a_published_trigger_fires_at_the_published_tick_and_price(case: dict[str, Any]) -> None:
    spec = a_trigger(case["side"].lower(), case["trigger"], direction=direction_of(case))
    _, index, fired = shown(spec, ticks_of(map(D, case["ticks"])))
    assert index == case["expected"]["fires_at_index"]
    assert fired is not None
    assert fired.price == D(case["expected"]["fires_price"])


def walked(waypoints: list[str], tick: str) -> list[Decimal]:
    """Every price on the way, in steps of one tick."""
    path = [D(waypoints[0])]
    for start, end in pairwise(map(D, waypoints)):
        step = D(tick) if end > start else -D(tick)
        path += [start + step * count for count in range(1, int((end - start) / step) + 1)]
    return path


@pytest.mark.parametrize("case", VECTORS["trailing"], ids=lambda case: case["name"])
def test_a_published_trailing_scenario_fires_on_its_last_tick_only(case: dict[str, Any]) -> None:
    stop = case["stop_price"]
    spec = a_trigger(
        case["side"].lower(),
        trailing_delta_bps=case["trailing_delta_bips"],
        activation_price=None if stop is None else D(stop),
        activation_direction=direction_of(case),
    )
    path = walked(case["waypoints"], case["tick"])
    _, index, fired = shown(spec, ticks_of(path))
    assert index == len(path) - 1
    assert fired is not None
    assert fired.price == D(case["expected"]["trigger_price"])
    assert fired.extreme == D(case["expected"]["extreme"])


# --- rules one by one ---------------------------------------------------------------------------


def flags_at(spec: TriggerSpec, price: Decimal) -> tuple[Flag, ...]:
    _, _, fired = shown(spec, ticks_of([D(100), price]))
    assert fired is not None
    return fired.flags


@pytest.mark.parametrize(("side", "price"), [("sell", "95"), ("buy", "105")])
def test_equality_fires_without_a_flag_and_beyond_it_a_gap_is_flagged(
    side: str, price: str
) -> None:
    spec = a_trigger(side, price)
    assert flags_at(spec, D(price)) == ()
    assert flags_at(spec, D(price) - 1 if side == "sell" else D(price) + 1) == (Flag.GAP,)


@pytest.mark.parametrize(
    ("source", "side", "tick", "seen"),
    [
        (TriggerSource.BID_ASK, "sell", {"bid": D(1), "ask": D(2)}, D(1)),
        (TriggerSource.BID_ASK, "buy", {"bid": D(1), "ask": D(2)}, D(2)),
        (TriggerSource.MID, "sell", {"bid": D(1), "ask": D(2)}, D("1.5")),
        (TriggerSource.LAST, "sell", {"last": D(3), "bid": D(1)}, D(3)),
        (TriggerSource.MARK, "sell", {"mark": D(4), "last": D(3)}, D(4)),
        (TriggerSource.INDEX, "buy", {"index": D(5), "last": D(3)}, D(5)),
        (TriggerSource.MID, "sell", {"bid": D(1)}, None),
        (TriggerSource.BID_ASK, "buy", {"bid": D(1), "last": D(3)}, None),
        (TriggerSource.LAST, "sell", {"bid": D(1), "ask": D(2)}, None),
    ],
)
def test_each_source_looks_at_its_own_price_only(
    source: TriggerSource, side: str, tick: dict[str, Decimal], seen: Decimal | None
) -> None:
    spec = a_trigger(side, trailing_delta_bps=100, source=source)
    state, fired = advance(spec, START, Tick(at_ms=0, **tick))
    assert state.extreme == seen
    assert fired is None


def test_a_price_that_comes_back_takes_its_confirmations_with_it() -> None:
    spec = a_trigger(confirm_n=3)
    assert shown(spec, ticks_of(map(D, [94, 94, 96, 94, 94])))[1] is None
    assert shown(spec, ticks_of(map(D, [94, 94, 96, 94, 94, 93])))[1] == 5


def test_a_price_must_stay_through_for_as_long_as_was_asked() -> None:
    spec = a_trigger(confirm_ms=250)
    assert shown(spec, ticks_of(map(D, [94, 94, 94, 94]), pause_ms=100))[1] == 3


def test_nothing_follows_the_price_before_the_activation_and_its_price_is_the_first_extreme() -> (
    None
):
    spec = a_trigger(trailing_delta_bps=1000, activation_price=D(110))
    state, index, _ = shown(spec, ticks_of(map(D, [100, 109, 80, 109])))
    assert (state.is_active, state.extreme, index) == (False, None, None)
    state, index, _ = shown(spec, ticks_of(map(D, [100, 112, 108])))
    assert (state.is_active, state.extreme, index) == (True, D(112), None)
    assert trigger_price_of(spec, state) == D("100.8")


def test_a_trailing_trigger_is_exact_to_the_last_digit() -> None:
    price = D("0.123456789012345678901234567890")
    spec = a_trigger(trailing_delta_bps=333)
    state, _, _ = shown(spec, [Tick(at_ms=0, last=price)])
    trigger = trigger_price_of(spec, state)
    assert trigger is not None
    assert Fraction(trigger) == Fraction(price) * (10_000 - 333) / 10_000
    assert shown(spec, [Tick(at_ms=1, last=trigger.next_plus())], state)[1] is None
    assert shown(spec, [Tick(at_ms=1, last=trigger)], state)[1] == 0


# --- what holds for every path ------------------------------------------------------------------


@UNDISTURBED
@given(triggers(), paths)
def test_a_trigger_that_fired_was_reached_and_the_level_is_that_of_the_best_price(
    spec: TriggerSpec, path: list[Decimal]
) -> None:
    _, index, fired = shown(spec, ticks_of(path))
    if fired is None or index is None:
        return
    level = None if spec.price is None else Fraction(spec.price)
    sign = -1 if spec.direction is Direction.DOWN else 1
    if level is None:
        assert fired.extreme is not None
        assert fired.extreme in path[: index + 1]
        level = Fraction(fired.extreme) * (10_000 + sign * (spec.trailing_delta_bps or 0)) / 10_000
    through = [sign * (price - level) >= 0 for price in map(Fraction, path[: index + 1])]
    assert fired.price == path[index]
    assert all(through[-spec.confirm_n :])


@UNDISTURBED
@given(paths, st.sampled_from(["sell", "buy"]), st.sampled_from([50, 333, 1000]))
def test_an_extreme_is_the_best_price_so_far_and_never_worsens(
    path: list[Decimal], side: str, delta: int
) -> None:
    spec = a_trigger(side, trailing_delta_bps=delta)
    best = max if side == "sell" else min
    state = START
    for index, tick in enumerate(ticks_of(path)):
        state, fired = advance(spec, state, tick)
        assert state.extreme == best(path[: index + 1])
        if fired is not None:
            return


@UNDISTURBED
@given(triggers(), paths, st.data())
def test_who_goes_on_from_a_stored_state_sees_what_one_who_never_stopped_sees(
    spec: TriggerSpec, path: list[Decimal], data: st.DataObject
) -> None:
    ticks = ticks_of(path)
    cut = data.draw(st.integers(0, len(ticks)))
    whole = shown(spec, ticks)
    state, index, fired = shown(spec, ticks[:cut])
    if fired is None:
        state, index, fired = shown(spec, ticks[cut:], state)
        index = None if index is None else index + cut
    assert (state, index, fired) == whole


@UNDISTURBED
@given(triggers(), paths, st.integers(80, 120).map(D))
def test_prices_of_the_quiet_range_change_nothing(
    spec: TriggerSpec, path: list[Decimal], price: Decimal
) -> None:
    state, _, fired = shown(spec, ticks_of(path))
    quiet = quiet_range(spec, state)
    if fired is None and quiet.low < price < quiet.high:
        assert advance(spec, state, Tick(at_ms=10_000, last=price)) == (state, None)


def test_a_fixed_and_a_following_trigger_have_a_quiet_range() -> None:
    quiet = quiet_range(a_trigger("sell", "95"), START)
    assert quiet.low == 95
    assert quiet.high.is_infinite()
    trailing = a_trigger("buy", trailing_delta_bps=1000)
    state, _, _ = shown(trailing, ticks_of([D(100)]))
    quiet = quiet_range(trailing, state)
    assert (quiet.low, quiet.high) == (100, 110)
    assert trailing.side is Side.BUY
