"""Native orders at the paper exchange: from the gateway's submission to the gateway's report."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    StreamOrder,
    StreamTrade,
    VenueOrder,
    VenueRejectedError,
    VenueUnavailableError,
)
from activities.venues.simulator.faults.client import ControlClient
from tests.contract.gateway_venue import SYMBOL, Venue, venue_at
from workflows.domain.instruments import Native
from workflows.domain.orders import ChildIntent, ChildType, Side
from workflows.domain.reports import ExecutionReport, RejectionFamily, VenueStatus

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

D = Decimal
DEADLINE_S = 10
Market = tuple[Venue, ControlClient]
PRICE = D("50000.0")


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    """A venue on whose market only the test trades; the last price is PRICE."""
    async with venue_at("binance", tmp_path, control_port=0) as venue:
        assert venue.exchange.control_url is not None
        async with ControlClient(venue.exchange.control_url) as control:
            await control.act("freeze_market", symbol=SYMBOL)
            await print_trade(control, PRICE)
            yield venue, control


async def print_trade(control: ControlClient, price: Decimal) -> None:
    await control.act("trade", symbol=SYMBOL, price=str(price), quantity="0.0100")


def exit_at(venue: Venue, child_type: ChildType, **changes: Any) -> ChildIntent:
    """A sell of 0.02, with the trigger that `changes` say."""
    fields: dict[str, Any] = {"side": Side.SELL, "price": None, "quantity": D("0.0200")}
    return venue.intent(child_type=child_type, **{**fields, **changes})


def oco(venue: Venue, **changes: Any) -> ChildIntent:
    """Take-profit at 51,000, stop at 49,000."""
    prices = {"price": PRICE + 1000, "trigger_price": PRICE - 1000}
    return exit_at(venue, ChildType.OCO, **{**prices, **changes})


async def found(venue: Venue, intent: ChildIntent) -> ExecutionReport:
    is_list = intent.child_type is ChildType.OCO
    return await venue.gateway.find(SYMBOL, intent.client_order_id, since_ms=0, is_list=is_list)


async def test_the_venue_tells_that_it_works_all_of_it(market: Market) -> None:
    rules = await market[0].gateway.instrument(SYMBOL)
    assert set(rules.natives) == set(Native)
    assert rules.iceberg_parts is not None
    assert rules.trailing_above is not None
    assert rules.trailing_below is not None


@pytest.mark.parametrize(
    ("child_type", "trigger", "limit"),
    [
        (ChildType.STOP_LOSS, PRICE - 500, None),
        (ChildType.TAKE_PROFIT, PRICE + 500, None),
        (ChildType.STOP_LOSS_LIMIT, PRICE - 500, PRICE - 900),
        (ChildType.TAKE_PROFIT_LIMIT, PRICE + 500, PRICE),
    ],
)
async def test_a_trigger_rests_until_its_price_trades_and_then_fills(
    market: Market, child_type: ChildType, trigger: Decimal, limit: Decimal | None
) -> None:
    venue, control = market
    intent = exit_at(venue, child_type, trigger_price=trigger, price=limit)
    report = await venue.submit(intent)
    assert report.status is VenueStatus.OPEN
    (resting,) = await venue.gateway.open_orders(SYMBOL)
    assert resting.report.client_order_id == intent.client_order_id
    assert (resting.price, resting.quantity) == (limit, intent.quantity)
    await print_trade(control, trigger)
    done = await found(venue, intent)
    assert (done.status, done.is_settled) == (VenueStatus.FILLED, True)
    assert done.executed_quantity == intent.quantity
    assert done.venue_order_id == report.venue_order_id


async def test_a_trailing_stop_follows_the_market_up_and_fires_on_the_way_down(
    market: Market,
) -> None:
    venue, control = market
    intent = exit_at(venue, ChildType.STOP_LOSS, trailing_delta_bps=100)
    await venue.submit(intent)
    for price in (PRICE - 400, PRICE + 1000, PRICE + 500):
        await print_trade(control, price)
        assert (await found(venue, intent)).status is VenueStatus.OPEN
    await print_trade(control, PRICE + 490)  # one per cent below 51,000
    assert (await found(venue, intent)).is_settled


async def test_a_trigger_that_the_price_has_passed_is_refused_for_its_price(
    market: Market,
) -> None:
    venue, _ = market
    for intent in (
        exit_at(venue, ChildType.STOP_LOSS, trigger_price=PRICE + 100),
        exit_at(venue, ChildType.TAKE_PROFIT, trigger_price=PRICE - 100),
    ):
        with pytest.raises(VenueRejectedError) as refused:
            await venue.submit(intent)
        assert (refused.value.code, refused.value.family) == ("-2010", RejectionFamily.PRICE)
        with pytest.raises(OrderAbsentError):
            await found(venue, intent)


async def test_an_iceberg_shows_its_part_alone(market: Market) -> None:
    venue, _ = market
    intent = venue.intent(
        price=PRICE - 7, quantity=D("0.5000"), display_quantity=D("0.0500"), side=Side.BUY
    )
    await venue.submit(intent)
    book = await venue.gateway.book(SYMBOL, 50)
    shown = {level.price: level.quantity for level in book.bids}
    assert shown[PRICE - 7] < intent.quantity
    report = await found(venue, intent)
    assert report.status is VenueStatus.OPEN
    await venue.gateway.cancel(SYMBOL, report.venue_order_id)
    assert (await found(venue, intent)).status is VenueStatus.CANCELLED


async def resting_oco(venue: Venue, **changes: Any) -> tuple[ChildIntent, str]:
    intent = oco(venue, **changes)
    report = await venue.submit(intent)
    assert report.status is VenueStatus.OPEN
    assert (await found(venue, intent)).venue_order_id == report.venue_order_id
    (resting,) = await venue.gateway.open_orders(SYMBOL)
    assert resting.report.venue_order_id == report.venue_order_id
    assert resting.report.client_order_id == intent.client_order_id
    return intent, report.venue_order_id


@pytest.mark.parametrize("price", [PRICE + 1001, PRICE - 1000])
@pytest.mark.parametrize("limit", [None, PRICE - 1500])
async def test_whichever_leg_of_an_oco_trades_the_order_is_filled_once(
    market: Market, price: Decimal, limit: Decimal | None
) -> None:
    venue, control = market
    intent, order_id = await resting_oco(venue, stop_limit_price=limit)
    await print_trade(control, price)
    order = await venue.gateway.read_order(SYMBOL, order_id)
    assert order.report.status is VenueStatus.FILLED
    assert order.report.is_settled
    assert order.report.executed_quantity == intent.quantity
    assert await venue.gateway.open_orders(SYMBOL) == []
    trades = await venue.gateway.trades_after(SYMBOL, None)
    assert {trade.venue_order_id for trade in trades} == {order_id}
    assert {trade.fill for trade in trades} == set(order.report.fills)


async def test_a_cancelled_oco_has_ended_and_cancelling_it_again_finds_nothing(
    market: Market,
) -> None:
    venue, _ = market
    intent, order_id = await resting_oco(venue)
    await venue.gateway.cancel(SYMBOL, order_id)
    report = await found(venue, intent)
    assert (report.status, report.is_settled) == (VenueStatus.CANCELLED, True)
    with pytest.raises(OrderAbsentError):
        await venue.gateway.cancel(SYMBOL, order_id)


async def test_an_oco_that_never_came_is_absent_and_no_order_of_its_id_is_looked_for_elsewhere(
    market: Market,
) -> None:
    venue, _ = market
    never = oco(venue)
    with pytest.raises(OrderAbsentError):
        await found(venue, never)
    intent, _ = await resting_oco(venue)
    with pytest.raises(OrderAbsentError):  # a single order of this id there is not
        await venue.gateway.find(SYMBOL, intent.client_order_id, since_ms=0)


async def test_a_part_fill_of_one_leg_keeps_the_order_open_for_the_rest(market: Market) -> None:
    venue, control = market
    intent, order_id = await resting_oco(venue)
    name = f"{intent.client_order_id}a"
    await control.act("fill", client_order_id=name, quantity="0.0050")
    order = await venue.gateway.read_order(SYMBOL, order_id)
    assert order.report.status is VenueStatus.OPEN
    assert order.report.executed_quantity == order.report.filled_quantity == D("0.005")
    (resting,) = await venue.gateway.open_orders(SYMBOL)
    assert resting.report.executed_quantity == D("0.005")
    await venue.gateway.cancel(SYMBOL, order_id)
    report = await found(venue, intent)
    assert (report.status, report.filled_quantity) == (VenueStatus.CANCELLED, D("0.005"))


@pytest.mark.parametrize("fault", ["accept_then_reset", "accept_then_5xx", "html", "empty"])
async def test_an_oco_whose_answer_is_lost_is_found_by_our_id(market: Market, fault: str) -> None:
    venue, control = market
    intent = oco(venue)
    rule = await control.add(fault, method="POST", path="/orderList/oco")
    with pytest.raises(OutcomeUnknownError):
        await venue.submit(intent)
    assert await control.hits(rule) == 1
    report = await found(venue, intent)
    assert report.status is VenueStatus.OPEN
    await venue.gateway.cancel(SYMBOL, report.venue_order_id)
    assert (await found(venue, intent)).status is VenueStatus.CANCELLED


async def test_an_oco_that_was_lost_on_its_way_is_absent(market: Market) -> None:
    venue, control = market
    intent = oco(venue)
    await control.add("drop_before", method="POST", path="/orderList/oco")
    with pytest.raises(OutcomeUnknownError):
        await venue.submit(intent)
    with pytest.raises(OrderAbsentError):
        await found(venue, intent)


@pytest.mark.parametrize("fault", ["html", "empty", "truncated"])
async def test_a_list_whose_reading_is_broken_is_not_absent(market: Market, fault: str) -> None:
    venue, control = market
    intent, order_id = await resting_oco(venue)
    await control.add(fault, method="GET", path="/orderList")
    with pytest.raises(VenueUnavailableError):
        await found(venue, intent)
    await control.add(fault, method="GET", path="/order", times=2)
    with pytest.raises(VenueUnavailableError):
        await venue.gateway.read_order(SYMBOL, order_id)


def _ended(order: VenueOrder) -> bool:
    return order.report.status.is_terminal


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda venue, control, _: print_trade(control, PRICE - 1000), VenueStatus.FILLED),
        (lambda venue, control, _: print_trade(control, PRICE + 1001), VenueStatus.FILLED),
        (lambda venue, _, order: venue.gateway.cancel(SYMBOL, order), VenueStatus.CANCELLED),
    ],
)
async def test_the_private_stream_tells_of_an_oco_as_of_one_order(
    market: Market, act: Callable[..., Any], status: VenueStatus
) -> None:
    venue, control = market
    reports, traded = [], D(0)
    async with asyncio.timeout(DEADLINE_S), venue.gateway.stream() as events:
        intent, order_id = await resting_oco(venue)
        await act(venue, control, order_id)
        expected = intent.quantity if status is VenueStatus.FILLED else D(0)
        while traded < expected or not any(map(_ended, reports)):
            event = await anext(events)
            if isinstance(event, StreamTrade):
                assert event.trade.venue_order_id == order_id
                traded += event.trade.fill.quantity
            elif isinstance(event, StreamOrder):
                reports.append(event.order)
    ours = {(each.report.client_order_id, each.report.venue_order_id) for each in reports}
    assert ours == {(intent.client_order_id, order_id)}
    assert [each.report.status for each in reports if _ended(each)] == [status]
    assert traded == expected
