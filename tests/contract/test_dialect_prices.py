"""Public prices of the other venues, in the forms that they document."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from activities.venues import ccxt_prices
from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.dialects import dialect_of
from activities.venues.gateway import VenueUnavailableError
from tests.contract.dialect_venues.scripted import now_ms

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

D = Decimal
AtVenue = tuple[Any, CcxtGateway]
Trade = tuple[str, str, int]
"""Number, price and time of a trade of 0.5."""
Bar = tuple[int, str, str]
"""Opening time in ms, low and high; it opens and closes at the low, and its volume is 3."""

PATHS: dict[str, tuple[str, str, str]] = {
    "bybit": ("/v5/market/tickers", "/v5/market/recent-trade", "/v5/market/kline"),
    "coinbase": (
        "/api/v3/brokerage/market/products/BTC-USDT/ticker",
        "/api/v3/brokerage/market/products/BTC-USDT/ticker",
        "/api/v3/brokerage/market/products/BTC-USDT/candles",
    ),
    "gate": ("/api/v4/spot/tickers", "/api/v4/spot/trades", "/api/v4/spot/candlesticks"),
    "kraken": ("/0/public/Ticker", "/0/public/Trades", "/0/public/OHLC"),
    "kucoin": (
        "/api/v1/market/stats",
        "/api/v1/market/histories",
        "/api/v1/market/candles",
    ),
    "okx": (
        "/api/v5/market/ticker",
        "/api/v5/market/history-trades",
        "/api/v5/market/history-candles",
    ),
}

POLLED = [name for name in sorted(PATHS) if dialect_of(name).price_stream is None]
"""Venues without a price stream; of trades they list only the newest."""
FORGETFUL = [name for name in sorted(PATHS) if dialect_of(name).candles.reach is not None]


def ticker(name: str) -> Any:
    """40,000 bid, 40,001 asked, 40,000.5 last."""
    match name:
        case "bybit":
            row = {
                "symbol": "BTCUSDT",
                "bid1Price": "40000",
                "ask1Price": "40001",
                "lastPrice": "40000.5",
            }
            return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": [row]}}
        case "coinbase":
            told = trades(name, [("7", "40000.5", 1_700_000_000_000)])
            return {**told, "best_bid": "40000", "best_ask": "40001"}
        case "gate":
            row = {"currency_pair": "BTC_USDT", "last": "40000.5"}
            return [{**row, "highest_bid": "40000", "lowest_ask": "40001"}]
        case "kraken":
            row = {"a": ["40001", "1", "1"], "b": ["40000", "1", "1"], "c": ["40000.5", "0.1"]}
            many = {key: ["1", "1"] for key in ("v", "p", "t", "l", "h")}
            return {"error": [], "result": {"XBTUSDT": {**many, **row, "o": "39000"}}}
        case "kucoin":
            row = {"symbol": "BTC-USDT", "buy": "40000", "sell": "40001", "last": "40000.5"}
            return {"code": "200000", "data": row}
        case "okx":
            row = {"instId": "BTC-USDT", "bidPx": "40000", "askPx": "40001", "last": "40000.5"}
            return {"code": "0", "msg": "", "data": [{**row, "ts": "1700000000000"}]}
    raise ValueError(name)


def trades(name: str, told: list[Trade]) -> Any:
    """Newest first, but for Kraken."""
    match name:
        case "bybit":
            rows = [
                {"execId": number, "symbol": "BTCUSDT", "price": price, "time": str(at_ms)}
                | {"size": "0.5", "side": "Buy", "isBlockTrade": False}
                for number, price, at_ms in told
            ]
            return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows}}
        case "coinbase":
            stamps = [datetime.fromtimestamp(at_ms / 1000, UTC) for _, _, at_ms in told]
            return {
                "trades": [
                    {"trade_id": number, "product_id": "BTC-USDT", "price": price, "size": "0.5"}
                    | {"time": f"{stamp:%Y-%m-%dT%H:%M:%S.%f}Z", "side": "BUY"}
                    for (number, price, _), stamp in zip(told, stamps, strict=True)
                ]
            }
        case "gate":
            return [
                {"id": number, "create_time_ms": f"{at_ms}.105000", "currency_pair": "BTC_USDT"}
                | {"side": "sell", "amount": "0.5", "price": price}
                for number, price, at_ms in told
            ]
        case "kraken":
            rows = [
                [price, "0.5", at_ms / 1000, "b", "m", "", int(number)]
                for number, price, at_ms in reversed(told)
            ]
            return {"error": [], "result": {"XBTUSDT": rows, "last": "1"}}
        case "kucoin":
            rows = [
                {"sequence": number, "side": "sell", "size": "0.5", "price": price}
                | {"time": at_ms * 1_000_000}
                for number, price, at_ms in told
            ]
            return {"code": "200000", "data": rows}
        case "okx":
            rows = [
                {"instId": "BTC-USDT", "tradeId": number, "px": price, "ts": str(at_ms)}
                | {"sz": "0.5", "side": "buy"}
                for number, price, at_ms in told
            ]
            return {"code": "0", "msg": "", "data": rows}
    raise ValueError(name)


def candles(name: str, told: list[Bar]) -> Any:
    match name:
        case "bybit":
            rows = [[str(at), low, high, low, low, "3", "9"] for at, low, high in told]
            return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows}}
        case "coinbase":
            return {
                "candles": [
                    {"start": str(at // 1000), "low": low, "high": high, "open": low}
                    | {"close": low, "volume": "3"}
                    for at, low, high in told
                ]
            }
        case "gate":
            return [
                [str(at // 1000), "9", low, high, low, low, "3", "true"] for at, low, high in told
            ]
        case "kraken":
            rows = [[at // 1000, low, high, low, low, low, "3", 5] for at, low, high in told]
            return {"error": [], "result": {"XBTUSDT": rows, "last": 1}}
        case "kucoin":
            rows = [[str(at // 1000), low, low, high, low, "3", "9"] for at, low, high in told]
            return {"code": "200000", "data": rows}
        case "okx":
            rows = [[str(at), low, high, low, low, "3", "9", "9", "1"] for at, low, high in told]
            return {"code": "0", "msg": "", "data": rows}
    raise ValueError(name)


def script(venue: Any, which: int, answer: Any) -> None:
    venue.scripted["GET", PATHS[venue.venue][which]] = answer
    if venue.venue == "okx" and which == 2:
        venue.scripted["GET", "/api/v5/market/candles"] = answer


async def test_every_venue_tells_touch_and_last_trade(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    script(venue, 0, ticker(venue.venue))
    tick = await gateway.tick(venue.symbol)
    assert (tick.bid, tick.ask, tick.last) == (D(40000), D(40001), D("40000.5"))
    assert abs(tick.at_ms - now_ms()) < 5_000
    assert (tick.mark, tick.index) == (None, None)


@pytest.mark.parametrize("at_venue", POLLED, indirect=True)
async def test_a_venue_without_a_price_stream_is_asked_again_and_again(
    at_venue: AtVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, gateway = at_venue
    monkeypatch.setattr(ccxt_prices, "POLL_EVERY_S", 0.01)
    script(venue, 0, ticker(venue.venue))
    async with asyncio.timeout(10), gateway.prices(venue.symbol) as ticks:
        assert [(await anext(ticks)).last for _ in range(3)] == [D("40000.5")] * 3
        script(venue, 0, {})
        with pytest.raises(VenueUnavailableError):
            await anext(ticks)


async def test_trades_since_a_moment_are_told_if_the_venue_reaches_back_that_far(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    start_ms = now_ms() - 60_000
    told = [(str(20 - n), f"4000{n}", start_ms - n * 1000) for n in range(5)]
    script(venue, 1, trades(venue.venue, told))
    found = await gateway.public_trades(venue.symbol, start_ms - 2_500)
    assert found is not None
    assert [(trade.trade_id, trade.price) for trade in found] == [
        ("18", D(40002)),
        ("19", D(40001)),
        ("20", D(40000)),
    ]
    assert {trade.quantity for trade in found} == {D("0.5")}
    # ccxt reads KuCoin's nanoseconds as a float, which may lose a millisecond
    expected = (start_ms - 2_000, start_ms - 1_000, start_ms)
    assert [trade.at_ms for trade in found] == pytest.approx(expected, rel=0, abs=1)


@pytest.mark.parametrize("at_venue", POLLED, indirect=True)
async def test_trades_that_the_venue_has_forgotten_are_not_to_be_had(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    told = [(str(20 - n), f"4000{n}", 1_700_000_000_000 - n) for n in range(5)]
    for answer in (told, []):
        script(venue, 1, trades(venue.venue, answer))
        assert await gateway.public_trades(venue.symbol, 1_600_000_000_000) is None


async def test_every_venue_tells_candles_that_touch_the_span(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    minute = 60_000
    opened_ms = now_ms() // minute * minute - 10 * minute
    told = [(opened_ms + n * minute, f"4000{n}", f"4010{n}") for n in range(4)]
    newest_first = venue.venue in ("bybit", "coinbase", "kucoin", "okx")
    script(venue, 2, candles(venue.venue, told[::-1] if newest_first else told))
    span = (opened_ms + minute + 1_000, opened_ms + 2 * minute + 5_000)
    found = await gateway.candles(venue.symbol, *span)
    assert [(candle.opened_ms, candle.low, candle.high) for candle in found] == [
        (at_ms, D(low), D(high)) for at_ms, low, high in told[1:3]
    ]
    assert {(candle.length_ms, candle.volume, candle.open) for candle in found} == {
        (minute, D(3), candle.open) for candle in found
    }


@pytest.mark.parametrize("at_venue", FORGETFUL, indirect=True)
async def test_candles_beyond_what_the_venue_keeps_are_not_guessed(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    reach = dialect_of(venue.venue).candles.reach
    assert reach is not None
    script(venue, 2, candles(venue.venue, []))
    since_ms = now_ms() - (reach + 2) * 60_000
    with pytest.raises(VenueUnavailableError, match="only the last"):
        await gateway.candles(venue.symbol, since_ms, since_ms + 60_000)
