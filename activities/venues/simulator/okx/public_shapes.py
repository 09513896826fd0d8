"""The JSON in which OKX tells of the market's candles, and of its mark and index prices.

Rule: pure functions from the exchange's own records to JSON. Mark price and index are the middle of
the book here, or the last price where a side of it is empty. Decides nothing.
"""

from decimal import Decimal

from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.candles import Candle
from activities.venues.simulator.okx import shapes
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.orders import Side
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.tape import PublicTrade, Tape

MARGIN = "MARGIN"  # OKX has mark prices of what can be borrowed for, not of spot itself


def candle(found: Candle, *, is_complete: bool) -> list[str]:
    """One row of market/candles."""
    figures = (found.open, found.high, found.low, found.close, found.volume)
    worth = shapes.number(found.quote_volume)
    shown = [shapes.number(figure) for figure in figures]
    return [str(found.opened_ms), *shown, worth, worth, "1" if is_complete else "0"]


def middle(book: OrderBook, tape: Tape) -> Decimal:
    """What mark and index are (quote per base)."""
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    return tape.last if bid is None or ask is None else (bid + ask) / 2


def mark_price(spec: SymbolSpec, book: OrderBook, tape: Tape, now_ms: int) -> Json:
    """One row of public/mark-price."""
    return {
        "instType": MARGIN,
        "instId": shapes.instrument_id(spec),
        "markPx": shapes.number(middle(book, tape)),
        "ts": str(now_ms),
    }


def index_ticker(spec: SymbolSpec, book: OrderBook, tape: Tape, now_ms: int) -> Json:
    """One row of market/index-tickers; the figures cover the time since the exchange started."""
    opened = shapes.number(tape.open or tape.last)
    return {
        "instId": shapes.instrument_id(spec),
        "idxPx": shapes.number(middle(book, tape)),
        "high24h": shapes.number(tape.high or tape.last),
        "low24h": shapes.number(tape.low or tape.last),
        "open24h": opened,
        "sodUtc0": opened,
        "sodUtc8": opened,
        "ts": str(now_ms),
    }


def pushed_trade(spec: SymbolSpec, trade: PublicTrade, revision: int) -> Json:
    """A row of the channel `trades`."""
    told = {"count": "1", "source": "0", "seqId": revision}
    return shapes.public_trade(spec, trade) | told
