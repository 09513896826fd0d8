"""One cancels the other: which orders go together, what they lock, and how they end."""

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.events import OrderListEnded
from activities.venues.simulator.orders import (
    NewOrder,
    NewOrderList,
    Order,
    OrderList,
    OrderStatus,
    OrderType,
    Side,
)
from activities.venues.simulator.records import decode, encode
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
BUY, SELL = Side.BUY, Side.SELL
START = {"BTC": D(10), "USDT": D(10_000)}


def new_engine() -> Engine:
    specs = {spec.name: spec for spec in symbols_of("binance")}
    made = Engine(ExchangeState(specs), fees_of("binance"))
    made.open_account("ann", START, 0)
    made.print_trade(PAIR, BUY, D(100), D(1), 1)
    return made


@pytest.fixture
def engine() -> Engine:
    """Ann has 10 BTC and 10,000 USDT; the last trade was at 100."""
    return new_engine()


def leg(name: str, side: Side, kind: OrderType, quantity: str, **prices: str) -> NewOrder:
    amounts = {what: D(price) for what, price in prices.items()}
    return NewOrder(
        client_order_id=name, symbol=PAIR, side=side, type=kind, quantity=D(quantity), **amounts
    )


def sell_list(
    engine: Engine, quantity: str = "1", limit: str = "110", stop: str = "95"
) -> tuple[OrderList, Order, Order]:
    """The list, its limit order above the market and its stop below."""
    number = engine.state.last_order_id
    above = leg(f"x{number}a", SELL, OrderType.LIMIT_MAKER, quantity, price=limit)
    below = leg(f"x{number}b", SELL, OrderType.STOP_LOSS, quantity, stop_price=stop)
    return placed(engine, NewOrderList(client_order_id=f"x{number}", above=above, below=below))


def buy_list(engine: Engine) -> tuple[OrderList, Order, Order]:
    """The list, its limit order at 90 and its stop at 105 with a limit of 106."""
    above = leg("ba", BUY, OrderType.STOP_LOSS_LIMIT, "1", price="106", stop_price="105")
    below = leg("bb", BUY, OrderType.LIMIT_MAKER, "1", price="90")
    return placed(engine, NewOrderList(client_order_id="b", above=above, below=below))


def placed(engine: Engine, wanted: NewOrderList) -> tuple[OrderList, Order, Order]:
    made = engine.place_list("ann", wanted, 1)
    stop, limit = (engine.state.orders[each] for each in made.order_ids)
    return made, limit, stop


def held(engine: Engine, asset: str) -> tuple[Decimal, Decimal]:
    balance = engine.state.accounts.of("ann", asset)
    return balance.free, balance.locked


def test_both_orders_lock_once_what_the_larger_needs(engine: Engine) -> None:
    _, limit, stop = sell_list(engine)
    assert held(engine, "BTC") == (D(9), D(1))
    buy_list(engine)
    assert held(engine, "USDT") == (D(10_000) - 106, D(106))
    assert (limit.is_waiting, stop.is_waiting) == (False, True)


def test_a_fill_of_the_limit_order_ends_the_stop(engine: Engine) -> None:
    made, limit, stop = sell_list(engine)
    engine.flow(PAIR, BUY, D(1), D(110), 5)
    assert (limit.status, stop.status) == (OrderStatus.FILLED, OrderStatus.EXPIRED)
    assert (made.is_done, made.updated_ms) == (True, 5)
    assert held(engine, "BTC") == (D(9), D(0))


def test_a_part_of_a_fill_ends_the_stop_and_leaves_the_list_open(engine: Engine) -> None:
    made, limit, stop = sell_list(engine)
    engine.flow(PAIR, BUY, D("0.4"), D(110), 5)
    assert (limit.status, stop.status) == (OrderStatus.PARTIALLY_FILLED, OrderStatus.EXPIRED)
    assert not made.is_done
    assert held(engine, "BTC") == (D(9), D("0.6"))
    engine.cancel(limit, 6)
    assert made.is_done
    assert held(engine, "BTC") == (D("9.6"), D(0))


def test_a_trigger_of_the_stop_ends_the_limit_order_before_it_sells(engine: Engine) -> None:
    made, limit, stop = sell_list(engine)
    engine.quote(PAIR, BUY, D(94), D(3), 5)
    engine.print_trade(PAIR, SELL, D(95), D(1), 5)
    assert (limit.status, stop.status) == (OrderStatus.EXPIRED, OrderStatus.FILLED)
    assert made.is_done
    assert limit.order_id not in engine.books[PAIR]


def test_a_stop_whose_list_traded_in_the_same_moment_stays_ended(engine: Engine) -> None:
    buyer = leg("buyer", BUY, OrderType.TAKE_PROFIT, "1", stop_price="95")
    engine.place("ann", buyer, 1)
    made, limit, stop = sell_list(engine)
    engine.print_trade(PAIR, SELL, D(95), D(1), 5)
    assert (limit.status, stop.status) == (OrderStatus.FILLED, OrderStatus.EXPIRED)
    assert made.is_done


