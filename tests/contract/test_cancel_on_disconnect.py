"""The venues' timers that cancel every order: what is sent, and what the paper exchange does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ccxt
import pytest

from activities.venues.ccxt_gateway import CcxtGateway, open_gateway
from activities.venues.gateway import VenueUnavailableError
from activities.venues.simulator.journal import read_records
from tests.contract.dialect_venues.scripted import ScriptedVenue
from tests.contract.gateway_venue import SYMBOL, access, venue_at
from tests.contract.paper_venue import PAIR, Venue, open_venue, refusal
from workers.venue_settings import TIMER_VENUES
from workflows.domain.reports import VenueStatus

AtVenue = tuple[ScriptedVenue, CcxtGateway]
ASKED: dict[str, tuple[str, str, Any, Any]] = {
    "okx": (
        "POST",
        "/api/v5/trade/cancel-all-after",
        {"timeOut": "60"},
        {"code": "0", "msg": "", "data": [{"triggerTime": "1700000060000", "ts": "1"}]},
    ),
    "kraken": (
        "POST",
        "/0/private/CancelAllOrdersAfter",
        {"timeout": "60"},
        {"error": [], "result": {"currentTime": "t", "triggerTime": "u"}},
    ),
    "gate": (
        "POST",
        "/api/v4/spot/countdown_cancel_all",
        {"timeout": 60},
        {"triggerTime": "1700000060000"},
    ),
}
WITHIN_S = 5.0
with_timers = pytest.mark.parametrize("at_venue", TIMER_VENUES, indirect=True)


@with_timers
async def test_a_timer_is_set_as_the_venue_writes_it(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    method, path, body, answer = ASKED[venue.venue]
    venue.scripted[method, path] = answer
    await gateway.cancel_all_after(60)
    (seen,) = venue.requests(method, path)
    assert seen.body.items() >= body.items()


@with_timers
async def test_an_answer_that_tells_no_end_is_no_timer(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    method, path, _, _ = ASKED[venue.venue]
    for broken in ({}, {"code": "0", "data": [{}], "error": [], "result": {}}):
        venue.scripted[method, path] = broken
        with pytest.raises(VenueUnavailableError):
            await gateway.cancel_all_after(60)


# --- the paper exchange in OKX's words ----------------------------------------------------------


@pytest.fixture
async def okx(tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue("okx", tmp_path) as opened:
        opened.client.options["createOrder"] = "privatePostTradeOrder"
        yield opened


async def rest(venue: Venue) -> str:
    order = await venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000")
    return str(order["id"])


async def run_out(venue: Venue, after_s: int) -> None:
    """As if so many seconds had passed."""
    exchange = venue.served.exchange
    later_ms = exchange.now_ms() + after_s * 1_000
    exchange.engine.run_timers(later_ms, exchange.now_ms())
    exchange.commit()


async def set_timer(venue: Venue, seconds: int) -> Any:
    asked = {"timeOut": str(seconds)}
    answer = await venue.client.private_post_trade_cancel_all_after(asked)
    return answer["data"][0]


async def test_a_timer_that_is_not_set_anew_cancels_every_order_of_the_account(okx: Venue) -> None:
    first, second = await rest(okx), await rest(okx)
    told = await set_timer(okx, 10)
    assert int(told["triggerTime"]) - int(told["ts"]) == 10_000
    await run_out(okx, 9)
    assert len(await okx.client.fetch_open_orders(PAIR)) == 2
    await run_out(okx, 11)
    for order_id in (first, second):
        info = (await okx.client.fetch_order(order_id, PAIR))["info"]
        assert (info["state"], info["cancelSource"]) == ("canceled", "20")
    await run_out(okx, 1_000)
    third = await rest(okx)
    await run_out(okx, 1_000)  # it ran out once, and is off since
    assert (await okx.client.fetch_order(third, PAIR))["status"] == "open"


async def test_a_timer_can_be_set_anew_and_off(okx: Venue) -> None:
    order_id = await rest(okx)
    await set_timer(okx, 10)
    await set_timer(okx, 60)
    await run_out(okx, 11)
    assert (await set_timer(okx, 0))["triggerTime"] == "0"
    await run_out(okx, 61)
    assert (await okx.client.fetch_order(order_id, PAIR))["status"] == "open"


async def test_a_timer_is_of_ten_to_a_hundred_and_twenty_seconds(okx: Venue) -> None:
    for seconds in (9, 121):
        told = await refusal(set_timer(okx, seconds))
        assert isinstance(told, ccxt.BadRequest)
        assert "timeOut" in str(told)


async def test_a_timer_survives_the_exchanges_restart_and_runs_by_itself(tmp_path: Path) -> None:
    async with open_venue("okx", tmp_path) as venue:
        venue.client.options["createOrder"] = "privatePostTradeOrder"
        await rest(venue)
        await set_timer(venue, 10)
    journal = tmp_path / "journal.jsonl"
    (record,) = [each for each in read_records(journal) if each["kind"] == "cancel_timer"]
    # the ten seconds pass while it is down
    text = journal.read_text().replace(str(record["due_ms"]), str(record["due_ms"] - 11_000))
    journal.write_text(text)
    async with open_venue("okx", tmp_path) as venue, asyncio.timeout(WITHIN_S):
        while await venue.client.fetch_open_orders(PAIR):
            await asyncio.sleep(0.02)


async def test_the_gateway_reads_orders_that_the_timer_cancelled(tmp_path: Path) -> None:
    async with venue_at("okx", tmp_path) as venue:
        config = replace(access("okx", "main", venue.exchange.base_url), cancel_on_disconnect_s=60)
        gateway = open_gateway(config)
        try:
            resting = venue.intent()
            await venue.submit(resting)
            await gateway.cancel_all_after(60)
            exchange = venue.exchange.exchange
            exchange.engine.run_timers(exchange.now_ms() + 61_000, exchange.now_ms())
            exchange.commit()
            report = await gateway.find(SYMBOL, resting.client_order_id, since_ms=0)
            assert (report.status, report.executed_quantity) == (VenueStatus.CANCELLED, 0)
        finally:
            await gateway.close()
