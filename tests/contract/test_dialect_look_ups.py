"""Where each venue is asked about an order, and that absence is never concluded by mistake."""

from decimal import Decimal
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.dialects import dialect_of
from activities.venues.gateway import OrderAbsentError, VenueUnavailableError
from tests.contract.dialect_venues.bybit_venue import BybitVenue, refused
from tests.contract.dialect_venues.coinbase_venue import CoinbaseVenue
from tests.contract.dialect_venues.gate_venue import GateVenue
from tests.contract.dialect_venues.kraken_venue import KrakenVenue
from tests.contract.dialect_venues.kucoin_venue import KucoinVenue
from tests.contract.dialect_venues.okx_venue import OkxVenue, ok
from tests.contract.dialect_venues.roster import VENUES
from tests.contract.dialect_venues.scripted import Answer, Order, Trade, intent, now_ms, served
from workflows.domain.orders import client_order_id
from workflows.domain.reports import VenueStatus

AtVenue = tuple[Any, CcxtGateway]

OURS, OTHERS = client_order_id("dialect", 1), client_order_id("dialect", 2)
FEE_ASSET = {"gate": "GT"}
PLACES = {
    "okx": ["GET /api/v5/trade/order", "GET /api/v5/trade/fills-history"],
    "bybit": ["GET /v5/order/realtime", "GET /v5/order/history", "GET /v5/execution/list"],
    "kraken": ["POST /0/private/OpenOrders", "POST /0/private/ClosedOrders"],
    "coinbase": ["GET /api/v3/brokerage/orders/historical/batch"],
    "kucoin": [f"GET /api/v1/hf/orders/client-order/{OURS}"],
    "gate": [
        f"GET /api/v4/spot/orders/{dialect_of('gate').render_id(OURS)}",
        "GET /api/v4/spot/orders",
        "GET /api/v4/spot/my_trades",
    ],
}


def written(venue: Any, canonical: str = OURS) -> str:
    """Our id in the venue's writing."""
    return dialect_of(venue.venue).render_id(canonical)


async def looked_up(venue: Any, gateway: CcxtGateway) -> Any:
    return await gateway.find(venue.symbol, OURS, since_ms=now_ms() - 60_000)


def half_filled(venue: Any, state: str) -> Order:
    """An order of ours with two trades."""
    order = Order("312", written(venue), state, filled="0.008")
    venue.orders.append(order)
    venue.trades += [Trade("71", "312", now_ms() - 2_000), Trade("72", "312", now_ms() - 1_000)]
    return order


@pytest.mark.parametrize(
    ("state", "status"), [("open", VenueStatus.OPEN), ("cancelled", VenueStatus.CANCELLED)]
)
async def test_an_order_is_found_by_our_id_with_its_fills_and_fees(
    at_venue: AtVenue, state: str, status: VenueStatus
) -> None:
    venue, gateway = at_venue
    half_filled(venue, state)
    venue.trades.append(Trade("73", "999", now_ms()))
    report = await looked_up(venue, gateway)
    assert (report.venue_order_id, report.client_order_id) == ("312", OURS)
    assert (report.status, report.executed_quantity) == (status, Decimal("0.008"))
    assert report.filled_quantity == Decimal("0.008")
    assert {fill.trade_id for fill in report.fills} == {"71", "72"}
    assert {(f.fee, f.fee_asset) for f in report.fills} == {
        (Decimal("0.16"), FEE_ASSET.get(venue.venue, "USDT"))
    }


async def test_a_finished_order_is_found_too(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    order = half_filled(venue, "filled")
    order.filled, order.size = "0.008", "0.008"
    report = await looked_up(venue, gateway)
    assert (report.status, report.is_settled) == (VenueStatus.FILLED, True)


async def test_an_order_that_is_nowhere_was_looked_for_in_every_place(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    venue.orders.append(Order("1", written(venue, OTHERS)))
    await gateway.open_orders(venue.symbol)
    venue.seen.clear()
    with pytest.raises(OrderAbsentError):
        await looked_up(venue, gateway)
    assert venue.paths() == PLACES[venue.venue]


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, places in PLACES.items() for place in places]
)
async def test_an_answer_without_its_list_is_no_absence(name: str, place: str) -> None:
    method, path = place.split(" ")
    wrong: list[Any] = [{}, {"code": "0", "retCode": 0, "error": []}, None, "text"]
    wrong += [] if name == "gate" else [[]]  # a bare list is what Gate answers with
    venue = VENUES[name]()
    async with served(venue) as gateway:
        for broken in wrong:
            venue.scripted[method, path] = Answer(200, broken)
            with pytest.raises(VenueUnavailableError):
                await looked_up(venue, gateway)


