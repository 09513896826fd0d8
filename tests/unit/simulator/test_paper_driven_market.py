"""A market that is driven trade by trade: what prints, who is in the way, where quotes stand."""

from decimal import Decimal

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.market import Market, build_feeds
from activities.venues.simulator.orders import NewOrder, Order, OrderStatus, OrderType, Side
from activities.venues.simulator.specs import fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR, OTHER = "BTC/USDT", "ETH/USDT"
TICK = D("0.01")
STEP_S = 0.2


class Driven:
    """A frozen market of BTC/USDT around 50,000, and one account."""

    def __init__(self) -> None:
        specs = symbols_of("binance")
        by_name = {each.name: each for each in specs}
        self.engine = Engine(ExchangeState(by_name), fees_of("binance"))
        self.market = Market(by_name, build_feeds(specs, 7, "binance", None, 1), 7, "binance")
        self.market.open(self.engine, 0)
        self.engine.open_account("main", {"BTC": D(100), "USDT": D(10_000_000)}, 0)
        self.market.frozen.add(PAIR)

    def trade(self, price: str, quantity: str = "0.01") -> int:
        return self.market.trade(self.engine, PAIR, D(price), D(quantity), 0)

    def rest(self, side: Side, price: str, quantity: str, shown: str = "0") -> Order:
        wanted = NewOrder(
            client_order_id=f"c{self.engine.state.last_order_id}",
            symbol=PAIR,
            side=side,
            type=OrderType.LIMIT,
            price=D(price),
            quantity=D(quantity),
            iceberg_quantity=D(shown),
        )
        return self.engine.place("main", wanted, 0)[0]

    def touch(self, symbol: str = PAIR) -> tuple[Decimal | None, Decimal | None]:
        book = self.engine.books[symbol]
        return book.best(Side.BUY), book.best(Side.SELL)

    def quoted(self) -> list[list[Decimal]]:
        """The outer half of the ladder on each side, which no market order has reached."""
        book = self.engine.books[PAIR]
        return [[price for price, _ in book.depth(side, 500)][-30:] for side in Side]

    def printed(self) -> list[tuple[Decimal, Decimal]]:
        return [(each.price, each.quantity) for each in self.engine.tapes[PAIR].recent]


def test_exactly_one_trade_prints_and_the_quotes_stand_one_tick_beside_it():
    driven = Driven()
    for price in ("49000", "49000.01", "52345.67", "52345.67"):
        driven.trade(price)
        assert driven.touch() == (D(price) - TICK, D(price) + TICK)
    assert driven.printed() == [
        (D("49000"), D("0.01")),
        (D("49000.01"), D("0.01")),
        (D("52345.67"), D("0.01")),
        (D("52345.67"), D("0.01")),
    ]


def test_the_id_that_is_told_is_the_trade_s():
    driven = Driven()
    assert driven.trade("49000") == driven.engine.tapes[PAIR].recent[-1].trade_id


def test_takers_sell_while_the_price_falls_and_buy_while_it_rises():
    driven = Driven()
    for price in ("49000", "48000", "48500"):
        driven.trade(price)
    sides = [each.taker_side for each in driven.engine.tapes[PAIR].recent]
    assert sides == [Side.SELL, Side.SELL, Side.BUY]


def test_an_order_that_the_price_passes_through_is_filled_whole_at_its_own_price():
    driven = Driven()
    # More than all quotes of the market together, which the moving quotes alone would not fill.
    bid, ask = driven.rest(Side.BUY, "49500", "90"), driven.rest(Side.SELL, "50500", "90")
    driven.trade("49400")
    assert (bid.status, bid.executed) == (OrderStatus.FILLED, 90)
    assert {price for price, _ in driven.printed()[:-1]} == {D("49500")}
    assert driven.printed()[-1] == (D("49400"), D("0.01"))
    assert ask.status is OrderStatus.NEW
    driven.trade("50600")
    assert ask.status is OrderStatus.FILLED
    assert driven.touch() == (D("50600") - TICK, D("50600") + TICK)


def test_what_an_order_hides_is_in_the_way_too():
    driven = Driven()
    order = driven.rest(Side.SELL, "50500", "1", shown="0.1")
    driven.trade("50600")
    assert order.status is OrderStatus.FILLED
    assert driven.printed()[-1] == (D("50600"), D("0.01"))


def test_an_order_at_the_price_trades_before_the_market_s_own_and_no_more_than_that():
    driven = Driven()
    for side in Side:
        order = driven.rest(side, "50000.50", "1")
        driven.trade("50000.50", "0.4")
        assert (order.status, order.executed) == (OrderStatus.PARTIALLY_FILLED, D("0.4"))
        assert driven.printed()[-1] == (D("50000.50"), D("0.4"))
        driven.engine.cancel(order, 0)


def test_a_small_order_at_the_price_is_filled_and_the_rest_trades_with_the_market():
    driven = Driven()
    order = driven.rest(Side.BUY, "50000.50", "0.3")
    driven.trade("50000.50", "1")
    assert order.status is OrderStatus.FILLED
    assert driven.printed() == [(D("50000.50"), D("0.3")), (D("50000.50"), D("0.7"))]


def test_a_frozen_market_does_not_move_and_the_others_do():
    driven = Driven()
    driven.trade("49000")
    before, other = driven.touch(), driven.touch(OTHER)
    trades = len(driven.printed())
    for _ in range(200):
        driven.market.advance(driven.engine, STEP_S, 0)
    assert driven.touch() == before
    assert len(driven.printed()) == trades
    assert driven.touch(OTHER) != other


def test_a_thawed_market_goes_back_to_where_it_would_be():
    driven, undriven = Driven(), Driven()
    driven.trade("45000")
    driven.market.frozen.clear()
    undriven.market.frozen.clear()
    for each in (driven, undriven):
        each.market.advance(each.engine, STEP_S, 0)
    # How much the next market order takes differs, where the quotes stand does not.
    assert driven.quoted() == undriven.quoted()
