"""Each fault at a paper exchange that speaks OKX, as the real ccxt class and our gateway meet it.

The faults are Binance's too; codes, statuses and the shape of a refusal are OKX's: an order
is refused in a row under HTTP 200, a request as a whole by its own code.
"""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from activities.venues.simulator.faults.client import ControlError
from tests.contract.faulty_venue import FaultyVenue, outcome
from tests.contract.okx_faulty_venue import okx_faulty_venue
from tests.contract.paper_venue import PAIR

D = Decimal
HOUR_MS = 3_600_000
LOT_OF_MINE = "0.01"

NOT_EXECUTED: list[tuple[str, dict[str, Any], type[Exception], int]] = [
    ("drop_before", {}, ccxt.ExchangeNotAvailable, 0),
    ("hang_before", {}, ccxt.RequestTimeout, 0),
    ("reject_then_timeout", {}, ccxt.RequestTimeout, 200),
    ("refuse", {}, ccxt.InvalidOrder, 200),
    ("refuse", {"code": 51008, "message": "Order failed. Insufficient USDT balance in account"},
     ccxt.InsufficientFunds, 200),
    ("rate_limited", {}, ccxt.RateLimitExceeded, 429),
    ("rate_limited", {"retry_after_s": 3}, ccxt.RateLimitExceeded, 429),
    ("firewall", {}, ccxt.ExchangeNotAvailable, 403),
    ("server_error", {}, ccxt.ExchangeNotAvailable, 500),
    ("maintenance", {}, ccxt.OnMaintenance, 503),
    ("maintenance", {"html": True}, ccxt.ExchangeNotAvailable, 503),
    ("unknown_code", {}, ccxt.RequestTimeout, 400),
    ("unknown_code", {"code": 50013, "status": 500}, ccxt.ExchangeNotAvailable, 500),
    ("bad_timestamp", {}, ccxt.InvalidNonce, 401),
    ("answer", {"status": 451, "body": "not in your country", "executed": False},
     ccxt.ExchangeNotAvailable, 451),
]  # fmt: skip
LOST: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("drop_after", {}, ccxt.ExchangeNotAvailable),
    ("hang_after", {}, ccxt.RequestTimeout),
    ("accept_then_timeout", {}, ccxt.RequestTimeout),
    ("accept_then_reset", {}, ccxt.ExchangeNotAvailable),
    ("accept_then_5xx", {}, ccxt.ExchangeError),
    ("accept_then_5xx", {"status": 504, "body": "upstream"}, ccxt.RequestTimeout),
    ("unknown_code", {"executed": True}, ccxt.RequestTimeout),
    ("truncated", {"cut": "connection"}, ccxt.ExchangeError),
    ("late", {"delay_s": 0.6}, ccxt.RequestTimeout),
]
UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("html", {}),
    ("empty", {}),
    ("truncated", {}),
    ("not_utf8", {}),
    ("missing_fields", {}),
    ("answer", {"body": "no JSON"}),
]


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[FaultyVenue]:
    async with okx_faulty_venue(tmp_path) as opened:
        yield opened


async def orders_of(venue: FaultyVenue, client_order_id: str, within_s: float = 2) -> int:
    """How many there are; a request that is still under way is waited for."""
    async with asyncio.timeout(within_s):
        while not venue.disturbed():
            await asyncio.sleep(0.02)
    return len(venue.log.orders_named(client_order_id))


async def look_up(venue: FaultyVenue, client_order_id: str) -> Any:
    return await venue.client.fetch_order(None, PAIR, {"clientOrderId": client_order_id})


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "options", "error", "status"), NOT_EXECUTED)
async def test_a_refusal_by_a_fault_executes_nothing_and_is_journaled(
    venue: FaultyVenue, fault, options, error, status
):
    rule = await venue.faults.add(fault, purpose="submit", **options)
    told = await outcome(venue.buy("mine"))
    assert issubclass(told, error), told
    assert await orders_of(venue, "mine") == 0
    [request] = venue.disturbed()
    assert (request.faults, request.status) == ((fault,), status)
    assert await venue.faults.hits(rule) == 1
    await venue.buy("mine")
    assert (await look_up(venue, "mine"))["status"] == "closed"


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
    assert (await look_up(venue, "mine"))["status"] == "closed"


@pytest.mark.parametrize(("fault", "options"), UNREADABLE)
async def test_a_broken_answer_tells_ccxt_nothing(venue: FaultyVenue, fault, options):
    await venue.faults.add(fault, client_order_id="mine", **options)
    told = await outcome(venue.buy("mine"))
    assert isinstance(told, type) or told["id"] is None, told
    assert await orders_of(venue, "mine") == 1


