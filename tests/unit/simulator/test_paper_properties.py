"""What must hold after any sequence of commands: conservation, priority, an uncrossed book."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.events import Event, TradeDone
from activities.venues.simulator.orders import (
    NewOrder,
    OrderType,
    SelfTradeMode,
    Side,
    TimeInForce,
)
from activities.venues.simulator.records import decode, encode
from activities.venues.simulator.refusals import RefusedError
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
ACCOUNTS = ("ann", "bob")
START = {"BTC": D(3), "USDT": D(1_000)}

orders = st.builds(
    lambda *args: ("order", *args),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(list(Side)),
    st.sampled_from([OrderType.LIMIT, OrderType.MARKET, OrderType.LIMIT_MAKER]),
    st.sampled_from(list(TimeInForce)),
    st.integers(9_900, 10_100).map(lambda ticks: ticks * D("0.01")),
    st.integers(1, 200_000).map(lambda lots: lots * D("0.00001")),
    st.sampled_from(list(SelfTradeMode)),
)
cancels = st.tuples(st.just("cancel"), st.integers(1, 20))
quotes = st.tuples(
    st.just("quote"),
    st.sampled_from(list(Side)),
    st.integers(9_950, 10_050).map(lambda ticks: ticks * D("0.01")),
    st.integers(1, 100_000).map(lambda lots: lots * D("0.00001")),
)
commands = st.lists(st.one_of(orders, orders, cancels, quotes), max_size=30)


def new_engine() -> Engine:
    specs = {spec.name: spec for spec in symbols_of("binance")}
    engine = Engine(ExchangeState(specs), fees_of("binanceus"))
    engine.tapes[PAIR].last = D(100)
    for account in ACCOUNTS:
        engine.open_account(account, START, 0)
    return engine


def carry_out(engine: Engine, number: int, command: tuple) -> None:
    if command[0] == "quote":
        engine.quote(PAIR, *command[1:], number)
        return
    if command[0] == "cancel":
        order = engine.state.orders.get(command[1])
        if order is not None and order.status.is_open:
            engine.cancel(order, number)
        return
    _, account, side, kind, tif, price, quantity, self_trade = command
    limited = kind is not OrderType.MARKET
    wanted = NewOrder(
        client_order_id=f"c{number}",
        symbol=PAIR,
        side=side,
        type=kind,
        tif=tif if kind is OrderType.LIMIT else TimeInForce.GTC,
        price=price if limited else D(0),
        quantity=quantity,
        self_trade=self_trade,
    )
    try:
        engine.place(account, wanted, number)
    except RefusedError:
        return


def run(script: list[tuple]) -> tuple[Engine, list[Event]]:
    engine = new_engine()
    for number, command in enumerate(script, 1):
        carry_out(engine, number, command)
    return engine, engine.take_events()


@settings(max_examples=150, deadline=None)
@given(commands)
def test_nothing_is_made_or_lost_and_no_balance_is_negative(script: list[tuple]) -> None:
    engine, _ = run(script)
    accounts = engine.state.accounts
    expected = {asset: amount * len(ACCOUNTS) for asset, amount in START.items()}
    assert accounts.totals() == expected
    for assets in accounts.balances.values():
        assert all(each.free >= 0 and each.locked >= 0 for each in assets.values())


@settings(max_examples=150, deadline=None)
@given(commands)
def test_what_is_locked_is_what_open_orders_need(script: list[tuple]) -> None:
    engine, _ = run(script)
    for account in ACCOUNTS:
        needed = {"BTC": D(0), "USDT": D(0)}
        for order in engine.state.open_orders(account):
            asset, unit = ("USDT", order.price) if order.side is Side.BUY else ("BTC", D(1))
            needed[asset] += order.remaining * unit
        for asset, amount in needed.items():
            assert engine.state.accounts.of(account, asset).locked == amount


@settings(max_examples=150, deadline=None)
@given(commands)
def test_the_book_is_never_crossed_and_holds_exactly_the_open_orders(script: list[tuple]) -> None:
    engine = new_engine()
    for number, command in enumerate(script, 1):
        carry_out(engine, number, command)
        book = engine.books[PAIR]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is None or ask is None or bid < ask
        for order in engine.state.open_orders():
            assert order.order_id in book


@settings(max_examples=150, deadline=None)
@given(commands)
def test_executed_is_the_sum_of_the_trades_and_at_most_the_quantity(script: list[tuple]) -> None:
    engine, events = run(script)
    for order in engine.state.orders.values():
        trades = [e for e in events if isinstance(e, TradeDone) and e.order_id == order.order_id]
        assert sum((trade.quantity for trade in trades), D(0)) == order.executed
        assert order.executed <= order.quantity


@settings(max_examples=150, deadline=None)
@given(commands)
def test_no_fill_passes_over_an_order_with_a_better_claim(script: list[tuple]) -> None:
    engine = new_engine()
    for number, command in enumerate(script, 1):
        side = command[2] if command[0] == "order" else command[1]
        waiting = []
        if command[0] != "cancel":
            waiting = [each.order_id for each, _ in engine.books[PAIR].offers(side.opposite)]
        engine.take_events()
        carry_out(engine, number, command)
        made = [e for e in engine.take_events() if isinstance(e, TradeDone) and e.maker]
        filled = [trade.order_id for trade in made]
        expected = [order_id for order_id in waiting if order_id in filled]
        assert filled == expected
        # Whoever stands before the last one filled has nothing left.
        if filled:
            before = waiting[: waiting.index(filled[-1])]
            assert not any(order_id in engine.books[PAIR] for order_id in before)


@settings(max_examples=100, deadline=None)
@given(commands)
def test_replaying_the_journaled_events_gives_the_same_state(script: list[tuple]) -> None:
    engine, events = run(script)
    replayed = ExchangeState(engine.state.specs)
    for event in events:
        again = decode(encode(event))
        assert again == event
        replayed.apply(again)
    assert replayed.orders == engine.state.orders
    assert replayed.accounts == engine.state.accounts
    assert list(replayed.open_orders()) == list(engine.state.open_orders())


@settings(max_examples=150, deadline=None)
@given(commands)
def test_orders_of_one_account_trade_only_where_the_taker_wants_it(script: list[tuple]) -> None:
    engine, events = run(script)
    trades = [each for each in events if isinstance(each, TradeDone)]
    takers = {(each.symbol, each.trade_id): each for each in trades if not each.maker}
    for trade in trades:
        if trade.maker and trade.counterparty == trade.account:
            taker = engine.state.orders[takers[trade.symbol, trade.trade_id].order_id]
            assert taker.self_trade is SelfTradeMode.NONE
