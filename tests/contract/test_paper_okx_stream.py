"""The private WebSocket of OKX: ccxt.pro sees orders, trades and balances as they happen."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from activities.venues.simulator import stream_session
from activities.venues.simulator.judge import read_log
from activities.venues.simulator.okx import talk
from tests.contract.paper_venue import (
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    PAIR,
    PASSPHRASE,
    SECRET,
    Venue,
    open_venue,
)

D = Decimal
WAIT_S = 5.0
POLL_S = 0.005
ORDERS = {"channel": "orders", "instType": "SPOT"}


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue("okx", tmp_path) as opened:
        yield opened


class Socket:
    """A hand-made client of the private WebSocket."""

    def __init__(self, venue: Venue, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.venue, self.socket = venue, socket

    async def ask(self, op: str, *args: dict[str, str], **more: str) -> Any:
        """The reply to a request."""
        await self.socket.send_json({"op": op, "args": list(args), **more})
        return await self.told()

    async def told(self) -> Any:
        """The next message."""
        return await self.socket.receive_json(timeout=WAIT_S)

    async def log_in(self, *, late_s: int = 0, **changes: str) -> Any:
        """The reply to a login of the account main."""
        stamp = str(self.venue.served.exchange.now_ms() // 1_000 - late_s)
        payload = f"{stamp}GET/users/self/verify".encode()
        digest = hmac.new(SECRET.encode(), payload, hashlib.sha256).digest()
        arg = {
            "apiKey": KEY,
            "passphrase": PASSPHRASE,
            "timestamp": stamp,
            "sign": base64.b64encode(digest).decode(),
        }
        return await self.ask("login", arg | changes)

    async def ping(self) -> str:
        """What comes next after a "ping"."""
        await self.socket.send_str("ping")
        return await self.socket.receive_str(timeout=WAIT_S)


@pytest.fixture
async def socket(venue: Venue) -> AsyncIterator[Socket]:
    url = venue.served.base_url.replace("http", "ws") + "/ws/v5/private"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as connected:
        yield Socket(venue, connected)


async def listening(client: Any, watch: str, topic: str, *args: Any) -> asyncio.Task[Any]:
    """A running `watch` call that is subscribed and waits for its first message."""
    watching = asyncio.create_task(getattr(client, watch)(*args))
    async with asyncio.timeout(WAIT_S):
        while not any(topic in each.futures for each in client.clients.values()):
            await asyncio.sleep(POLL_S)
    # ccxt waits before the venue has agreed; the next answer on this connection comes after that.
    (connection,) = client.clients.values()
    before = connection.lastPong
    await connection.send("ping")
    async with asyncio.timeout(WAIT_S):
        while connection.lastPong == before:
            await asyncio.sleep(POLL_S)
    return watching


async def next_of(watching: Any) -> Any:
    return (await asyncio.wait_for(watching, WAIT_S))[-1]


async def test_a_resting_order_is_reported_open_filled_in_part_and_cancelled(
    venue: Venue,
) -> None:
    topic = "orders:BTC-USDT"
    watching = await listening(venue.client, "watch_orders", topic, PAIR)
    price = await venue.best("asks") - D("0.5")
    sent = {"clientOrderId": "watched"}
    order = await venue.client.create_order(PAIR, "limit", "buy", "0.01", str(price), sent)
    opened = await next_of(watching)
    assert (opened["id"], opened["status"], D(opened["filled"])) == (order["id"], "open", D(0))
    assert opened["clientOrderId"] == "watched"
    watching = asyncio.create_task(venue.client.watch_orders(PAIR))
    await asyncio.sleep(0)
    await venue.trade_against("SELL", "0.004")
    part = await next_of(watching)
    assert (part["status"], D(part["filled"])) == ("open", D("0.004"))
    assert D(part["fee"]["cost"]) == D("0.004") * D("0.0008")
    watching = asyncio.create_task(venue.client.watch_orders(PAIR))
    await asyncio.sleep(0)
    await venue.client.cancel_order(order["id"], PAIR)
    ended = await next_of(watching)
    assert (ended["status"], D(ended["filled"])) == ("canceled", D("0.004"))


async def test_each_fill_is_one_trade_that_can_be_fetched_too(venue: Venue) -> None:
    watching = await listening(venue.client, "watch_my_trades", "orders::myTrades")
    order = await venue.client.create_order(PAIR, "market", "buy", "0.5", None)
    await asyncio.wait_for(watching, WAIT_S)
    told = venue.client.myTrades
    async with asyncio.timeout(WAIT_S):
        while sum(D(each["amount"]) for each in told) < D("0.5"):
            await asyncio.sleep(POLL_S)
    trades = {trade["id"]: trade for trade in told}
    assert len(trades) == len(told) > 1
    fetched = await venue.client.fetch_order_trades(order["id"], PAIR)
    assert {each["id"]: (each["price"], each["amount"]) for each in fetched} == {
        key: (each["price"], each["amount"]) for key, each in trades.items()
    }
    # ccxt passes the sign of a pushed fee on as OKX tells it: what was paid is negative.
    assert {each["id"]: -D(each["fee"]["cost"]) for each in fetched} == {
        key: D(each["fee"]["cost"]) for key, each in trades.items()
    }
    assert {each["takerOrMaker"] for each in trades.values()} == {"taker"}


async def test_balances_are_told_at_once_and_when_an_order_locks_them(venue: Venue) -> None:
    first = await asyncio.wait_for(venue.client.watch_balance(), WAIT_S)
    assert (D(first["USDT"]["free"]), D(first["USDT"]["used"])) == (D(100_000_000), D(0))
    watching = asyncio.create_task(venue.client.watch_balance())
    await asyncio.sleep(0)
    await venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000")
    balance = await asyncio.wait_for(watching, WAIT_S)
    assert D(balance["USDT"]["used"]) == 400
    assert D(balance["ETH"]["free"]) == D(10_000)


async def test_every_push_tells_its_own_fill_and_the_totals_until_then(
    venue: Venue, socket: Socket
) -> None:
    await socket.log_in()
    await socket.ask("subscribe", ORDERS)
    await venue.client.create_order(PAIR, "market", "buy", "0.5", None, {"clientOrderId": "all"})
    rows = [await pushed(socket)]
    while rows[-1]["state"] != "filled":
        rows.append(await pushed(socket))
    first, *fills = rows
    assert (first["state"], first["tradeId"], first["accFillSz"]) == ("live", "", "0")
    assert len(fills) > 1
    assert {row["state"] for row in fills[:-1]} == {"partially_filled"}
    done, cost, fee = D(0), D(0), D(0)
    for row in fills:
        done += D(row["fillSz"])
        cost += D(row["fillSz"]) * D(row["fillPx"])
        fee += D(row["fillFee"])
        assert (D(row["accFillSz"]), D(row["fee"])) == (done, fee)
        assert abs(D(row["avgPx"]) - cost / done) < D("0.00000001")
        assert (row["clOrdId"], row["execType"], row["fillFeeCcy"]) == ("all", "T", "BTC")
    assert len({row["tradeId"] for row in fills}) == len(fills)
    assert fee < 0


async def pushed(socket: Socket) -> Any:
    """The order of the next push of the channel."""
    message = await socket.told()
    assert message["arg"]["channel"] == "orders"
    (row,) = message["data"]
    return row


@pytest.mark.parametrize(("kind", "source"), [("ioc", "14"), ("fok", "13"), ("post_only", "31")])
async def test_an_order_that_ends_unasked_is_pushed_as_cancelled_with_its_reason(
    venue: Venue, socket: Socket, kind: str, source: str
) -> None:
    await socket.log_in()
    await socket.ask("subscribe", ORDERS)
    ask = await venue.best("asks")
    await venue.client.create_order(PAIR, kind, "buy", "5", str(ask))
    row = await pushed(socket)
    while row["state"] != "canceled":
        row = await pushed(socket)
    assert (row["ordType"], row["cancelSource"]) == (kind, source)
    # No fill is told twice: a client makes a trade of every push with a trade id.
    assert (row["tradeId"], row["fillSz"]) == ("", "0")
    assert (D(row["accFillSz"]) > 0) is (kind == "ioc")


async def test_an_account_hears_nothing_of_another(venue: Venue, socket: Socket) -> None:
    await socket.log_in()
    await socket.ask("subscribe", ORDERS)
    other = venue.another_client(OTHER_KEY, OTHER_SECRET)
    await other.create_order(PAIR, "market", "buy", "0.01", None)
    await venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000", {"clientOrderId": "own"})
    assert (await pushed(socket))["clOrdId"] == "own"


async def test_the_same_subscription_twice_is_one_and_can_be_given_up(
    venue: Venue, socket: Socket
) -> None:
    await socket.log_in()
    for _ in range(2):
        told = await socket.ask("subscribe", ORDERS, id="7")
        assert (told["event"], told["arg"], told["id"]) == ("subscribe", ORDERS, "7")
    of_ether = ORDERS | {"instId": "ETH-USDT"}
    assert (await socket.ask("subscribe", of_ether))["arg"] == of_ether
    await venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000")
    assert (await pushed(socket))["state"] == "live"
    told = await socket.ask("unsubscribe", ORDERS)
    assert (told["event"], told["arg"]) == ("unsubscribe", ORDERS)
    await venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000")
    assert await socket.ping() == "pong"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sign": "wrong"}, "60007"),
        ({"apiKey": "nobody"}, "60005"),
        ({"passphrase": "wrong"}, "60024"),
        ({"timestamp": "2026-11-21"}, "60004"),
        ({"timestamp": "1"}, "60006"),
        ({"more": "1"}, "60009"),
    ],
)
async def test_who_does_not_log_in_properly_hears_nothing(
    venue: Venue, socket: Socket, changes: dict[str, str], code: str
) -> None:
    told = await socket.log_in(**changes)
    assert (told["event"], told["code"]) == ("error", code)
    assert (await socket.ask("subscribe", ORDERS))["code"] == "60011"
    await venue.client.create_order(PAIR, "market", "buy", "0.01", None)
    assert await socket.ping() == "pong"


async def test_a_login_lives_for_thirty_seconds_and_happens_once(socket: Socket) -> None:
    assert (await socket.log_in(late_s=32))["code"] == "60006"
    told = await socket.log_in()
    assert (told["event"], told["code"]) == ("login", "0")
    assert (await socket.log_in())["code"] == "60031"
    requests = read_log(socket.venue.journal).requests
    logins = [(each.path, each.account, each.code) for each in requests if each.method == "WS"]
    assert logins == [("login", None, 60006), ("login", "main", 0), ("login", None, 60031)]


async def test_what_is_not_understood_is_refused_and_the_connection_stays(socket: Socket) -> None:
    await socket.log_in()
    for args, code in (
        ([{"channel": "books", "instId": "BTC-USDT"}], "60018"),
        ([ORDERS | {"instType": "SWAP"}], "60018"),
        ([ORDERS | {"instId": "NOPE"}], "60018"),
        ([ORDERS | {"instFamily": "BTC-USDT"}], "60018"),
        ([ORDERS, {"channel": "positions"}], "60018"),
        ([], "60012"),
    ):
        assert (await socket.ask("subscribe", *args))["code"] == code
    assert (await socket.ask("order", {"instId": "BTC-USDT"}))["code"] == "60019"
    await socket.socket.send_str("not json")
    assert (await socket.told())["code"] == "60012"
    assert await socket.ping() == "pong"


async def test_a_client_that_does_not_keep_up_is_cut_off(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_session, "MAX_QUEUED_MESSAGES", 3)
    url = venue.served.base_url.replace("http", "ws") + "/ws/v5/private"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as connected:
        socket = Socket(venue, connected)
        await socket.log_in()
        await socket.ask("subscribe", ORDERS)
        # One order, many fills: all of its events are queued before any of them can leave.
        await venue.client.create_order(PAIR, "market", "buy", "1", None)
        await until_closed(connected)
        assert connected.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_a_client_that_says_nothing_is_cut_off_and_a_ping_is_enough(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "IDLE_S", 0.5)
    url = venue.served.base_url.replace("http", "ws") + "/ws/v5/private"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as connected:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < 1.0:
            assert await Socket(venue, connected).ping() == "pong"
            await asyncio.sleep(0.1)
        await until_closed(connected)
        assert connected.close_code == 4004


async def until_closed(connected: aiohttp.ClientWebSocketResponse) -> None:
    async with asyncio.timeout(WAIT_S):
        async for _ in connected:
            pass