def test_a_buy_keeps_locked_what_the_order_that_is_left_needs(engine: Engine) -> None:
    _, _, stop = buy_list(engine)
    engine.flow(PAIR, SELL, D("0.5"), D(90), 5)
    assert stop.status is OrderStatus.EXPIRED
    assert held(engine, "USDT") == (D(10_000) - 90, D(45))


@pytest.mark.parametrize("which", [1, 2])
def test_to_cancel_one_is_to_cancel_both(engine: Engine, which: int) -> None:
    made, limit, stop = parts = sell_list(engine)
    engine.cancel(parts[which], 5)
    assert {limit.status, stop.status} == {OrderStatus.CANCELED}
    assert made.is_done
    with pytest.raises(RefusedError) as refused:
        engine.cancel_list(made, 6)
    assert refused.value.reason is Reason.UNKNOWN_LIST
    assert held(engine, "BTC") == (D(10), D(0))


@pytest.mark.parametrize(
    ("limit", "stop"), [("110", "100"), ("110", "101"), ("100", "95"), ("99", "95")]
)
def test_the_last_price_lies_between_the_two(engine: Engine, limit: str, stop: str) -> None:
    with pytest.raises(RefusedError) as refused:
        sell_list(engine, limit=limit, stop=stop)
    assert refused.value.reason is Reason.PRICE_RELATION
    assert not engine.state.orders


def test_a_list_that_the_account_cannot_pay_for_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(RefusedError) as refused:
        sell_list(engine, quantity="10.00001")
    assert refused.value.reason is Reason.INSUFFICIENT_BALANCE
    assert (engine.state.orders, engine.state.lists) == ({}, {})


def test_an_id_in_use_refuses_the_list(engine: Engine) -> None:
    buy_list(engine)
    with pytest.raises(RefusedError) as refused:
        buy_list(engine)
    assert refused.value.reason is Reason.DUPLICATE_ORDER


moves = st.one_of(
    st.tuples(st.just("tick"), st.integers(90, 115)),
    st.tuples(st.just("buyers"), st.integers(1, 150)),
    st.tuples(st.just("sellers"), st.integers(1, 150)),
    st.tuples(st.just("cancel"), st.integers(1, 8)),
    st.tuples(st.just("list"), st.integers(1, 100)),
    st.tuples(st.just("buy list"), st.integers(1, 100)),
)


def carry_out(engine: Engine, move: tuple[str, int]) -> None:
    what, number = move
    match what:
        case "tick":
            engine.print_trade(PAIR, BUY, D(number), D(1), 2)
        case "buyers":
            engine.flow(PAIR, BUY, D(number) / 100, None, 2)
        case "sellers":
            engine.quote(PAIR, BUY, D(94), D(number) / 100, 2)
        case "cancel":
            order = engine.state.orders.get(number)
            if order is not None and order.status.is_open:
                engine.cancel(order, 2)
        case "list" | "buy list":
            make = sell_list if what == "list" else stop_buy_list
            with contextlib.suppress(RefusedError):
                make(engine, quantity=str(D(number) / 100))


def stop_buy_list(engine: Engine, quantity: str) -> None:
    """A limit order at 93 and a stop at 108 that buys at the market."""
    number = engine.state.last_order_id
    above = leg(f"y{number}a", BUY, OrderType.STOP_LOSS, quantity, stop_price="108")
    below = leg(f"y{number}b", BUY, OrderType.LIMIT_MAKER, quantity, price="93")
    placed(engine, NewOrderList(client_order_id=f"y{number}", above=above, below=below))


def needed(state: ExchangeState, side: Side) -> Decimal:
    """What open orders of a side need, two of a list only once."""
    total = D(0)
    for order in state.open_orders("ann"):
        partner = state.partner_of(order)
        if order.side is side and (partner is None or order.order_id < partner.order_id):
            both = [order] if partner is None else [order, partner]
            total += max(
                each.remaining * ((each.price or each.lock_price) if side is BUY else 1)
                for each in both
            )
    return total


@settings(max_examples=150, deadline=None)
@given(st.lists(moves, max_size=25))
def test_of_two_orders_at_most_one_trades_and_a_replay_gives_the_same(
    script: list[tuple[str, int]],
) -> None:
    engine = new_engine()
    sell_list(engine)
    for move in script:
        carry_out(engine, move)
    state, events = engine.state, engine.take_events()
    for each in state.lists.values():
        legs = [state.orders[order_id] for order_id in each.order_ids]
        assert sum(1 for one in legs if one.executed) <= 1
        assert each.is_done is not any(one.status.is_open for one in legs)
    ended = [event.list_id for event in events if isinstance(event, OrderListEnded)]
    assert len(ended) == len(set(ended))
    assert held(engine, "BTC")[1] == needed(state, SELL)
    assert held(engine, "USDT")[1] == needed(state, BUY)
    assert state.accounts.totals() == START
    again = ExchangeState(state.specs)
    for event in events:
        again.apply(decode(encode(event)))
    assert (again.orders, again.lists, again.accounts) == (
        state.orders,
        state.lists,
        state.accounts,
    )
