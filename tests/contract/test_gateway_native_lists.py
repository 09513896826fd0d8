"""A one-cancels-the-other is read as one order, though its venue keeps two."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.gateway import (
    OrderAbsentError,
    VenueUnavailableError,
)
from tests.contract.gateway_natives import ID, D, leg, listed, patient, refusal, telling_list, trade
from tests.contract.gateway_recorder import SYMBOL, Recorder, accepted
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


@pytest.fixture
async def gateway(recorder: Recorder) -> AsyncIterator[CcxtGateway]:
    """A gateway that waits longer than a busy machine takes to answer."""
    async with patient(recorder) as gateway:
        yield gateway


# --- what is read ---------------------------------------------------------------------------------

GONE: dict[str, Any] = {"status": "EXPIRED"}
CANCELLED: dict[str, Any] = {"status": "CANCELED"}
PART: dict[str, Any] = {"status": "PARTIALLY_FILLED", "executedQty": "0.00400"}
FILLED: dict[str, Any] = {"status": "FILLED", "executedQty": "0.01000"}
NEW: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("done", "above", "below", "status", "executed"),
    [
        (False, NEW, NEW, VenueStatus.OPEN, "0"),
        (False, PART, GONE, VenueStatus.OPEN, "0.004"),
        (False, NEW, GONE, VenueStatus.OPEN, "0"),
        (True, FILLED, GONE, VenueStatus.FILLED, "0.01"),
        (True, GONE, FILLED, VenueStatus.FILLED, "0.01"),
        (True, CANCELLED, CANCELLED, VenueStatus.CANCELLED, "0"),
        (True, {**PART, **CANCELLED}, GONE, VenueStatus.CANCELLED, "0.004"),
        (True, GONE, {**PART, **GONE}, VenueStatus.EXPIRED, "0.004"),
    ],
)
async def test_a_list_is_read_as_one_order_that_ends_with_both_of_its_legs(
    recorder: Recorder,
    gateway: CcxtGateway,
    done: bool,
    above: dict[str, Any],
    below: dict[str, Any],
    status: VenueStatus,
    executed: str,
) -> None:
    telling_list(recorder, "ALL_DONE" if done else "EXECUTING", a=above, b=below)
    of = {"31": above.get("executedQty"), "32": below.get("executedQty")}
    recorder.on(
        "GET",
        "myTrades",
        lambda asked: [trade(int(asked["orderId"]), 900, of[asked["orderId"]])],
    )
    order = await gateway.read_order(SYMBOL, "list:7")
    report = order.report
    assert (report.client_order_id, report.venue_order_id) == (ID, "list:7")
    assert (report.status, report.executed_quantity) == (status, D(executed))
    assert report.filled_quantity == D(executed)
    assert (order.side, order.quantity, order.price) == (Side.SELL, D("0.01"), D(42000))
    found = await gateway.find(SYMBOL, ID, since_ms=0, is_list=True)
    assert found == report
    asked = [sent for method, at, sent in recorder.requests if at == "orderList"]
    assert (asked[0]["orderListId"], asked[1]["origClientOrderId"]) == ("7", ID)


async def test_a_list_that_is_done_before_its_orders_is_read_again(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    telling_list(recorder, "ALL_DONE", a=NEW, b=GONE)
    with pytest.raises(VenueUnavailableError):
        await gateway.read_order(SYMBOL, "list:7")


async def test_a_leg_is_never_read_as_if_it_were_the_whole_order(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    telling_list(recorder, "EXECUTING", a=NEW, b=GONE)
    with pytest.raises(VenueUnavailableError):
        await gateway.read_order(SYMBOL, "32")


@pytest.mark.parametrize(("code", "method"), [(-2018, "GET"), (-2011, "DELETE")])
async def test_a_list_that_the_venue_does_not_know_is_absent(
    recorder: Recorder, gateway: CcxtGateway, code: int, method: str
) -> None:
    recorder.handlers[method, "orderList"] = refusal(code, "Order list does not exist.")
    asked = {
        "DELETE": lambda: gateway.cancel(SYMBOL, "list:7"),
        "GET": lambda: gateway.find(SYMBOL, ID, since_ms=0, is_list=True),
    }
    with pytest.raises(OrderAbsentError):
        await asked[method]()


async def test_a_list_is_cancelled_by_its_number(recorder: Recorder, gateway: CcxtGateway) -> None:
    recorder.on("DELETE", "orderList", lambda _: listed("ALL_DONE"))
    await gateway.cancel(SYMBOL, "list:7")
    (asked,) = [sent for method, at, sent in recorder.requests if at == "orderList"]
    assert (asked["symbol"], asked["orderListId"]) == ("BTCUSDT", "7")


async def test_the_legs_of_a_list_of_ours_rest_as_one_order_and_those_of_others_as_two(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    foreign = [
        accepted(f"by-hand-{number}", orderId=number, orderListId=8, type="LIMIT_MAKER")
        for number in (41, 42)
    ]
    stop_order = leg("b", clientOrderId="f" * 32, orderId=51, orderListId=-1)
    recorder.on("GET", "openOrders", lambda _: [leg("b"), *foreign, leg("a"), stop_order])
    orders = await gateway.open_orders(SYMBOL)
    ids = {order.report.venue_order_id: order.report.client_order_id for order in orders}
    assert ids == {"41": None, "42": None, "51": "f" * 32, "list:7": ID}


async def test_the_trades_of_a_leg_are_those_of_its_list(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    single = {**trade(28, 901, "0.001"), "orderListId": -1}
    recorder.on("GET", "myTrades", lambda _: [trade(31, 900, "0.004"), single])
    trades = await gateway.trades_after(SYMBOL, None)
    assert [(each.fill.trade_id, each.venue_order_id) for each in trades] == [
        ("900", "list:7"),
        ("901", "28"),
    ]


async def test_an_untriggered_stop_is_an_open_order_without_a_price(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    told = accepted(ID, type="STOP_LOSS", price="0.00", stopPrice="39000.50", side="SELL")
    recorder.on("GET", "order", lambda _: {**told, "isWorking": False})
    order = await gateway.read_order(SYMBOL, "28")
    assert (order.price, order.report.status) == (None, VenueStatus.OPEN)
    assert order.report.client_order_id == ID
