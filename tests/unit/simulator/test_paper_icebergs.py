"""Icebergs in the book: what is seen of them, and when each part trades."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.venues.simulator import matching
from activities.venues.simulator.book import OrderBook, RestingOrder
from activities.venues.simulator.engine import Engine
from activities.venues.simulator.orders import NewOrder, Order, OrderType, Side
from activities.venues.simulator.orders import TimeInForce as Tif
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def engine() -> Engine:
    specs = {spec.name: spec for spec in symbols_of("binance")}
    made = Engine(ExchangeState(specs), fees_of("binance"))
    for account in ("ann", "bob"):
        made.open_account(account, {"BTC": D(100), "USDT": D(1_000_000)}, 0)
    return made


def place(
    engine: Engine, account: str, side: Side, quantity: str, shown: str = "0", **terms: object
) -> Order:
    wanted = NewOrder(
        client_order_id=f"c{engine.state.last_order_id + 1}",
        symbol=PAIR,
        side=side,
        quantity=D(quantity),
        iceberg_quantity=D(shown),
        **({"type": OrderType.LIMIT, "price": D(100)} | terms),
    )
    return engine.place(account, wanted, 1)[0]


def test_only_the_shown_part_is_seen(engine: Engine) -> None:
    place(engine, "ann", SELL, "10", "3")
    assert engine.books[PAIR].depth(SELL, 5) == [(D(100), D(3))]
    assert engine.state.accounts.of("ann", "BTC").locked == D(10)


def test_a_new_part_queues_behind_those_that_were_there(engine: Engine) -> None:
    iceberg = place(engine, "ann", SELL, "10", "3")
    plain = place(engine, "bob", SELL, "2")
    engine.flow(PAIR, BUY, D(4), D(100), 2)
    assert (iceberg.executed, plain.executed) == (D(3), D(1))
    engine.flow(PAIR, BUY, D(2), D(100), 2)
    assert (iceberg.executed, plain.executed) == (D(4), D(2))
    assert engine.books[PAIR].depth(SELL, 5) == [(D(100), D(2))]


def test_a_large_order_takes_the_hidden_parts_too_one_trade_each(engine: Engine) -> None:
    iceberg = place(engine, "ann", SELL, "10", "3")
    taker = place(engine, "bob", BUY, "10", tif=Tif.FOK)
    assert (iceberg.executed, taker.executed) == (D(10), D(10))
    sizes = [trade.quantity for trade in engine.state.trades_of_order(iceberg.order_id)]
    assert sizes == [D(3), D(3), D(3), D(1)]


def test_an_iceberg_that_crosses_takes_first_and_hides_what_is_left(engine: Engine) -> None:
    place(engine, "ann", SELL, "2")
    iceberg = place(engine, "bob", BUY, "10", "3")
    assert iceberg.executed == D(2)
    assert engine.books[PAIR].depth(BUY, 5) == [(D(100), D(3))]


@pytest.mark.parametrize(
    ("quantity", "shown", "reason"),
    [
        ("1", "2", Reason.ICEBERG_EXCEEDS),
        ("1", "0.000005", Reason.LOT_SIZE),
        ("10.1", "0.1", Reason.ICEBERG_PARTS),
    ],
)
def test_what_is_shown_obeys_the_filters(
    engine: Engine, quantity: str, shown: str, reason: Reason
) -> None:
    with pytest.raises(RefusedError) as refused:
        place(engine, "ann", SELL, quantity, shown)
    assert refused.value.reason is reason


def test_as_many_parts_as_the_filter_allows_are_taken(engine: Engine) -> None:
    assert place(engine, "ann", SELL, "10", "0.1").status.is_open


def test_no_more_icebergs_are_open_than_the_filter_allows(engine: Engine) -> None:
    for _ in range(engine.spec(PAIR).max_iceberg_orders):
        place(engine, "ann", SELL, "1", "0.5")
    with pytest.raises(RefusedError) as refused:
        place(engine, "ann", SELL, "1", "0.5")
    assert refused.value.reason is Reason.MAX_NUM_ICEBERG_ORDERS


resting = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 7)), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(resting, st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_what_a_preview_promises_is_what_a_sweep_takes_and_nothing_is_lost(
    orders: list[tuple[int, int]], takes: list[int]
) -> None:
    book = OrderBook()
    for number, (quantity, display) in enumerate(orders, 1):
        book.add(
            RestingOrder(
                order_id=number,
                owner="ann",
                side=SELL,
                price=D(100),
                remaining=D(quantity),
                display=D(display),
            )
        )
    left = D(sum(quantity for quantity, _ in orders))
    for wanted in takes:
        promised = list(matching.preview(book, BUY, D(wanted)))
        assert matching.sweep(book, BUY, D(wanted)) == promised
        taken = sum((fill.quantity for fill in promised), D(0))
        assert taken == min(D(wanted), left)
        left -= taken
        assert sum((each.remaining for each, _ in _once(book)), D(0)) == left
        assert all(0 < shown <= each.remaining for each, shown in _once(book))


def _once(book: OrderBook) -> list[tuple[RestingOrder, Decimal]]:
    """Each order of the book with what it shows."""
    found = {each.order_id: (each, each.shown) for each, _ in book.offers(SELL)}
    return list(found.values())
