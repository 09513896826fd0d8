"""The unmodified ccxt class of OKX trades on the paper exchange as on the real one."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from activities.venues.simulator.judge import read_log
from tests.contract.paper_venue import (
    OTHER_KEY,
    OTHER_SECRET,
    PAIR,
    PASSPHRASE,
    SECRET,
    Venue,
    open_venue,
    refusal,
)

D = Decimal
START_BTC, START_USDT = D(1_000), D(100_000_000)
MAKER, TAKER = D("0.0008"), D("0.001")
EIGHT_PLACES = D("0.00000001")


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with open_venue("okx", tmp_path) as opened:
        yield opened


async def placed(
    venue: Venue, kind: str, side: str, quantity: str, price: object, client_id: str, **sent: object
) -> Any:
    """The order as it stands right after it was acknowledged."""
    shown = None if price is None else str(price)
    params = {"clientOrderId": client_id, **sent}
    acknowledged = await venue.client.create_order(PAIR, kind, side, quantity, shown, params)
    assert acknowledged["clientOrderId"] == client_id
    assert acknowledged["status"] is None
    assert acknowledged["filled"] is None
    return await venue.client.fetch_order(acknowledged["id"], PAIR)


async def balance(venue: Venue, asset: str) -> tuple[Decimal, Decimal]:
    """What is free and what is locked."""
    row = (await venue.client.fetch_balance())[asset]
    return D(row["free"]), D(row["used"])


def cut(amount: Decimal) -> Decimal:
    """As fees are: to eight places."""
    return amount // EIGHT_PLACES * EIGHT_PLACES


async def test_the_market_carries_the_venues_own_rules(venue: Venue) -> None:
    market = venue.client.market(PAIR)
    assert (market["id"], market["active"]) == ("BTC-USDT", True)
    assert D(market["precision"]["price"]) == D("0.1")
    assert D(market["precision"]["amount"]) == D("0.000001")
    assert D(market["limits"]["amount"]["min"]) == D("0.0001")
    assert market["limits"]["cost"]["min"] is None


async def test_a_halted_symbol_is_not_active_and_takes_no_order(venue: Venue) -> None:
    venue.served.exchange.engine.halted.add(PAIR)
    await venue.client.load_markets(True)
    assert venue.client.market(PAIR)["active"] is False
    refused = await refusal(venue.client.create_order(PAIR, "limit", "buy", "0.01", "40000"))
    assert type(refused) is ccxt.ContractUnavailable


async def test_book_tickers_trades_and_time_agree(venue: Venue) -> None:
    client = venue.client
    book = await client.fetch_order_book(PAIR, 10)
    bids, asks = [row[0] for row in book["bids"]], [row[0] for row in book["asks"]]
    assert (len(bids), len(asks)) == (10, 10)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    ticker = await client.fetch_ticker(PAIR)
    assert (float(ticker["bid"]), float(ticker["ask"])) == (bids[0], asks[0])
    assert set(await client.fetch_tickers()) == {PAIR, "ETH/USDT"}
    assert await client.fetch_trades(PAIR) == []
    await client.create_order(PAIR, "market", "buy", "0.01", None)
    assert [D(each["amount"]) for each in await client.fetch_trades(PAIR)] == [D("0.01")]
    assert abs(await client.fetch_time() - venue.served.exchange.now_ms()) < 5_000
    assert len((await client.fetch_order_book(PAIR, 500))["bids"]) > 10


async def test_a_limit_order_rests_fills_in_part_and_is_cancelled(venue: Venue) -> None:
    price = await venue.best("asks") - D("0.5")
    order = await placed(venue, "limit", "buy", "0.01", price, "rests")
    assert (order["status"], D(order["filled"])) == ("open", D(0))
    assert await balance(venue, "USDT") == (START_USDT - price * D("0.01"), price * D("0.01"))
    await venue.trade_against("SELL", "0.004")
    found = await venue.client.fetch_order(None, PAIR, {"clientOrderId": "rests"})
    assert (found["id"], found["status"], D(found["filled"])) == (order["id"], "open", D("0.004"))
    assert found["info"]["state"] == "partially_filled"
    acknowledged = await venue.client.cancel_order(None, PAIR, {"clientOrderId": "rests"})
    assert (acknowledged["id"], acknowledged["status"]) == (order["id"], None)
    after = await venue.client.fetch_order(order["id"], PAIR)
    assert (after["status"], D(after["filled"])) == ("canceled", D("0.004"))
    assert after["info"]["cancelSource"] == "1"
    assert await balance(venue, "USDT") == (START_USDT - price * D("0.004"), D(0))
    assert await balance(venue, "BTC") == (START_BTC + D("0.004") - D("0.004") * MAKER, D(0))


async def test_a_market_order_fills_over_several_levels_and_pays_the_takers_fee(
    venue: Venue,
) -> None:
    order = await placed(venue, "market", "buy", "1", None, "takes")
    assert (order["status"], D(order["filled"])) == ("closed", D(1))
    trades = await venue.client.fetch_order_trades(order["id"], PAIR)
    assert len(trades) > 1
    cost = sum(D(trade["price"]) * D(trade["amount"]) for trade in trades)
    fee = sum(cut(D(trade["amount"]) * TAKER) for trade in trades)
    assert {trade["fee"]["currency"] for trade in trades} == {"BTC"}
    assert {trade["takerOrMaker"] for trade in trades} == {"taker"}
    assert sum(D(trade["fee"]["cost"]) for trade in trades) == fee
    assert (D(order["fee"]["cost"]), order["fee"]["currency"]) == (fee, "BTC")
    assert D(order["info"]["fee"]) == -fee
    assert await balance(venue, "BTC") == (START_BTC + 1 - fee, D(0))
    assert await balance(venue, "USDT") == (START_USDT - cost, D(0))


async def test_a_sale_pays_its_fee_in_what_it_receives(venue: Venue) -> None:
    order = await placed(venue, "market", "sell", "0.3", None, "sells")
    trades = await venue.client.fetch_order_trades(order["id"], PAIR)
    amounts = [D(trade["price"]) * D(trade["amount"]) for trade in trades]
    fee = sum(cut(amount * TAKER) for amount in amounts)
    assert (D(order["fee"]["cost"]), order["fee"]["currency"]) == (fee, "USDT")
    assert await balance(venue, "USDT") == (START_USDT + sum(amounts) - fee, D(0))
    assert await balance(venue, "BTC") == (START_BTC - D("0.3"), D(0))


async def test_a_market_order_by_cost_spends_no_more_than_it(venue: Venue) -> None:
    sent = {"tgtCcy": "quote_ccy", "cost": "1000"}
    order = await placed(venue, "market", "buy", "1", None, "spends", **sent)
    assert order["status"] == "closed"
    assert order["info"]["tgtCcy"] == "quote_ccy"
    spent = START_USDT - (await balance(venue, "USDT"))[0]
    assert D("999") < spent <= D("1000")


async def test_immediate_or_cancel_cancels_the_rest(venue: Venue) -> None:
    ask = await venue.best("asks")
    order = await placed(venue, "limit", "buy", "5", ask, "ioc", timeInForce="IOC")
    assert (order["status"], order["timeInForce"]) == ("canceled", "IOC")
    assert 0 < D(order["filled"]) < 5
    assert order["info"]["cancelSource"] == "14"
    assert (await balance(venue, "USDT"))[1] == 0


async def test_fill_or_kill_is_cancelled_whole(venue: Venue) -> None:
    ask = await venue.best("asks")
    order = await placed(venue, "limit", "buy", "5", ask, "fok", timeInForce="FOK")
    assert (order["status"], D(order["filled"])) == ("canceled", D(0))
    assert order["info"]["cancelSource"] == "13"
    filled = await placed(venue, "limit", "buy", "0.001", ask, "fok2", timeInForce="FOK")
    assert filled["status"] == "closed"


async def test_post_only_rests_below_the_ask_and_is_cancelled_at_it(venue: Venue) -> None:
    ask = await venue.best("asks")
    rests = await placed(venue, "limit", "buy", "0.01", ask - D("0.5"), "maker", postOnly=True)
    assert (rests["status"], rests["postOnly"]) == ("open", True)
    # OKX takes such an order and cancels it; only its state tells.
    ends = await placed(venue, "limit", "buy", "0.01", ask, "taker", postOnly=True)
    assert (ends["status"], D(ends["filled"])) == ("canceled", D(0))
    assert ends["info"]["cancelSource"] == "31"
    assert await venue.best("asks") == ask


async def test_a_client_id_is_taken_while_its_order_is_open_and_a_moment_longer(
    venue: Venue,
) -> None:
    price = await venue.best("bids") - 100
    order = await placed(venue, "limit", "buy", "0.01", price, "twice")

    async def again() -> Any:
        sent = {"clientOrderId": "twice"}
        return await venue.client.create_order(PAIR, "limit", "buy", "0.01", str(price), sent)

    for _ in range(2):
        refused = await refusal(again())
        assert type(refused) is ccxt.InvalidOrder
        assert '"sCode":"51016"' in str(refused)
        if (await venue.client.fetch_order(order["id"], PAIR))["status"] == "open":
            await venue.client.cancel_order(order["id"], PAIR)
    venue.served.exchange.clock_offset_ms = 6_000
    second = await again()
    latest = await venue.client.fetch_order(None, PAIR, {"clientOrderId": "twice"})
    assert latest["id"] == second["id"] != order["id"]
    assert read_log(venue.journal).duplicates("main") == {"twice": 2}


async def test_one_bad_order_of_several_does_not_stop_the_others(venue: Venue) -> None:
    orders = [
        {"symbol": PAIR, "type": "limit", "side": "buy", "amount": amount, "price": "40000"}
        for amount in ("0.01", "3000", "0.02")
    ]
    done = await venue.client.create_orders(orders)
    assert [each["status"] for each in done] == [None, "rejected", None]
    assert done[1]["info"]["sCode"] == "51203"
    assert len(await venue.client.fetch_open_orders(PAIR)) == 2
    ids = [done[0]["id"], done[2]["id"]]
    await venue.client.cancel_orders(ids, PAIR)
    assert await venue.client.fetch_open_orders(PAIR) == []


async def test_open_orders_come_newest_first_and_page_by_order_id(venue: Venue) -> None:
    ids = [
        (await placed(venue, "limit", "buy", "0.01", 40_000 - each, f"page{each}"))["id"]
        for each in range(5)
    ]
    listed = await venue.client.privateGetTradeOrdersPending({"instType": "SPOT", "limit": "2"})
    assert [row["ordId"] for row in listed["data"]] == ids[:2:-1]
    older = await venue.client.privateGetTradeOrdersPending({"after": ids[3], "limit": "2"})
    assert [row["ordId"] for row in older["data"]] == [ids[2], ids[1]]
    newer = await venue.client.privateGetTradeOrdersPending({"before": ids[3]})
    assert [row["ordId"] for row in newer["data"]] == [ids[4]]


async def test_finished_orders_are_listed_by_how_they_ended(venue: Venue) -> None:
    filled = await placed(venue, "market", "buy", "0.01", None, "done")
    open_ = await placed(venue, "limit", "buy", "0.01", 40_000, "open")
    cancelled = await placed(venue, "limit", "buy", "0.01", 39_000, "gone")
    await venue.client.cancel_order(cancelled["id"], PAIR)
    closed = await venue.client.fetch_closed_orders(PAIR)
    assert [each["id"] for each in closed] == [filled["id"]]
    assert [each["id"] for each in await venue.client.fetch_canceled_orders(PAIR)] == [
        cancelled["id"]
    ]
    assert [each["id"] for each in await venue.client.fetch_open_orders(PAIR)] == [open_["id"]]
    later = filled["timestamp"] + 60_000
    assert await venue.client.fetch_closed_orders(PAIR, later) == []


async def test_a_cancelled_order_without_fills_is_forgotten_after_two_hours(venue: Venue) -> None:
    order = await placed(venue, "limit", "buy", "0.01", 40_000, "gone")
    await venue.client.cancel_order(order["id"], PAIR)
    ask = await venue.best("asks")
    kept = await placed(venue, "limit", "buy", "5", ask, "kept", timeInForce="IOC")
    venue.served.exchange.clock_offset_ms = 2 * 3_600_000 + 1_000
    venue.client.options["timeDifference"] = -venue.served.exchange.clock_offset_ms
    for asked in ((order["id"], {}), (None, {"clientOrderId": "gone"})):
        refused = await refusal(venue.client.fetch_order(asked[0], PAIR, asked[1]))
        assert type(refused) is ccxt.OrderNotFound
    assert [each["id"] for each in await venue.client.fetch_canceled_orders(PAIR)] == [kept["id"]]


async def test_own_trades_are_found_by_symbol_by_order_and_by_time(venue: Venue) -> None:
    first = await placed(venue, "market", "buy", "0.5", None, "first")
    second = await placed(venue, "market", "sell", "0.01", None, "second")
    trades = await venue.client.fetch_my_trades(PAIR)
    assert sum(D(trade["amount"]) for trade in trades) == D("0.51")
    of_order = await venue.client.fetch_order_trades(first["id"], PAIR)
    assert sum(D(trade["amount"]) for trade in of_order) == D("0.5")
    assert {trade["order"] for trade in of_order} == {first["id"]}
    since = trades[0]["timestamp"]
    assert len(await venue.client.fetch_my_trades(PAIR, since)) == len(trades)
    assert await venue.client.fetch_my_trades(PAIR, since + 60_000) == []
    until = {"until": since - 1}
    assert await venue.client.fetch_my_trades(PAIR, None, None, until) == []
    newest = await venue.client.fetch_my_trades(PAIR, None, 1)
    assert [(each["order"], each["info"]["clOrdId"]) for each in newest] == [
        (second["id"], "second")
    ]


async def test_fills_page_by_bill_id_over_all_symbols_without_gap_or_double(venue: Venue) -> None:
    await placed(venue, "market", "buy", "1", None, "bitcoin")
    await venue.client.create_order("ETH/USDT", "market", "sell", "10", None)
    whole = (await venue.client.privateGetTradeFillsHistory({"instType": "SPOT"}))["data"]
    assert {row["instId"] for row in whole} == {"BTC-USDT", "ETH-USDT"}
    paged: list[Any] = []
    page = {"instType": "SPOT", "limit": "3"}
    while rows := (await venue.client.privateGetTradeFillsHistory(page))["data"]:
        assert len(rows) <= 3
        paged += rows
        page["after"] = rows[-1]["billId"]
    assert paged == whole
    bills = [int(row["billId"]) for row in whole]
    assert bills == sorted(set(bills), reverse=True)
    newer = {"instType": "SPOT", "before": whole[2]["billId"]}
    assert (await venue.client.privateGetTradeFillsHistory(newer))["data"] == whole[:2]
    assert (await venue.client.privateGetTradeFills({}))["data"] == whole


async def test_fees_are_told_negative_and_read_as_paid(venue: Venue) -> None:
    fee = await venue.client.fetch_trading_fee(PAIR)
    assert (D(fee["maker"]), D(fee["taker"])) == (MAKER, TAKER)
    assert (fee["info"]["maker"], fee["info"]["taker"]) == ("-0.0008", "-0.001")


async def test_balances_can_be_asked_for_by_asset_and_leave_out_what_is_zero(
    venue: Venue,
) -> None:
    told = await venue.client.privateGetAccountBalance({"ccy": "ETH,XRP"})
    assert [row["ccy"] for row in told["data"][0]["details"]] == ["ETH"]
    accounts = await venue.client.fetch_accounts()
    assert len(accounts) == 1


async def test_too_little_money_is_insufficient_funds(venue: Venue) -> None:
    refused = await refusal(venue.client.create_order(PAIR, "limit", "sell", "1001", "2000"))
    assert type(refused) is ccxt.InsufficientFunds
    assert read_log(venue.journal).orders == {}


async def test_accounts_do_not_see_each_other(venue: Venue) -> None:
    order = await placed(venue, "limit", "buy", "0.01", 40_000, "mine")
    other = venue.another_client(OTHER_KEY, OTHER_SECRET)
    assert await other.fetch_open_orders(PAIR) == []
    for call in (other.fetch_order(order["id"], PAIR), other.cancel_order(order["id"], PAIR)):
        assert type(await refusal(call)) is ccxt.OrderNotFound


async def test_an_unknown_order_is_not_found(venue: Venue) -> None:
    for call in (
        venue.client.fetch_order("999", PAIR),
        venue.client.fetch_order(None, PAIR, {"clientOrderId": "nobody"}),
        venue.client.cancel_order("999", PAIR),
    ):
        assert type(await refusal(call)) is ccxt.OrderNotFound


async def test_a_wrong_key_secret_or_passphrase_is_an_authentication_error(venue: Venue) -> None:
    for changes, code in (
        ({"key": "nobody"}, "50111"),
        ({"secret": SECRET + "x"}, "50113"),
        ({"passphrase": PASSPHRASE + "x"}, "50105"),
    ):
        refused = await refusal(venue.another_client(**changes).fetch_balance())
        assert type(refused) is ccxt.AuthenticationError
        assert code in str(refused)


async def test_each_request_is_in_the_log_without_its_signature(venue: Venue) -> None:
    await placed(venue, "market", "buy", "0.01", None, "one")
    await refusal(venue.client.fetch_order("999", PAIR))
    log = read_log(venue.journal)
    posted = next(each for each in log.requests if each.method == "POST")
    assert (posted.account, posted.status, posted.code) == ("main", 200, 0)
    assert (posted.params["clOrdId"], posted.params["instId"]) == ("one", "BTC-USDT")
    assert (log.requests[-1].path, log.requests[-1].code) == ("/api/v5/trade/order", 51603)
    assert log.contradictions() == []
    text = venue.journal.read_text()
    assert SECRET not in text
    assert PASSPHRASE not in text


async def test_a_restart_finds_orders_fills_and_balances_as_they_were(tmp_path: Path) -> None:
    async with open_venue("okx", tmp_path) as venue:
        await placed(venue, "limit", "buy", "0.01", 40_000, "open")
        await placed(venue, "market", "buy", "1", None, "done")
        before = await shown(venue)
    async with open_venue("okx", tmp_path) as venue:
        assert await shown(venue) == before


async def shown(venue: Venue) -> Any:
    """What a client can see of its account."""
    client = venue.client
    return (
        (await client.privateGetTradeOrdersPending())["data"],
        (await client.privateGetTradeOrdersHistory({"instType": "SPOT"}))["data"],
        (await client.privateGetTradeFills())["data"],
        [(await balance(venue, asset)) for asset in ("BTC", "USDT")],
    )
