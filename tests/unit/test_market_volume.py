"""The market's volume within a span, from candles that the span may cut."""

from decimal import Decimal
from fractions import Fraction

import pytest

from activities.prices import volume_within
from workflows.domain.prices import Candle

D = Decimal
FAR = 1_000_000


def a_candle(opened_ms: int, volume: str, length_ms: int = 1_000) -> Candle:
    one = D(1)
    return Candle(
        opened_ms=opened_ms,
        length_ms=length_ms,
        open=one,
        high=one,
        low=one,
        close=one,
        volume=D(volume),
    )


CANDLES = [a_candle(0, "3"), a_candle(1_000, "5"), a_candle(2_000, "7")]


@pytest.mark.parametrize(
    ("since_ms", "until_ms", "volume"),
    [
        (0, 3_000, Fraction(15)),
        (1_000, 2_000, Fraction(5)),
        (500, 2_000, Fraction(3, 2) + 5),
        (1_250, 1_500, Fraction(5, 4)),
        (3_000, 9_000, Fraction(0)),
        (2_000, 2_000, Fraction(0)),
    ],
)
def test_a_candle_that_is_cut_counts_by_its_share_of_the_time(
    since_ms: int, until_ms: int, volume: Fraction
) -> None:
    assert volume_within(CANDLES, since_ms, until_ms, FAR) == volume


def test_neighbouring_spans_add_up() -> None:
    whole = volume_within(CANDLES, 100, 2_900, FAR)
    parts = [volume_within(CANDLES, at, at + 400, FAR) for at in range(100, 2_900, 400)]
    assert sum(parts) == whole


def test_a_candle_that_is_not_over_holds_the_volume_of_its_time_so_far() -> None:
    assert volume_within(CANDLES, 2_000, 2_250, now_ms=2_250) == 7
    assert volume_within(CANDLES, 2_000, 2_250, now_ms=2_500) == Fraction(7, 2)
