"""Waiting orders, icebergs and order lists at the wire, in Binance's words and codes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from activities.venues.simulator.orders import Side
from activities.venues.simulator.server import running
from tests.contract.faulty_venue import faulty_venue, outcome
from tests.contract.paper_venue import PAIR, config
from tests.contract.signed_wire import Wire, subscription

D = Decimal
WAIT_S = 5.0
SELL = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01"}
STOP = SELL | {"type": "STOP_LOSS", "stopPrice": "48000", "newOrderRespType": "RESULT"}
STOP_LIMIT = STOP | {"type": "STOP_LOSS_LIMIT", "price": "47900", "timeInForce": "GTC"}
TRAILING = SELL | {"type": "STOP_LOSS", "trailingDelta": "100", "newOrderRespType": "RESULT"}
ICEBERG = SELL | {
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "60000",
    "quantity": "0.1",
    "icebergQty": "0.03",
}
OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "0.01",
    "listClientOrderId": "x",
    "aboveType": "LIMIT_MAKER",
    "aboveClientOrderId": "xa",
    "abovePrice": "55000",
    "belowType": "STOP_LOSS",
    "belowClientOrderId": "xb",
    "belowStopPrice": "48000",
    "newOrderRespType": "RESULT",
}
OCO_BUY = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "quantity": "0.01",
    "aboveType": "STOP_LOSS_LIMIT",
    "aboveStopPrice": "55000",
    "abovePrice": "55100",
    "aboveTimeInForce": "GTC",
    "belowType": "LIMIT_MAKER",
    "belowPrice": "48000",
}


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    """A market that stands still near 50,000."""
    async with (
        running(config("binance", tmp_path)) as served,
        aiohttp.ClientSession() as session,
    ):
        yield Wire(served, session)


async def ok(wire: Wire, method: str, path: str, params: dict[str, Any], **changes: Any) -> Any:
    status, body = await wire.send(method, path, params, **changes)
    assert status == 200, body
    return body


async def refused(wire: Wire, path: str, params: dict[str, Any], **changes: Any) -> tuple[int, str]:
    method = changes.pop("method", "POST")
    status, body = await wire.send(method, path, params, **changes)
    assert status == 400, body
    return body["code"], body["msg"]


def tick(wire: Wire, price: str) -> None:
    """One public trade at exactly this price."""
    exchange = wire.served.exchange
    exchange.engine.print_trade(PAIR, Side.SELL, D(price), D("0.01"), exchange.now_ms())
    exchange.commit()


async def shown(wire: Wire, **named: Any) -> dict[str, Any]:
    return await ok(wire, "GET", "order", {"symbol": "BTCUSDT"} | named)


async def test_the_rules_of_a_symbol_say_what_it_takes(wire: Wire) -> None:
    async with wire.session.get(f"{wire.served.base_url}/api/v3/exchangeInfo") as answer:
        (info,) = [s for s in (await answer.json())["symbols"] if s["symbol"] == "BTCUSDT"]
    assert {"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"} < set(
        info["orderTypes"]
    )
    assert (info["icebergAllowed"], info["ocoAllowed"], info["allowTrailingStop"]) == (True,) * 3
    filters = {each["filterType"]: each for each in info["filters"]}
    assert filters["ICEBERG_PARTS"]["limit"] == 100
    assert filters["TRAILING_DELTA"] == {
        "filterType": "TRAILING_DELTA",
        "minTrailingAboveDelta": 10,
        "maxTrailingAboveDelta": 2000,
        "minTrailingBelowDelta": 10,
        "maxTrailingBelowDelta": 2000,
    }
    assert {"MAX_NUM_ALGO_ORDERS", "MAX_NUM_ICEBERG_ORDERS"} < set(filters)


async def test_a_stop_waits_and_then_sells_at_the_market(wire: Wire) -> None:
    placed = await ok(wire, "POST", "order", STOP)
    assert (placed["status"], placed["stopPrice"]) == ("NEW", "48000.00000000")
    assert placed["workingTime"] == -1
    waiting = await shown(wire, orderId=placed["orderId"])
    assert (waiting["isWorking"], waiting["type"]) == (False, "STOP_LOSS")
    tick(wire, "48000")
    done = await shown(wire, orderId=placed["orderId"])
    assert (done["status"], done["isWorking"]) == ("FILLED", True)
    assert done["workingTime"] >= done["time"]


async def test_a_trailing_order_shows_its_delta_and_since_when_it_follows(wire: Wire) -> None:
    placed = await ok(wire, "POST", "order", TRAILING)
    assert (placed["trailingDelta"], placed["stopPrice"]) == (100, "0.00000000")
    assert placed["trailingTime"] == placed["transactTime"]
    later = {"type": "TAKE_PROFIT", "stopPrice": "52000"}
    activated = await ok(wire, "POST", "order", TRAILING, **later)
    assert activated["trailingTime"] == -1
    tick(wire, "52100")
    assert (await shown(wire, orderId=activated["orderId"]))["trailingTime"] > 0
    tick(wire, "51579")
    orders = await ok(wire, "GET", "openOrders", {"symbol": "BTCUSDT"})
    assert orders == []


async def test_an_iceberg_shows_its_part_in_the_book_and_all_of_it_to_its_owner(
    wire: Wire,
) -> None:
    placed = await ok(wire, "POST", "order", ICEBERG)
    assert (placed["icebergQty"], placed["origQty"]) == ("0.03000000", "0.10000000")
    url = f"{wire.served.base_url}/api/v3/depth?symbol=BTCUSDT&limit=5000"
    async with wire.session.get(url) as answer:
        asks = {level[0]: level[1] for level in (await answer.json())["asks"]}
    assert asks["60000.00000000"] == "0.03000000"


@pytest.mark.parametrize(
    ("order", "changes", "code", "words"),
    [
        (STOP, {"stopPrice": "60000"}, -2010, "Order would trigger immediately."),
        (STOP, {"stopPrice": "48000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        (STOP, {"price": "47000"}, -1106, "'price' sent when not required"),
        (STOP, {"icebergQty": "0.001"}, -1106, "'icebergQty' sent when not required"),
        (STOP_LIMIT, {"timeInForce": ""}, -1102, "'timeInForce'"),
        (STOP_LIMIT, {"price": ""}, -1102, "'price'"),
        (STOP_LIMIT, {"icebergQty": "0.001", "timeInForce": "IOC"}, -1014, "Unsupported order"),
        (TRAILING, {"trailingDelta": "9"}, -1013, "Filter failure: TRAILING_DELTA"),
        (TRAILING, {"trailingDelta": "2001"}, -1013, "Filter failure: TRAILING_DELTA"),
        (TRAILING, {"trailingDelta": "1.5"}, -1100, "'trailingDelta'"),
        (ICEBERG, {"timeInForce": "IOC"}, -1014, "Unsupported order combination."),
        (ICEBERG, {"icebergQty": "0.2"}, -2010, "IcebergQty exceeds QTY."),
        (ICEBERG, {"icebergQty": "0.000011"}, -1013, "Filter failure: LOT_SIZE"),
        (ICEBERG, {"icebergQty": "0.0009"}, -1013, "Filter failure: ICEBERG_PARTS"),
        (ICEBERG, {"stopPrice": "48000"}, -1106, "'stopPrice' sent when not required"),
    ],
)
async def test_an_order_that_cannot_be_gets_binances_code(
    wire: Wire, order: dict[str, str], changes: dict[str, str], code: int, words: str
) -> None:
    told = await refused(wire, "order", order, **changes)
    assert told[0] == code
    assert words in told[1]


async def test_a_stop_needs_a_price_or_a_delta(wire: Wire) -> None:
    bare = {name: value for name, value in STOP.items() if name != "stopPrice"}
    code, words = await refused(wire, "order", bare)
    assert code == -1102
    assert "'stopPrice' or 'trailingDelta'" in words


# --- order lists ------------------------------------------------------------------------------


async def test_a_list_is_placed_shown_and_cancelled_as_a_whole(wire: Wire) -> None:
    made = await ok(wire, "POST", "orderList/oco", OCO)
    assert (made["contingencyType"], made["listOrderStatus"]) == ("OCO", "EXECUTING")
    assert {each["clientOrderId"] for each in made["orders"]} == {"xa", "xb"}
    reports = {each["clientOrderId"]: each for each in made["orderReports"]}
    assert (reports["xb"]["stopPrice"], reports["xb"]["workingTime"]) == ("48000.00000000", -1)
    assert {each["orderListId"] for each in reports.values()} == {made["orderListId"]}
    by_name = await ok(wire, "GET", "orderList", {"origClientOrderId": "x"})
    by_id = await ok(wire, "GET", "orderList", {"orderListId": made["orderListId"]})
    assert by_name == by_id == (await ok(wire, "GET", "openOrderList", {}))[0]
    assert "orderReports" not in by_id
    ended = await ok(wire, "DELETE", "orderList", {"symbol": "BTCUSDT", "listClientOrderId": "x"})
    assert (ended["listStatusType"], ended["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert {each["status"] for each in ended["orderReports"]} == {"CANCELED"}
    assert {each["origClientOrderId"] for each in ended["orderReports"]} == {"xa", "xb"}
    assert await ok(wire, "GET", "openOrderList", {}) == []
    assert len(await ok(wire, "GET", "allOrderList", {})) == 1


async def test_to_cancel_one_order_of_a_list_ends_the_list(wire: Wire) -> None:
    await ok(wire, "POST", "orderList/oco", OCO)
    await ok(wire, "DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "xa"})
    assert (await shown(wire, origClientOrderId="xb"))["status"] == "CANCELED"
    again = {"symbol": "BTCUSDT", "listClientOrderId": "x"}
    told = await refused(wire, "orderList", again, method="DELETE")
    assert told == (-2011, "Unknown order list sent.")


async def test_to_cancel_all_orders_answers_a_list_once(wire: Wire) -> None:
    await ok(wire, "POST", "orderList/oco", OCO)
    await ok(wire, "POST", "order", STOP)
    ended = await ok(wire, "DELETE", "openOrders", {"symbol": "BTCUSDT"})
    assert sorted(each.get("contingencyType", "") for each in ended) == ["", "OCO"]


async def test_a_list_that_is_not_there_does_not_exist(wire: Wire) -> None:
    told = await refused(wire, "orderList", {"origClientOrderId": "y"}, method="GET")
    assert told == (-2018, "Order list does not exist.")


@pytest.mark.parametrize(
    ("order", "changes", "code"),
    [
        (OCO, {"abovePrice": "40000"}, -2010),
        (OCO, {"belowStopPrice": "60000"}, -2010),
        (OCO, {"aboveType": "LIMIT"}, -1158),
        (OCO, {"aboveType": "NOPE"}, -1116),
        (OCO, {"aboveType": "STOP_LOSS"}, -1197),
        (OCO, {"belowType": "LIMIT_MAKER"}, -1168),
        (OCO, {"belowType": "TAKE_PROFIT"}, -1199),
        (OCO, {"belowPrice": "47000"}, -1106),
        (OCO, {"belowStopPrice": "", "belowTrailingDelta": "100"}, -1105),
        (OCO, {"belowClientOrderId": "xa"}, -2010),
        (OCO, {"aboveType": "STOP_LOSS", "belowType": "LIMIT_MAKER"}, -1197),
        (OCO, {"aboveType": "TAKE_PROFIT", "belowType": "LIMIT_MAKER"}, -1166),
        (OCO_BUY, {"belowType": "STOP_LOSS"}, -1196),
        (OCO_BUY, {"aboveType": "LIMIT_MAKER", "belowType": "TAKE_PROFIT"}, -1165),
        (OCO_BUY, {"aboveType": "TAKE_PROFIT"}, -1198),
        (OCO_BUY, {"aboveTimeInForce": "IOC", "aboveIcebergQty": "0.001"}, -1160),
        (OCO_BUY, {"aboveTimeInForce": ""}, -1102),
    ],
)
async def test_a_list_that_cannot_be_gets_binances_code_and_leaves_nothing(
    wire: Wire, order: dict[str, str], changes: dict[str, str], code: int
) -> None:
    assert (await refused(wire, "orderList/oco", order, **changes))[0] == code
    assert wire.served.exchange.engine.state.orders == {}


async def test_a_list_may_trail_and_may_hide(wire: Wire) -> None:
    bare = {name: value for name, value in OCO.items() if name != "belowStopPrice"}
    changes = {"belowTrailingDelta": "100", "aboveIcebergQty": "0.001"}
    made = await ok(wire, "POST", "orderList/oco", bare, **changes)
    reports = {each["clientOrderId"]: each for each in made["orderReports"]}
    assert reports["xb"]["trailingDelta"] == 100
    assert reports["xa"]["icebergQty"] == "0.00100000"


# --- the stream -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def listening(wire: Wire) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = wire.served.base_url.replace("http", "ws") + "/ws-api/v3"
    async with wire.session.ws_connect(url) as socket:
        await socket.send_json(subscription(wire.served.exchange.now_ms()))
        assert (await socket.receive_json(timeout=WAIT_S))["status"] == 200
        yield socket


async def told(socket: aiohttp.ClientWebSocketResponse, number: int) -> list[dict[str, Any]]:
    """The next events about orders and lists."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < number:
            event = json.loads((await socket.receive()).data)["event"]
            if event["e"] != "outboundAccountPosition":
                found.append(event)
    return found


