"""What every gateway must do, shown on the real ccxt classes against the paper exchange.

The exchange's journal is the judge of what was sent and what happened.
"""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.venues.ccxt_gateway import open_gateway
from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    SymbolUnknownError,
    VenueClockError,
    VenueRejectedError,
    VenueUnavailableError,
)
from tests.contract.gateway_venue import (
    SYMBOL,
    VENUES,
    Venue,
    access,
    resting_inside_the_spread,
    trade_at,
    venue_at,
)
from workflows.domain.orders import Side, TimeInForce, client_order_id
from workflows.domain.reports import RejectionFamily, VenueStatus

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

in_binances_words = pytest.mark.parametrize("venue", ["binance", "binanceus"], indirect=True)
"""For tests of what is on the wire, or of a rule that other venues have in another form."""


@pytest.fixture(params=VENUES)
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(request.param, tmp_path) as venue:
        yield venue


@in_binances_words
async def test_an_instrument_carries_the_venues_grid_exactly(venue: Venue) -> None:
    rules = await venue.gateway.instrument(SYMBOL)
    spec = next(spec for spec in venue.exchange.exchange.config.specs() if spec.name == SYMBOL)
    assert (rules.tick, rules.step, rules.min_notional) == (spec.tick, spec.lot, spec.min_notional)
    assert (rules.base, rules.quote, rules.venue) == ("BTC", "USDT", venue.gateway.venue)
    assert rules.is_trading


async def test_the_symbols_are_loaded_once_for_many_callers(venue: Venue) -> None:
    await asyncio.gather(*(venue.gateway.instrument(SYMBOL) for _ in range(20)))
    listings = [r for r in venue.records("request") if r["path"].endswith("exchangeInfo")]
    assert len(listings) <= 1  # 0 where the journal leaves public requests out


async def test_a_symbol_that_is_not_listed_is_told_apart(venue: Venue) -> None:
    with pytest.raises(SymbolUnknownError):
        await venue.gateway.instrument("XXX/YYY")
    with pytest.raises(SymbolUnknownError):
        await venue.gateway.quote("XXX/YYY")


async def test_a_quote_is_an_uncrossed_touch(venue: Venue) -> None:
    quote = await venue.gateway.quote(SYMBOL)
    assert 0 < quote.bid < quote.ask
    assert abs(quote.mid - 50_000) < 5_000


async def test_the_venues_clock_is_near_ours_on_one_machine(venue: Venue) -> None:
    assert abs(await venue.gateway.clock_offset_ms()) < 2_000


async def test_a_market_order_answers_with_fills_and_exact_fees(venue: Venue) -> None:
    report = await venue.submit(venue.market(quantity=Decimal("0.0500")))
    assert report.status is VenueStatus.FILLED
    assert report.executed_quantity == report.filled_quantity == Decimal("0.05")
    assert report.is_settled
    booked = {str(trade["trade_id"]): trade for trade in venue.records("trade")}
    for fill in report.fills:
        assert not fill.is_maker
        trade = booked[fill.trade_id]
        assert (fill.price, fill.quantity) == (Decimal(trade["price"]), Decimal(trade["quantity"]))
        assert (fill.fee, fill.fee_asset) == (Decimal(trade["fee"]), trade["fee_asset"])


@in_binances_words
async def test_a_market_order_is_one_post_without_time_in_force(venue: Venue) -> None:
    intent = venue.market()
    signed_at_ms = await venue.gateway.venue_time_ms()
    await venue.gateway.submit(intent, signed_at_ms=signed_at_ms)
    (post,) = venue.posts()
    sent = post["params"]
    assert "timeInForce" not in sent
    assert sent["newClientOrderId"] == intent.client_order_id
    assert sent["timestamp"] == str(signed_at_ms)
    assert sent["recvWindow"] == "5000"
    assert sent["newOrderRespType"] == "FULL"


@in_binances_words
@pytest.mark.parametrize("time_in_force", list(TimeInForce))
async def test_a_limit_order_carries_its_time_in_force(
    venue: Venue, time_in_force: TimeInForce
) -> None:
    report = await venue.submit(venue.intent(time_in_force=time_in_force))
    (post,) = venue.posts()
    assert (post["params"]["type"], post["params"]["timeInForce"]) == ("LIMIT", time_in_force.value)
    resting = time_in_force is TimeInForce.GTC
    assert report.status is (VenueStatus.OPEN if resting else VenueStatus.EXPIRED)
    assert report.executed_quantity == 0