async def test_somebody_elses_order_is_not_taken_for_ours(at_venue: AtVenue) -> None:
    """A venue that ignores the filter would answer with another order."""
    venue, gateway = at_venue
    venue.orders.append(Order("1", written(venue, OTHERS)))
    venue.ignores_filters = True
    with pytest.raises((OrderAbsentError, VenueUnavailableError)):
        await looked_up(venue, gateway)


async def test_an_order_is_read_by_the_venues_id(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    half_filled(venue, "cancelled")
    order = await gateway.read_order(venue.symbol, "312")
    assert (order.report.client_order_id, order.quantity) == (OURS, Decimal("0.01"))
    assert order.report.status is VenueStatus.CANCELLED
    assert order.report.filled_quantity == Decimal("0.008")
    with pytest.raises(OrderAbsentError):
        await gateway.read_order(venue.symbol, "404")


async def test_a_cancel_names_the_order_and_an_absent_one_is_told(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    venue.orders.append(Order("312", written(venue)))
    await gateway.cancel(venue.symbol, "312")
    assert "312" in str((venue.seen[-1].path, venue.seen[-1].asked))
    with pytest.raises(OrderAbsentError):
        await gateway.cancel(venue.symbol, "404")


async def test_open_orders_are_told_apart_by_whose_id_they_carry(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    venue.orders += [
        Order("1", written(venue)),
        Order("2", "made-by-hand"),
        Order("3", written(venue, OTHERS), "filled", filled="0.01"),
    ]
    found = {
        order.report.venue_order_id: order.report.client_order_id
        for order in await gateway.open_orders(venue.symbol)
    }
    assert found == {"1": OURS, "2": None}


async def test_balances_are_read_and_an_unusual_answer_is_not_an_empty_account(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    assert await gateway.balances() == {"BTC": Decimal("1.5")}
    method, path = venue.paths()[-1].split(" ")
    venue.scripted[method, path] = Answer(200, {"code": "0", "retCode": 0})
    with pytest.raises(VenueUnavailableError):
        await gateway.balances()


async def test_somebodys_market_order_for_an_amount_of_money_is_readable() -> None:
    venue = CoinbaseVenue()
    order = half_filled(venue, "cancelled")
    row = venue.row(order)
    by_money = {"order_type": "MARKET", "client_order_id": "by-hand"}
    config = {"order_configuration": {"market_market_ioc": {"quote_size": "320"}}}
    path = "/api/v3/brokerage/orders/historical/312"
    venue.scripted["GET", path] = {"order": {**row, **by_money, **config}}
    async with served(venue) as gateway:
        read = await gateway.read_order(venue.symbol, "312")
    assert (read.report.client_order_id, read.price) == (None, None)
    assert read.quantity == read.report.filled_quantity == Decimal("0.008")


# --- what only one venue does -------------------------------------------------------------------


async def test_bybit_is_never_asked_for_the_order_none() -> None:
    venue = BybitVenue()
    half_filled(venue, "filled")
    async with served(venue) as gateway:
        await looked_up(venue, gateway)
        await gateway.read_order(venue.symbol, "312")
    assert all(seen.asked.get("orderId") != "None" for seen in venue.seen)
    asked = venue.requests("GET", "/v5/order/realtime")
    assert asked[0].query["orderLinkId"] == OURS
    assert "orderId" not in asked[0].query


async def test_bybits_history_answers_for_an_order_that_realtime_forgot() -> None:
    venue = BybitVenue(forgotten={"312"})
    half_filled(venue, "cancelled")
    async with served(venue) as gateway:
        report = await looked_up(venue, gateway)
        read = await gateway.read_order(venue.symbol, "312")
    assert report.status is read.report.status is VenueStatus.CANCELLED


async def test_executions_of_an_order_that_no_list_shows_are_no_absence() -> None:
    venue = BybitVenue(forgotten={"312"})
    half_filled(venue, "open")  # open, so the history lacks it too
    async with served(venue) as gateway:
        with pytest.raises(VenueUnavailableError, match="executions"):
            await looked_up(venue, gateway)


async def test_fills_at_okx_of_an_order_that_it_does_not_show_are_no_absence() -> None:
    venue = OkxVenue()
    half_filled(venue, "filled")
    venue.scripted["GET", "/api/v5/trade/order"] = {"code": "51603", "msg": "?", "data": []}
    async with served(venue) as gateway:
        with pytest.raises(VenueUnavailableError, match="fills"):
            await looked_up(venue, gateway)


async def test_an_empty_success_of_okx_is_no_absence() -> None:
    venue = OkxVenue()
    venue.scripted["GET", "/api/v5/trade/order"] = ok([])
    async with served(venue) as gateway:
        with pytest.raises(VenueUnavailableError):
            await looked_up(venue, gateway)


async def test_kraken_is_asked_by_our_id_and_never_by_userref() -> None:
    venue = KrakenVenue()
    venue.orders.append(Order("312", OURS, "cancelled"))
    async with served(venue) as gateway:
        await looked_up(venue, gateway)
    private = [seen.body for seen in venue.seen if "private" in seen.path]
    assert {body.get("cl_ord_id") for body in private} == {OURS}
    assert all("userref" not in body for body in private)


async def test_coinbases_list_is_searched_to_its_last_page() -> None:
    venue = CoinbaseVenue()
    venue.orders = [Order(f"n{n}", f"hand-{n}", "cancelled") for n in range(230)]
    venue.orders.append(Order("312", written(venue), "cancelled"))
    async with served(venue) as gateway:
        report = await looked_up(venue, gateway)
    assert report.venue_order_id == "312"
    assert len(venue.requests("GET", "/api/v3/brokerage/orders/historical/batch")) == 3


async def test_a_cancelled_order_of_kucoin_is_found_where_done_orders_are() -> None:
    venue = KucoinVenue()
    venue.orders.append(Order("312", OURS, "cancelled"))
    venue.scripted["GET", f"/api/v1/hf/orders/client-order/{OTHERS}"] = {
        "code": "400100",
        "msg": "order not exist.",
    }
    async with served(venue) as gateway:
        assert (await looked_up(venue, gateway)).status is VenueStatus.CANCELLED
        with pytest.raises(OrderAbsentError):
            await gateway.find(venue.symbol, OTHERS, since_ms=0)


async def test_gates_trades_lead_to_an_order_that_its_lists_do_not_show() -> None:
    venue = GateVenue(unlisted={"312"})
    half_filled(venue, "filled")
    async with served(venue) as gateway:
        report = await looked_up(venue, gateway)
    assert report.venue_order_id == "312"


async def test_every_reason_for_which_gate_ends_an_order_is_an_end() -> None:
    venue = GateVenue()
    venue.orders.append(Order("312", written(venue), "cancelled"))  # finished as "stp"
    async with served(venue) as gateway:
        order = await gateway.read_order(venue.symbol, "312")
    assert order.report.status is VenueStatus.CANCELLED


async def test_a_refused_read_is_no_absence() -> None:
    venue = BybitVenue()
    venue.scripted["GET", "/v5/order/realtime"] = refused(10006, "Too many visits!")
    async with served(venue) as gateway:
        with pytest.raises(VenueUnavailableError):
            await looked_up(venue, gateway)


async def test_an_order_of_these_venues_carries_an_id_of_ours_or_none(at_venue: AtVenue) -> None:
    venue, _ = at_venue
    row, child = dialect_of(venue.venue), intent(venue)
    assert row.parse_id(row.render_id(child.client_order_id)) == child.client_order_id