async def test_the_stream_tells_how_a_stop_of_a_list_comes_to_trade(wire: Wire) -> None:
    async with listening(wire) as socket:
        await ok(wire, "POST", "orderList/oco", OCO)
        opened = await told(socket, 3)
        assert [(e["e"], e.get("L")) for e in opened[:1]] == [("listStatus", "EXECUTING")]
        assert {e["c"]: (e["x"], e["w"], "W" in e) for e in opened[1:]} == {
            "xa": ("NEW", True, True),
            "xb": ("NEW", False, False),
        }
        tick(wire, "47999")
        news = await told(socket, 4)
        assert [(e["c"], e["x"], e["X"], e["w"]) for e in news[:3]] == [
            ("xa", "EXPIRED", "EXPIRED", False),
            ("xb", "NEW", "NEW", True),
            ("xb", "TRADE", "FILLED", False),
        ]
        done = news[3]
        assert (done["e"], done["l"], done["L"], done["C"]) == (
            *("listStatus", "ALL_DONE", "ALL_DONE"),
            "x",
        )
        assert {e["g"] for e in [*opened, *news]} == {done["g"]}


async def test_the_stream_tells_the_terms_of_waiting_orders_and_icebergs(wire: Wire) -> None:
    async with listening(wire) as socket:
        await ok(wire, "POST", "order", TRAILING, type="TAKE_PROFIT", stopPrice="52000")
        await ok(wire, "POST", "order", ICEBERG)
        trailing, iceberg = await told(socket, 2)
    assert (trailing["P"], trailing["d"], "D" in trailing) == ("52000.00000000", 100, False)
    assert (iceberg["F"], iceberg["w"], "d" in iceberg) == ("0.03000000", True, False)


