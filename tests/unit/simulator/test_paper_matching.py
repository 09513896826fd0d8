"""The engine alone: order types, priority, balances and refusals on a market that stands still."""

from decimal import Decimal

import pytest

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.orders import NewOrder, Order, OrderStatus, OrderType, Side
from activities.venues.simulator.orders import TimeInForce as Tif
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def engine() -> Engine:
    """Two accounts, 10 BTC and 1,000,000 USDT each; fees 0.1 %; an empty book."""
    specs = {spec.name: spec for spec in symbols_of("binance")}
    made = Engine(ExchangeState(specs), fees_of("binance"))
    for account in ("ann", "bob"):
        made.open_account(account, {"BTC": D(10), "USDT": D(1_000_000)}, 0)
    return made


def place(
    engine: Engine,
    account: str,
    side: Side,
    quantity: str | None,
    price: str | None = None,
    *,
    client_id: str = "",
    type: OrderType | None = None,
    tif: Tif = Tif.GTC,
    cost: str | None = None,
    ends_if_taking: bool = False,
) -> Order:
    kind = type or (OrderType.LIMIT if price else OrderType.MARKET)
    wanted = NewOrder(
        client_order_id=client_id or f"{account}{engine.state.last_order_id + 1}",
        symbol=PAIR,
        side=side,
        type=kind,
        tif=tif,
        price=D(price or 0),
        quantity=D(quantity) if quantity else None,
        quote_quantity=D(cost) if cost else None,
        ends_if_taking=ends_if_taking,
    )
    return engine.place(account, wanted, 1)[0]


def free(engine: Engine, account: str, asset: str) -> Decimal:
    return engine.state.accounts.of(account, asset).free


def locked(engine: Engine, account: str, asset: str) -> Decimal:
    return engine.state.accounts.of(account, asset).locked


def test_the_better_price_trades_first_then_the_earlier_order(engine: Engine) -> None:
    late = place(engine, "ann", SELL, "1", "101")
    first = place(engine, "ann", SELL, "1", "100")
    second = place(engine, "ann", SELL, "1", "100")
    place(engine, "bob", BUY, "1.5", "101")
    assert (first.executed, second.executed, late.executed) == (D(1), D("0.5"), D(0))


