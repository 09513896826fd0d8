"""Depth, fees and free funds: what an execution asks a venue before it decides."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
from tests.contract.dialect_venues.roster import VENUES as SCRIPTED
from tests.contract.dialect_venues.scripted import Answer, served
from tests.contract.gateway_venue import SYMBOL, VENUES, Venue, venue_at

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

D = Decimal
AtVenue = tuple[Any, CcxtGateway]
LEVELS = 40


@pytest.fixture(params=VENUES)
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(request.param, tmp_path) as venue:
        yield venue


# --- against the paper exchange -------------------------------------------------------------------


async def test_a_book_is_sorted_uncrossed_and_as_deep_as_asked(venue: Venue) -> None:
    book = await venue.gateway.book(SYMBOL, LEVELS)
    for side, sign in ((book.bids, -1), (book.asks, 1)):
        prices = [level.price * sign for level in side]
        assert prices == sorted(set(prices))
        assert len(side) == LEVELS
        assert all(level.quantity > 0 for level in side)
    quote = await venue.gateway.quote(SYMBOL)
    assert (quote.bid, quote.ask) == (book.bids[0].price, book.asks[0].price)


async def test_a_book_shows_a_resting_order_of_ours(venue: Venue) -> None:
    intent = venue.intent(price=D("49990.0"), quantity=D("0.0300"))
    before = await venue.gateway.book(SYMBOL, LEVELS)
    await venue.submit(intent)
    after = await venue.gateway.book(SYMBOL, LEVELS)
    here = {level.price: level.quantity for level in before.bids}
    there = {level.price: level.quantity for level in after.bids}
    assert there[intent.price] - here.get(intent.price, D(0)) == intent.quantity


async def test_fees_are_the_accounts_and_are_asked_once(venue: Venue) -> None:
    rates = venue.exchange.exchange.config.fee_rates()
    answers = await asyncio.gather(*(venue.gateway.fees(SYMBOL) for _ in range(10)))
    assert {(told.maker, told.taker) for told in answers} == {(rates.maker, rates.taker)}
    asked = [r for r in venue.records("request") if "fee" in r["path"] or "account" in r["path"]]
    assert len(asked) == 1


async def test_a_buy_pays_its_fee_as_the_fees_say(venue: Venue) -> None:
    fees = await venue.gateway.fees(SYMBOL)
    intent = venue.market(quantity=D("0.0500"))
    await venue.submit(intent)
    found = await venue.gateway.find(SYMBOL, intent.client_order_id, since_ms=0)
    assert {fill.fee_asset for fill in found.fills} == {"BTC"}
    assert fees.buys_pay_base
    for fill in found.fills:
        assert abs(fill.fee - fill.quantity * fees.taker) < D("0.00000001")


async def test_what_an_order_locks_is_not_free(venue: Venue) -> None:
    total, before = await venue.gateway.balances(), await venue.gateway.free_balances()
    intent = venue.intent()
    await venue.submit(intent)
    assert before == total
    after = await venue.gateway.free_balances()
    assert before["USDT"] - after["USDT"] == intent.quantity * intent.price
    assert await venue.gateway.balances() == total


async def test_an_unlisted_symbol_has_neither_book_nor_fees(venue: Venue) -> None:
    with pytest.raises(SymbolUnknownError):
        await venue.gateway.book("XXX/YYY", 5)
    with pytest.raises(SymbolUnknownError):
        await venue.gateway.fees("XXX/YYY")


# --- at the other venues, in their documented forms -----------------------------------------------

FEE_PATHS: dict[str, tuple[str, str]] = {
    "okx": ("GET", "/api/v5/account/trade-fee"),
    "bybit": ("GET", "/v5/account/fee-rate"),
    "kraken": ("POST", "/0/private/TradeVolume"),
    "coinbase": ("GET", "/api/v3/brokerage/transaction_summary"),
    "kucoin": ("GET", "/api/v1/trade-fees"),
    "gate": ("GET", "/api/v4/wallet/fee"),
}


def fee_answer(venue: Any) -> Any:
    """0.08 % for makers, 0.1 % for takers, as the venue writes it."""
    match venue.venue:
        case "okx":
            row = {"instType": "SPOT", "maker": "-0.0008", "taker": "-0.001"}
            return {"code": "0", "msg": "", "data": [row]}
        case "bybit":
            row = {"symbol": "BTCUSDT", "makerFeeRate": "0.0008", "takerFeeRate": "0.001"}
            return {"retCode": 0, "retMsg": "OK", "result": {"list": [row]}}
        case "kraken":
            market = "XBTUSDT"
            result = {"fees": {market: {"fee": "0.1000"}}, "fees_maker": {market: {"fee": "0.08"}}}
            return {"error": [], "result": result}
        case "coinbase":
            return {"fee_tier": {"maker_fee_rate": "0.0008", "taker_fee_rate": "0.001"}}
        case "kucoin":
            row = {"symbol": "BTC-USDT", "makerFeeRate": "0.0008", "takerFeeRate": "0.001"}
            return {"code": "200000", "data": [row]}
        case "gate":
            return {"maker_fee": "0.0008", "taker_fee": "0.001", "gt_discount": False}
    raise ValueError(venue.venue)


async def test_every_venue_tells_the_accounts_own_fees_as_positive_fractions(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    venue.scripted[FEE_PATHS[venue.venue]] = fee_answer(venue)
    told = await gateway.fees(venue.symbol)
    assert (told.maker, told.taker) == (D("0.0008"), D("0.001"))
    asked = len(venue.requests(*FEE_PATHS[venue.venue]))
    await gateway.fees(venue.symbol)
    assert len(venue.requests(*FEE_PATHS[venue.venue])) == asked >= 1


async def test_fees_that_cannot_be_read_are_never_guessed(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    for broken in (Answer(503, "busy"), {"code": "0", "retCode": 0, "error": [], "result": {}}):
        venue.scripted[FEE_PATHS[venue.venue]] = broken
        with pytest.raises(VenueUnavailableError):
            await gateway.fees(venue.symbol)
    venue.scripted[FEE_PATHS[venue.venue]] = fee_answer(venue)
    assert (await gateway.fees(venue.symbol)).taker == D("0.001")


async def test_free_funds_are_less_than_all_where_orders_hold_some(at_venue: AtVenue) -> None:
    _, gateway = at_venue
    assert (await gateway.balances())["BTC"] == D("1.5")
    assert (await gateway.free_balances())["BTC"] == D(1)


async def test_kucoin_is_asked_for_a_number_of_levels_that_it_knows() -> None:
    venue = SCRIPTED["kucoin"]()
    sizes = {5: 20, 20: 20, 21: 100, 500: 100}
    async with served(venue) as gateway:
        for depth, size in sizes.items():
            path = ("GET", f"/api/v1/market/orderbook/level2_{size}")
            levels = [[str(50_000 + n), "1"] for n in range(size)]
            bids = [[str(49_999 - n), "1"] for n in range(size)]
            data = {"time": 1_700_000_000_000, "bids": bids, "asks": levels}
            venue.scripted[path] = {"code": "200000", "data": data}
            book = await gateway.book(venue.symbol, depth)
            assert len(book.asks) == min(depth, size)