# --- faults -----------------------------------------------------------------------------------


async def test_a_fault_can_be_aimed_at_a_list(tmp_path: Path) -> None:
    async with faulty_venue(tmp_path) as venue:
        client, faults = venue.client, venue.faults
        lost = await faults.add("accept_then_reset", client_order_id="x", method="POST")
        assert await outcome(client.private_post_orderlist_oco(OCO)) is ccxt.ExchangeNotAvailable
        unseen = await faults.add("not_found", client_order_id="x", for_s=60)
        with pytest.raises(ccxt.ExchangeError, match="-2018"):
            await client.private_get_orderlist({"origClientOrderId": "x"})
        await faults.remove(unseen)
        made = await client.private_get_orderlist({"origClientOrderId": "x"})
        filled = await faults.add("fill_first", client_order_id="x", quantity="0.004")
        named = {"symbol": "BTCUSDT", "orderListId": made["orderListId"]}
        ended = await client.private_delete_orderlist(named)
        executed = {each["origClientOrderId"]: each for each in ended["orderReports"]}
        assert (executed["xa"]["executedQty"], executed["xb"]["status"]) == (
            *("0.00400000", "EXPIRED"),
        )
        assert (await faults.hits(lost), await faults.hits(filled)) == (1, 1)
        assert venue.log.contradictions() == []