def test_a_trade_happens_at_the_resting_orders_price(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    taker = place(engine, "bob", BUY, "1", "105")
    assert taker.quote_executed == D(100)
    assert free(engine, "bob", "USDT") == D(1_000_000) - 100
    assert locked(engine, "bob", "USDT") == 0


def test_each_side_pays_its_fee_in_what_it_receives(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    place(engine, "bob", BUY, "1", "100")
    assert free(engine, "bob", "BTC") == D("10.999")
    assert free(engine, "ann", "USDT") == D("1000099.9")


def test_the_rest_of_a_limit_order_waits_and_keeps_its_funds_locked(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    order = place(engine, "bob", BUY, "3", "100")
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert locked(engine, "bob", "USDT") == 200


def test_a_cancel_frees_exactly_what_was_locked(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    order = place(engine, "bob", BUY, "3", "100")
    engine.cancel(order, 2)
    assert order.status is OrderStatus.CANCELED
    assert (free(engine, "bob", "USDT"), locked(engine, "bob", "USDT")) == (D(999_900), D(0))
    assert engine.books[PAIR].best(BUY) is None


def test_a_finished_order_cannot_be_cancelled(engine: Engine) -> None:
    order = place(engine, "ann", SELL, "1", "100")
    engine.cancel(order, 2)
    with pytest.raises(RefusedError, match=Reason.UNKNOWN_ORDER.value):
        engine.cancel(order, 3)


def test_immediate_or_cancel_never_rests(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    order = place(engine, "bob", BUY, "3", "100", tif=Tif.IOC)
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, D(1))
    assert locked(engine, "bob", "USDT") == 0


def test_fill_or_kill_trades_whole_or_not_at_all(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    killed = place(engine, "bob", BUY, "1.1", "100", tif=Tif.FOK)
    assert (killed.status, killed.executed) == (OrderStatus.EXPIRED, D(0))
    filled = place(engine, "bob", BUY, "1", "100", tif=Tif.FOK)
    assert filled.status is OrderStatus.FILLED


def test_post_only_is_refused_if_it_would_take_and_rests_otherwise(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    with pytest.raises(RefusedError, match=Reason.WOULD_TAKE.value):
        place(engine, "bob", BUY, "1", "100", type=OrderType.LIMIT_MAKER)
    order = place(engine, "bob", BUY, "1", "99.99", type=OrderType.LIMIT_MAKER)
    assert order.status is OrderStatus.NEW


def test_post_only_that_may_not_be_refused_ends_without_a_trade_if_it_would_take(
    engine: Engine,
) -> None:
    resting = place(engine, "ann", SELL, "1", "100")
    maker = OrderType.LIMIT_MAKER
    order = place(engine, "bob", BUY, "1", "100", type=maker, ends_if_taking=True)
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, D(0))
    assert (resting.status, resting.executed) == (OrderStatus.NEW, D(0))
    assert locked(engine, "bob", "USDT") == 0
    rests = place(engine, "bob", BUY, "1", "99.99", type=maker, ends_if_taking=True)
    assert rests.status is OrderStatus.NEW


def test_a_market_order_expires_with_what_the_book_could_not_give(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    order = place(engine, "bob", BUY, "2")
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, D(1))


def test_a_market_order_by_cost_spends_at_most_that_cost_in_whole_lots(engine: Engine) -> None:
    place(engine, "ann", SELL, "1", "100")
    place(engine, "ann", SELL, "5", "300")
    order = place(engine, "bob", BUY, None, cost="200")
    assert order.executed == D("1.33333")
    assert order.quote_executed == D("199.999")
    assert order.status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        ("1", "100.001", Reason.PRICE_FILTER),
        ("1", "1000000.01", Reason.PRICE_FILTER),
        ("0.000001", "50000", Reason.LOT_SIZE),
        ("9000.1", "50000", Reason.LOT_SIZE),
        ("0.00001", "50000", Reason.NOTIONAL),
        ("100", "50000", Reason.INSUFFICIENT_BALANCE),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_and_changes_nothing(
    engine: Engine, quantity: str, price: str, reason: Reason
) -> None:
    before = engine.take_events() and free(engine, "bob", "USDT")
    with pytest.raises(RefusedError, match=reason.value):
        place(engine, "bob", BUY, quantity, price)
    assert engine.take_events() == []
    assert free(engine, "bob", "USDT") == before


def test_a_market_buy_beyond_the_free_balance_is_refused(engine: Engine) -> None:
    place(engine, "ann", SELL, "10", "200000")
    with pytest.raises(RefusedError, match=Reason.INSUFFICIENT_BALANCE.value):
        place(engine, "bob", BUY, "6")


def test_a_client_order_id_is_unique_among_open_orders_only(engine: Engine) -> None:
    order = place(engine, "ann", SELL, "1", "100", client_id="same")
    with pytest.raises(RefusedError, match=Reason.DUPLICATE_ORDER.value):
        place(engine, "ann", SELL, "1", "100", client_id="same")
    engine.cancel(order, 2)
    again = place(engine, "ann", SELL, "1", "100", client_id="same")
    assert engine.state.find("ann", PAIR, None, "same") is again


def test_liquidity_of_the_market_trades_with_accounts_in_order_of_arrival(engine: Engine) -> None:
    engine.quote(PAIR, BUY, D(100), D(1), 1)
    order = place(engine, "ann", BUY, "1", "100")
    engine.flow(PAIR, SELL, D("1.4"), D(100), 2)
    assert order.executed == D("0.4")