async def test_figures_can_be_no_numbers(venue: FaultyVenue):
    await venue.buy("mine")
    rule = await venue.faults.add("nan", purpose="look_up")
    assert (await venue.client.private_get_trade_order({"instId": "BTC-USDT", "clOrdId": "mine"}))[
        "data"
    ][0]["accFillSz"] == "NaN"
    assert await venue.faults.hits(rule) == 1


async def test_fields_that_nobody_knows_do_no_harm(venue: FaultyVenue):
    await venue.faults.add("extra_fields", client_order_id="mine")
    told = await venue.buy("mine")
    assert "addedLater" in told["info"]
    assert told["clientOrderId"] == "mine"


async def test_any_field_of_any_answer_can_be_replaced(venue: FaultyVenue):
    fields = {"data.0.clOrdId": "another", "no.such.place": 1}
    await venue.faults.add("replace_fields", client_order_id="mine", fields=fields)
    assert (await venue.buy("mine"))["clientOrderId"] == "another"


async def test_a_submission_and_a_cancel_are_told_apart_although_both_are_posted(
    venue: FaultyVenue,
):
    cancels = await venue.faults.add("refuse", purpose="cancel", times=0, code=50013)
    order = await venue.rest("mine")
    assert await outcome(venue.client.cancel_order(order["id"], PAIR)) is not None
    assert await venue.faults.hits(cancels) == 1
    assert venue.log.orders_named("mine")[0].is_open


async def test_a_purpose_that_no_request_has_is_refused_in_one_line(venue: FaultyVenue):
    with pytest.raises(ControlError, match="html: purpose must be one of balances, cancel"):
        await venue.faults.add("html", purpose="sell")


async def test_a_ban_holds_for_all_requests_until_it_is_over(venue: FaultyVenue):
    rule = await venue.faults.add("banned", client_order_id="mine", retry_after_s=180, for_s=0.5)
    assert await outcome(venue.buy("mine")) is ccxt.RateLimitExceeded
    assert await outcome(venue.client.fetch_balance()) is ccxt.RateLimitExceeded
    assert await outcome(venue.client.fetch_time()) is ccxt.RateLimitExceeded
    async with asyncio.timeout(3):
        while await outcome(venue.client.fetch_time()) is ccxt.RateLimitExceeded:
            await asyncio.sleep(0.05)
    assert await venue.faults.hits(rule) >= 3
    assert venue.log.orders == {}


async def test_a_late_request_is_refused_once_its_deadline_has_passed(venue: FaultyVenue):
    await venue.faults.add("late", client_order_id="mine", delay_s=0.5)
    deadline = venue.venue.served.exchange.now_ms() + 300
    sign = venue.client.sign

    def with_deadline(*request: Any, **named: Any) -> Any:
        signed = sign(*request, **named)
        return signed | {"headers": {**(signed["headers"] or {}), "expTime": str(deadline)}}

    venue.client.sign = with_deadline
    assert await outcome(venue.buy("mine")) is ccxt.RequestTimeout
    assert await orders_of(venue, "mine") == 0
    assert venue.disturbed()[0].code == 50037


async def test_a_held_request_waits_before_or_after_the_book_until_it_is_released(
    venue: FaultyVenue,
):
    venue.client.timeout = 5_000
    for where, name, orders in (("hold_before", "before", 0), ("hold_after", "after", 1)):
        rule = await venue.faults.add(where, client_order_id=name)
        call = asyncio.create_task(venue.buy(name))
        held = await venue.faults.held(rule)
        assert (held.method, held.params["clOrdId"]) == ("POST", name)
        assert len(venue.log.orders_named(name)) == orders
        assert not call.done()
        await venue.faults.release(held.id)
        assert (await call)["clientOrderId"] == name


async def test_an_answer_that_comes_late_or_twice_still_comes_once(venue: FaultyVenue):
    await venue.faults.add("answer_late", client_order_id="late", delay_s=0.1)
    assert (await venue.buy("late"))["clientOrderId"] == "late"
    await venue.faults.add("answer_twice", client_order_id="twice")
    assert (await venue.buy("twice"))["clientOrderId"] == "twice"
    assert venue.log.duplicates() == {}


# --- reads and cancels ----------------------------------------------------------------------------


async def test_an_order_can_be_invisible_for_a_while_after_its_acceptance(venue: FaultyVenue):
    rule = await venue.faults.add("not_found", client_order_id="mine", for_s=0.3)
    order = await venue.rest("mine")
    assert await outcome(look_up(venue, "mine")) is ccxt.OrderNotFound
    assert await outcome(venue.client.fetch_order(order["id"], PAIR)) is ccxt.OrderNotFound
    async with asyncio.timeout(3):
        while await outcome(look_up(venue, "mine")) is ccxt.OrderNotFound:
            await asyncio.sleep(0.02)
    assert await venue.faults.hits(rule) >= 2


