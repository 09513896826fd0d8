"""Waiting orders at the paper exchange: what triggers them, when, and what they do then."""

from decimal import Decimal
from itertools import pairwise

import pytest

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.events import OrderTriggered
from activities.venues.simulator.orders import NewOrder, Order, OrderStatus, OrderType, Side
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
BUY, SELL = Side.BUY, Side.SELL
STOP, STOP_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
PROFIT, PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT


@pytest.fixture
def engine() -> Engine:
    """Ann has 10 BTC and 1,000,000 USDT; the last trade was at 100; nobody quotes."""
    specs = {spec.name: spec for spec in symbols_of("binance")}
    made = Engine(ExchangeState(specs), fees_of("binance"))
    made.open_account("ann", {"BTC": D(10), "USDT": D(1_000_000)}, 0)
    tick(made, "100")
    return made


def tick(engine: Engine, price: str | Decimal, now_ms: int = 1) -> None:
    engine.print_trade(PAIR, BUY, D(price), D(1), now_ms)


def place(engine: Engine, side: Side, kind: OrderType, **terms: str | int) -> Order:
    amounts = {name: D(value) for name, value in terms.items() if isinstance(value, str)}
    others = {name: value for name, value in terms.items() if not isinstance(value, str)}
    wanted = NewOrder(
        client_order_id=f"c{engine.state.last_order_id + 1}",
        symbol=PAIR,
        side=side,
        type=kind,
        **({"quantity": D(1)} | amounts | others),
    )
    return engine.place("ann", wanted, 1)[0]


def locked(engine: Engine, asset: str) -> Decimal:
    return engine.state.accounts.of("ann", asset).locked


@pytest.mark.parametrize(
    ("side", "kind", "stop", "before", "at"),
    [
        (SELL, STOP, "95", "95.01", "95"),
        (SELL, STOP, "95", "97", "90"),
        (BUY, STOP, "105", "104.99", "105"),
        (SELL, PROFIT, "110", "109.99", "110"),
        (BUY, PROFIT, "90", "90.01", "90"),
    ],
)
def test_a_stop_fires_when_a_trade_reaches_or_passes_its_price(
    engine: Engine, side: Side, kind: OrderType, stop: str, before: str, at: str
) -> None:
    order = place(engine, side, kind, stop_price=stop)
    tick(engine, before)
    assert order.is_waiting
    tick(engine, at, 7)
    assert (order.is_waiting, order.working_ms) == (False, 7)


@pytest.mark.parametrize(
    ("side", "kind", "stop"),
    [(SELL, STOP, "100"), (SELL, STOP, "101"), (BUY, STOP, "100"), (SELL, PROFIT, "99.99")],
)
def test_a_stop_that_the_last_trade_has_reached_already_is_refused(
    engine: Engine, side: Side, kind: OrderType, stop: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        place(engine, side, kind, stop_price=stop)
    assert refused.value.reason is Reason.WOULD_TRIGGER


def test_a_waiting_order_is_not_in_the_book_and_locks_its_funds(engine: Engine) -> None:
    sell = place(engine, SELL, STOP, stop_price="95")
    buy = place(engine, BUY, STOP_LIMIT, stop_price="105", price="106")
    assert not any(order.order_id in engine.books[PAIR] for order in (sell, buy))
    assert (locked(engine, "BTC"), locked(engine, "USDT")) == (D(1), D(106))
    engine.cancel(sell, 2)
    engine.cancel(buy, 2)
    assert (locked(engine, "BTC"), locked(engine, "USDT")) == (D(0), D(0))


def test_a_triggered_stop_sells_at_the_market_whatever_its_stop_price(engine: Engine) -> None:
    order = place(engine, SELL, STOP, stop_price="95")
    engine.quote(PAIR, BUY, D("89.5"), D(2), 1)
    tick(engine, "90")
    assert (order.status, order.quote_executed) == (OrderStatus.FILLED, D("89.5"))
    assert locked(engine, "BTC") == 0


def test_what_a_triggered_stop_finds_no_buyer_for_expires(engine: Engine) -> None:
    order = place(engine, SELL, STOP, stop_price="95")
    engine.quote(PAIR, BUY, D(94), D("0.4"), 1)
    tick(engine, "95")
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, D("0.4"))
    assert locked(engine, "BTC") == 0


def test_a_triggered_stop_limit_waits_in_the_book_beyond_a_gap(engine: Engine) -> None:
    order = place(engine, SELL, STOP_LIMIT, stop_price="95", price="94")
    engine.quote(PAIR, BUY, D(89), D(2), 1)
    tick(engine, "90")
    assert (order.status, order.executed) == (OrderStatus.NEW, D(0))
    assert engine.books[PAIR].best(SELL) == D(94)


