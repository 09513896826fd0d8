"""Exits: bounded prices that widen to an end, and quantities that follow the position.

Rule: expected numbers are worked out by hand; properties restate the rule in other words.
"""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.exits import (
    MAX_EXIT_TRIES,
    bounded_price,
    exit_price,
    exit_slippage,
    is_beyond,
    protected_lots,
)
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
VENUE = Instrument(
    venue="v",
    symbol="A/B",
    base="A",
    quote="B",
    tick=D("0.5"),
    step=D("0.01"),
    min_quantity=D("0.01"),
    max_quantity=None,
    min_notional=D(0),
    is_trading=True,
)


def price_of(
    touch: str,
    side: Side,
    tries: int,
    *,
    first: str = "0.01",
    last: str = "0.03",
    first_touch: str = "1000",
) -> Decimal | None:
    return exit_price(
        D(touch),
        side,
        first=D(first),
        last=D(last),
        tries=tries,
        first_touch=D(first_touch),
        instrument=VENUE,
    )


@pytest.mark.parametrize(
    ("touch", "side", "tries", "expected"),
    [
        ("1000", SELL, 0, "990"),
        ("1000", SELL, 1, "980"),
        ("1000", SELL, 2, "970"),
        ("1000", BUY, 0, "1010"),
        ("1000", BUY, 2, "1030"),
        ("990", SELL, 1, "970.5"),  # 970.2, rounded in our favour
        ("990", SELL, 2, "970"),  # 960.3 would be beyond 3 % of where the exit began
        ("1010", BUY, 2, "1030"),
        ("970", SELL, 1, "970"),  # the last price that may be taken is on offer
        ("1020", SELL, 2, "989.5"),  # a better market: 989.4
    ],
)
def test_each_try_goes_a_step_further_but_never_beyond_the_total(
    touch: str, side: Side, tries: int, expected: str
) -> None:
    assert price_of(touch, side, tries) == D(expected)


@pytest.mark.parametrize(
    ("touch", "side", "tries"),
    [
        ("1000", SELL, 3),  # the third try was at 3 % already
        ("1000", BUY, 4),
        ("969.5", SELL, 1),  # nothing within the bound is on offer
        ("1030.5", BUY, 1),
    ],
)
def test_the_bound_is_exhausted_when_no_try_could_be_wider_or_the_touch_is_beyond(
    touch: str, side: Side, tries: int
) -> None:
    assert price_of(touch, side, tries) is None


def test_a_single_width_is_tried_once() -> None:
    assert price_of("1000", SELL, 0, first="0.02", last="0.02") == D(980)
    assert price_of("1000", SELL, 1, first="0.02", last="0.02") is None
    assert price_of("1000", SELL, 0, first="0", last="0") == D(1000)
    assert price_of("1000", SELL, 1, first="0", last="0") is None


@pytest.mark.parametrize("first", ["0", "0.000001"])
def test_a_tiny_first_step_still_reaches_the_last_within_the_most_tries(first: str) -> None:
    widths = [
        exit_slippage(first=D(first), last=D("0.05"), tries=k) for k in range(MAX_EXIT_TRIES + 1)
    ]
    assert widths[0] == Fraction(first)
    assert len(set(widths)) == MAX_EXIT_TRIES
    assert widths[-2] == widths[-1] == Fraction("0.05")
    assert price_of("1000", SELL, MAX_EXIT_TRIES, first=first, last="0.05") is None


@pytest.mark.parametrize(
    ("first", "last", "tries"), [("0.02", "0.01", 0), ("-0.01", "0.01", 0), ("0.01", "0.02", -1)]
)
def test_an_exit_that_cannot_be_is_our_bug(first: str, last: str, tries: int) -> None:
    with pytest.raises(ValueError, match="no such exit"):
        exit_slippage(first=D(first), last=D(last), tries=tries)


slippages = st.decimals(min_value=0, max_value="0.5", places=4)
touches = st.integers(100, 4_000).map(lambda ticks: ticks * VENUE.tick)


@UNDISTURBED
@given(st.sampled_from(Side), slippages, slippages, touches, st.lists(touches, min_size=25))
def test_no_exit_trades_worse_than_the_total_and_every_exit_ends(
    side: Side, one: Decimal, other: Decimal, first_touch: Decimal, moves: list[Decimal]
) -> None:
    first, last = sorted((one, other))
    worst = Fraction(first_touch) * (1 + side.sign * Fraction(last))
    sent = 0
    for tries, touch in enumerate([first_touch, *moves]):
        price = exit_price(
            touch,
            side,
            first=first,
            last=last,
            tries=tries,
            first_touch=first_touch,
            instrument=VENUE,
        )
        if price is None:
            continue
        sent += 1
        assert VENUE.is_on_tick(price)
        assert (price - touch) * side.sign >= 0, "it takes what is on offer"
        assert (Fraction(price) - worst) * side.sign <= 0
        assert abs(Fraction(price) - Fraction(touch)) <= Fraction(touch) * Fraction(last)
    assert 1 <= sent <= MAX_EXIT_TRIES


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (BUY, None, "1005"),
        (BUY, "1002", "1002"),
        (BUY, "1002.3", "1002"),
        (BUY, "1010", "1005"),
        (SELL, None, "995"),
        (SELL, "998", "998"),
        (SELL, "997.8", "998"),
        (SELL, "990", "995"),
    ],
)
def test_a_bounded_price_never_passes_the_limit(
    side: Side, limit: str | None, expected: str
) -> None:
    given_limit = None if limit is None else D(limit)
    price = bounded_price(D(1000), side, slippage=D("0.005"), limit=given_limit, instrument=VENUE)
    assert price == D(expected)


def test_a_touch_at_the_limit_is_not_beyond_it() -> None:
    assert not is_beyond(D(1000), D(1000), BUY)
    assert not is_beyond(D(1000), D(1000), SELL)
    assert is_beyond(D("1000.5"), D(1000), BUY)
    assert is_beyond(D("999.5"), D(1000), SELL)
    assert not is_beyond(D("999.5"), D(1000), BUY)
    assert not is_beyond(D(1000), None, BUY)


@pytest.mark.parametrize(
    ("quantity", "position", "side", "executed", "lots"),
    [
        ("1", "1", SELL, "0", 100),
        ("1", "0.4", SELL, "0", 40),  # part of the entry has filled
        ("1", "3", SELL, "0", 100),  # the rest is protected by somebody else
        ("1", "1", SELL, "0.25", 75),  # what the take-profit sold is not sold again
        ("1", "0.755", SELL, "0.25", 75),
        ("1", "0.5", SELL, "0.25", 50),
        ("1", "0.505", SELL, "0", 50),  # below a lot: dust
        ("1", "0", SELL, "0", 0),
        ("1", "-1", SELL, "0", 0),  # a short position is not closed by selling
        ("1", "-1", BUY, "0.995", 0),
        ("1", "-0.6", BUY, "0", 60),
        ("1", "0.6", BUY, "0", 0),
        ("1", None, BUY, "0.3", 70),  # an entry does not follow a position
        ("1", "1", SELL, "1.2", 0),
    ],
)
def test_an_exit_closes_what_is_protected_and_still_there(
    quantity: str, position: str | None, side: Side, executed: str, lots: int
) -> None:
    free = None if position is None else D(position)
    assert protected_lots(D(quantity), free, side, D("0.01"), D(executed)) == lots
