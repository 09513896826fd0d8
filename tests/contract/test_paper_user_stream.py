"""The user-data stream: ccxt.pro sees orders, trades and balances as they happen."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from activities.venues.simulator import stream_session
from tests.contract.paper_venue import (
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    PAIR,
    SECRET,
    Venue,
    open_venue,
)

D = Decimal
WAIT_S = 5.0
POLL_S = 0.005


@pytest.fixture(params=["binance", "binanceus"])
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue(request.param, tmp_path) as opened:
        yield opened


async def listening(client: Any, watch: str, *args: Any) -> asyncio.Task[Any]:
    """A running `watch` call that is subscribed and waits for its first message."""
    watching = asyncio.create_task(getattr(client, watch)(*args))
    topic = {"watch_orders": "orders", "watch_my_trades": "myTrades", "watch_balance": "balance"}
    async with asyncio.timeout(WAIT_S):
        while not any(topic[watch] in name for name in awaited(client)):
            await asyncio.sleep(POLL_S)
    return watching


def awaited(client: Any) -> list[str]:
    """The names of the messages that a ccxt client waits for."""
    return [name for each in client.clients.values() for name in each.futures]


def ws_url(venue: Venue) -> str:
    return venue.served.base_url.replace("http", "ws") + "/ws-api/v3"


def subscription(venue: Venue, secret: str = SECRET) -> dict[str, Any]:
    """A hand-made subscription request of the account main."""
    sent = {"apiKey": KEY, "timestamp": venue.served.exchange.now_ms()}
    payload = urlencode(sent).encode()
    signature = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    method = "userDataStream.subscribe.signature"
    return {"id": "1", "method": method, "params": sent | {"signature": signature}}


async def next_of(watching: Any) -> Any:
    return (await asyncio.wait_for(watching, WAIT_S))[-1]


async def test_a_resting_order_is_reported_open_filled_in_part_and_cancelled(
    venue: Venue,
) -> None:
    watching = await listening(venue.client, "watch_orders", PAIR)
    price = await venue.best("asks") - D("0.5")
    sent = {"clientOrderId": "watched"}
    order = await venue.client.create_order(PAIR, "limit", "buy", "0.01", str(price), sent)
    opened = await next_of(watching)
    assert (opened["id"], opened["status"]) == (order["id"], "open")
    watching = await listening(venue.client, "watch_orders", PAIR)
    await venue.trade_against("SELL", "0.004")
    part = await next_of(watching)
    assert (part["status"], D(part["filled"])) == ("open", D("0.004"))
    watching = await listening(venue.client, "watch_orders", PAIR)
    await venue.client.cancel_order(order["id"], PAIR)
    ended = await next_of(watching)
    assert (ended["status"], ended["clientOrderId"]) == ("canceled", "watched")


async def test_each_trade_is_told_once_with_its_fee(venue: Venue) -> None:
    watching = await listening(venue.client, "watch_my_trades", PAIR)
    order = await venue.client.create_order(PAIR, "market", "buy", "0.5", None, {})
    await asyncio.wait_for(watching, WAIT_S)
    async with asyncio.timeout(WAIT_S):
        trades = venue.client.myTrades
        while sum(D(each["amount"]) for each in trades) < D("0.5"):
            await asyncio.sleep(POLL_S)
    told = {trade["id"]: trade for trade in trades}
    assert len(told) == len(trades)
    fetched = await venue.client.fetch_order_trades(order["id"], PAIR)
    assert {t["id"]: D(t["fee"]["cost"]) for t in fetched} == {
        key: D(trade["fee"]["cost"]) for key, trade in told.items()
    }
    assert {trade["takerOrMaker"] for trade in told.values()} == {"taker"}


async def test_balances_are_told_when_an_order_locks_them(venue: Venue) -> None:
    watching = await listening(venue.client, "watch_balance")
    await venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000", {})
    balance = await asyncio.wait_for(watching, WAIT_S)
    assert D(balance["USDT"]["used"]) == 400


async def test_an_account_hears_nothing_of_another(venue: Venue) -> None:
    other = venue.another_client(OTHER_KEY, OTHER_SECRET)
    await other.load_markets()
    watching = await listening(other, "watch_orders")
    await venue.client.create_order(PAIR, "market", "buy", "0.01", None, {})
    own = await other.create_order(PAIR, "limit", "buy", "0.01", "40000", {})
    heard = await asyncio.wait_for(watching, WAIT_S)
    assert [order["clientOrderId"] for order in heard] == [own["clientOrderId"]]


async def test_a_wrong_signature_is_refused_and_hears_nothing(venue: Venue) -> None:
    # On the wire, since ccxt drops the subscription twice and so raises a KeyError of its own.
    async with aiohttp.ClientSession() as session, session.ws_connect(ws_url(venue)) as socket:
        await socket.send_json(subscription(venue, secret="wrong"))
        assert (await socket.receive_json(timeout=WAIT_S))["error"]["code"] == -1022
        await venue.client.create_order(PAIR, "market", "buy", "0.01", None, {})
        await socket.send_json({"id": "2", "method": "ping"})
        assert (await socket.receive_json(timeout=WAIT_S))["id"] == "2"


async def test_a_client_that_does_not_keep_up_is_cut_off(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_session, "MAX_QUEUED_MESSAGES", 3)
    async with aiohttp.ClientSession() as session, session.ws_connect(ws_url(venue)) as socket:
        await socket.send_json(subscription(venue))
        assert (await socket.receive_json(timeout=WAIT_S))["status"] == 200
        # One order, many fills: all of its events are queued before any of them can leave.
        await venue.client.create_order(PAIR, "market", "buy", "1", None, {})
        async with asyncio.timeout(WAIT_S):
            async for _ in socket:
                pass
        assert socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_a_second_subscription_on_one_connection_is_refused(venue: Venue) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(ws_url(venue)) as socket:
        await socket.send_json(subscription(venue))
        assert (await socket.receive_json(timeout=WAIT_S))["result"] == {"subscriptionId": 0}
        await socket.send_json(subscription(venue))
        assert (await socket.receive_json(timeout=WAIT_S))["error"]["code"] == -2035


async def test_ping_is_answered_and_an_unknown_method_is_refused(venue: Venue) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(ws_url(venue)) as socket:
        await socket.send_json({"id": "1", "method": "ping"})
        answer = await socket.receive_json(timeout=WAIT_S)
        assert (answer["id"], answer["status"]) == ("1", 200)
        await socket.send_json({"id": 2, "method": "order.place", "params": {"symbol": "X"}})
        answer = await socket.receive_json(timeout=WAIT_S)
        assert (answer["id"], answer["error"]["code"]) == (2, -1020)
        await socket.send_str("not json")
        assert (await socket.receive_json(timeout=WAIT_S))["status"] == 400
