"""Public prices: ticker, trades, candles and the price stream, of the paper exchange and others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from activities.venues import ccxt_events, ccxt_prices
from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.dialects import dialect_of
from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
from activities.venues.simulator.faults.client import ControlClient
from tests.contract.gateway_recorder import SYMBOL as RECORDED
from tests.contract.gateway_recorder import Recorder
from tests.contract.gateway_venue import SYMBOL, VENUES, Venue, venue_at
from workflows.domain.triggers import Tick

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

D = Decimal
DEADLINE_S = 10
Printed = tuple[Venue, ControlClient]


@pytest.fixture(params=VENUES)
async def printed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Printed]:
    """A venue on whose market only the test trades."""
    async with venue_at(request.param, tmp_path, control_port=0) as venue:
        assert venue.exchange.control_url is not None
        async with ControlClient(venue.exchange.control_url) as control:
            await control.act("freeze_market", symbol=SYMBOL)
            yield venue, control


async def print_trades(control: ControlClient, *prices: str) -> None:
    for price in prices:
        await control.act("trade", symbol=SYMBOL, price=price, quantity="0.0100")


@asynccontextmanager
async def within(seconds: float = DEADLINE_S) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


# --- against the paper exchange -------------------------------------------------------------------


async def test_a_tick_is_the_touch_and_the_last_trade_by_the_venues_clock(
    printed: Printed,
) -> None:
    venue, control = printed
    await print_trades(control, "50100.0")
    before_ms = await venue.gateway.venue_time_ms()
    tick = await venue.gateway.tick(SYMBOL)
    quote = await venue.gateway.quote(SYMBOL)
    assert (tick.bid, tick.ask, tick.last) == (quote.bid, quote.ask, D("50100"))
    assert abs(tick.at_ms - before_ms) < 2_000
    has_marks = venue.gateway.venue == "okx"
    assert (tick.mark is not None, tick.index is not None) == (has_marks, has_marks)


async def test_an_unlisted_symbol_has_no_prices(printed: Printed) -> None:
    gateway = printed[0].gateway
    with pytest.raises(SymbolUnknownError):
        await gateway.tick("XXX/YYY")
    with pytest.raises(SymbolUnknownError):
        await gateway.public_trades("XXX/YYY", 1)
    with pytest.raises(SymbolUnknownError):
        await gateway.candles("XXX/YYY", 1, 2)
    with pytest.raises(SymbolUnknownError):
        async with gateway.prices("XXX/YYY"):
            pytest.fail("entered")


async def test_all_trades_since_a_moment_come_in_their_order(printed: Printed) -> None:
    venue, control = printed
    await print_trades(control, "50100.0")
    seen = await venue.gateway.public_trades(SYMBOL, 1)
    assert seen is not None
    since_ms = seen[-1].at_ms + 1
    while await venue.gateway.venue_time_ms() < since_ms:
        await asyncio.sleep(0)
    path = [f"{50_000 + 10 * step}.0" for step in (0, 3, -4, 7, 7, -9)]
    await print_trades(control, *path)
    trades = await venue.gateway.public_trades(SYMBOL, since_ms)
    assert trades is not None
    assert [trade.price for trade in trades] == [D(price) for price in path]
    assert {trade.quantity for trade in trades} == {D("0.01")}
    assert all(trade.at_ms >= since_ms for trade in trades)
    assert len({trade.trade_id for trade in trades}) == len(path)
    assert await venue.gateway.public_trades(SYMBOL, trades[-1].at_ms + 1) == []


async def test_trades_are_read_over_as_many_pages_as_they_have(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, control = printed
    name = "okx_prices" if venue.gateway.venue == "okx" else "binance_prices"
    monkeypatch.setattr(f"activities.venues.dialects.{name}.PAGE_SIZE", 3)
    since_ms = await venue.gateway.venue_time_ms()
    path = [f"{50_000 + step}.0" for step in range(8)]
    await print_trades(control, *path)
    trades = await venue.gateway.public_trades(SYMBOL, since_ms)
    assert trades is not None
    assert [trade.price for trade in trades][-8:] == [D(price) for price in path]
    monkeypatch.setattr(ccxt_prices, "MAX_TRADE_PAGES", 2)
    assert await venue.gateway.public_trades(SYMBOL, since_ms) is None


async def test_candles_hold_the_extremes_and_the_volume_of_their_span(printed: Printed) -> None:
    venue, control = printed
    since_ms = await venue.gateway.venue_time_ms()
    await print_trades(control, "50000.0", "50400.0", "49700.0", "50050.0")
    until_ms = await venue.gateway.venue_time_ms()
    candles = await venue.gateway.candles(SYMBOL, since_ms, until_ms)
    lengths = dict(dialect_of(venue.gateway.venue).candles.lengths)
    assert {candle.length_ms for candle in candles} == {min(lengths.values())}
    assert candles[0].opened_ms <= since_ms < candles[0].opened_ms + candles[0].length_ms
    assert candles[-1].opened_ms <= until_ms < candles[-1].opened_ms + candles[-1].length_ms
    assert max(candle.high for candle in candles) >= D(50400)
    assert min(candle.low for candle in candles) <= D(49700)
    assert candles[-1].close == D(50050)
    assert sum(candle.volume for candle in candles) >= D("0.04")
    opened = [candle.opened_ms for candle in candles]
    assert opened == sorted(set(opened))


async def test_the_price_stream_tells_each_price_in_its_order(printed: Printed) -> None:
    venue, control = printed
    path = ["50100.0", "50100.0", "49000.0", "51000.0", "50500.0"]
    async with within(), venue.gateway.prices(SYMBOL) as ticks:
        first = await anext(ticks)
        quote = await venue.gateway.quote(SYMBOL)
        assert (first.bid, first.ask) == (quote.bid, quote.ask)
        await print_trades(control, *path)
        seen: list[Tick] = []
        while sum(tick.last is not None for tick in seen) < len(path):
            seen.append(await anext(ticks))
        quote = await venue.gateway.quote(SYMBOL)
        while (seen[-1].bid, seen[-1].ask) != (quote.bid, quote.ask):
            seen.append(await anext(ticks))
    assert [tick.last for tick in seen if tick.last is not None] == [D(price) for price in path]
    now_ms = await venue.gateway.venue_time_ms()
    assert all(abs(now_ms - tick.at_ms) < 5_000 for tick in seen)


async def test_a_cut_price_stream_is_lost_and_a_new_one_begins_with_the_price_of_now(
    printed: Printed,
) -> None:
    venue, control = printed
    async with within(), venue.gateway.prices(SYMBOL) as ticks:
        await anext(ticks)
        await control.act("stream", stream="public", mode="cut")
        with pytest.raises(VenueUnavailableError, match="price stream lost"):
            [tick async for tick in ticks]
    await print_trades(control, "50777.0")
    async with within(), venue.gateway.prices(SYMBOL) as ticks:
        assert (await anext(ticks)).last == D("50777")


# --- what a venue can do to the price stream ------------------------------------------------------

TOUCH = {"u": 1, "s": "BTCUSDT", "b": "40000.00", "B": "1", "a": "40001.00", "A": "1"}
TRADE = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 5, "p": "40000.50", "q": "1", "T": 1_700}


def streaming(recorder: Recorder, *messages: Any, confirmed: bool = True) -> None:
    """Serve the price stream, and the ticker with which it begins."""
    ticker = {"symbol": "BTCUSDT", "bidPrice": "39999", "askPrice": "40002", "lastPrice": "40000"}
    recorder.on("GET", "ticker/24hr", lambda _: ticker)

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        asked = json.loads((await socket.receive()).data)
        assert asked["params"] == ["btcusdt@bookTicker", "btcusdt@trade"]
        refused = {"error": {"code": 2, "msg": "Invalid request"}, "id": asked["id"]}
        answer = {"result": None, "id": asked["id"]} if confirmed else refused
        for message in (answer, *messages):
            text = message if isinstance(message, str) else json.dumps(message)
            await socket.send_str(text)
        while (await socket.receive()).type in {WSMsgType.TEXT, WSMsgType.PING}:
            pass
        return socket

    recorder.handlers["GET", "/ws"] = serve


async def read_until_lost(gateway: CcxtGateway) -> tuple[list[Tick], str]:
    """What came before the end, and why it ended. Some streams end before they were entered."""
    seen: list[Tick] = []
    try:
        async with within(), gateway.prices(RECORDED) as ticks:
            async for tick in ticks:
                seen.append(tick)  # noqa: PERF401 - kept when the stream ends
    except VenueUnavailableError as lost:
        return seen, str(lost)
    raise AssertionError("a stream that ends well")


async def test_touches_that_come_together_are_all_told(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    spikes = [{**TOUCH, "b": f"{price}.00"} for price in (40000, 30000, 40000)]
    streaming(recorder, *spikes, TRADE)
    async with within(), gateway.prices(RECORDED) as ticks:
        first, *seen = [await anext(ticks) for _ in range(5)]
    assert (first.bid, first.ask, first.last) == (D(39999), D(40002), D(40000))
    assert [tick.bid for tick in seen] == [D(40000), D(30000), D(40000), None]
    assert (seen[-1].last, seen[-1].at_ms) == (D("40000.5"), 1_700)


@pytest.mark.parametrize(
    "message",
    [
        "torn",
        [TOUCH],
        {**TOUCH, "b": "NaN"},
        {**TOUCH, "a": None},
        {**TOUCH, "a": "0"},
        {**TRADE, "p": "-1"},
        {**TRADE, "T": None},
    ],
)
async def test_an_unreadable_price_ends_the_stream(
    recorder: Recorder, gateway: CcxtGateway, message: Any
) -> None:
    streaming(recorder, message, TOUCH)
    seen, why = await read_until_lost(gateway)
    assert "price stream lost: unreadable message" in why
    assert D(40000) not in {tick.bid for tick in seen}


async def test_a_reader_that_is_too_slow_loses_the_stream(
    recorder: Recorder, gateway: CcxtGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ccxt_events, "MAX_QUEUED_EVENTS", 3)
    streaming(recorder, *[TOUCH] * 5)
    assert "more than 3 events unread" in (await read_until_lost(gateway))[1]


async def test_a_refused_price_stream_is_not_entered(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    streaming(recorder, confirmed=False)
    with pytest.raises(VenueUnavailableError, match="not subscribed within"):
        async with gateway.prices(RECORDED):
            pytest.fail("entered")


@pytest.mark.parametrize(
    "ticker",
    [{}, {"symbol": "BTCUSDT"}, {"symbol": "BTCUSDT", "bidPrice": "NaN", "lastPrice": "-1"}, []],
)
async def test_a_ticker_without_a_price_is_no_tick(
    recorder: Recorder, gateway: CcxtGateway, ticker: Any
) -> None:
    recorder.on("GET", "ticker/24hr", lambda _: ticker)
    with pytest.raises(VenueUnavailableError):
        await gateway.tick(RECORDED)


@pytest.mark.parametrize("answer", [{}, {"code": 0}, "", [{"a": 1}], [{"a": 1, "p": "x"}]])
async def test_trades_that_cannot_be_read_are_never_none(
    recorder: Recorder, gateway: CcxtGateway, answer: Any
) -> None:
    recorder.on("GET", "aggTrades", lambda _: answer)
    with pytest.raises(VenueUnavailableError):
        await gateway.public_trades(RECORDED, 1_700_000_000_000)


@pytest.mark.parametrize(
    "row",
    [
        [1_700_000_000_000, "1", "2", "0.5", "3", "1"],
        [1_700_000_000_000, "1", "2", "0.5", None, "1"],
        [1_700_000_000_000, "1", "2"],
        [1_700_000_000_000, "1", "2", "0.5", "1", "-1"],
    ],
)
async def test_a_candle_that_contradicts_itself_is_not_told(
    recorder: Recorder, gateway: CcxtGateway, row: list[Any]
) -> None:
    recorder.on("GET", "klines", lambda _: [row])
    with pytest.raises(VenueUnavailableError):
        await gateway.candles(RECORDED, 1_700_000_000_000, 1_700_000_000_500)


async def test_a_long_span_is_told_in_longer_candles(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    since_ms = 1_699_999_980_000
    hours_ms = 4 * 3_600_000

    def minutes(asked: dict[str, str]) -> Any:
        assert asked["interval"] == "1m"
        start, limit = int(asked["startTime"]), int(asked["limit"])
        return [[start + n * 60_000, "1", "2", "0.5", "1", "1"] for n in range(limit)]

    recorder.on("GET", "klines", minutes)
    candles = await gateway.candles(RECORDED, since_ms, since_ms + hours_ms)
    assert len(candles) == 4 * 60 + 1
    assert candles[0].opened_ms == since_ms
