"""What an order would do and cost: schedules row by row, and estimates worked out by hand.

The book of the examples: bids 99 x 1, 98 x 2; asks 101 x 1, 102 x 2; the middle is 100.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from tests.unit.twap_plans import child_lots, parameters, planned
from workflows.domain.books import Book, Level, walk
from workflows.domain.fees import Fees
from workflows.domain.icebergs import IcebergParameters
from workflows.domain.orders import ChildType, OrderType, Side, TimeInForce
from workflows.domain.preview import ExpectedCost, expected_cost, preview_schedule

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT, TWAP, ICEBERG, STOP = (
    OrderType.MARKET,
    OrderType.LIMIT,
    OrderType.TWAP,
    OrderType.ICEBERG,
    OrderType.STOP_LOSS,
)
FEES = Fees(maker=D("0.001"), taker=D("0.002"), buys_pay_base=True)


def levels(*rows: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(price=D(price), quantity=D(quantity)) for price, quantity in rows)


BOOK = Book(
    bids=levels(("99", "1"), ("98", "2")), asks=levels(("101", "1"), ("102", "2")), read_at_ms=0
)

# --- schedules ----------------------------------------------------------------------------------


def test_a_twap_is_previewed_slice_by_slice() -> None:
    schedule = planned(parameters("1", step="0.001", duration="30", interval="10"))
    preview = preview_schedule(schedule, child_type=ChildType.LIMIT, price=D(50), shown=2)
    assert [(row.index, row.offset_s, row.quantity) for row in preview.rows] == [
        (0, 0, D("0.333")),
        (1, 10, D("0.334")),
    ]
    assert {row.price for row in preview.rows} == {D(50)}
    assert {row.child_type for row in preview.rows} == {ChildType.LIMIT}
    assert (preview.total, preview.largest) == (3, D("0.334"))


def test_slices_that_trade_nothing_are_not_shown_as_children() -> None:
    curve = tuple(map(D, (1, 0, 9)))
    schedule = planned(parameters("10", duration="30", interval="10", weights=curve))
    preview = preview_schedule(schedule, child_type=ChildType.LIMIT, price=None, shown=10)
    assert [(row.offset_s, row.quantity) for row in preview.rows] == [(0, 1), (20, 9)]


def test_an_iceberg_is_previewed_tip_by_tip_and_only_the_first_has_a_time() -> None:
    tips = IcebergParameters(
        total=D(10), step=D("0.1"), display=D(3), variance=D(0), min_visible_lots=1, seed="x"
    )
    preview = preview_schedule(tips, child_type=ChildType.LIMIT, price=D(50), shown=3)
    assert [row.quantity for row in preview.rows] == [3, 3, 3]
    assert [row.offset_s for row in preview.rows] == [0, None, None]
    assert (preview.total, preview.largest) == (4, D(3))


def test_an_order_in_one_piece_is_one_row() -> None:
    preview = preview_schedule(D("0.5"), child_type=ChildType.MARKET, price=None, shown=10)
    row = preview.rows[0]
    assert (preview.total, preview.largest, len(preview.rows)) == (1, D("0.5"), 1)
    assert (row.index, row.offset_s, row.quantity, row.price) == (0, 0, D("0.5"), None)


@UNDISTURBED
@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 20))
def test_the_rows_of_a_schedule_are_what_it_trades_when_all_goes_well(
    lots: int, slices: int, minimum: int
) -> None:
    schedule = planned(parameters(str(lots * minimum), duration=str(slices), interval="1"), minimum)
    preview = preview_schedule(schedule, child_type=ChildType.LIMIT, price=None, shown=1_000)
    assert [row.quantity for row in preview.rows] == child_lots(schedule)
    assert tuple(row.offset_s for row in preview.rows) == schedule.offsets
    assert preview.largest == max(child_lots(schedule))


# --- costs --------------------------------------------------------------------------------------


def cost(
    side: Side,
    quantity: str,
    kind: OrderType = MARKET,
    price: str | None = None,
    *,
    book: Book = BOOK,
    **options: Any,
) -> ExpectedCost:
    limit = None if price is None else D(price)
    return expected_cost(book, FEES, side, D(quantity), kind, limit, **options)


def figures(found: ExpectedCost) -> tuple[Decimal | None, Decimal, Decimal | None, Decimal]:
    return (found.average_price, found.fee_quote, found.slippage_bps, found.notional)


def test_a_market_order_walks_the_book_and_pays_as_a_taker() -> None:
    found = cost(BUY, "2")  # 101 + 102
    assert figures(found) == (D("101.5"), D("0.406"), D(150), D(203))
    assert found.unfilled == 0
    assert figures(cost(SELL, "2")) == (D("98.5"), D("0.394"), D(150), D(197))


def test_what_the_book_does_not_hold_is_said() -> None:
    found = cost(SELL, "5")  # 99 + 2 x 98
    assert found.unfilled == 2
    assert found.notional == 295
    assert found.average_price == D("98.333333333333333333")


def test_a_resting_limit_order_earns_its_distance_and_pays_as_a_maker() -> None:
    assert figures(cost(BUY, "2", LIMIT, "95")) == (D(95), D("0.19"), D(-500), D(190))
    assert figures(cost(SELL, "2", LIMIT, "105")) == (D(105), D("0.21"), D(-500), D(210))


def test_a_limit_order_that_crosses_takes_within_its_limit_and_rests_with_the_remainder() -> None:
    found = cost(BUY, "2", LIMIT, "101")  # 1 at 101 as a taker, 1 at 101 as a maker
    assert figures(found) == (D(101), D("0.303"), D(100), D(202))
    assert found.unfilled == 0


def test_a_post_only_order_never_pays_as_a_taker() -> None:
    found = cost(BUY, "2", LIMIT, "101", is_post_only=True)
    assert figures(found) == (D(101), D("0.202"), D(100), D(202))


def test_an_immediate_limit_order_leaves_what_it_cannot_take() -> None:
    found = cost(BUY, "2", LIMIT, "101", time_in_force=TimeInForce.IOC)
    assert figures(found) == (D(101), D("0.202"), D(100), D(101))
    assert found.unfilled == 1
    nothing = cost(BUY, "2", LIMIT, "100.5", time_in_force=TimeInForce.IOC)
    assert figures(nothing) == (None, D(0), None, D(0))
    assert nothing.unfilled == 2


def test_all_or_nothing_is_nothing_where_the_book_does_not_hold_all() -> None:
    found = cost(BUY, "2", LIMIT, "101", time_in_force=TimeInForce.FOK)
    assert figures(found) == (None, D(0), None, D(0))
    assert found.unfilled == 2
    whole = cost(BUY, "2", LIMIT, "102", time_in_force=TimeInForce.FOK)
    assert figures(whole) == (D("101.5"), D("0.406"), D(150), D(203))


def test_a_twap_pays_the_average_of_one_slice_from_a_book_that_recovers() -> None:
    found = cost(BUY, "20", TWAP, child_quantity=D(2))
    assert figures(found) == (D("101.5"), D("4.06"), D(150), D(2030))
    bounded = cost(BUY, "20", TWAP, "101", child_quantity=D(2))
    assert figures(bounded) == (D(101), D("2.02"), D(100), D(1010))
    assert bounded.unfilled == 10


def test_an_iceberg_rests_at_its_price() -> None:
    found = cost(SELL, "20", ICEBERG, "105", child_quantity=D(2))
    assert figures(found) == (D(105), D("2.1"), D(-500), D(2100))


def test_a_stop_finds_the_book_of_now_around_its_trigger() -> None:
    found = cost(SELL, "2", STOP, trigger=D(50))  # all prices halved
    assert figures(found) == (D("49.25"), D("0.197"), D(150), D("98.5"))
    limited = cost(SELL, "2", STOP, "49.5", trigger=D(50))  # one is taken, one rests
    assert figures(limited) == (D("49.5"), D("0.1485"), D(100), D(99))


def test_an_oco_is_reckoned_by_its_limit_leg() -> None:
    found = cost(SELL, "2", OrderType.OCO, "105", trigger=D(90))
    assert figures(found) == (D(105), D("0.21"), D(-500), D(210))


def test_an_empty_side_of_the_book_is_no_reason_to_guess() -> None:
    one_sided = Book(bids=(), asks=BOOK.asks, read_at_ms=0)
    assert cost(SELL, "2", book=one_sided).unfilled == 2
    taken = cost(BUY, "1", book=one_sided)
    assert (taken.average_price, taken.slippage_bps) == (D(101), None)
    assert cost(BUY, "1", STOP, trigger=D(50), book=one_sided).unfilled == 1


rows = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 50)), min_size=1, max_size=6)


@UNDISTURBED
@given(st.sampled_from(Side), rows, st.integers(1, 200))
def test_an_estimate_of_a_taker_is_the_walk_through_the_book(
    side: Side, offers: list[tuple[int, int]], quantity: int
) -> None:
    prices = sorted({price for price, _ in offers}, reverse=side is SELL)
    one_side = tuple(
        Level(price=1_000 + D(price), quantity=D(size) / 10)
        for price, (_, size) in zip(prices, offers, strict=False)
    )
    book = Book(
        bids=one_side if side is SELL else levels(("1000", "1")),
        asks=one_side if side is BUY else levels(("2000", "1")),
        read_at_ms=0,
    )
    found = cost(side, str(D(quantity) / 10), book=book)
    walked = walk(one_side, D(quantity) / 10)
    held = sum(level.quantity for level in one_side)
    assert found.unfilled == max(D(0), D(quantity) / 10 - held)
    if walked is not None:
        assert found.notional == walked.value
        assert abs(Fraction(found.fee_quote) - Fraction(walked.value) * Fraction(FEES.taker)) == 0
    assert found.slippage_bps is not None
    assert found.slippage_bps > 0
