"""Walking a book: exact sums, the last price touched, and the depth within a price.

Rule: expected values are worked out level by level with fractions, never with the code under test.
"""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED, positive_amounts
from workflows.domain.books import Book, Level, depth_within, walk
from workflows.domain.orders import Side


def levels(*pairs: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(price=Decimal(price), quantity=Decimal(size)) for price, size in pairs)


ASKS = levels(("100", "1"), ("101", "2"), ("103", "0.5"))
BIDS = levels(("99", "1"), ("98", "2"))

a_level = st.builds(Level, price=positive_amounts, quantity=positive_amounts)
some_levels = st.lists(a_level, max_size=6).map(tuple)


def total(book: tuple[Level, ...]) -> Fraction:
    return sum((Fraction(level.quantity) for level in book), Fraction(0))


@pytest.mark.parametrize(
    ("quantity", "value", "edge"),
    [("0.5", "50", "100"), ("1", "100", "100"), ("2.5", "251.5", "101"), ("3.5", "353.5", "103")],
)
def test_a_walk_takes_the_best_levels_first(quantity: str, value: str, edge: str) -> None:
    found = walk(ASKS, Decimal(quantity))
    assert found is not None
    assert (found.quantity, found.value, found.edge) == (
        *(Decimal(quantity), Decimal(value)),
        Decimal(edge),
    )


def test_a_book_that_does_not_hold_the_quantity_gives_no_walk() -> None:
    assert walk(ASKS, Decimal("3.50000001")) is None
    assert walk((), Decimal("0.1")) is None


@UNDISTURBED
@given(some_levels, positive_amounts)
def test_a_walk_is_exact_and_takes_no_more_than_there_is(
    book: tuple[Level, ...], quantity: Decimal
) -> None:
    with localcontext() as context:
        context.prec = 3  # the caller's context rounds nothing
        found = walk(book, quantity)
    assert (found is None) is (total(book) < quantity)
    if found is None:
        return
    left, value, edge = Fraction(quantity), Fraction(0), Decimal(0)
    for level in book:
        if left > 0:
            taken = min(left, Fraction(level.quantity))
            left, value, edge = left - taken, value + taken * Fraction(level.price), level.price
    assert Fraction(found.value) == value
    assert found.edge == edge
    assert found.quantity == quantity


@pytest.mark.parametrize(
    ("side", "limit", "depth"),
    [
        (Side.BUY, "99.99", "0"),
        (Side.BUY, "100", "1"),
        (Side.BUY, "102.9", "3"),
        (Side.BUY, "103", "3.5"),
        (Side.SELL, "99.01", "0"),
        (Side.SELL, "99", "1"),
        (Side.SELL, "98", "3"),
    ],
)
def test_the_depth_within_a_limit_counts_its_own_price(side: Side, limit: str, depth: str) -> None:
    book = Book(bids=BIDS, asks=ASKS, read_at_ms=0)
    assert depth_within(book.against(side), side, Decimal(limit)) == Decimal(depth)


@UNDISTURBED
@given(some_levels, st.sampled_from(Side), positive_amounts)
def test_what_lies_within_a_limit_can_be_walked_within_it(
    book: tuple[Level, ...], side: Side, limit: Decimal
) -> None:
    best_first = tuple(sorted(book, key=lambda level: side.sign * level.price))
    depth = depth_within(best_first, side, limit)
    assert Fraction(depth) <= total(best_first)
    if depth > 0:
        found = walk(best_first, depth)
        assert found is not None
        assert (limit - found.edge) * side.sign >= 0
