"""What the paper exchange refuses at the wire, with the code that Binance itself would use."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from activities.venues.simulator.judge import read_log
from activities.venues.simulator.seams import Answer, NoFaults, RequestContext
from activities.venues.simulator.server import running
from tests.contract.paper_venue import config
from tests.contract.signed_wire import Wire

LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "40000",
}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with (
        running(config("binance", tmp_path)) as served,
        aiohttp.ClientSession() as session,
    ):
        yield Wire(served, session)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": "40000.001"}, -1013),
        ({"quantity": "0.000015"}, -1013),
        ({"quantity": "0.0001"}, -1013),
        ({"quantity": "0"}, -1013),
        ({"quantity": "0.000000001"}, -1111),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "1e400"}, -1100),
        ({"quantity": "-1"}, -1100),
        ({"price": ""}, -1102),
        ({"quantity": ""}, -1105),
        ({"symbol": "NOPE"}, -1121),
        ({"side": "LONG"}, -1117),
        ({"type": "STOP"}, -1116),
        ({"timeInForce": "GTX"}, -1115),
        ({"newClientOrderId": "a" * 37}, -1100),
        ({"newClientOrderId": "no spaces"}, -1100),
        ({"newClientOrderId": "line\n"}, -1100),
        ({"newOrderRespType": "SOME"}, -1130),
        ({"recvWindow": "60001"}, -1131),
        ({"stopPrice": "39000"}, -1106),
        ({"trailingDelta": "100"}, -1106),
        ({"selfTradePreventionMode": "TRANSFER"}, -1013),
        ({"selfTradePreventionMode": "EXPIRE_NOBODY"}, -1130),
        ({"quoteOrderQty": "100"}, -1106),
        ({"whatIsThis": "1"}, -1104),
    ],
)
async def test_a_limit_order_with_a_bad_parameter_gets_binances_code(
    wire: Wire, changes: dict[str, str], code: int
) -> None:
    assert await wire.code(LIMIT, **changes) == code
    assert read_log(wire.served.exchange.journal.path).orders == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"timeInForce": "GTC"}, -1106),
        ({"price": "40000"}, -1106),
        ({"quoteOrderQty": "100"}, -1128),
    ],
)
async def test_a_market_order_with_a_limit_orders_parameter_is_refused(
    wire: Wire, changes: dict[str, str], code: int
) -> None:
    assert await wire.code(MARKET, **changes) == code


@pytest.mark.parametrize("missing", ["symbol", "side", "type", "timeInForce", "quantity", "price"])
async def test_a_limit_order_needs_each_of_its_parameters(wire: Wire, missing: str) -> None:
    assert await wire.code({k: v for k, v in LIMIT.items() if k != missing}) == -1102


async def test_a_request_outside_of_its_window_is_refused(wire: Wire) -> None:
    now = time.time_ns() // 1_000_000
    assert await wire.code(LIMIT, recvWindow=1000, timestamp=now - 1_500) == -1021
    assert await wire.code(LIMIT, timestamp=now + 2_000) == -1021


class WaitsBeforeTheBook(NoFaults):
    """Lets the exchange's clock run on while a request is on its way to the book."""

    def __init__(self) -> None:
        self.late_by_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.late_by_ms

    async def before_book(self, request: RequestContext) -> None:
        self.late_by_ms = 6_000


async def test_the_window_is_checked_again_just_before_the_book(tmp_path: Path) -> None:
    hooks = WaitsBeforeTheBook()
    async with (
        running(config("binance", tmp_path), hooks) as served,
        aiohttp.ClientSession() as session,
    ):
        served.exchange.now_ms = hooks.now_ms
        assert await Wire(served, session).code(LIMIT) == -1021
        assert read_log(served.exchange.journal.path).orders == {}


class ReplacesTheAnswer(NoFaults):
    """Takes the answer of an order that was carried out."""

    async def after_book(self, request: RequestContext, answer: Answer) -> Answer:
        return Answer(status=503, body={})


async def test_the_seam_can_lose_the_answer_of_an_order_that_is_live(tmp_path: Path) -> None:
    async with (
        running(config("binance", tmp_path), ReplacesTheAnswer()) as served,
        aiohttp.ClientSession() as session,
    ):
        status, _ = await Wire(served, session).send("POST", "order", LIMIT)
        assert status == 503
        assert len(read_log(served.exchange.journal.path).orders) == 1


@pytest.mark.parametrize("in_body", [False, True])
async def test_parameters_are_taken_from_query_and_body_alike(wire: Wire, in_body: bool) -> None:
    status, order = await wire.send("POST", "order", LIMIT, in_body=in_body)
    assert status == 200
    wanted = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    status, cancelled = await wire.send("DELETE", "order", wanted, in_body=in_body)
    assert (status, cancelled["status"]) == (200, "CANCELED")


@pytest.mark.parametrize(
    ("answer_type", "has"),
    [("ACK", set()), ("RESULT", {"status"}), ("FULL", {"status", "fills"})],
)
async def test_the_answer_has_the_detail_that_was_asked_for(
    wire: Wire, answer_type: str, has: set[str]
) -> None:
    _, order = await wire.send("POST", "order", MARKET, newOrderRespType=answer_type)
    assert {"status", "fills"} & order.keys() == has


async def test_a_path_that_is_not_implemented_is_an_unsupported_operation(wire: Wire) -> None:
    status, body = await wire.send("POST", "order/oco", LIMIT)
    assert (status, body["code"]) == (400, -1020)


async def test_cancelling_all_takes_out_the_open_orders_of_the_symbol(wire: Wire) -> None:
    for _ in range(2):
        await wire.send("POST", "order", LIMIT)
    status, cancelled = await wire.send("DELETE", "openOrders", {"symbol": "BTCUSDT"})
    assert (status, [order["status"] for order in cancelled]) == (200, ["CANCELED"] * 2)
    assert (await wire.send("GET", "openOrders", {}))[1] == []
    status, body = await wire.send("DELETE", "openOrders", {"symbol": "BTCUSDT"})
    assert (status, body["code"]) == (400, -2011)


async def test_answers_report_the_weight_used_in_the_minute(wire: Wire) -> None:
    url = f"{wire.served.base_url}/api/v3/ping"
    used = []
    for _ in range(2):
        async with wire.session.get(url) as answer:
            used.append(int(answer.headers["X-MBX-USED-WEIGHT-1M"]))
    assert used[0] > 0
    assert used[1] > 0
