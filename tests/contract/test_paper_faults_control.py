"""The control port: which requests a rule meets, and what is told to a user who is wrong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from activities.venues.simulator.faults.client import ControlError
from activities.venues.simulator.faults.options import FaultError, Options
from activities.venues.simulator.faults.rules import Facts, Fault, Match, RuleBook
from tests.contract.faulty_venue import FaultyVenue, faulty_venue, outcome
from tests.contract.paper_venue import OTHER_KEY, OTHER_SECRET, PAIR, open_venue


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[FaultyVenue]:
    async with faulty_venue(tmp_path) as opened:
        yield opened


def rule_of(book: RuleBook, **options: Any) -> Any:
    return book.add("nothing", Match.read(Options("nothing", options), 1), Fault())


def acts(book: RuleBook, **facts: Any) -> list[int]:
    return [rule.id for rule in book.met_by(Facts(**facts))]


def test_a_rule_meets_only_what_all_of_its_options_fit():
    book = RuleBook()
    options = {"method": "POST", "path": "/order", "account": "main", "symbol": PAIR}
    fits = {"method": "POST", "path": "/api/v3/order", "account": "main", "symbol": PAIR}
    rule_of(book, **options, client_order_id="c", times=0)
    fits["client_order_id"] = "c"
    assert acts(book, **fits) == [1]
    for name in fits:
        assert acts(book, **{**fits, name: "other"}) == []


def test_nth_and_times_bound_what_a_rule_does():
    book = RuleBook()
    once, third = rule_of(book), rule_of(book, nth=3)
    twice, always = rule_of(book, times=2), rule_of(book, times=0)
    met = [acts(book) for _ in range(4)]
    assert [sum(rule.id in each for each in met) for rule in (once, third, twice, always)] == [
        *(1, 1, 2, 4)
    ]
    assert third.id in met[2]
    assert (always.seen, always.hit, third.seen, third.hit) == (4, 4, 4, 1)


def test_a_seed_gives_the_same_draws_again():
    book = RuleBook()
    rule_of(book, probability=0.5, times=0)
    draws = []
    for _ in range(2):
        book.seed(42)
        draws.append([bool(acts(book)) for _ in range(50)])
    assert draws[0] == draws[1]
    assert 10 < sum(draws[0]) < 40


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"times": -1}, "nothing: times must be a whole number from 0 to 1000000000"),
        ({"nth": 0}, "nothing: nth must be a whole number from 1 to 1000000000"),
        ({"probability": 2}, "nothing: probability must be from 0 to 1"),
        ({"account": 7}, "nothing: account must be a text"),
    ],
)
def test_a_wrong_matching_option_is_named(options, told):
    with pytest.raises(FaultError, match=f"^{told}$"):
        Match.read(Options("nothing", options), 1)


@pytest.mark.parametrize(
    ("fault", "options", "told"),
    [
        ("no_such", {}, "there is no fault 'no_such' (there are accept_then_5xx"),
        ("late", {}, "late: needs delay_s"),
        ("late", {"delay_s": "soon"}, "late: delay_s must be from 0 to 604800 seconds"),
        ("late", {"delay_s": 1, "dealy": 1}, "late: has no option 'dealy' (it has account"),
        ("refuse", {"status": 200}, "refuse: status must be a whole number from 400 to 599"),
        ("fill_first", {"quantity": "-1"}, "fill_first: quantity must be a positive amount"),
        ("fill_first", {"quantity": 0.1}, "fill_first: quantity must be a positive amount"),
        ("replace_fields", {}, "replace_fields: needs fields"),
        ("truncated", {"cut": "hair"}, "truncated: cut must be one of body, connection"),
        ("not_found", {"for_s": 1e9}, "not_found: for_s must be from 0 to 600 seconds"),
    ],
)
async def test_a_fault_that_cannot_be_is_refused_in_one_line(
    venue: FaultyVenue, fault, options, told
):
    with pytest.raises(ControlError) as refused:
        await venue.faults.add(fault, **options)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)
    assert await venue.faults.rules() == []


@pytest.mark.parametrize(
    ("action", "options", "told"),
    [
        ("explode", {}, "there is no action 'explode' (there are cancel, "),
        ("halt_symbol", {}, "halt_symbol: needs symbol"),
        ("halt_symbol", {"symbol": "BTCUSDT"}, "halt_symbol: there is no symbol BTCUSDT"),
        ("change_rules", {"symbol": PAIR}, "change_rules: needs one of tick, lot"),
        ("change_rules", {"symbol": PAIR, "tick": "0.00000007"}, "change_rules: "),
        ("fill", {}, "fill: needs order_id or client_order_id"),
        ("fill", {"client_order_id": "nobody"}, "fill: there is no such order"),
        ("place", {"account": "nobody"}, "place: there is no account nobody"),
        ("fee_asset", {"asset": "BNB", "rate": "1"}, "fee_asset: rate must be below 1"),
        ("clock", {"offset_ms": "1 h"}, "clock: offset_ms must be a whole number"),
        ("flow", {"symbol": PAIR, "side": "up"}, "flow: side must be buy or sell"),
    ],
)
async def test_an_action_that_cannot_be_is_refused_in_one_line(
    venue: FaultyVenue, action, options, told
):
    with pytest.raises(ControlError) as refused:
        await venue.faults.act(action, **options)
    assert str(refused.value).startswith(told)


async def test_what_is_no_json_object_is_refused(venue: FaultyVenue):
    url = f"{venue.venue.served.control_url}/rules"
    async with aiohttp.ClientSession() as session:
        for body in (b"", b"[1]", b"{"):
            async with session.post(url, data=body) as answer:
                assert answer.status == 400
                assert (await answer.json())["error"] == "the body must be a JSON object"


async def test_a_rule_finds_an_order_by_its_client_id_in_whatever_form_a_request_names_it(
    venue: FaultyVenue,
):
    order = await venue.rest("mine")
    await venue.rest("not-mine")
    rule = await venue.faults.add("answer_late", client_order_id="mine", delay_s=0, times=0)
    await venue.client.fetch_order(order["id"], PAIR)
    await venue.client.fetch_order(None, PAIR, {"clientOrderId": "mine"})
    await venue.client.fetch_order_trades(order["id"], PAIR)
    await venue.client.cancel_order(order["id"], PAIR)
    assert await venue.faults.hits(rule) == 4
    await venue.client.fetch_order(None, PAIR, {"clientOrderId": "not-mine"})
    await venue.client.fetch_open_orders(PAIR)
    assert await venue.faults.hits(rule) == 4


async def test_a_rule_for_one_account_leaves_the_other_alone(venue: FaultyVenue):
    await venue.faults.add("server_error", account="main", times=0)
    other = venue.venue.another_client(OTHER_KEY, OTHER_SECRET)
    assert await outcome(venue.client.fetch_balance()) is not None
    assert (await other.fetch_balance())["BTC"]["total"] == "1000"
    [request] = venue.disturbed()
    assert request.account == "main"


async def test_clearing_releases_what_is_held_and_ends_every_rule(venue: FaultyVenue):
    venue.client.timeout = 5_000
    rule = await venue.faults.add("hold_before", client_order_id="mine")
    await venue.faults.add("server_error", times=0, path="/account")
    await venue.faults.act("clock", offset_ms=3_600_000)
    await venue.faults.act("halt_symbol", symbol="ETH/USDT")
    await venue.faults.clear()
    call = asyncio.create_task(venue.buy("mine"))
    assert (await call)["status"] == "closed"
    assert await venue.faults.rules() == []
    assert (await venue.client.fetch_balance())["BTC"]["total"] is not None
    with pytest.raises(ControlError, match=f"there is no rule {rule}"):
        await venue.faults.held(rule)


async def test_a_hold_that_meets_nothing_says_so_in_time(venue: FaultyVenue):
    rule = await venue.faults.add("hold_before", client_order_id="nobody")
    with pytest.raises(ControlError, match="held no request within"):
        await venue.faults.held(rule, within_s=0.1)


async def test_without_a_control_port_there_is_none(tmp_path: Path):
    async with open_venue("binance", tmp_path) as venue:
        assert venue.served.control_url is None
