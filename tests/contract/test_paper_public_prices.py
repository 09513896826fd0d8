"""What everybody may read of the market: trades and candles, page by page, and prices that agree.

ccxt reads them first, then the pages are looked at as they are on the wire.
"""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from activities.venues.simulator.faults.client import ControlClient, ControlError
from tests.contract.paper_venue import PAIR, Venue, open_venue, refusal

D = Decimal
ETH = "ETH/USDT"
PATH = ("50010", "50020", "49990", "50005")
MINUTE_MS = 60_000
DAY_MS = 86_400_000


@pytest.fixture(params=["binance", "okx"])
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue(request.param, tmp_path, control_port=0) as opened:
        yield opened


@pytest.fixture
async def binance(tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue("binance", tmp_path, control_port=0) as opened:
        yield opened


@pytest.fixture
async def okx(tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue("okx", tmp_path, control_port=0) as opened:
        yield opened


async def drive(venue: Venue, *path: str, symbol: str = PAIR) -> None:
    """Let the market trade 0.01 at each price."""
    assert venue.served.control_url is not None
    async with ControlClient(venue.served.control_url) as control:
        for price in path:
            await control.act("trade", symbol=symbol, price=price, quantity="0.01")


async def asked(venue: Venue, path: str, **params: str | int) -> Any:
    """The answer to a hand-made GET."""
    url = venue.served.base_url + path
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as answer:
        return await answer.json()


def at(venue: Venue, seconds_ago: int) -> None:
    """Set the venue's clock to so long before the middle of a minute of today."""
    exchange = venue.served.exchange
    real_ms = exchange.now_ms() - exchange.clock_offset_ms
    middle_ms = real_ms // DAY_MS * DAY_MS + DAY_MS // 2 + MINUTE_MS // 2
    exchange.clock_offset_ms = middle_ms - seconds_ago * 1_000 - real_ms


async def test_public_trades_are_those_that_were_printed_in_their_order(venue: Venue) -> None:
    since = venue.served.exchange.now_ms()
    await drive(venue, *PATH)
    trades = await venue.client.fetch_trades(PAIR, since, 100)
    assert [D(trade["price"]) for trade in trades] == [D(price) for price in PATH]
    assert {D(trade["amount"]) for trade in trades} == {D("0.01")}
    ids = [int(trade["id"]) for trade in trades]
    assert ids == sorted(set(ids))


async def test_candles_hold_the_path_of_the_price(venue: Venue) -> None:
    await drive(venue, *PATH)
    candles = await venue.client.fetch_ohlcv(PAIR, "1d" if venue.client.id == "binance" else "1h")
    prices = [D(candles[0][1]), max(D(each[2]) for each in candles)]
    prices += [min(D(each[3]) for each in candles), D(candles[-1][4])]
    assert prices == [D("50010"), D("50020"), D("49990"), D("50005")]
    assert sum(D(each[5]) for each in candles) == D("0.04")


async def test_tickers_books_trades_and_candles_agree(venue: Venue) -> None:
    await drive(venue, *PATH)
    ticker = await venue.client.fetch_ticker(PAIR)
    book = await venue.client.fetch_order_book(PAIR, 5)
    candles = await venue.client.fetch_ohlcv(PAIR, "1m")
    assert D(ticker["last"]) == D(PATH[-1]) == D(candles[-1][4])
    assert D(ticker["bid"]) == D(str(book["bids"][0][0]))
    assert D(ticker["ask"]) == D(str(book["asks"][0][0]))
    assert D(ticker["bid"]) < D(PATH[-1]) < D(ticker["ask"])
    assert (D(ticker["high"]), D(ticker["low"])) == (D("50020"), D("49990"))


async def test_binance_numbers_its_trades_page_by_page(binance: Venue) -> None:
    await drive(binance, *PATH)
    every = await asked(binance, "/api/v3/trades", symbol="BTCUSDT")
    ids = [row["id"] for row in every]
    for path, name in (("historicalTrades", "id"), ("aggTrades", "a")):
        page = await asked(binance, f"/api/v3/{path}", symbol="BTCUSDT", fromId=ids[1], limit=2)
        assert [row[name] for row in page] == ids[1:3]
        latest = await asked(binance, f"/api/v3/{path}", symbol="BTCUSDT", limit=2)
        assert [row[name] for row in latest] == ids[-2:]
    assert every[0] | {"id": 0, "time": 0} == {
        "id": 0,
        "price": "50010.00000000",
        "qty": "0.01000000",
        "quoteQty": "500.10000000",
        "time": 0,
        "isBuyerMaker": False,
        "isBestMatch": True,
    }


async def test_binance_s_aggregates_can_be_asked_by_time(binance: Venue) -> None:
    for ago_s, price in ((100, "50010"), (50, "50020"), (0, "49990")):
        at(binance, ago_s)
        await drive(binance, price)
    now = binance.served.exchange.now_ms()
    path, params = "/api/v3/aggTrades", {"symbol": "BTCUSDT"}
    since = await asked(binance, path, **params, startTime=now - 60_000, limit=1)
    until = await asked(binance, path, **params, endTime=now - 40_000, limit=1)
    between = await asked(binance, path, **params, startTime=now - 110_000, endTime=now - 40_000)
    assert [row["p"] for row in since] == [row["p"] for row in until] == ["50020.00000000"]
    assert [row["p"] for row in between] == ["50010.00000000", "50020.00000000"]
    both = await asked(binance, path, **params, fromId=1, startTime=now)
    assert both["code"] == -1128


async def test_binance_s_klines_have_all_columns_and_no_gaps(binance: Venue) -> None:
    for ago_s, price in ((200, "50010"), (199, "50030"), (0, "49990")):
        at(binance, ago_s)
        await drive(binance, price)
    now = binance.served.exchange.now_ms()
    path, params = "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1s"}
    rows = await asked(binance, path, **params, startTime=now - 250_000, limit=1_000)
    assert [row[0] for row in rows] == list(range(rows[0][0], rows[-1][0] + 1, 1_000))
    assert 201 <= len(rows) <= 210  # the clock goes on meanwhile
    assert rows[0][1:] == [
        *["50010.00000000"] * 4,
        "0.01000000",
        rows[0][0] + 999,
        "500.10000000",
        1,
        "0.01000000",
        "500.10000000",
        "0",
    ]
    quiet = rows[20]
    assert quiet[1:6] == [*["50030.00000000"] * 4, "0.00000000"]
    newest = await asked(binance, path, **params, endTime=rows[-1][0], limit=3)
    assert [row[0] for row in newest] == [row[0] for row in rows[-3:]]
    oldest = await asked(binance, path, **params, startTime=rows[1][0], limit=2)
    assert [row[0] for row in oldest] == [row[0] for row in rows[1:3]]


async def test_binance_refuses_an_interval_that_it_does_not_have(binance: Venue) -> None:
    answer = await asked(binance, "/api/v3/klines", symbol="BTCUSDT", interval="7m")
    assert (answer["code"], answer["msg"]) == (-1120, "Invalid interval.")


async def test_okx_pages_its_trades_backwards_by_id_or_time(okx: Venue) -> None:
    for ago_s, price in ((100, "50010"), (50, "50020"), (1, "49990"), (0, "50000")):
        at(okx, ago_s)
        await drive(okx, price)
    path, params = "/api/v5/market/history-trades", {"instId": "BTC-USDT"}
    every = (await asked(okx, path, **params))["data"]
    ids = [row["tradeId"] for row in every]
    assert [row["px"] for row in every] == ["50000", "49990", "50020", "50010"]
    older = (await asked(okx, path, **params, after=ids[1], limit=1))["data"]
    assert [row["tradeId"] for row in older] == ids[2:3]
    newer = (await asked(okx, path, **params, before=ids[1]))["data"]
    assert [row["tradeId"] for row in newer] == ids[:1]
    by_time = (await asked(okx, path, **params, type=2, after=every[1]["ts"]))["data"]
    assert [row["tradeId"] for row in by_time] == ids[2:]


async def test_okx_s_candles_say_which_of_them_are_complete(okx: Venue) -> None:
    for ago_s, price in ((180, "50010"), (0, "49990")):
        at(okx, ago_s)
        await drive(okx, price)
    params = {"instId": "BTC-USDT", "bar": "1m"}
    rows = (await asked(okx, "/api/v5/market/candles", **params))["data"]
    assert [row[8] for row in rows] == ["0", "1", "1", "1"]
    opened = [int(row[0]) for row in rows]
    assert opened == list(range(opened[0], opened[-1] - 1, -MINUTE_MS))
    assert rows[-1][1:8] == [*["50010"] * 4, "0.01", "500.1", "500.1"]
    older = (await asked(okx, "/api/v5/market/history-candles", **params, limit=2))["data"]
    assert older == rows[1:3]
    middle = (
        await asked(okx, "/api/v5/market/candles", **params, after=opened[0], before=opened[3])
    )["data"]
    assert [int(row[0]) for row in middle] == opened[1:3]


async def test_okx_s_mark_and_index_are_the_middle_of_the_book(okx: Venue) -> None:
    await drive(okx, "50010.5")
    told = await okx.client.fetch_mark_price(PAIR)
    index = await asked(okx, "/api/v5/market/index-tickers", instId="BTC-USDT")
    assert D(told["markPrice"]) == D(index["data"][0]["idxPx"]) == D("50010.5")
    every = await asked(okx, "/api/v5/market/index-tickers", quoteCcy="USDT")
    assert {row["instId"] for row in every["data"]} == {"BTC-USDT", "ETH-USDT"}
    swaps = await asked(okx, "/api/v5/public/mark-price", instType="SWAP")
    assert swaps["code"] == "51000"


async def test_unknown_parameters_and_symbols_are_refused(venue: Venue) -> None:
    error = await refusal(venue.client.fetch_trades(PAIR, None, None, {"sideways": "1"}))
    assert isinstance(error, ccxt.BadRequest)


async def test_a_trade_can_only_be_driven_at_a_price_that_exists(venue: Venue) -> None:
    assert venue.served.control_url is not None
    async with ControlClient(venue.served.control_url) as control:
        for wrong in (
            {"price": "50000.001"},
            {"price": "50000", "quantity": "0.000000001"},
            {"price": "99999999"},
            {"price": "50000", "side": "buy"},
        ):
            with pytest.raises(ControlError, match="trade"):
                await control.act("trade", symbol=PAIR, **wrong)
        await control.act("halt_symbol", symbol=PAIR)
        with pytest.raises(ControlError, match="halted"):
            await control.act("trade", symbol=PAIR, price="50000")
        await control.act("trade", symbol=ETH, price="2500")


async def test_a_market_that_was_frozen_moves_again_when_all_is_cleared(tmp_path: Path) -> None:
    async with open_venue("binance", tmp_path, control_port=0, live_market=True) as venue:
        control_url = venue.served.control_url
        assert control_url is not None
        async with ControlClient(control_url) as control:
            await control.act("freeze_market", symbol=PAIR)
            await control.act("trade", symbol=PAIR, price="49000", quantity="0.01")
            await asyncio.sleep(0.5)  # more than two steps of the market
            assert (await venue.best("bids"), await venue.best("asks")) == (
                D("48999.99"),
                D("49000.01"),
            )
            await control.clear()
            async with asyncio.timeout(5):
                while await venue.best("bids") < D("49500"):
                    await asyncio.sleep(0.02)
