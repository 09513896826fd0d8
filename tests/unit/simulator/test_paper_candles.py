"""Candles are what traded, whatever their length; quiet periods stand still."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.venues.simulator import candles
from activities.venues.simulator.candles import Candle, CandleHistory, Span
from activities.venues.simulator.orders import Side
from activities.venues.simulator.tape import PublicTrade, Tape

D = Decimal
SECOND_MS = 1_000
FAR_MS = 10**9


def history(*trades: tuple[int, int]) -> CandleHistory:
    """Of trades (ms, price), each of one base unit bought."""
    made = CandleHistory()
    for at_ms, price in trades:
        made.trade(at_ms, D(price), D(1), Side.BUY)
    return made


def told(
    made: CandleHistory, length_ms: int, from_ms: int = 0, until_ms: int = FAR_MS, **more: bool
) -> list[Candle]:
    span = Span(length_ms=length_ms, from_ms=from_ms, until_ms=until_ms, limit=1_000, **more)
    return made.of(span, now_ms=min(until_ms, 1_000_000))


def prices(candle: Candle) -> tuple[int, ...]:
    figures = (candle.open, candle.high, candle.low, candle.close)
    return (candle.opened_ms, *(int(figure) for figure in figures))


def test_a_candle_has_the_first_highest_lowest_and_last_price_of_its_period():
    made = history((61_000, 5), (61_500, 9), (75_000, 2), (119_999, 4), (120_000, 7))
    first, second = told(made, 60_000, until_ms=120_000)
    assert prices(first) == (60_000, 5, 9, 2, 4)
    assert (first.volume, first.quote_volume, first.count) == (4, 20, 4)
    assert prices(second) == (120_000, 7, 7, 7, 7)


def test_only_what_takers_bought_counts_as_bought():
    made = history((0, 5))
    made.trade(1, D(6), D(2), Side.SELL)
    (candle,) = told(made, SECOND_MS, until_ms=0)
    assert (candle.volume, candle.bought, candle.quote_bought) == (3, 1, 5)


def test_a_period_without_trades_stands_at_the_price_before_it():
    made = history((1_000, 5), (4_500, 6))
    found = told(made, SECOND_MS, until_ms=5_999)
    assert [prices(each) for each in found] == [
        (1_000, 5, 5, 5, 5),
        (2_000, 5, 5, 5, 5),
        (3_000, 5, 5, 5, 5),
        (4_000, 6, 6, 6, 6),
        (5_000, 6, 6, 6, 6),
    ]
    assert [each.count for each in found] == [1, 0, 0, 1, 0]


def test_a_span_holds_the_candles_that_opened_within_it():
    made = history(*((second * SECOND_MS, second) for second in range(1, 10)))
    found = told(made, SECOND_MS, from_ms=2_001, until_ms=5_000)
    assert [each.opened_ms for each in found] == [3_000, 4_000, 5_000]
    assert told(made, SECOND_MS, from_ms=5_001, until_ms=5_999) == []


def test_a_limit_keeps_the_newest_or_on_demand_the_oldest():
    made = history(*((second * SECOND_MS, second) for second in range(1, 10)))
    span = Span(length_ms=SECOND_MS, from_ms=0, until_ms=9_000, limit=2)
    assert [each.opened_ms for each in made.of(span, 9_000)] == [8_000, 9_000]
    span = Span(length_ms=SECOND_MS, from_ms=0, until_ms=9_000, limit=2, oldest=True)
    assert [each.opened_ms for each in made.of(span, 9_000)] == [1_000, 2_000]


def test_nothing_is_told_before_the_first_trade_or_of_the_future():
    assert told(CandleHistory(), SECOND_MS) == []
    made = history((5_000, 1))
    span = Span(length_ms=SECOND_MS, from_ms=0, until_ms=FAR_MS, limit=10)
    assert [each.opened_ms for each in made.of(span, now_ms=6_500)] == [5_000, 6_000]


def test_a_candle_that_is_no_longer_known_whole_is_not_told(monkeypatch):
    monkeypatch.setattr(candles, "KEPT_SECONDS", 3)
    made = history(*((second * SECOND_MS, second) for second in range(58, 66)))
    assert [prices(each)[0] for each in told(made, SECOND_MS, until_ms=65_999)] == [
        63_000,
        64_000,
        65_000,
    ]
    assert told(made, 60_000, until_ms=65_999) == []


def test_a_clock_that_was_set_back_forgets_what_lies_ahead():
    made = history((9_000, 1), (2_000, 2))
    assert [prices(each) for each in told(made, SECOND_MS, until_ms=2_500)] == [(2_000, 2, 2, 2, 2)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 99)), min_size=1, max_size=40),
    st.sampled_from([1_000, 60_000, 300_000]),
)
def test_candles_of_any_length_hold_every_trade_once(trades: list[tuple[int, int]], length: int):
    ordered = sorted(trades, key=lambda trade: trade[0])
    found = told(history(*ordered), length, until_ms=400_000)
    assert sum(each.count for each in found) == len(trades)
    assert max(each.high for each in found) == max(price for _, price in trades)
    assert min(each.low for each in found) == min(price for _, price in trades)
    assert found[-1].close == ordered[-1][1]
    assert [each.opened_ms for each in found] == list(
        range(found[0].opened_ms, found[-1].opened_ms + 1, length)
    )


def test_the_latest_trades_of_a_tape_come_oldest_first():
    tape = Tape(last=D(1))
    for number in range(1, 6):
        tape.record(
            PublicTrade(
                trade_id=number, price=D(number), quantity=D(1), taker_side=Side.BUY, ts_ms=number
            )
        )
    assert [trade.trade_id for trade in tape.latest(2)] == [4, 5]
    assert [trade.trade_id for trade in tape.latest(9)] == [1, 2, 3, 4, 5]
    assert tape.latest(0) == []
    assert (tape.first_id, tape.count) == (1, 5)
