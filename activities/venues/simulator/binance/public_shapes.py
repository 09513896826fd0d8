"""The JSON in which Binance tells of the market's trades, candles and best prices.

Rule: pure functions from the exchange's own records to JSON; amounts as in `shapes`, fields named
as in Binance's streams where a stream tells them. Decides nothing.
"""

from typing import Any

from activities.venues.simulator.binance import shapes
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.candles import Candle
from activities.venues.simulator.orders import Side
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.tape import PublicTrade


def aggregate(trade: PublicTrade) -> Json:
    """One entry of aggTrades."""
    return {
        "a": trade.trade_id,
        "p": shapes.number(trade.price),
        "q": shapes.number(trade.quantity),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.ts_ms,
        "m": trade.taker_side is Side.SELL,
        "M": True,
    }


def kline(candle: Candle, length_ms: int) -> list[Any]:
    """One row of klines."""
    prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return [
        candle.opened_ms,
        *(shapes.number(each) for each in prices),
        candle.opened_ms + length_ms - 1,
        shapes.number(candle.quote_volume),
        candle.count,
        shapes.number(candle.bought),
        shapes.number(candle.quote_bought),
        "0",
    ]


def pushed_trade(spec: SymbolSpec, trade: PublicTrade, now_ms: int) -> Json:
    """A message of the stream `trade`."""
    return {
        "e": "trade",
        "E": now_ms,
        "s": shapes.venue_symbol(spec),
        "t": trade.trade_id,
        "p": shapes.number(trade.price),
        "q": shapes.number(trade.quantity),
        "T": trade.ts_ms,
        "m": trade.taker_side is Side.SELL,
        "M": True,
    }


def pushed_aggregate(spec: SymbolSpec, trade: PublicTrade, now_ms: int) -> Json:
    """A message of the stream `aggTrade`."""
    named = {"e": "aggTrade", "E": now_ms, "s": shapes.venue_symbol(spec)}
    return named | aggregate(trade)


def pushed_touch(spec: SymbolSpec, book: OrderBook) -> Json:
    """A message of the stream `bookTicker`, which has neither a type nor a time."""
    told = shapes.book_ticker(spec, book)
    return {
        "u": book.revision,
        "s": told["symbol"],
        "b": told["bidPrice"],
        "B": told["bidQty"],
        "a": told["askPrice"],
        "A": told["askQty"],
    }
