"""The private stream of OKX as documented: subscribed before it is entered, fees as they are."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from activities.venues import ccxt_client
from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.gateway import StreamOrder, StreamTrade, VenueUnavailableError
from tests.contract.dialect_venues.okx_venue import OkxVenue
from tests.contract.dialect_venues.scripted import served
from workflows.domain.orders import client_order_id
from workflows.domain.reports import VenueStatus

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

OURS = client_order_id("stream", 0)
DEADLINE_S = 10


def push(**changes: Any) -> dict[str, Any]:
    """One event of an order that has just traded for the first time."""
    row = {
        "instId": "BTC-USDT",
        "instType": "SPOT",
        "ordId": "312",
        "clOrdId": OURS,
        "ordType": "limit",
        "side": "buy",
        "sz": "0.01",
        "px": "40000",
        "avgPx": "40000",
        "state": "partially_filled",
        "accFillSz": "0.004",
        "tradeId": "77",
        "fillSz": "0.004",
        "fillPx": "40000",
        "fillFee": "-0.000004",
        "fillFeeCcy": "BTC",
        "fillTime": "1700000000100",
        "execType": "T",
        "fee": "-0.000004",
        "feeCcy": "BTC",
        "tgtCcy": "",
        "cTime": "1700000000000",
        "uTime": "1700000000101",
    }
    arg = {"channel": "orders", "instType": "SPOT", "uid": "1"}
    return {"arg": arg, "data": [{**row, **changes}]}


@dataclass
class StreamingVenue(OkxVenue):
    """OKX with its private channel: agrees when it is told to, then sends `pushes`."""

    pushes: list[Any] = field(default_factory=list)
    agrees: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[Any] = field(default_factory=list)
    refuses_login: bool = False
    answers_pings: bool = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/ws/v5/private":
            return await super().handle(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._answer(socket, message.data)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, text: str) -> None:
        self.heard.append(text if text == "ping" else json.loads(text))
        if text == "ping":
            if self.answers_pings:
                await socket.send_str("pong")
            return
        asked = json.loads(text)
        if asked["op"] == "login" and self.refuses_login:
            await socket.send_json({"event": "error", "code": "60009", "msg": "Login failed."})
        elif asked["op"] == "login":
            await socket.send_json({"event": "login", "code": "0", "msg": "", "connId": "a"})
        else:
            await self.agrees.wait()
            await socket.send_json({"event": "subscribe", "arg": asked["args"][0], "connId": "a"})
            while self.pushes:
                await socket.send_json(self.pushes.pop(0))


@asynccontextmanager
async def streaming(**changes: Any) -> AsyncIterator[tuple[StreamingVenue, CcxtGateway]]:
    venue = StreamingVenue(**changes)
    venue.agrees.set()
    async with served(venue) as gateway:
        yield venue, gateway


async def read(gateway: CcxtGateway, count: int) -> list[Any]:
    async with asyncio.timeout(DEADLINE_S), gateway.stream() as events:
        return [await anext(events) for _ in range(count)]


async def test_the_login_is_signed_and_only_spot_orders_are_subscribed() -> None:
    async with streaming(pushes=[push()]) as (venue, gateway):
        await read(gateway, 2)
    login, *subscribed = venue.heard
    (sent,) = login["args"]
    text = f"{sent['timestamp']}GET/users/self/verify"
    digest = hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).digest()
    assert sent["sign"] == base64.b64encode(digest).decode()
    assert (sent["apiKey"], sent["passphrase"]) == ("the-key", "words")
    assert {json.dumps(each["args"]) for each in subscribed} == {
        json.dumps([{"channel": "orders", "instType": "SPOT"}])
    }


async def test_the_stream_is_entered_only_once_the_venue_has_agreed() -> None:
    async with streaming() as (venue, gateway):
        venue.agrees.clear()
        entering = asyncio.create_task(read(gateway, 2))
        async with asyncio.timeout(DEADLINE_S):
            while len(venue.heard) < 2:  # login, and one subscription that waits
                await asyncio.sleep(0.01)
        assert not entering.done()
        venue.pushes.append(push())
        venue.agrees.set()
        assert len(await entering) == 2


async def test_a_push_is_an_order_and_a_trade_whose_fee_is_what_was_paid() -> None:
    async with streaming(pushes=[push()]) as (_, gateway):
        told = await read(gateway, 2)
    (order,) = [each.order for each in told if isinstance(each, StreamOrder)]
    (trade,) = [each.trade for each in told if isinstance(each, StreamTrade)]
    assert order.report.client_order_id == OURS
    assert order.report.status is VenueStatus.OPEN
    assert order.report.executed_quantity == Decimal("0.004")
    assert (trade.venue_order_id, trade.fill.trade_id) == ("312", "77")
    assert (trade.fill.price, trade.fill.quantity) == (Decimal(40000), Decimal("0.004"))
    assert (trade.fill.fee, trade.fill.fee_asset) == (Decimal("0.000004"), "BTC")
    assert not trade.fill.is_maker
    assert trade.cursor == "1700000000100", "trades are read on by their time"


async def test_a_rebate_is_negative() -> None:
    rebate = push(fillFee="0.000002", execType="M")
    async with streaming(pushes=[rebate]) as (_, gateway):
        told = await read(gateway, 2)
    (fill,) = [each.trade.fill for each in told if isinstance(each, StreamTrade)]
    assert (fill.fee, fill.is_maker) == (Decimal("-0.000002"), True)


async def test_fills_of_one_order_that_come_at_once_are_all_told() -> None:
    fills = [
        push(tradeId=str(number), accFillSz=f"0.00{number}", fillSz="0.001")
        for number in range(1, 8)
    ]
    trades: set[str] = set()
    async with (
        asyncio.timeout(DEADLINE_S),
        streaming(pushes=list(fills)) as (_, gateway),
        gateway.stream() as events,
    ):
        while len(trades) < len(fills):
            event = await anext(events)
            if isinstance(event, StreamTrade):
                trades.add(event.trade.fill.trade_id)
    assert trades == {str(number) for number in range(1, 8)}


async def test_a_cancel_after_a_fill_is_no_second_trade() -> None:
    cancel = push(state="canceled", fillSz="0", fillPx="", fillFee="0", uTime="1700000000200")
    async with streaming(pushes=[cancel, push(ordId="313", tradeId="78")]) as (_, gateway):
        told = await read(gateway, 3)
    trades = [each.trade.fill.trade_id for each in told if isinstance(each, StreamTrade)]
    assert trades == ["78"]
    statuses = {
        each.order.report.venue_order_id: each.order.report.status
        for each in told
        if isinstance(each, StreamOrder)
    }
    assert statuses == {"312": VenueStatus.CANCELLED, "313": VenueStatus.OPEN}


async def test_a_refused_login_is_a_stream_that_cannot_be_entered() -> None:
    async with streaming(refuses_login=True) as (_, gateway):
        with pytest.raises(VenueUnavailableError):
            await read(gateway, 1)


async def test_a_notice_that_the_connection_will_close_ends_the_stream() -> None:
    notice = {"event": "notice", "code": "64008", "msg": "The connection will soon be closed."}
    async with streaming(pushes=[notice]) as (_, gateway):
        with pytest.raises(VenueUnavailableError, match="stream lost"):
            await read(gateway, 1)


async def test_a_silent_connection_is_found_out_by_its_own_pings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ccxt_client, "STREAM_PING_INTERVAL_MS", 50)
    async with streaming(answers_pings=False) as (venue, gateway):
        with pytest.raises(VenueUnavailableError, match="stream lost"):
            await read(gateway, 1)
        assert "ping" in venue.heard


async def test_answered_pings_keep_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_client, "STREAM_PING_INTERVAL_MS", 50)
    async with (
        asyncio.timeout(DEADLINE_S),
        streaming() as (venue, gateway),
        gateway.stream() as events,
    ):
        reading = asyncio.ensure_future(anext(events))
        while venue.heard.count("ping") < 6:
            await asyncio.sleep(0.01)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])
