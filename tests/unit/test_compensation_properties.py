"""Complete or unwind: what holds for every residual, book, fee and balance.

Rule: expected numbers are recomputed with fractions from the book alone.
"""

from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.books import Level
from workflows.domain.compensation import Action, HedgeVenue, Option, bound_price, choose

fees = st.decimals(min_value="-0.001", max_value="0.01", places=4)
bps = st.decimals(min_value=0, max_value=1_000, places=1)
ticks = st.sampled_from(["0.01", "0.05", "1", "0.00001"]).map(Decimal)
units = st.decimals(min_value="0.5", max_value=100_000, places=4)


@UNDISTURBED
@given(st.booleans(), units, fees, bps, ticks)
def test_a_fill_at_the_bound_loses_no_more_than_allowed_and_a_tick_further_would(
    is_long: bool, unit: Decimal, fee: Decimal, max_loss: Decimal, tick: Decimal
) -> None:
    price = bound_price(is_long=is_long, unit=unit, fee=fee, max_loss_bps=max_loss, tick=tick)
    assert Fraction(price) / Fraction(tick) == int(Fraction(price) / Fraction(tick))
    allowed = Fraction(unit) * Fraction(max_loss) / 10_000
    assert loss_at(price, is_long, unit, fee) <= allowed
    worse = price - tick if is_long else price + tick
    assert loss_at(worse, is_long, unit, fee) > allowed


def loss_at(price: Decimal, is_long: bool, unit: Decimal, fee: Decimal) -> Fraction:
    """Quote units that one base unit loses when it is traded away at this price."""
    sign = 1 if is_long else -1
    net = Fraction(price) * (1 - sign * Fraction(fee))
    return sign * (Fraction(unit) - net)


sizes = st.decimals(min_value="0.1", max_value=3, places=5)
book_prices = st.decimals(min_value=95, max_value=105, places=2)
some_levels = st.lists(st.builds(Level, price=book_prices, quantity=sizes), min_size=1, max_size=4)


@st.composite
def venues(draw: st.DrawFn, *, is_long: bool) -> HedgeVenue:
    book = sorted(draw(some_levels), key=lambda level: level.price, reverse=is_long)
    most_balance = Decimal(3) if is_long else Decimal(300)
    balance = st.decimals(min_value=0, max_value=most_balance, places=5)
    return HedgeVenue(
        levels=tuple(book),
        fee=draw(fees),
        balance=draw(st.none() | balance),
        tick=draw(st.sampled_from(["0.01", "0.05", "0.5"]).map(Decimal)),
        step=draw(st.sampled_from(["0.00001", "0.001", "0.1"]).map(Decimal)),
        min_quantity=draw(st.sampled_from(["0", "0.0001", "0.1"]).map(Decimal)),
        min_notional=draw(st.sampled_from(["0", "5", "10"]).map(Decimal)),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[Decimal, Decimal, HedgeVenue, HedgeVenue, Decimal]:
    is_long = draw(st.booleans())
    least = draw(st.sampled_from(["0.2", "0.2", "0.00000001"]))
    size = draw(st.decimals(min_value=least, max_value=1, places=8))
    unit = draw(st.decimals(min_value=97, max_value=103, places=6))
    both = (draw(venues(is_long=is_long)), draw(venues(is_long=is_long)))
    return (size if is_long else -size), unit, *both, draw(bps)


@UNDISTURBED
@given(situations())
def test_a_choice_never_exceeds_the_residual_the_bound_the_balance_or_the_book(
    situation: tuple[Decimal, Decimal, HedgeVenue, HedgeVenue, Decimal],
) -> None:
    residual, unit, complete, unwind, max_loss = situation
    with localcontext() as context:
        context.prec = 4  # the caller's context rounds nothing
        choice = choose(*situation)
    if choice.action in (Action.CARRY_DUST, Action.HOLD_AND_ESCALATE):
        assert (choice.quantity, choice.limit, choice.taken) == (0, None, None)
        return
    where = complete if choice.action is Action.COMPLETE else unwind
    quantity, limit = Fraction(choice.quantity), Fraction(choice.limit or 0)
    assert 0 < quantity <= abs(Fraction(residual))
    assert quantity % Fraction(where.step) == 0
    assert limit > 0
    assert limit % Fraction(where.tick) == 0
    assert quantity >= where.min_quantity
    assert quantity * limit >= where.min_notional
    is_long = residual > 0
    allowed = Fraction(unit) * Fraction(max_loss) / 10_000
    assert loss_at(Decimal(choice.limit or 0), is_long, unit, where.fee) <= allowed
    assert loss_of(walked(where, quantity), is_long, unit, where.fee) <= allowed
    if where.balance is not None:
        price = Fraction(1) if is_long else limit * (1 + max(Fraction(where.fee), Fraction(0)))
        assert quantity * price <= where.balance


def walked(where: HedgeVenue, quantity: Fraction) -> Fraction:
    """The average price of the quantity in this book."""
    left, value = quantity, Fraction(0)
    for level in where.levels:
        taken = min(left, Fraction(level.quantity))
        left, value = left - taken, value + taken * Fraction(level.price)
    assert left == 0, "more than the book holds"
    return value / quantity


def loss_of(vwap: Fraction, is_long: bool, unit: Decimal, fee: Decimal) -> Fraction:
    sign = 1 if is_long else -1
    return sign * (Fraction(unit) - vwap * (1 - sign * Fraction(fee)))


@UNDISTURBED
@given(situations())
def test_no_feasible_option_within_the_bound_is_better_than_the_one_chosen(
    situation: tuple[Decimal, Decimal, HedgeVenue, HedgeVenue, Decimal],
) -> None:
    choice = choose(*situation)
    good = [option for option in (choice.complete, choice.unwind) if option.is_within_bound]
    if not good:
        return
    assert choice.taken in good
    best = max(per_unit(option) for option in good)
    assert choice.taken is not None
    assert per_unit(choice.taken) == best
    if per_unit(choice.complete) == best and choice.complete.is_within_bound:
        assert choice.action is Action.COMPLETE


def per_unit(option: Option) -> Fraction:
    return Fraction(option.pnl or 0) / Fraction(option.quantity or 1)
