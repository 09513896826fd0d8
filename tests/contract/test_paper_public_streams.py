"""The public streams of both dialects: ccxt.pro sees trades and touches as they happen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from activities.venues.simulator import stream_session
from activities.venues.simulator.faults.client import ControlClient, ControlError
from tests.contract.paper_venue import PAIR, Venue, open_venue

D = Decimal
WAIT_S = 5.0
QUIET_S = 0.3
TRADES, TOUCHES = "trades", "touches"


class Feed:
    """A hand-made public connection; `told` tells (what, figure) in the order of the wire."""

    def __init__(self, venue: Venue, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.venue, self.socket = venue, socket
        self.is_okx = venue.client.id == "okx"

    async def subscribe(self, *what: str) -> None:
        """Return when it was agreed, and OKX's first touch is read."""
        if self.is_okx:
            for name in what:
                await self.ask_okx("subscribe", {TRADES: "trades", TOUCHES: "bbo-tbt"}[name])
                if name == TOUCHES:
                    assert "asks" in (await self.message())["data"][0]
            return
        names = {TRADES: "btcusdt@trade", TOUCHES: "btcusdt@bookTicker"}
        assert await self.ask_binance("SUBSCRIBE", *(names[each] for each in what)) is None

    async def ask_okx(self, op: str, channel: str) -> None:
        arg = {"channel": channel, "instId": "BTC-USDT"}
        await self.socket.send_json({"op": op, "args": [arg]})
        answer = await self.message()
        assert (answer["event"], answer["arg"]) == (op, arg)

    async def ask_binance(self, method: str, *names: str) -> Any:
        await self.socket.send_json({"method": method, "params": list(names), "id": 7})
        answer = await self.message()
        assert answer["id"] == 7
        return answer["result"]

    async def message(self) -> Any:
        return await self.socket.receive_json(timeout=WAIT_S)

    async def told(self, count: int) -> list[tuple[str, Decimal]]:
        """A trade with its price, a touch with its best bid."""
        return [self._read(await self.message()) for _ in range(count)]

    def _read(self, message: Any) -> tuple[str, Decimal]:
        if not self.is_okx:
            is_trade = message.get("e") == "trade"
            return (TRADES, D(message["p"])) if is_trade else (TOUCHES, D(message["b"]))
        (row,) = message["data"]
        is_trade = message["arg"]["channel"] == "trades"
        return (TRADES, D(row["px"])) if is_trade else (TOUCHES, D(row["bids"][0][0]))

    async def is_quiet(self) -> bool:
        try:
            await self.socket.receive(QUIET_S)
        except TimeoutError:
            return True
        return False

    async def ended(self) -> int | None:
        """The code that the connection ended with."""
        async with asyncio.timeout(WAIT_S):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@pytest.fixture(params=["binance", "okx"])
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue(request.param, tmp_path, control_port=0) as opened:
        yield opened


@pytest.fixture
async def control(venue: Venue) -> AsyncIterator[ControlClient]:
    assert venue.served.control_url is not None
    async with ControlClient(venue.served.control_url) as client:
        yield client


@contextlib.asynccontextmanager
async def connected(venue: Venue, path: str | None = None) -> AsyncIterator[Feed]:
    path = path or ("/ws/v5/public" if venue.client.id == "okx" else "/ws/0")
    url = venue.served.base_url.replace("http", "ws") + path
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        yield Feed(venue, socket)


@pytest.fixture
async def feed(venue: Venue) -> AsyncIterator[Feed]:
    async with connected(venue) as opened:
        yield opened


async def trade(control: ControlClient, *prices: str) -> None:
    for price in prices:
        await control.act("trade", symbol=PAIR, price=price, quantity="0.01")