async def test_balances_can_lag_behind(venue: FaultyVenue):
    before = await venue.total("BTC")
    await venue.faults.add("stale_balances", for_s=0.3)
    await venue.buy("mine")
    assert await venue.total("BTC") == before
    async with asyncio.timeout(3):
        while await venue.total("BTC") == before:
            await asyncio.sleep(0.02)


async def test_a_page_of_trades_can_have_a_gap_or_repeat_some(venue: FaultyVenue):
    for number in range(4):
        await venue.buy(f"mine{number}")

    async def listed() -> list[str]:
        answer = await venue.client.private_get_trade_fills_history(
            {"instType": "SPOT", "instId": "BTC-USDT"}
        )
        return [row["tradeId"] for row in answer["data"]]

    whole = await listed()
    assert len(whole) >= 4
    await venue.faults.add("page_gap", skip=2)
    # the newest comes first here
    assert await listed() == [whole[0], *whole[3:]]
    await venue.faults.add("page_overlap", repeat=2)
    assert await listed() == [*whole, *whole[-2:]]
    assert await listed() == whole


async def test_a_cancel_whose_answer_is_lost_is_done(venue: FaultyVenue):
    order = await venue.rest("mine")
    rule = await venue.faults.add("cancel_unacked", client_order_id="mine")
    assert await outcome(venue.client.cancel_order(order["id"], PAIR)) is ccxt.RequestTimeout
    [judged] = venue.log.orders_named("mine")
    assert judged.status == "CANCELED"
    assert await venue.faults.hits(rule) == 1


@pytest.mark.parametrize("quantity", [None, D("0.004")])
async def test_the_market_can_fill_an_order_just_before_its_cancel(venue: FaultyVenue, quantity):
    order = await venue.rest("mine")
    await venue.faults.add("fill_first", client_order_id="mine", quantity=quantity)
    told = await outcome(venue.client.cancel_order(order["id"], PAIR))
    [judged] = venue.log.orders_named("mine")
    if quantity is None:
        assert told is ccxt.OrderNotFound
        assert (judged.status, judged.executed) == ("FILLED", D(LOT_OF_MINE))
    else:
        assert told["id"] == order["id"]
        assert (judged.status, judged.executed) == ("CANCELED", quantity)


# --- the venue ------------------------------------------------------------------------------------


async def test_a_halted_symbol_takes_no_orders_but_cancels(venue: FaultyVenue):
    order = await venue.rest("before")
    await venue.faults.act("halt_symbol", symbol=PAIR)
    told = await outcome(venue.buy("mine"))
    assert issubclass(told, ccxt.ExchangeError), told
    assert (await venue.client.load_markets(True))[PAIR]["active"] is False
    await venue.client.cancel_order(order["id"], PAIR)
    assert venue.log.orders_named("before")[0].status == "CANCELED"
    await venue.faults.act("resume_symbol", symbol=PAIR)
    assert (await venue.client.load_markets(True))[PAIR]["active"] is True
    await venue.buy("mine")
    assert len(venue.log.orders_named("mine")) == 1


async def test_rules_can_change_while_orders_rest(venue: FaultyVenue):
    await venue.rest("before")
    await venue.faults.act("change_rules", symbol=PAIR, tick="1", lot="0.01", min_quantity="0.02")
    assert await outcome(venue.rest("tick", "0.02", "40000.5")) is ccxt.BadRequest
    assert await outcome(venue.rest("small", "0.01", "40000")) is ccxt.InvalidOrder
    rules = (await venue.client.load_markets(True))[PAIR]
    assert (D(rules["precision"]["price"]), D(rules["precision"]["amount"])) == (1, D("0.01"))
    assert D(rules["limits"]["amount"]["min"]) == D("0.02")
    await venue.faults.act("fill", client_order_id="before")
    assert venue.log.orders_named("before")[0].status == "FILLED"


async def test_fees_in_a_third_asset_are_told_as_paid(venue: FaultyVenue):
    await venue.faults.act("fee_asset", asset="BNB", rate="0.002")
    await venue.rest("dear", quantity="0.5")
    await venue.faults.act("fill", client_order_id="dear")
    [trade] = await venue.client.fetch_my_trades(PAIR)
    assert (D(trade["fee"]["cost"]), trade["fee"]["currency"]) == (D(40), "BNB")
    assert venue.log.deposits["main"]["BNB"] == D(40)


@pytest.mark.parametrize("offset_ms", [-HOUR_MS, HOUR_MS])
async def test_the_venues_clock_can_be_wrong_by_as_much_as_one_likes(venue: FaultyVenue, offset_ms):
    right = await venue.client.fetch_time()
    await venue.faults.act("clock", offset_ms=offset_ms)
    wrong = await venue.client.fetch_time()
    assert abs(wrong - right - offset_ms) < 500
    assert await outcome(venue.buy("mine")) is ccxt.InvalidNonce
    await venue.faults.clear()
    await venue.buy("mine")
    assert len(venue.log.orders_named("mine")) == 1
