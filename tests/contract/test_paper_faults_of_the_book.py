"""Reads that lag, and what the control port makes the market and the venue do."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import ccxt
import pytest

from activities.venues.simulator.faults.client import ControlError
from activities.venues.simulator.judge import read_log
from tests.contract.faulty_venue import FaultyVenue, faulty_venue, outcome
from tests.contract.paper_venue import PAIR

D = Decimal
HOUR_MS = 3_600_000


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[FaultyVenue]:
    async with faulty_venue(tmp_path) as opened:
        yield opened


async def test_an_order_can_be_invisible_for_a_while_after_its_acceptance(venue: FaultyVenue):
    rule = await venue.faults.add("not_found", client_order_id="mine", for_s=0.3)
    order = await venue.rest("mine")
    look_up = (order["id"], PAIR)
    assert await outcome(venue.client.fetch_order(*look_up)) is ccxt.OrderNotFound
    async with asyncio.timeout(3):
        while await outcome(venue.client.fetch_order(*look_up)) is ccxt.OrderNotFound:
            await asyncio.sleep(0.02)
    assert await venue.faults.hits(rule) >= 1


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
        await venue.buy(f"mine-{number}")
    whole = [trade["id"] for trade in await venue.client.fetch_my_trades(PAIR)]
    assert len(whole) >= 4
    await venue.faults.add("page_gap", skip=2)
    seen = [trade["id"] for trade in await venue.client.fetch_my_trades(PAIR)]
    assert seen == [*whole[:-3], whole[-1]]
    await venue.faults.add("page_overlap", repeat=2)
    seen = [row["id"] for row in await venue.client.private_get_mytrades({"symbol": "BTCUSDT"})]
    assert sorted(map(str, seen)) == sorted([*whole, *whole[:2]])
    assert [trade["id"] for trade in await venue.client.fetch_my_trades(PAIR)] == whole


async def test_a_page_without_trades_is_not_counted_as_disturbed(venue: FaultyVenue):
    rule = await venue.faults.add("page_gap")
    await venue.client.fetch_my_trades(PAIR)
    [state] = await venue.faults.rules()
    assert (state.id, state.seen, state.hit) == (rule, 0, 0)


async def test_the_market_trades_with_a_resting_order_when_it_is_told_to(venue: FaultyVenue):
    await venue.rest("mine", quantity="0.5")
    told = await venue.faults.act("fill", client_order_id="mine", quantity=D("0.2"))
    assert (told["status"], D(told["executed"])) == ("PARTIALLY_FILLED", D("0.2"))
    await venue.faults.act("fill", client_order_id="mine")
    [judged] = venue.log.orders_named("mine")
    assert (judged.status, judged.executed) == ("FILLED", D("0.5"))
    assert {trade.price for trade in venue.log.trades_named("mine")} == {D(40_000)}
    with pytest.raises(ControlError, match="fill: the order is FILLED"):
        await venue.faults.act("fill", client_order_id="mine")
    assert venue.log.contradictions() == []


async def test_market_flow_meets_what_rests(venue: FaultyVenue):
    best = (await venue.client.fetch_order_book(PAIR, 5))["bids"][0][0]
    price = D(str(best)) + D("0.01")
    await venue.rest("mine", quantity="0.3", price=str(price))
    told = await venue.faults.act("flow", symbol=PAIR, side="sell", quantity="0.1", price=price)
    assert D(told["traded"]) == D("0.1")
    assert venue.log.orders_named("mine")[0].executed == D("0.1")


async def test_a_halted_symbol_takes_no_orders_but_cancels(venue: FaultyVenue):
    order = await venue.rest("before")
    await venue.faults.act("halt_symbol", symbol=PAIR)
    assert await outcome(venue.buy("mine")) is ccxt.MarketClosed
    assert (await venue.client.load_markets(True))[PAIR]["active"] is False
    with pytest.raises(ControlError, match="is halted"):
        await venue.faults.act("flow", symbol=PAIR, side="sell", quantity="1")
    assert (await venue.client.cancel_order(order["id"], PAIR))["status"] == "canceled"
    await venue.faults.act("resume_symbol", symbol=PAIR)
    assert (await venue.client.load_markets(True))[PAIR]["active"] is True
    assert (await venue.buy("mine"))["status"] == "closed"


async def test_rules_can_change_while_orders_rest(venue: FaultyVenue):
    await venue.rest("before", quantity="0.00123", price="40000.01")
    await venue.faults.act("change_rules", symbol=PAIR, tick="0.1", lot="0.001", min_notional="10")
    assert await outcome(venue.rest("tick", price="40000.01")) is ccxt.InvalidOrder
    assert await outcome(venue.rest("lot", quantity="0.0015")) is ccxt.InvalidOrder
    rules = (await venue.client.load_markets(True))[PAIR]
    assert D(rules["precision"]["price"]) == D("0.1")
    assert D(rules["precision"]["amount"]) == D("0.001")
    assert D(rules["limits"]["cost"]["min"]) == 10
    await venue.faults.act("change_rules", symbol=PAIR, min_quantity="0.02")
    assert await outcome(venue.rest("small", quantity="0.01")) is ccxt.InvalidOrder
    await venue.faults.act("fill", client_order_id="before")
    await venue.faults.clear()
    assert (await venue.rest("after", price="40000.01"))["status"] == "open"


async def test_fees_in_a_third_asset_are_taken_from_its_balance_and_survive_a_restart(
    tmp_path: Path,
):
    async with faulty_venue(tmp_path) as venue:
        before = await venue.total("ETH")
        await venue.faults.act("fee_asset", asset="ETH", rate="0.001")
        await venue.buy("mine")
        await venue.faults.act("fee_asset", asset="BNB", rate="0.002")
        await venue.rest("dear", quantity="0.5")
        await venue.faults.act("fill", client_order_id="dear")
        [fee] = {(trade.fee, trade.fee_asset) for trade in venue.log.trades_named("dear")}
        assert fee == (D(40), "BNB")
        eth_fees = sum(t.fee for t in venue.log.trades_named("mine") if t.fee_asset == "ETH")
        assert 0 < eth_fees == before - await venue.total("ETH")
        assert await venue.total("BTC") == D("1000.51")
        shown = await venue.client.fetch_balance()
    async with faulty_venue(tmp_path) as again:
        assert (await again.client.fetch_balance())["total"] == shown["total"]
    log = read_log(tmp_path / "journal.jsonl")
    judged = {asset: balance.total for asset, balance in log.final_balances("main").items()}
    assert judged == {asset: D(amount) for asset, amount in shown["total"].items()}
    assert log.deposits["main"]["BNB"] == D(40)


@pytest.mark.parametrize("offset_ms", [-HOUR_MS, -1_500, 1_500, HOUR_MS])
async def test_the_venues_clock_can_be_wrong_by_as_much_as_one_likes(venue: FaultyVenue, offset_ms):
    venue.client.options["recvWindow"] = 500
    right = await venue.client.fetch_time()
    await venue.faults.act("clock", offset_ms=offset_ms)
    wrong = await venue.client.fetch_time()
    assert abs(wrong - right - offset_ms) < 500
    assert await outcome(venue.buy("mine")) is ccxt.InvalidNonce
    venue.client.options["timeDifference"] = -offset_ms
    order = await venue.buy("mine")
    assert abs(order["timestamp"] - wrong) < 2_000
    await venue.faults.clear()
    venue.client.options["timeDifference"] = 0
    assert (await venue.buy("again"))["status"] == "closed"


async def test_orders_can_be_placed_and_cancelled_by_hand(venue: FaultyVenue):
    told = await venue.faults.act(
        "place", account="main", symbol=PAIR, side="sell", quantity="0.1", price="60000"
    )
    assert told["client_order_id"].startswith("web_")
    [order] = await venue.client.fetch_open_orders(PAIR)
    assert order["id"] == str(told["order_id"])
    await venue.faults.act("cancel", order_id=told["order_id"])
    assert await venue.client.fetch_open_orders(PAIR) == []
    bought = await venue.faults.act(
        "place", account="main", symbol=PAIR, side="buy", quantity="0.1"
    )
    assert bought["status"] == "FILLED"
    with pytest.raises(ControlError, match="place: refused: LOT_SIZE"):
        await venue.faults.act(
            "place", account="main", symbol=PAIR, side="buy", quantity="0.000000001"
        )


async def test_money_comes_and_goes_without_a_trade_and_the_judge_counts_it(venue: FaultyVenue):
    before = await venue.total("USDT")
    for amount in ("250.5", "-100"):
        await venue.faults.act("deposit", account="main", asset="USDT", amount=amount)
    assert await venue.total("USDT") == before + D("150.5")
    told = await venue.faults.act("deposit", account="main", asset="NEW", amount="2")
    assert (told["free"], told["locked"]) == ("2", "0")
    with pytest.raises(ControlError, match="deposit: refused: INSUFFICIENT_BALANCE"):
        await venue.faults.act("deposit", account="main", asset="NEW", amount="-2.1")
    log = venue.log
    assert log.final_balances("main")["NEW"].total == D(2)
    assert log.final_balances("main")["USDT"].total == before + D("150.5")
    assert log.trades == []