@in_binances_words
async def test_a_post_only_order_that_would_take_is_rejected_for_its_price(venue: Venue) -> None:
    quote = await venue.gateway.quote(SYMBOL)
    resting = await venue.submit(venue.intent(post_only=True))
    assert resting.status is VenueStatus.OPEN
    with pytest.raises(VenueRejectedError) as refused:
        await venue.submit(venue.intent(post_only=True, price=quote.ask + 100))
    assert (refused.value.code, refused.value.family) == ("-2010", RejectionFamily.PRICE)
    assert {post["params"]["type"] for post in venue.posts()} == {"LIMIT_MAKER"}


@in_binances_words
async def test_fifty_submissions_at_once_are_each_signed_with_their_own_time(venue: Venue) -> None:
    base_ms = await venue.gateway.venue_time_ms()
    intents = [venue.intent() for _ in range(50)]
    pins = {intent.client_order_id: base_ms - 7 * n for n, intent in enumerate(intents)}
    await asyncio.gather(
        *(venue.gateway.submit(i, signed_at_ms=pins[i.client_order_id]) for i in intents)
    )
    sent = {p["params"]["newClientOrderId"]: int(p["params"]["timestamp"]) for p in venue.posts()}
    assert sent == pins
    assert len(venue.posts()) == 50


async def test_off_grid_values_are_refused_before_anything_is_sent(venue: Venue) -> None:
    rules = await venue.gateway.instrument(SYMBOL)
    off_grid = [
        venue.intent(price=Decimal(40000) + rules.tick / 2),
        venue.intent(quantity=Decimal("0.01") + rules.step / 10),
        venue.intent(quantity=rules.step / 10),
        venue.market(quantity=Decimal("0.01") + rules.step / 2),
    ]
    for intent in off_grid:
        with pytest.raises(VenueRejectedError) as refused:
            await venue.submit(intent)
        assert (refused.value.code, refused.value.family) == ("PRECISION", RejectionFamily.FILTER)
    assert venue.posts() == []


@in_binances_words
@pytest.mark.parametrize(
    ("changes", "code", "family"),
    [
        ({"quantity": Decimal(1100), "price": Decimal(8000)}, "-2010", RejectionFamily.BALANCE),
        ({"quantity": Decimal("0.0001"), "price": Decimal(100)}, "-1013", RejectionFamily.FILTER),
    ],
    ids=["funds", "notional"],
)
async def test_a_refusal_of_the_venue_carries_its_code(
    venue: Venue, changes: dict[str, Any], code: str, family: RejectionFamily
) -> None:
    with pytest.raises(VenueRejectedError) as refused:
        await venue.submit(venue.intent(side=Side.SELL, **changes))
    assert (refused.value.code, refused.value.family) == (code, family)
    assert "secret-main" not in str(refused.value)
    assert len(venue.posts()) == 1


async def test_an_id_that_exists_is_no_rejection(venue: Venue) -> None:
    intent = venue.intent()
    await venue.submit(intent)
    with pytest.raises(OutcomeUnknownError):
        await venue.submit(intent)
    assert (await venue.gateway.find(SYMBOL, intent.client_order_id, since_ms=0)).fills == ()


@in_binances_words
async def test_a_stale_timestamp_is_a_clock_error(venue: Venue) -> None:
    stale_ms = await venue.gateway.venue_time_ms() - 60_000
    with pytest.raises(VenueClockError) as refused:
        await venue.gateway.submit(venue.intent(), signed_at_ms=stale_ms)
    assert refused.value.code == "-1021"


async def test_an_order_is_found_by_our_id_with_its_fills(venue: Venue) -> None:
    intent = venue.market(quantity=Decimal("0.0300"))
    answered = await venue.submit(intent)
    found = await venue.gateway.find(SYMBOL, intent.client_order_id, since_ms=0)
    assert found.client_order_id == intent.client_order_id
    assert found.is_settled
    assert {fill.trade_id: (fill.price, fill.quantity, fill.fee) for fill in found.fills} == {
        fill.trade_id: (fill.price, fill.quantity, fill.fee) for fill in answered.fills
    }


