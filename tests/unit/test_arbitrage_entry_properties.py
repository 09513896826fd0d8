"""How an arbitrage begins: what holds for every book, plan and balance.

Rule: expected numbers are recomputed with fractions, never with the code under test.
"""

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.arbitrage_books import RULES, TERMS
from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.arbitrage_entry import (
    MINIMUM_BUFFER,
    Entry,
    EntryTerms,
    VenueFacts,
    common_lot,
    plan_entry,
)
from workflows.domain.books import Book, Level
from workflows.domain.denials import Denied

D = Decimal
steps = st.decimals(min_value="0.00001", max_value=10, places=5).filter(bool)


@UNDISTURBED
@given(steps, steps)
def test_no_smaller_lot_is_on_both_steps(one: Decimal, other: Decimal) -> None:
    lot = Fraction(common_lot(replace(RULES, step=one), replace(RULES, step=other)))
    mine, theirs = lot / Fraction(one), lot / Fraction(other)
    assert mine.denominator == theirs.denominator == 1
    assert Fraction(mine.numerator, theirs.numerator).numerator == mine.numerator, "not the least"


fees = st.decimals(min_value="-0.0005", max_value="0.002", places=4)
sizes = st.decimals(min_value="0.0001", max_value=2, places=4)


@st.composite
def sides(draw: st.DrawFn, *, low: int, high: int) -> VenueFacts:
    prices = st.decimals(min_value=low, max_value=high, places=2)
    drawn = sorted(draw(st.lists(prices, min_size=2, max_size=8, unique=True)))
    cut = draw(st.integers(1, len(drawn) - 1))
    book = [Level(price=price, quantity=draw(sizes)) for price in drawn]
    rules = replace(
        RULES,
        tick=draw(st.sampled_from(["0.01", "0.5"]).map(D)),
        step=draw(st.sampled_from(["0.0001", "0.003", "0.00001"]).map(D)),
        min_quantity=draw(st.sampled_from(["0.0001", "0.01"]).map(D)),
        max_quantity=draw(st.none() | st.just(D(1))),
    )
    return VenueFacts(
        instrument=rules,
        book=Book(bids=tuple(reversed(book[:cut])), asks=tuple(book[cut:]), read_at_ms=0),
        taker_fee=draw(fees),
        buys_pay_base=draw(st.booleans()),
        free_base=draw(sizes),
        free_quote=draw(sizes) * 50_000,
    )


@st.composite
def some_terms(draw: st.DrawFn) -> EntryTerms:
    return replace(
        TERMS,
        amount=draw(sizes),
        limit_tolerance=draw(st.sampled_from(["0", "0.001", "0.01"]).map(D)),
        slippage_tolerance=draw(st.sampled_from(["0.002", "0.02"]).map(D)),
        max_notional=draw(st.none() | st.just(D(40_000))),
        min_profit=draw(st.sampled_from(["-100", "0", "1"]).map(D)),
        max_loss_bps=draw(st.sampled_from(["50", "500"]).map(D)),
        buy_is_market=draw(st.booleans()),
        sell_is_market=draw(st.booleans()),
    )


def taken(book: tuple[Level, ...], quantity: Decimal) -> tuple[Fraction, Decimal]:
    """Value and last price of a quantity, by fractions."""
    left, value, edge = Fraction(quantity), Fraction(0), D(0)
    for level in book:
        if left > 0:
            part = min(left, Fraction(level.quantity))
            left, value, edge = left - part, value + part * Fraction(level.price), level.price
    assert left == 0, "more than the book holds"
    return value, edge


@UNDISTURBED
@given(some_terms(), sides(low=49_900, high=50_100), sides(low=50_200, high=50_400))
def test_what_is_entered_is_within_every_cap_gate_and_minimum(
    terms: EntryTerms, buy: VenueFacts, sell: VenueFacts
) -> None:
    with localcontext() as context:
        context.prec = 5  # the caller's context rounds nothing
        entry = plan_entry(terms, buy, sell)
    if isinstance(entry, Denied):
        assert entry.detail
        return
    bought, sold = Fraction(entry.buy_quantity), Fraction(entry.sell_quantity)
    fee = max(Fraction(buy.taker_fee), Fraction(0)) if buy.buys_pay_base else Fraction(0)
    assert bought <= Fraction(terms.amount)
    assert 0 <= bought * (1 - fee) - sold < Fraction(sell.instrument.step)
    spent, buy_edge = taken(buy.book.asks, entry.buy_quantity)
    got, sell_edge = taken(sell.book.bids, entry.sell_quantity)
    assert buy_edge <= (entry.buy_limit or buy_edge)
    assert sell_edge >= (entry.sell_limit or sell_edge)
    tolerance = Fraction(terms.slippage_tolerance)
    assert spent <= bought * Fraction(terms.buy_price) * (1 + tolerance)
    assert got >= sold * Fraction(terms.sell_price) * (1 - tolerance)
    assert spent <= Fraction(buy.free_quote)
    assert sold <= Fraction(sell.free_base)
    for facts, quantity in ((buy, bought), (sell, sold)):
        assert quantity % Fraction(facts.instrument.step) == 0
        assert quantity <= (facts.instrument.max_quantity or 10)
        assert quantity >= Fraction(facts.instrument.min_quantity * MINIMUM_BUFFER)
        assert terms.max_notional is None or quantity * 49_900 <= Fraction(terms.max_notional)
    assert entry.expected_net >= terms.min_profit
    assert_nets(entry, buy, sell, spent, got)


def assert_nets(
    entry: Entry, buy: VenueFacts, sell: VenueFacts, spent: Fraction, got: Fraction
) -> None:
    """The expected net is that of the walk; no fill within the limits is below the worst net."""
    cost = spent if buy.buys_pay_base else spent * (1 + Fraction(buy.taker_fee))
    if not buy.buys_pay_base:
        expected = got * (1 - Fraction(sell.taker_fee)) - cost
        assert abs(Fraction(entry.expected_net) - expected) < Fraction(1, 10**17)
    assert entry.worst_net <= entry.expected_net