async def test_ccxt_reads_trades_and_touches(venue: Venue, control: ControlClient) -> None:
    async def until(watch: Any, symbol: Any, is_it: Any) -> None:
        async with asyncio.timeout(WAIT_S):
            while not is_it(await watch(symbol)):
                pass

    watches = [
        asyncio.create_task(
            until(
                venue.client.watch_trades,
                PAIR,
                lambda trades: D(trades[-1]["price"]) == D("49000"),
            )
        ),
        asyncio.create_task(
            until(
                venue.client.watch_bids_asks,
                [PAIR],
                lambda told: D("48999") < D(told.get(PAIR, told)["bid"]) < D("49000"),
            )
        ),
    ]
    # A stream has no replay: trade until both were there in time.
    async with asyncio.timeout(WAIT_S):
        while not all(watch.done() for watch in watches):
            await trade(control, "49001", "49000")
            await asyncio.sleep(0.02)
    await asyncio.gather(*watches)


async def test_a_trade_is_told_at_once_and_then_the_touch(
    feed: Feed, control: ControlClient
) -> None:
    await feed.subscribe(TRADES, TOUCHES)
    await trade(control, "49000", "49000.1", "48000")
    tick = {spec.name: spec.tick for spec in feed.venue.served.exchange.config.specs()}[PAIR]
    expected = [
        told
        for price in (D("49000"), D("49000.1"), D("48000"))
        for told in ((TRADES, price), (TOUCHES, price - tick))
    ]
    assert await feed.told(6) == expected


async def test_an_order_of_an_account_moves_the_touch_too(feed: Feed) -> None:
    await feed.subscribe(TRADES, TOUCHES)
    await feed.venue.client.create_order(PAIR, "limit", "buy", "0.01", "50000.5")
    assert await feed.told(1) == [(TOUCHES, D("50000.5"))]
    await feed.venue.client.create_order(PAIR, "market", "sell", "0.01", None)
    assert await feed.told(2) == [(TRADES, D("50000.5")), (TOUCHES, D("50000"))]


async def test_nothing_is_told_when_neither_a_trade_nor_the_touch_is_new(feed: Feed) -> None:
    await feed.subscribe(TRADES, TOUCHES)
    far = await feed.venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000")
    await feed.venue.client.cancel_order(far["id"], PAIR)
    await feed.venue.client.fetch_order_book(PAIR, 5)
    assert await feed.is_quiet()


async def test_only_what_was_subscribed_to_is_told(feed: Feed, control: ControlClient) -> None:
    await feed.subscribe(TRADES)
    await control.act("trade", symbol="ETH/USDT", price="2400", quantity="0.01")
    await trade(control, "49000", "48000")
    assert await feed.told(2) == [(TRADES, D("49000")), (TRADES, D("48000"))]
    if feed.is_okx:
        await feed.ask_okx("unsubscribe", "trades")
    else:
        assert await feed.ask_binance("LIST_SUBSCRIPTIONS") == ["btcusdt@trade"]
        assert await feed.ask_binance("UNSUBSCRIBE", "btcusdt@trade") is None
    await trade(control, "47000")
    assert await feed.is_quiet()


async def test_what_does_not_exist_is_refused_and_the_connection_stays(
    feed: Feed, control: ControlClient
) -> None:
    if feed.is_okx:
        arg = {"channel": "bbo-tbt", "instId": "DOGE-USDT"}
        await feed.socket.send_json({"op": "subscribe", "args": [arg]})
        answer = await feed.message()
        assert (answer["event"], answer["code"]) == ("error", "60018")
    else:
        for method, names in (("SUBSCRIBE", ["dogeusdt@trade"]), ("HEAR", ["btcusdt@trade"])):
            await feed.socket.send_json({"method": method, "params": names, "id": 1})
            assert (await feed.message())["error"]["code"] == 2
        await feed.socket.send_str("{")
        assert (await feed.message())["error"]["code"] == 3
    await feed.subscribe(TRADES)
    await trade(control, "49000")
    assert await feed.told(1) == [(TRADES, D("49000"))]


