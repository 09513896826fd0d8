"""What a price path that nobody watched does to a trigger: by trades exactly, else by candles."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trigger_samples import START, D, a_trigger, paths, shown, ticks_of, triggers
from workflows.domain.price_paths import Path, run_path, span_of
from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.triggers import (
    Fired,
    Flag,
    TriggerSource,
    TriggerSpec,
    TriggerState,
    further,
)

UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example


def trades_of(path: list[Decimal]) -> list[PublicTrade]:
    return [
        PublicTrade(trade_id=str(tick.at_ms), price=price, quantity=D(1), at_ms=tick.at_ms)
        for tick, price in zip(ticks_of(path), path, strict=True)
    ]


def a_candle(low: int, high: int, close: int | None = None, opened_ms: int = 0) -> Candle:
    return Candle(
        opened_ms=opened_ms,
        length_ms=1_000,
        open=D(low + high) / 2,
        high=D(high),
        low=D(low),
        close=D(close) if close is not None else D(low + high) / 2,
        volume=D(1),
    )


def run(
    spec: TriggerSpec, path: Path, state: TriggerState = START, armed_ms: int = 0
) -> tuple[TriggerState, Fired | None]:
    return run_path(spec, state, path, span_of(path), armed_ms=armed_ms, since_ms=armed_ms)


@UNDISTURBED
@given(triggers(), paths)
def test_a_path_of_trades_does_what_the_same_trades_do_live(
    spec: TriggerSpec, path: list[Decimal]
) -> None:
    state, _, live = shown(spec, ticks_of(path))
    found, late = run(spec, trades_of(path))
    assert found == state
    assert (late is None) == (live is None)
    if live is not None and late is not None:
        assert (late.price, late.at_ms, late.extreme) == (live.price, live.at_ms, live.extreme)
        assert late.flags == (*live.flags, Flag.LATE)


@UNDISTURBED
@given(triggers(confirm_n=1, confirm_ms=0), st.lists(paths, min_size=1, max_size=5))
def test_candles_fire_whatever_the_trades_that_they_are_made_of_fire(
    spec: TriggerSpec, seconds: list[list[Decimal]]
) -> None:
    # the other way round is not true: the order within a candle is not known
    candles = [
        Candle(
            opened_ms=index * 1_000,
            length_ms=1_000,
            open=second[0],
            high=max(second),
            low=min(second),
            close=second[-1],
            volume=D(1),
        )
        for index, second in enumerate(seconds)
    ]
    _, by_trades = run(spec, trades_of([price for second in seconds for price in second]))
    _, by_candles = run(spec, candles)
    if by_trades is not None and spec.activation_price is None:
        assert by_candles is not None
        assert by_candles.flags[-2:] == (Flag.LATE, Flag.CANDLE)


def test_a_trailing_trigger_takes_the_better_extreme_of_a_candle_before_the_worse_one() -> None:
    _, fired = run(a_trigger(trailing_delta_bps=1000), [a_candle(95, 110)])
    assert fired is not None
    assert (fired.price, fired.extreme) == (D(95), D(110))


def test_what_happened_before_it_was_armed_fires_nothing() -> None:
    spec = a_trigger("sell", "95")
    assert run(spec, trades_of([D(90), D(100)]), armed_ms=50)[1] is None
    assert run(spec, trades_of([D(90), D(94)]), armed_ms=50)[1] is not None


def test_of_a_candle_that_began_before_it_was_armed_only_the_close_counts() -> None:
    spec = a_trigger("sell", "95")
    assert run(spec, [a_candle(90, 110, close=100)], armed_ms=500)[1] is None
    assert run(spec, [a_candle(90, 110, close=94)], armed_ms=500)[1] is not None


def test_a_trade_of_the_stored_moment_is_not_compared_with_an_extreme_that_came_after_it() -> None:
    spec = a_trigger(trailing_delta_bps=1000)
    sweep = [
        PublicTrade(trade_id=str(index), price=D(price), quantity=D(1), at_ms=7)
        for index, price in enumerate([100, 112, 101])
    ]
    known = TriggerState(is_active=True, extreme=D(112))
    assert run_path(spec, known, sweep, span_of(sweep), armed_ms=0, since_ms=7) == (known, None)
    less = TriggerState(is_active=True, extreme=D(100))
    assert run_path(spec, less, sweep, span_of(sweep), armed_ms=0, since_ms=7) == (known, None)
    sweep[-1] = PublicTrade(trade_id="2", price=D(100), quantity=D(1), at_ms=7)
    _, fired = run_path(spec, known, sweep, span_of(sweep), armed_ms=0, since_ms=7)
    assert fired is not None


@pytest.mark.parametrize("source", [TriggerSource.MARK, TriggerSource.INDEX])
def test_trades_say_nothing_of_mark_and_index_prices(source: TriggerSource) -> None:
    assert run(a_trigger(source=source), trades_of([D(90)])) == (START, None)


def test_an_empty_path_changes_nothing() -> None:
    assert run(a_trigger(), []) == (START, None)


@UNDISTURBED
@given(triggers(), paths, paths)
def test_whoever_followed_further_goes_on(
    spec: TriggerSpec, path: list[Decimal], more: list[Decimal]
) -> None:
    one, _, fired_one = shown(spec, ticks_of(path))
    other, _, fired_other = shown(spec, ticks_of(path + more))
    if fired_one is None and fired_other is None:
        extreme = further(spec, one, other).extreme
        assert extreme == further(spec, other, one).extreme == other.extreme
