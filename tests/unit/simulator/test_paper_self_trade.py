"""What happens instead of a trade of an account with itself, order by order."""

from decimal import Decimal

import pytest

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.events import MatchPrevented
from activities.venues.simulator.orders import (
    NewOrder,
    NewOrderList,
    Order,
    OrderStatus,
    OrderType,
    SelfTradeMode,
    Side,
    TimeInForce,
)
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
BUY, SELL = Side.BUY, Side.SELL
NONE, TAKER = SelfTradeMode.NONE, SelfTradeMode.EXPIRE_TAKER
MAKER, BOTH = SelfTradeMode.EXPIRE_MAKER, SelfTradeMode.EXPIRE_BOTH
START = {"BTC": D(10), "USDT": D(10_000)}


@pytest.fixture
def engine() -> Engine:
    """Ann and Bob have 10 BTC and 10,000 USDT each; the last trade was at 100."""
    specs = {spec.name: spec for spec in symbols_of("binance")}
    made = Engine(ExchangeState(specs), fees_of("binance"))
    for account in ("ann", "bob"):
        made.open_account(account, START, 0)
    made.print_trade(PAIR, BUY, D(100), D(1), 1)
    return made


def place(
    engine: Engine,
    side: Side,
    quantity: str | None,
    price: str | None,
    mode: SelfTradeMode = NONE,
    *,
    account: str = "ann",
    tif: TimeInForce = TimeInForce.GTC,
    cost: str | None = None,
    display: str = "0",
) -> Order:
    wanted = NewOrder(
        client_order_id=f"o{engine.state.last_order_id + 1}",
        symbol=PAIR,
        side=side,
        type=OrderType.LIMIT if price else OrderType.MARKET,
        tif=tif,
        price=D(price or 0),
        quantity=D(quantity) if quantity else None,
        quote_quantity=D(cost) if cost else None,
        iceberg_quantity=D(display),
        self_trade=mode,
    )
    return engine.place(account, wanted, 2)[0]


def ends(*orders: Order) -> list[tuple[str, Decimal]]:
    return [(order.status.value, order.executed) for order in orders]


def totals(engine: Engine) -> dict[str, Decimal]:
    held = engine.state.accounts.balances["ann"]
    return {asset: balance.free + balance.locked for asset, balance in held.items()}


def test_without_a_wish_an_account_may_trade_with_itself(engine: Engine) -> None:
    resting = place(engine, BUY, "1", "99")
    taking = place(engine, SELL, "1", "99")
    assert ends(resting, taking) == [("FILLED", D(1)), ("FILLED", D(1))]


def test_the_order_that_comes_ends_with_what_it_has_not_taken_yet(engine: Engine) -> None:
    place(engine, BUY, "1", "99.5", account="bob")
    own = place(engine, BUY, "1", "99")
    place(engine, BUY, "1", "98", account="bob")
    taking = place(engine, SELL, "3", "98", TAKER)
    assert ends(own, taking) == [("NEW", D(0)), ("EXPIRED_IN_MATCH", D(1))]
    assert (taking.prevented, own.prevented) == (D(2), D(0))
    assert engine.state.accounts.of("ann", "BTC").locked == 0


def test_resting_orders_end_and_the_one_that_comes_goes_on_behind_them(engine: Engine) -> None:
    own = [place(engine, BUY, "1.2", "99.2"), place(engine, BUY, "1.3", "99.1")]
    place(engine, BUY, "1", "99", account="bob")
    taking = place(engine, SELL, "3", "99", MAKER)
    assert ends(*own, taking) == [
        ("EXPIRED_IN_MATCH", D(0)),
        ("EXPIRED_IN_MATCH", D(0)),
        ("PARTIALLY_FILLED", D(1)),
    ]
    matches = engine.state.prevented_of(taking.order_id)
    assert [(m.match_id, m.price, m.quantity, m.maker_prevented) for m in matches] == [
        (0, D("99.2"), D("1.2"), D("1.2")),
        (1, D("99.1"), D("1.3"), D("1.3")),
    ]
    assert engine.state.accounts.of("ann", "USDT").locked == 0
    assert engine.books[PAIR].best(SELL) == D(99)


def test_both_orders_end(engine: Engine) -> None:
    own = place(engine, BUY, "1", "99")
    taking = place(engine, SELL, "3", "99", BOTH)
    assert ends(own, taking) == [("EXPIRED_IN_MATCH", D(0)), ("EXPIRED_IN_MATCH", D(0))]
    assert totals(engine) == START


def test_only_what_the_order_that_comes_says_counts(engine: Engine) -> None:
    own = place(engine, BUY, "1", "99", BOTH)
    taking = place(engine, SELL, "1", "99", NONE)
    assert ends(own, taking) == [("FILLED", D(1)), ("FILLED", D(1))]


def test_a_market_order_that_finds_only_own_orders_expires_for_want_of_others(
    engine: Engine,
) -> None:
    own = place(engine, BUY, "1", "99")
    taking = place(engine, SELL, "1", None, MAKER)
    assert ends(own, taking) == [("EXPIRED_IN_MATCH", D(0)), ("EXPIRED", D(0))]


def test_an_own_iceberg_ends_once_and_as_a_whole(engine: Engine) -> None:
    own = place(engine, BUY, "1", "99", display="0.2")
    place(engine, SELL, "1", "99", MAKER)
    assert ends(own) == [("EXPIRED_IN_MATCH", D(0))]
    made = [each for each in engine.take_events() if isinstance(each, MatchPrevented)]
    assert [each.maker_prevented for each in made] == [D(1)]


def test_an_order_for_an_amount_of_money_counts_only_on_what_others_offer(engine: Engine) -> None:
    own = place(engine, SELL, "9", "100.1")
    place(engine, SELL, "9", "200", account="bob")
    taking = place(engine, BUY, None, None, MAKER, cost="1000")
    assert ends(own, taking) == [("EXPIRED_IN_MATCH", D(0)), ("FILLED", D(5))]
    assert taking.quote_executed == D(1_000)


def test_a_fill_or_kill_order_that_others_cannot_fill_leaves_all_as_it_is(engine: Engine) -> None:
    own = place(engine, BUY, "1", "99")
    place(engine, BUY, "1", "98", account="bob")
    taking = place(engine, SELL, "2", "98", MAKER, tif=TimeInForce.FOK)
    assert ends(own, taking) == [("NEW", D(0)), ("EXPIRED", D(0))]
    enough = place(engine, SELL, "1", "98", MAKER, tif=TimeInForce.FOK)
    assert ends(own, enough) == [("EXPIRED_IN_MATCH", D(0)), ("FILLED", D(1))]


def test_a_leg_that_ends_takes_the_other_one_of_its_list_with_it(engine: Engine) -> None:
    above = NewOrder(
        client_order_id="a",
        symbol=PAIR,
        side=SELL,
        type=OrderType.LIMIT_MAKER,
        quantity=D(1),
        price=D(110),
    )
    below = NewOrder(
        client_order_id="b",
        symbol=PAIR,
        side=SELL,
        type=OrderType.STOP_LOSS,
        quantity=D(1),
        stop_price=D(95),
    )
    wanted = NewOrderList(client_order_id="l", above=above, below=below)
    made = engine.place_list("ann", wanted, 2)
    place(engine, BUY, "1", "110", MAKER)
    by_name = {order.client_order_id: order.status for order in engine.state.orders.values()}
    assert by_name["a"] is OrderStatus.EXPIRED_IN_MATCH
    assert by_name["b"] is OrderStatus.EXPIRED
    assert made.is_done
    assert engine.state.accounts.of("ann", "BTC").locked == 0
