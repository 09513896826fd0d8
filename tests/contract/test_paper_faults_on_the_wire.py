"""Each fault of a request, as the real ccxt class meets it, and as the journal remembers it."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.contract.faulty_venue import FaultyVenue, faulty_venue, outcome
from tests.contract.paper_venue import PAIR

NOT_EXECUTED: list[tuple[str, dict[str, Any], type[Exception], int]] = [
    ("drop_before", {}, ccxt.ExchangeNotAvailable, 0),
    ("hang_before", {}, ccxt.RequestTimeout, 0),
    ("reject_then_timeout", {}, ccxt.RequestTimeout, 400),
    ("refuse", {"code": -2010, "message": "Account has insufficient balance for requested action."},
     ccxt.InsufficientFunds, 400),
    ("rate_limited", {}, ccxt.DDoSProtection, 429),
    ("rate_limited", {"retry_after_s": 3}, ccxt.DDoSProtection, 429),
    ("firewall", {}, ccxt.ExchangeNotAvailable, 403),
    ("server_error", {}, ccxt.OperationFailed, 500),
    ("maintenance", {}, ccxt.BadRequest, 503),
    ("maintenance", {"html": True}, ccxt.ExchangeNotAvailable, 503),
    ("unknown_code", {"code": -1006}, ccxt.OperationFailed, 500),
    ("unknown_code", {"code": -1007, "status": 408}, ccxt.RequestTimeout, 408),
    ("bad_timestamp", {}, ccxt.InvalidNonce, 400),
    ("answer", {"status": 451, "body": "not in your country", "executed": False},
     ccxt.ExchangeNotAvailable, 451),
]  # fmt: skip
LOST: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("drop_after", {}, ccxt.ExchangeNotAvailable),
    ("hang_after", {}, ccxt.RequestTimeout),
    ("accept_then_timeout", {}, ccxt.RequestTimeout),
    ("accept_then_reset", {}, ccxt.ExchangeNotAvailable),
    ("accept_then_5xx", {}, ccxt.ExchangeNotAvailable),
    ("accept_then_5xx", {"status": 504, "body": "upstream"}, ccxt.RequestTimeout),
    ("unknown_code", {"executed": True}, ccxt.RequestTimeout),
    ("truncated", {"cut": "connection"}, ccxt.ExchangeError),
    ("nan", {}, ValueError),
    ("late", {"delay_s": 0.6}, ccxt.RequestTimeout),
]
UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("html", {}),
    ("empty", {}),
    ("empty", {"body": "{}"}),
    ("truncated", {}),
    ("not_utf8", {}),
    ("missing_fields", {}),
    ("answer", {"body": "no JSON"}),
]


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[FaultyVenue]:
    async with faulty_venue(tmp_path) as opened:
        yield opened


async def orders_of(venue: FaultyVenue, client_order_id: str, within_s: float = 2) -> int:
    """How many there are; a request that is still under way is waited for."""
    async with asyncio.timeout(within_s):
        while not venue.disturbed():
            await asyncio.sleep(0.02)
    return len(venue.log.orders_named(client_order_id))


@pytest.mark.parametrize(("fault", "options", "error", "status"), NOT_EXECUTED)
async def test_a_refusal_by_a_fault_executes_nothing_and_is_journaled(
    venue: FaultyVenue, fault, options, error, status
):
    rule = await venue.faults.add(fault, method="POST", path="/order", **options)
    told = await outcome(venue.buy("mine"))
    assert issubclass(told, error), told
    assert await orders_of(venue, "mine") == 0
    [request] = venue.disturbed()
    assert (request.faults, request.status) == ((fault,), status)
    assert await venue.faults.hits(rule) == 1
    assert (await venue.buy("mine"))["status"] == "closed"


@pytest.mark.parametrize(("fault", "options", "error"), LOST)
async def test_an_order_is_live_although_its_answer_was_lost(
    venue: FaultyVenue, fault, options, error
):
    rule = await venue.faults.add(fault, client_order_id="mine", **options)
    told = await outcome(venue.buy("mine"))
    assert isinstance(told, type), told
    assert issubclass(told, error), told
    assert await orders_of(venue, "mine") == 1
    assert venue.disturbed()[0].faults == (fault,)
    assert await venue.faults.hits(rule) == 1
    found = await venue.client.fetch_order(None, PAIR, {"clientOrderId": "mine"})
    assert found["status"] == "closed"


@pytest.mark.parametrize(("fault", "options"), UNREADABLE)
async def test_a_broken_answer_tells_ccxt_nothing(venue: FaultyVenue, fault, options):
    await venue.faults.add(fault, client_order_id="mine", **options)
    told = await venue.buy("mine")
    assert told["id"] is None
    assert told["status"] is None
    assert await orders_of(venue, "mine") == 1


async def test_fields_that_nobody_knows_do_no_harm(venue: FaultyVenue):
    await venue.faults.add("extra_fields", client_order_id="mine")
    told = await venue.buy("mine")
    assert "addedLater" in told["info"]
    assert (told["status"], told["filled"]) == ("closed", "0.01000000")


async def test_any_field_of_any_answer_can_be_replaced(venue: FaultyVenue):
    fields = {"status": "PENDING_NEW", "fills.0.qty": "7", "no.such.place": 1}
    await venue.faults.add("replace_fields", client_order_id="mine", fields=fields)
    told = await venue.buy("mine")
    assert told["info"]["status"] == "PENDING_NEW"
    assert told["trades"][0]["amount"] == "7"


async def test_retry_after_is_there_only_when_it_is_asked_for(venue: FaultyVenue):
    url = f"{venue.venue.served.base_url}/api/v3/time"
    async with aiohttp.ClientSession() as session:
        for options, header in (({}, None), ({"retry_after_s": 7}, "7")):
            await venue.faults.add("rate_limited", path="/time", **options)
            async with session.get(url) as answer:
                assert (answer.status, answer.headers.get("Retry-After")) == (429, header)


async def test_a_ban_holds_for_all_requests_until_it_is_over(venue: FaultyVenue):
    rule = await venue.faults.add("banned", client_order_id="mine", retry_after_s=180, for_s=0.5)
    assert await outcome(venue.buy("mine")) is ccxt.DDoSProtection
    assert await outcome(venue.client.fetch_balance()) is ccxt.DDoSProtection
    assert await outcome(venue.client.fetch_time()) is ccxt.DDoSProtection
    async with asyncio.timeout(3):
        while await outcome(venue.client.fetch_time()) is ccxt.DDoSProtection:
            await asyncio.sleep(0.05)
    assert await venue.faults.hits(rule) >= 3
    assert venue.log.orders == {}


async def test_a_late_request_is_refused_once_its_window_has_passed(venue: FaultyVenue):
    await venue.faults.add("late", client_order_id="mine", delay_s=0.5)
    params = {"clientOrderId": "mine", "recvWindow": "300"}
    call = venue.client.create_order(PAIR, "market", "buy", "0.01", None, params)
    assert await outcome(call) is ccxt.RequestTimeout
    assert await orders_of(venue, "mine") == 0
    assert venue.disturbed()[0].code == -1021


async def test_an_answer_that_comes_late_still_comes(venue: FaultyVenue):
    await venue.faults.add("answer_late", client_order_id="mine", delay_s=0.2)
    call = asyncio.create_task(venue.buy("mine"))
    assert await orders_of(venue, "mine") == 1
    assert not call.done()
    assert (await call)["status"] == "closed"


async def test_an_answer_can_be_on_the_wire_twice(venue: FaultyVenue):
    await venue.faults.add("answer_twice", path="/time")
    host, port = "127.0.0.1", venue.venue.served.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /api/v3/time HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answers = (await reader.read()).split(b"HTTP/1.1 200 OK\r\n")
    assert len(answers) == 3
    assert all(b"serverTime" in answer for answer in answers[1:])
    writer.close()
    await writer.wait_closed()


async def test_a_held_request_waits_before_or_after_the_book_until_it_is_released(
    venue: FaultyVenue,
):
    venue.client.timeout = 5_000
    for where, orders in (("hold_before", 0), ("hold_after", 1)):
        rule = await venue.faults.add(where, client_order_id=where)
        call = asyncio.create_task(venue.buy(where))
        held = await venue.faults.held(rule)
        assert (held.method, held.params["newClientOrderId"]) == ("POST", where)
        assert len(venue.log.orders_named(where)) == orders
        assert not call.done()
        await venue.faults.release(held.id)
        assert (await call)["status"] == "closed"


async def test_a_cancel_whose_answer_is_lost_is_done(venue: FaultyVenue):
    order = await venue.rest("mine")
    rule = await venue.faults.add("cancel_unacked", client_order_id="mine")
    assert await outcome(venue.client.cancel_order(order["id"], PAIR)) is ccxt.RequestTimeout
    [judged] = venue.log.orders_named("mine")
    assert judged.status == "CANCELED"
    assert await venue.faults.hits(rule) == 1


@pytest.mark.parametrize("quantity", [None, Decimal("0.004")])
async def test_the_market_can_fill_an_order_just_before_its_cancel(venue: FaultyVenue, quantity):
    order = await venue.rest("mine")
    await venue.faults.add("fill_first", client_order_id="mine", quantity=quantity)
    told = await outcome(venue.client.cancel_order(order["id"], PAIR))
    [judged] = venue.log.orders_named("mine")
    if quantity is None:
        assert told is ccxt.OrderNotFound
        assert (judged.status, judged.executed) == ("FILLED", Decimal("0.01"))
    else:
        assert told["filled"] == "0.00400000"
        assert (judged.status, judged.executed) == ("CANCELED", quantity)
