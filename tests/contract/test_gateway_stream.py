"""What a venue can do to the private stream: it is told as lost, never as quiet."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from activities.venues import ccxt_client
from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.gateway import StreamTrade, VenueUnavailableError
from tests.contract.gateway_recorder import Recorder
from workflows.domain.orders import client_order_id
from workflows.domain.reports import VenueStatus

DEADLINE_S = 10


pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


def report_event(trade_number: int, **changes: Any) -> dict[str, Any]:
    event = {
        "e": "executionReport",
        "E": 1_700_000_000_000,
        "s": "BTCUSDT",
        "c": client_order_id("wire", 1),
        "C": "",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "0.01000",
        "p": "40000.00",
        "x": "TRADE",
        "X": "PARTIALLY_FILLED",
        "i": 28,
        "l": "0.00100",
        "z": f"0.00{trade_number}00",
        "L": "40000.00",
        "n": "0.0001",
        "N": "XYZ",
        "T": 1_700_000_000_000,
        "t": trade_number,
        "m": True,
        "O": 1_700_000_000_000,
        "Z": "40.00",
        "Y": "40.00",
        "w": True,
    }
    return {"subscriptionId": 0, "event": {**event, **changes}}


def streaming(
    recorder: Recorder, *messages: Any, confirmed: bool = True, answers_pings: bool = True
) -> None:
    """Serve the private stream: confirm (or refuse) the subscription, then send `messages`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=answers_pings)
        await socket.prepare(request)
        asked = json.loads((await socket.receive()).data)
        if confirmed:
            answer = {"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}
        else:
            error = {"code": -1022, "msg": "Signature for this request is not valid."}
            answer = {"id": asked["id"], "status": 400, "error": error}
        # the events follow so closely that nobody can have waited for them yet
        await socket.send_str(json.dumps(answer))
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            await socket.send_str(text)
        while (await socket.receive()).type in {WSMsgType.TEXT, WSMsgType.PING}:
            pass
        return socket

    recorder.handlers["GET", "/ws-api/v3"] = serve


async def read_until_lost(gateway: CcxtGateway) -> None:
    """Enter and read; a stream may be lost before it was entered."""
    async with asyncio.timeout(DEADLINE_S), gateway.stream() as events:
        async for _ in events:
            pass


async def test_a_stream_that_the_venue_ends_is_lost_though_the_connection_lives(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    ended = {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1}}
    streaming(recorder, ended)
    with pytest.raises(VenueUnavailableError, match=r"lost: .*eventStreamTerminated"):
        await read_until_lost(gateway)


async def test_fees_in_an_asset_without_a_market_do_not_stop_the_stream(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    streaming(recorder, *(report_event(number) for number in range(1, 5)))
    trades = []
    async with asyncio.timeout(DEADLINE_S), gateway.stream() as events:
        while len(trades) < 4:
            event = await anext(events)
            if isinstance(event, StreamTrade):
                trades.append(event.trade)
    assert [t.fill.trade_id for t in trades] == ["1", "2", "3", "4"]
    assert {(t.fill.fee, t.fill.fee_asset) for t in trades} == {(Decimal("0.0001"), "XYZ")}


@pytest.mark.parametrize(
    "changes",
    [{"l": "NaN"}, {"l": "-0.1"}, {"L": "-5"}],
    ids=lambda each: f"B58-{each}",
)
async def test_a_trade_that_cannot_be_right_hides_none_of_those_after_it(
    recorder: Recorder, gateway: CcxtGateway, changes: dict[str, Any]
) -> None:
    streaming(recorder, report_event(1), report_event(2, **changes), report_event(3))
    told: dict[str, Decimal] = {}
    async with asyncio.timeout(DEADLINE_S), gateway.stream() as events:
        while "3" not in told:
            event = await anext(events)
            if isinstance(event, StreamTrade):
                told[event.trade.fill.trade_id] = event.trade.fill.quantity
    assert list(told) == ["1", "2", "3"]
    assert told["1"] > told["2"] == 0


@pytest.mark.parametrize("changes", [{"X": "WEIRD"}, {"n": None}, {"i": None}])
async def test_an_unreadable_event_ends_the_stream(
    recorder: Recorder, gateway: CcxtGateway, changes: dict[str, Any]
) -> None:
    streaming(recorder, report_event(1), report_event(2, **changes), report_event(3))
    with pytest.raises(VenueUnavailableError, match="lost: "):
        await read_until_lost(gateway)


async def test_a_message_that_is_no_json_ends_the_stream(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    streaming(recorder, '{"torn')
    with pytest.raises(VenueUnavailableError, match="lost: unreadable message"):
        await read_until_lost(gateway)


async def test_a_connection_that_stays_silent_is_lost(
    recorder: Recorder, gateway: CcxtGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ccxt_client, "STREAM_PING_INTERVAL_MS", 100)
    streaming(recorder, answers_pings=False)
    with pytest.raises(VenueUnavailableError, match="lost: "):
        await read_until_lost(gateway)


async def test_a_connection_that_answers_pings_is_kept(
    recorder: Recorder, gateway: CcxtGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ccxt_client, "STREAM_PING_INTERVAL_MS", 100)
    streaming(recorder)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6), gateway.stream() as events:
            await anext(events)


async def test_a_refused_subscription_is_not_entered(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    streaming(recorder, confirmed=False)
    with pytest.raises(VenueUnavailableError):
        async with gateway.stream():
            pytest.fail("entered")


async def test_a_subscription_that_is_never_confirmed_is_not_entered(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await recorder.released.wait()
        return socket

    recorder.handlers["GET", "/ws-api/v3"] = silent
    with pytest.raises(VenueUnavailableError, match="not subscribed within"):
        async with gateway.stream():
            pytest.fail("entered")


async def test_a_connection_that_comes_after_giving_up_is_closed_at_once(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    closed = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await recorder.released.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        while (await socket.receive()).type is not WSMsgType.CLOSE:
            pass
        closed.set()
        return socket

    recorder.handlers["GET", "/ws-api/v3"] = late
    with pytest.raises(VenueUnavailableError, match="not subscribed within"):
        async with gateway.stream():
            pytest.fail("entered")
    recorder.released.set()
    async with asyncio.timeout(DEADLINE_S):
        await closed.wait()


async def test_the_end_of_one_leg_of_a_list_is_told_as_news_of_the_list(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    ours = client_order_id("wire", 1)
    leg = {"S": "SELL", "g": 7, "l": "0", "t": -1, "n": "0", "N": None}
    expired = {"c": f"{ours}b", "i": 32, "o": "STOP_LOSS", "p": "0", "x": "EXPIRED", "X": "EXPIRED"}
    sold = {"c": f"{ours}a", "i": 31, "X": "FILLED", "z": "0.01000", "l": "0.01000", "t": 5}
    listed = {"e": "listStatus", "E": 1, "s": "BTCUSDT", "g": 7, "c": "OCO", "l": "ALL_DONE"}
    streaming(
        recorder,
        report_event(0, **{**leg, **expired, "z": "0"}),
        report_event(0, **{**leg, **sold, "o": "LIMIT_MAKER", "n": "0.1", "N": "USDT"}),
        {"subscriptionId": 0, "event": listed},
    )
    orders, trades = [], []
    async with asyncio.timeout(DEADLINE_S), gateway.stream() as events:
        while len(orders) < 2 or not trades:
            event = await anext(events)
            if isinstance(event, StreamTrade):
                trades.append(event.trade)
            else:
                orders.append(event.order.report)
    assert [(each.client_order_id, each.venue_order_id) for each in orders] == [
        (ours, "list:7"),
        (ours, "list:7"),
    ]
    assert [each.status for each in orders] == [VenueStatus.OPEN, VenueStatus.FILLED]
    assert [(each.venue_order_id, each.fill.trade_id) for each in trades] == [("list:7", "5")]