def test_a_triggered_buy_takes_what_its_account_can_pay_for(engine: Engine) -> None:
    place(engine, BUY, OrderType.LIMIT, price="50", quantity="8000")
    place(engine, BUY, OrderType.LIMIT, price="50", quantity="8000")
    order = place(engine, BUY, STOP, stop_price="105", quantity="1904")
    engine.quote(PAIR, SELL, D(120), D(5_000), 1)
    tick(engine, "105")
    assert order.status is OrderStatus.EXPIRED
    assert order.quote_executed <= 200_000 < order.quote_executed + D("0.0012")


def test_what_a_triggered_order_trades_triggers_the_next(engine: Engine) -> None:
    first = place(engine, SELL, STOP, stop_price="95")
    second = place(engine, SELL, STOP, stop_price="90")
    for price, quantity in (("89", "1"), ("88", "5")):
        engine.quote(PAIR, BUY, D(price), D(quantity), 1)
    engine.take_events()
    tick(engine, "95")
    fired = [each for each in engine.take_events() if isinstance(each, OrderTriggered)]
    assert [(each.order_id, each.price) for each in fired] == [
        (first.order_id, D(95)),
        (second.order_id, D(89)),
    ]
    assert (first.quote_executed, second.quote_executed) == (D(89), D(88))


# --- trailing ---------------------------------------------------------------------------------

# The scenarios of Binance's trailing-stop FAQ: each triggers on its last trade, and on no other.
SCENARIOS = {
    "A": (BUY, STOP, "44000", 500, ["40000", "37000", "46000", "42000", "44100"], "42000"),
    "B": (SELL, STOP, "39000", 1000, ["40000", "41500", "37000", "41000", "36900"], "41000"),
    "C": (
        BUY,
        PROFIT,
        "38000",
        850,
        ["40000", "42000", "37000", "39000", "38000", "40145"],
        "37000",
    ),
    "D": (
        SELL,
        PROFIT,
        "42000",
        750,
        ["40000", "41500", "39000", "45000", "44000", "46500", "43012.5"],
        "46500",
    ),
    "E": (SELL, STOP, None, 700, ["40000", "42000", "39500", "45500", "42315"], "45500"),
}


def path(waypoints: list[str], step: Decimal) -> list[Decimal]:
    """The prices after the first, moving by `step` and stopping on each waypoint."""
    prices: list[Decimal] = []
    for start, end in pairwise(D(each) for each in waypoints):
        towards, price = (step if end > start else -step), start
        while price != end:
            price += towards
            prices.append(price)
    return prices


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_published_trailing_scenarios_fire_on_their_last_trade_only(
    engine: Engine, name: str
) -> None:
    side, kind, stop, delta, waypoints, extreme = SCENARIOS[name]
    prices = path(waypoints, D("2.5"))
    tick(engine, waypoints[0])
    terms = {} if stop is None else {"stop_price": stop}
    order = place(engine, side, kind, trailing_delta=delta, quantity="0.1", **terms)
    for price in prices[:-1]:
        tick(engine, price)
    assert order.is_waiting
    assert order.extreme == D(extreme)
    tick(engine, prices[-1])
    assert not order.is_waiting


def test_the_trade_that_activates_a_trailing_order_cannot_trigger_it(engine: Engine) -> None:
    order = place(engine, SELL, PROFIT, stop_price="110", trailing_delta=100)
    tick(engine, "109")
    assert order.following_ms is None
    tick(engine, "120", 5)
    assert (order.extreme, order.following_ms, order.is_waiting) == (D(120), 5, True)
    tick(engine, "118.8")
    assert not order.is_waiting


@pytest.mark.parametrize(
    ("delta", "is_legal"), [(9, False), (10, True), (2000, True), (2001, False)]
)
def test_a_trailing_delta_stays_within_the_filter(
    engine: Engine, delta: int, *, is_legal: bool
) -> None:
    if is_legal:
        assert place(engine, SELL, STOP, trailing_delta=delta).is_waiting
        return
    with pytest.raises(RefusedError) as refused:
        place(engine, SELL, STOP, trailing_delta=delta)
    assert refused.value.reason is Reason.TRAILING_DELTA


def test_no_more_stops_are_open_than_the_filter_allows(engine: Engine) -> None:
    limit = engine.spec(PAIR).max_algo_orders
    for _ in range(limit):
        place(engine, SELL, STOP, stop_price="95", quantity="0.1")
    with pytest.raises(RefusedError) as refused:
        place(engine, SELL, STOP, stop_price="95", quantity="0.1")
    assert refused.value.reason is Reason.MAX_NUM_ALGO_ORDERS
