"""The unmodified ccxt classes of two venues trade on the paper exchange as on the real one."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import ccxt
import pytest

from activities.venues.simulator.judge import read_log
from tests.contract.paper_venue import (
    OTHER_KEY,
    OTHER_SECRET,
    PAIR,
    SECRET,
    Venue,
    open_venue,
    refusal,
)

D = Decimal


@pytest.fixture(params=["binance", "binanceus"])
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
async def binance(tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue("binance", tmp_path) as opened:
        yield opened


async def limit(venue: Venue, side: str, price: Decimal, client_id: str, **params: object) -> dict:
    sent = {"clientOrderId": client_id, **params}
    return await venue.client.create_order(PAIR, "limit", side, "0.01", str(price), sent)


async def test_markets_carry_each_venues_own_rules(tmp_path: Path) -> None:
    rules = {}
    for name in ("binance", "binanceus"):
        async with open_venue(name, tmp_path / name) as venue:
            market = venue.client.market(PAIR)
            rules[name] = tuple(
                D(figure)
                for figure in (
                    market["precision"]["price"],
                    market["precision"]["amount"],
                    market["limits"]["cost"]["min"],
                )
            )
    assert rules["binance"] == (D("0.01"), D("0.00001"), D(5))
    assert rules["binanceus"] == (D("0.1"), D("0.0001"), D(10))


async def test_the_book_is_ordered_and_tickers_agree_with_it(venue: Venue) -> None:
    book = await venue.client.fetch_order_book(PAIR, 10)
    bids, asks = [row[0] for row in book["bids"]], [row[0] for row in book["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    ticker = await venue.client.fetch_ticker(PAIR)
    assert (float(ticker["bid"]), float(ticker["ask"])) == (bids[0], asks[0])


async def test_a_market_order_fills_over_several_levels_and_pays_the_takers_fee(
    venue: Venue,
) -> None:
    order = await venue.client.create_order(PAIR, "market", "buy", "1", None, {})
    assert order["status"] == "closed"
    assert len(order["trades"]) > 1
    rate = venue.served.exchange.engine.fees.taker
    assert D(order["fees"][0]["cost"]) == rate
    assert order["fees"][0]["currency"] == "BTC"
    balance = await venue.client.fetch_balance()
    assert D(balance["BTC"]["free"]) == 1000 + 1 - rate
    assert D(balance["USDT"]["free"]) == 100_000_000 - D(order["cost"])


async def test_a_market_order_by_cost_spends_no_more_than_it(binance: Venue) -> None:
    sent = {"cost": "1000"}
    order = await binance.client.create_order(PAIR, "market", "buy", None, None, sent)
    assert order["status"] == "closed"
    assert D("999") < D(order["cost"]) <= D("1000")


async def test_a_limit_order_rests_fills_in_part_and_is_cancelled(venue: Venue) -> None:
    price = await venue.best("asks") - D("0.5")
    order = await limit(venue, "buy", price, "rests")
    assert (order["status"], order["clientOrderId"]) == ("open", "rests")
    assert [each["id"] for each in await venue.client.fetch_open_orders(PAIR)] == [order["id"]]
    await venue.trade_against("SELL", "0.004")
    found = await venue.client.fetch_order(None, PAIR, {"clientOrderId": "rests"})
    assert (found["id"], found["status"], D(found["filled"])) == (order["id"], "open", D("0.004"))
    cancelled = await venue.client.cancel_order(None, PAIR, {"clientOrderId": "rests"})
    assert cancelled["status"] == "canceled"
    after = await venue.client.fetch_order(order["id"], PAIR)
    assert (after["status"], D(after["filled"])) == ("canceled", D("0.004"))
    assert D((await venue.client.fetch_balance())["USDT"]["used"]) == 0


async def test_own_trades_are_found_by_symbol_by_order_and_from_an_id_on(venue: Venue) -> None:
    first = await venue.client.create_order(PAIR, "market", "buy", "0.5", None, {})
    second = await venue.client.create_order(PAIR, "market", "sell", "0.01", None, {})
    trades = await venue.client.fetch_my_trades(PAIR)
    assert sum(D(trade["amount"]) for trade in trades) == D("0.51")
    of_order = await venue.client.fetch_order_trades(first["id"], PAIR)
    assert sum(D(trade["amount"]) for trade in of_order) == D("0.5")
    last = trades[-1]
    from_last = await venue.client.fetch_my_trades(PAIR, None, None, {"fromId": last["id"]})
    assert [trade["id"] for trade in from_last] == [last["id"]]
    assert last["order"] == second["id"]
    assert last["fee"]["currency"] == "USDT"


async def test_trades_since_a_time_leave_out_the_earlier_ones(binance: Venue) -> None:
    await binance.client.create_order(PAIR, "market", "buy", "0.01", None, {})
    first = (await binance.client.fetch_my_trades(PAIR))[0]
    since = first["timestamp"]
    assert await binance.client.fetch_my_trades(PAIR, since + 60_000) == []
    found = await binance.client.fetch_my_trades(PAIR, since)
    assert [trade["id"] for trade in found] == [first["id"]]


async def test_immediate_or_cancel_expires_the_rest(venue: Venue) -> None:
    ask = await venue.best("asks")
    sent = {"timeInForce": "IOC"}
    order = await venue.client.create_order(PAIR, "limit", "buy", "5", str(ask), sent)
    assert order["status"] == "expired"
    assert 0 < D(order["filled"]) < 5


async def test_fill_or_kill_leaves_no_trace_but_an_expired_order(venue: Venue) -> None:
    ask = await venue.best("asks")
    sent = {"timeInForce": "FOK"}
    order = await venue.client.create_order(PAIR, "limit", "buy", "5", str(ask), sent)
    assert (order["status"], D(order["filled"])) == ("expired", D(0))


async def test_post_only_rests_below_the_ask_and_is_refused_at_it(venue: Venue) -> None:
    ask = await venue.best("asks")
    order = await limit(venue, "buy", ask - D("0.5"), "maker", postOnly=True)
    found = await venue.client.fetch_order(order["id"], PAIR)
    assert (found["status"], found["postOnly"]) == ("open", True)
    refused = await refusal(limit(venue, "buy", ask, "taker", postOnly=True))
    assert type(refused) is ccxt.OrderImmediatelyFillable


async def test_an_open_orders_client_id_is_taken_and_a_finished_ones_is_free(
    venue: Venue,
) -> None:
    price = await venue.best("bids") - 100
    order = await limit(venue, "buy", price, "twice")
    refused = await refusal(limit(venue, "buy", price, "twice"))
    assert type(refused) is ccxt.InvalidOrder
    assert "Duplicate order sent." in str(refused)
    await venue.client.cancel_order(order["id"], PAIR)
    assert (await limit(venue, "buy", price, "twice"))["id"] != order["id"]
    assert read_log(venue.journal).duplicates("main") == {"twice": 2}


async def test_too_little_money_is_insufficient_funds(venue: Venue) -> None:
    refused = await refusal(
        venue.client.create_order(PAIR, "limit", "buy", "8000", "2000", {"clientOrderId": "a"})
    )
    assert type(refused) is ccxt.BadRequest  # beyond the largest notional
    refused = await refusal(
        venue.client.create_order(PAIR, "limit", "sell", "1001", "2000", {"clientOrderId": "a"})
    )
    assert type(refused) is ccxt.InsufficientFunds
    assert read_log(venue.journal).orders == {}


async def test_accounts_do_not_see_each_other(binance: Venue) -> None:
    price = await binance.best("bids") - 100
    order = await limit(binance, "buy", price, "mine")
    other = binance.another_client(OTHER_KEY, OTHER_SECRET)
    assert await other.fetch_open_orders(PAIR) == []
    refused = await refusal(other.fetch_order(order["id"], PAIR))
    assert type(refused) is ccxt.OrderNotFound
    refused = await refusal(other.cancel_order(order["id"], PAIR))
    assert type(refused) is ccxt.OrderNotFound


async def test_an_unknown_order_is_not_found(venue: Venue) -> None:
    for call in (
        venue.client.fetch_order("999", PAIR),
        venue.client.fetch_order(None, PAIR, {"clientOrderId": "nobody"}),
        venue.client.cancel_order("999", PAIR),
    ):
        assert type(await refusal(call)) is ccxt.OrderNotFound


async def test_a_wrong_secret_or_key_is_an_authentication_error(venue: Venue) -> None:
    wrong_secret = venue.another_client(secret=SECRET + "x")
    refused = await refusal(wrong_secret.fetch_balance())
    assert isinstance(refused, ccxt.AuthenticationError)
    assert "-1022" in str(refused)
    wrong_key = venue.another_client(key="nobody")
    refused = await refusal(wrong_key.fetch_balance())
    assert "-2015" in str(refused)


async def test_each_request_is_in_the_log_without_its_signature(venue: Venue) -> None:
    await venue.client.create_order(PAIR, "market", "buy", "0.01", None, {"clientOrderId": "one"})
    await refusal(venue.client.fetch_order("999", PAIR))
    log = read_log(venue.journal)
    posted = next(each for each in log.requests if each.method == "POST")
    assert (posted.path, posted.account, posted.status) == ("/api/v3/order", "main", 200)
    assert posted.params["newClientOrderId"] == "one"
    assert (log.requests[-1].status, log.requests[-1].code) == (400, -2013)
    text = venue.journal.read_text()
    assert "signature=" not in text
    assert '"signature":' not in text
    assert SECRET not in text