async def test_an_order_that_was_never_sent_is_absent(venue: Venue) -> None:
    with pytest.raises(OrderAbsentError):
        await venue.gateway.find(SYMBOL, client_order_id("never", 0), since_ms=0)
    with pytest.raises(OrderAbsentError):
        await venue.gateway.read_order(SYMBOL, "99999999")


async def test_a_partial_fill_is_read_with_its_maker_fee(venue: Venue) -> None:
    intent, venue_order_id = await resting_inside_the_spread(venue, Decimal("0.0300"))
    assert intent.price is not None
    await trade_at(venue, intent.price, Decimal("0.0100"))
    order = await venue.gateway.read_order(SYMBOL, venue_order_id)
    assert (order.quantity, order.price, order.side) == (Decimal("0.03"), intent.price, Side.BUY)
    assert order.report.status is VenueStatus.OPEN
    assert order.report.executed_quantity == order.report.filled_quantity == Decimal("0.01")
    assert all(fill.is_maker for fill in order.report.fills)
    (trade,) = [t for t in venue.records("trade") if t["account"] == "main"]
    assert order.report.fills[0].fee == Decimal(trade["fee"])


async def test_a_cancel_is_a_request_and_the_order_tells_the_result(venue: Venue) -> None:
    report = await venue.submit(venue.intent())
    assert [o.report.venue_order_id for o in await venue.gateway.open_orders(SYMBOL)] == [
        report.venue_order_id
    ]
    await venue.gateway.cancel(SYMBOL, report.venue_order_id)
    order = await venue.gateway.read_order(SYMBOL, report.venue_order_id)
    assert order.report.status is VenueStatus.CANCELLED
    assert order.report.client_order_id == report.client_order_id
    assert await venue.gateway.open_orders(SYMBOL) == []
    with pytest.raises(OrderAbsentError):
        await venue.gateway.cancel(SYMBOL, report.venue_order_id)


@in_binances_words
async def test_trades_after_a_cursor_are_exactly_the_later_ones(venue: Venue) -> None:
    assert await venue.gateway.last_trade_id(SYMBOL) is None
    assert await venue.gateway.trades_after(SYMBOL, None) == []
    for _ in range(3):
        await venue.submit(venue.market())
    everything = await venue.gateway.trades_after(SYMBOL, None)
    ids = [int(trade.fill.trade_id) for trade in everything]
    assert ids == sorted(ids)
    assert len(ids) >= 3
    mine = [t for t in venue.records("trade") if t["account"] == "main"]
    assert len(ids) == len(mine)
    assert await venue.gateway.last_trade_id(SYMBOL) == str(ids[-1])
    later = await venue.gateway.trades_after(SYMBOL, str(ids[0]))
    assert [int(trade.fill.trade_id) for trade in later] == ids[1:]
    assert await venue.gateway.trades_after(SYMBOL, str(ids[-1])) == []


async def test_balances_move_by_exactly_what_was_filled_and_paid(venue: Venue) -> None:
    before = await venue.gateway.balances()
    report = await venue.submit(venue.market(quantity=Decimal("0.0500")))
    after = await venue.gateway.balances()
    paid = sum((fill.price * fill.quantity for fill in report.fills), Decimal(0))
    fee = sum((fill.fee for fill in report.fills), Decimal(0))
    assert after["USDT"] == before["USDT"] - paid
    assert after["BTC"] == before["BTC"] + Decimal("0.05") - fee


async def test_a_wrong_secret_is_a_rejection_and_unreadable_for_reads(venue: Venue) -> None:
    name, base_url = venue.gateway.venue, venue.exchange.base_url
    thief = open_gateway(access(name, "main", base_url, secret="wrong"))
    try:
        with pytest.raises(VenueRejectedError) as refused:
            await thief.submit(venue.intent(), signed_at_ms=await thief.venue_time_ms())
        assert refused.value.family is RejectionFamily.PERMISSION
        with pytest.raises(VenueUnavailableError):
            await thief.balances()
    finally:
        await thief.close()