async def test_who_does_not_keep_up_is_cut_off(
    venue: Venue, control: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_session, "MAX_QUEUED_MESSAGES", 3)
    async with connected(venue) as feed:
        await feed.subscribe(TRADES)
        # One order, many trades: all of them are queued before any of them can leave.
        await control.act("flow", symbol=PAIR, side="buy", quantity="3")
        assert await feed.ended() == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_binance_s_streams_can_be_named_in_the_path(tmp_path: Path) -> None:
    async with open_venue("binance", tmp_path, control_port=0) as venue:
        assert venue.served.control_url is not None
        control = ControlClient(venue.served.control_url)
        path = "/ws/btcusdt@aggTrade/nonsense@trade"
        async with control, connected(venue, path) as feed:
            assert await feed.ask_binance("LIST_SUBSCRIPTIONS") == ["btcusdt@aggTrade"]
            await trade(control, "49000")
            told = await feed.message()
    assert {name: told[name] for name in "espqmfl"} == {
        "e": "aggTrade",
        "s": "BTCUSDT",
        "p": "49000.00000000",
        "q": "0.01000000",
        "m": True,
        "f": told["a"],
        "l": told["a"],
    }


async def test_okx_tells_tickers_mark_and_index_as_they_stand_and_change(tmp_path: Path) -> None:
    async with open_venue("okx", tmp_path, control_port=0) as venue:
        assert venue.served.control_url is not None
        control = ControlClient(venue.served.control_url)
        async with control, connected(venue) as feed:
            fields = {"tickers": "last", "mark-price": "markPx", "index-tickers": "idxPx"}
            for channel in fields:
                await feed.ask_okx("subscribe", channel)
                assert (await feed.message())["arg"]["channel"] == channel
            await trade(control, "49000")
            for channel, field in fields.items():
                told = await feed.message()
                assert (told["arg"]["channel"], told["data"][0][field]) == (channel, "49000")
            await feed.socket.send_str("ping")
            assert await feed.socket.receive_str(timeout=WAIT_S) == "pong"


async def test_public_streams_are_cut_and_private_ones_stay(
    venue: Venue, feed: Feed, control: ControlClient
) -> None:
    private = "/ws/v5/private" if feed.is_okx else "/ws-api/v3"
    async with connected(venue, private) as other:
        await feed.subscribe(TRADES)
        assert await control.act("stream", mode="cut") == {"connections": 1}
        assert await other.ended() in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)
        await trade(control, "49000")
        assert await feed.told(1) == [(TRADES, D("49000"))]
        told = await control.act("stream", mode="cut", stream="public")
        assert told == {"connections": 1}
        assert await feed.ended() in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)
        with pytest.raises(ControlError, match="account"):
            await control.act("stream", mode="cut", stream="public", account="main")


async def test_a_silent_public_stream_stays_open_and_tells_nothing(
    feed: Feed, control: ControlClient
) -> None:
    await feed.subscribe(TRADES, TOUCHES)
    await control.act("stream", mode="silent", stream="public", dead=True)
    await trade(control, "49000")
    if feed.is_okx:
        await feed.socket.send_str("ping")
    assert await feed.is_quiet()
    await control.act("stream", mode="normal", stream="public")
    await trade(control, "48000")
    assert (TRADES, D("48000")) in await feed.told(2)


async def test_in_a_storm_every_new_public_connection_is_cut(
    venue: Venue, control: ControlClient
) -> None:
    await control.act("stream", mode="storm", stream="public", for_s=30)
    for _ in range(3):
        with contextlib.suppress(aiohttp.ClientError):
            async with connected(venue) as feed:
                await feed.ended()
    await control.clear()
    async with connected(venue) as feed:
        await feed.subscribe(TRADES)
        await trade(control, "49000")
        assert await feed.told(1) == [(TRADES, D("49000"))]


async def test_public_events_are_lost_doubled_and_late_by_their_kind(
    feed: Feed, control: ControlClient
) -> None:
    await feed.subscribe(TRADES, TOUCHES)
    of_private = await control.add("event_lost", kind="any", times=0)
    await control.add("event_lost", stream="public", symbol=PAIR, nth=1)
    await control.add("event_duplicate", stream="public", nth=1)
    await control.add("event_late", stream="public", kind="TOUCH", times=2, delay_s=0.2)
    await trade(control, "49000", "48000")
    told = await feed.told(4)
    assert [each for each in told if each[0] == TRADES] == [(TRADES, D("48000"))] * 2
    assert [what for what, _ in told] == [TRADES, TRADES, TOUCHES, TOUCHES]
    assert await control.hits(of_private) == 0
