"""What the control port does to private streams, as a real client's gateway sees it."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from activities.venues.ccxt_gateway import open_gateway
from activities.venues.gateway import StreamEvent, StreamTrade, VenueUnavailableError
from activities.venues.simulator.faults.client import ControlClient, ControlError
from activities.venues.simulator.server import running
from tests.contract.gateway_venue import SYMBOL, Venue, access, paper_config, trade_at
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import VenueStatus

D = Decimal
WAIT_S = 10.0
QUIET_S = 0.3
BID = D("40000.0")

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    config = replace(paper_config("binance", tmp_path), control_port=0)
    async with running(config) as exchange:
        main = open_gateway(access("binance", "main", exchange.base_url))
        other = open_gateway(access("binance", "other", exchange.base_url))
        yield Venue(main, other, exchange, tmp_path / "journal.jsonl")
        await main.close()
        await other.close()


@pytest.fixture
async def faults(venue: Venue) -> AsyncIterator[ControlClient]:
    assert venue.exchange.control_url is not None
    async with ControlClient(venue.exchange.control_url) as client:
        yield client


async def resting(venue: Venue, quantity: str = "0.0100") -> ChildIntent:
    """A buy of ours that only `fill` reaches."""
    intent = venue.intent(price=BID, quantity=D(quantity))
    report = await venue.submit(intent)
    assert report.status is VenueStatus.OPEN
    return intent


async def fill(faults: ControlClient, intent: ChildIntent, quantity: str | None = None) -> None:
    given = {} if quantity is None else {"quantity": quantity}
    await faults.act("fill", client_order_id=intent.client_order_id, **given)


async def next_trade(events: AsyncIterator[StreamEvent]) -> StreamTrade:
    async with asyncio.timeout(WAIT_S):
        while not isinstance(event := await anext(events), StreamTrade):
            pass
    return event


async def order_of_trades(events: AsyncIterator[StreamEvent], count: int) -> list[int]:
    trades = [(await next_trade(events)).trade for _ in range(count)]
    return [int(trade.fill.trade_id) for trade in trades]


def subscription(venue: Venue) -> dict[str, Any]:
    """A hand-made subscription request of the account main."""
    sent = {"apiKey": "key-main", "timestamp": venue.exchange.exchange.now_ms()}
    signature = hmac.new(b"secret-main", urlencode(sent).encode(), hashlib.sha256).hexdigest()
    method = "userDataStream.subscribe.signature"
    return {"id": "1", "method": method, "params": sent | {"signature": signature}}


async def test_a_lost_event_is_never_sent_and_the_next_one_is(venue: Venue, faults: ControlClient):
    intent = await resting(venue)
    rule = await faults.add("event_lost", client_order_id=intent.client_order_id)
    async with venue.gateway.stream() as events:
        await fill(faults, intent, "0.004")
        await fill(faults, intent, "0.006")
        told = await next_trade(events)
    assert told.trade.fill.quantity == D("0.006")
    assert await faults.hits(rule) == 1
    assert len(venue.records("trade")) == 2


async def test_a_duplicated_event_comes_as_often_as_asked(venue: Venue, faults: ControlClient):
    # On the wire, since ccxt hands several copies that come at once over as one.
    intent = await resting(venue)
    await faults.add("event_duplicate", client_order_id=intent.client_order_id, copies=3)
    url = venue.exchange.base_url.replace("http", "ws") + "/ws-api/v3"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json(subscription(venue))
        assert (await socket.receive_json(timeout=WAIT_S))["status"] == 200
        await fill(faults, intent)
        events = [(await socket.receive_json(timeout=WAIT_S))["event"] for _ in range(4)]
    assert [event["e"] for event in events] == ["executionReport"] * 3 + ["outboundAccountPosition"]
    assert events[0] == events[1] == events[2]
    assert len(venue.records("trade")) == 1


async def test_a_late_event_comes_after_those_that_followed(venue: Venue, faults: ControlClient):
    first, second = await resting(venue), await resting(venue)
    await faults.add("event_late", client_order_id=first.client_order_id, delay_s=0.3)
    async with venue.gateway.stream() as events:
        await fill(faults, first)
        await fill(faults, second)
        told = await order_of_trades(events, 2)
    assert told == sorted(told, reverse=True)


async def test_a_reordered_event_comes_behind_the_next_n(venue: Venue, faults: ControlClient):
    intents = [await resting(venue) for _ in range(4)]
    await faults.add("event_reorder", client_order_id=intents[0].client_order_id, depth=4)
    async with venue.gateway.stream() as events:
        for intent in intents:
            await fill(faults, intent)
        told = await order_of_trades(events, 4)
    # Each fill is an order's event and a balance, its own balance among those that overtake it.
    first, second, third, fourth = sorted(told)
    assert told == [second, third, first, fourth]


async def test_a_rule_meets_only_its_kind_of_event(venue: Venue, faults: ControlClient):
    rule = await faults.add("event_lost", kind="NEW", account="main")
    other = await faults.add("event_lost", kind="CANCELED", account="other", times=0)
    async with venue.gateway.stream() as events:
        intent = await resting(venue)
        await fill(faults, intent)
        async with asyncio.timeout(WAIT_S):
            first = await anext(events)
    assert isinstance(first, StreamTrade) or first.order.report.executed_quantity > 0
    assert (await faults.hits(rule), await faults.hits(other)) == (1, 0)


async def test_an_answer_can_be_held_until_its_events_have_come(
    venue: Venue, faults: ControlClient
):
    intent = venue.market()
    rule = await faults.add("event_before_ack", client_order_id=intent.client_order_id)
    now_ms = await venue.gateway.venue_time_ms()
    async with venue.gateway.stream() as events:
        answered = asyncio.create_task(venue.gateway.submit(intent, signed_at_ms=now_ms))
        await next_trade(events)
        assert not answered.done()
        report = await answered
    assert report.status is VenueStatus.FILLED
    assert await faults.hits(rule) == 1


async def test_a_fill_can_come_after_the_answer_to_the_cancel(venue: Venue, faults: ControlClient):
    intent = await resting(venue)
    name = intent.client_order_id
    await faults.add("event_after_cancel_ack", client_order_id=name)
    async with venue.gateway.stream() as events:
        await fill(faults, intent, "0.004")
        order = await venue.gateway.find(SYMBOL, name, since_ms=0)
        await venue.gateway.cancel(SYMBOL, order.venue_order_id)
        statuses = []
        async with asyncio.timeout(WAIT_S):
            while not isinstance(event := await anext(events), StreamTrade):
                statuses.append(event.order.report.status)
    assert statuses[0] is VenueStatus.CANCELLED
    assert event.trade.fill.quantity == D("0.004")


async def test_clearing_lets_go_of_what_is_held_back(venue: Venue, faults: ControlClient):
    intent = await resting(venue)
    await faults.add("event_late", client_order_id=intent.client_order_id, delay_s=60)
    async with venue.gateway.stream() as events:
        await fill(faults, intent)
        await faults.clear()
        await next_trade(events)


async def test_a_cut_ends_the_stream_and_a_new_one_works(venue: Venue, faults: ControlClient):
    async with venue.gateway.stream() as events:
        assert await faults.act("stream", mode="cut") == {"connections": 1}
        with pytest.raises(VenueUnavailableError, match="stream lost"):
            await next_trade(events)
    async with venue.gateway.stream() as events:
        await fill(faults, await resting(venue))
        await next_trade(events)


async def test_a_cut_of_one_account_spares_the_others(venue: Venue, faults: ControlClient):
    async with venue.other.stream() as theirs, venue.gateway.stream() as ours:
        assert await faults.act("stream", mode="cut", account="main") == {"connections": 1}
        with pytest.raises(VenueUnavailableError):
            await next_trade(ours)
        await trade_at(venue, BID, D("0.01"))
        await next_trade(theirs)


async def test_a_silent_stream_stays_open_and_says_nothing_until_it_is_normal_again(
    venue: Venue, faults: ControlClient
):
    first, second = await resting(venue), await resting(venue)
    async with venue.gateway.stream() as events:
        await faults.act("stream", mode="silent", account="main")
        await fill(faults, first)
        await faults.act("stream", mode="normal", account="main")
        await fill(faults, second)
        told = await next_trade(events)
    newest = max(int(record["trade_id"]) for record in venue.records("trade"))
    assert int(told.trade.fill.trade_id) == newest


@pytest.mark.parametrize("dead", [False, True])
async def test_only_a_dead_stream_leaves_pings_unanswered(
    venue: Venue, faults: ControlClient, *, dead: bool
):
    await faults.act("stream", mode="silent", dead=dead)
    url = venue.exchange.base_url.replace("http", "ws") + "/ws-api/v3"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, autoping=False) as socket,
    ):
        await socket.ping(b"?")
        try:
            answer = await socket.receive(timeout=QUIET_S)
        except TimeoutError:
            assert dead
        else:
            assert (answer.type, dead) == (aiohttp.WSMsgType.PONG, False)


async def test_a_storm_cuts_every_new_connection_and_passes(venue: Venue, faults: ControlClient):
    await faults.act("stream", mode="storm", for_s=1)
    over = time.monotonic() + 1
    lost = 0
    while time.monotonic() < over - QUIET_S:
        with pytest.raises(VenueUnavailableError):
            async with asyncio.timeout(WAIT_S), venue.gateway.stream() as events:
                await anext(events)
        lost += 1
    assert lost > 1
    await asyncio.sleep(max(0.0, over - time.monotonic()))
    async with venue.gateway.stream() as events:
        await fill(faults, await resting(venue))
        await next_trade(events)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"mode": "loud"}, "mode must be one of cut, normal, silent, storm"),
        ({}, "mode must be one of"),
        ({"mode": "cut", "for_s": -1}, "for_s must be from 0"),
        ({"mode": "cut", "often": 2}, "no option 'often'"),
    ],
)
async def test_a_wrong_stream_action_is_refused_with_one_line(
    faults: ControlClient, asked: dict[str, object], refusal: str
):
    with pytest.raises(ControlError, match=refusal):
        await faults.act("stream", **asked)


@pytest.mark.parametrize(
    ("fault", "options", "refusal"),
    [
        ("event_lost", {"kind": "FILL"}, "kind must be one of"),
        ("event_late", {}, "needs delay_s"),
        ("event_duplicate", {"copies": 1}, "copies must be a whole number from 2"),
        ("event_reorder", {"depth": 0}, "depth must be"),
    ],
)
async def test_a_wrong_rule_for_events_is_refused_with_one_line(
    faults: ControlClient, fault: str, options: dict[str, object], refusal: str
):
    with pytest.raises(ControlError, match=refusal):
        await faults.add(fault, **options)
