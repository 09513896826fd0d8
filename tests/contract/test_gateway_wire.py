"""What a venue can do to a request on the wire, and what the gateway makes of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from activities.venues.ccxt_call import MAX_ANSWER_BYTES
from activities.venues.ccxt_gateway import CcxtGateway, VenueConfig, open_gateway
from activities.venues.ccxt_session import ForeignHostError, GuardedSession
from activities.venues.gateway import (
    OutcomeUnknownError,
    VenueRejectedError,
    VenueUnavailableError,
)
from activities.venues.rewriting_session import RewritingSession
from tests.contract.gateway_recorder import (
    SYMBOL,
    Handler,
    Recorder,
    accepted,
    intent,
)
from workflows.domain.orders import ChildType
from workflows.domain.reports import VenueStatus

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


async def html(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>LOT_SIZE all is well</html>", content_type="text/html")


async def empty(_: web.Request) -> web.StreamResponse:
    return web.Response(text="")


async def server_error(_: web.Request) -> web.StreamResponse:
    return web.json_response({"code": -1013, "msg": "Filter failure: LOT_SIZE"}, status=503)


async def forbidden(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>WAF</html>", status=403, content_type="text/html")


async def teapot(_: web.Request) -> web.StreamResponse:
    return web.json_response({"code": -1003, "msg": "banned"}, status=418)


async def redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": str(request.rel_url)})


async def truncated(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"orderId": 2')
    assert request.transport is not None
    request.transport.close()
    return response


async def dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(b" " * 100_000)
    return response


def without_id(sent: dict[str, str]) -> Any:
    return {k: v for k, v in accepted(sent["newClientOrderId"]).items() if k != "orderId"}


def nonsense(**changes: Any) -> Callable[[dict[str, str]], Any]:
    return lambda sent: accepted(sent["newClientOrderId"], **changes)


@pytest.mark.parametrize(
    "answer",
    [html, empty, server_error, forbidden, teapot, redirect, truncated, dropped, endless],
    ids=lambda answer: answer.__name__,
)
async def test_a_broken_answer_leaves_the_outcome_unknown_and_is_one_post(
    recorder: Recorder, gateway: CcxtGateway, answer: Handler
) -> None:
    recorder.handlers["POST", "order"] = answer
    with pytest.raises(OutcomeUnknownError):
        await gateway.submit(intent(), signed_at_ms=5)
    assert recorder.count("POST", "order") == 1


@pytest.mark.parametrize(
    "answer",
    [
        without_id,
        nonsense(status="WEIRD"),
        nonsense(status=None),
        nonsense(executedQty="NaN"),
        nonsense(executedQty="-1"),
        nonsense(executedQty=None),
        nonsense(clientOrderId="f" * 32),
        nonsense(status="FILLED", executedQty="0.01", fills=[{"price": None, "qty": "0.01"}]),
        lambda _: None,
        lambda _: [],
        lambda _: {"code": "?"},
    ],
)
async def test_an_unreadable_order_leaves_the_outcome_unknown(
    recorder: Recorder, gateway: CcxtGateway, answer: Callable[[dict[str, str]], Any]
) -> None:
    recorder.on("POST", "order", answer)
    with pytest.raises(OutcomeUnknownError):
        await gateway.submit(intent(), signed_at_ms=5)
    assert recorder.count("POST", "order") == 1


@pytest.mark.parametrize("size", [1_000, MAX_ANSWER_BYTES])
async def test_an_answer_is_read_up_to_its_limit_and_not_beyond(
    recorder: Recorder, gateway: CcxtGateway, size: int
) -> None:
    async def padded(_: web.Request) -> web.StreamResponse:
        order = json.dumps(accepted(recorder.requests[-1][2]["newClientOrderId"]))
        return web.Response(text=" " * size + order, content_type="application/json")

    recorder.handlers["POST", "order"] = padded
    submission = gateway.submit(intent(), signed_at_ms=5)
    if size < MAX_ANSWER_BYTES:
        assert (await submission).status is VenueStatus.OPEN
    else:
        with pytest.raises(OutcomeUnknownError, match="ExchangeError"):
            await submission


@pytest.mark.parametrize("answer", [html, empty, server_error, redirect, dropped])
async def test_a_broken_answer_to_a_cancel_is_no_success(
    recorder: Recorder, gateway: CcxtGateway, answer: Handler
) -> None:
    recorder.handlers["DELETE", "order"] = answer
    with pytest.raises(VenueUnavailableError):
        await gateway.cancel(SYMBOL, "28")


async def test_a_hanging_answer_is_unknown_at_the_deadline(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await recorder.released.wait()
        return web.Response()

    recorder.handlers["POST", "order"] = hang
    with pytest.raises(OutcomeUnknownError):
        await gateway.submit(intent(), signed_at_ms=5)
    assert recorder.count("POST", "order") == 1


async def test_cancelling_a_submission_stays_a_cancellation(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    arrived = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await recorder.released.wait()
        return web.Response()

    recorder.handlers["POST", "order"] = hang
    submission = asyncio.create_task(gateway.submit(intent(), signed_at_ms=5))
    await arrived.wait()
    submission.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submission


async def test_fees_in_small_digits_and_wide_prices_come_through_exactly(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    fill = {
        "price": "12345678.12345678",
        "qty": "0.00000001",
        "commission": "0.000000000000000123",
        "commissionAsset": "BNB",
        "tradeId": 900719925474099312,
    }
    recorder.on(
        "POST",
        "order",
        lambda sent: accepted(
            sent["newClientOrderId"],
            status="FILLED",
            type="MARKET",
            price="0.00000000",
            origQty="0.00000001",
            executedQty="0.00000001",
            cummulativeQuoteQty="0.1234567812345678",
            fills=[fill],
        ),
    )
    report = await gateway.submit(
        intent(child_type=ChildType.MARKET, price=None, quantity=Decimal("0.01")), signed_at_ms=5
    )
    assert report.status is VenueStatus.FILLED
    (got,) = report.fills
    assert (str(got.price), got.fee_asset) == ("12345678.12345678", "BNB")
    assert (got.quantity, got.fee) == (Decimal("1E-8"), Decimal("1.23E-16"))
    assert got.trade_id == "900719925474099312"
    assert got.traded_at_ms == 1_700_000_000_000


async def test_reads_are_signed_on_the_venues_clock_and_submissions_on_their_pin(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    recorder.on("GET", "openOrders", lambda _: [])
    recorder.on("POST", "order", lambda sent: accepted(sent["newClientOrderId"]))
    await gateway.open_orders(SYMBOL)
    await gateway.submit(intent(), signed_at_ms=1_600_000_000_123)
    stamped = [(path, sent) for _, path, sent in recorder.requests if "timestamp" in sent]
    signed = {path: int(sent["timestamp"]) for path, sent in stamped}
    assert signed["order"] == 1_600_000_000_123
    assert abs(signed["openOrders"] - 1_700_000_000_000) < 60_000


async def test_an_order_off_the_grid_is_refused_without_a_request(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    for changes in ({"price": Decimal("40000.005")}, {"quantity": Decimal("0.010001")}):
        with pytest.raises(VenueRejectedError) as refused:
            await gateway.submit(intent(**changes), signed_at_ms=5)
        assert refused.value.code == "PRECISION"
    assert recorder.count("POST", "order") == 0


def trade(number: int) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": 28,
        "price": "40000.00",
        "qty": "0.00001",
        "commission": "0.01",
        "commissionAsset": "USDT",
        "time": 1_700_000_000_000 + number,
        "isBuyer": True,
        "isMaker": True,
    }


async def test_trades_are_read_page_by_page_without_gap_or_repetition(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    # ids grow past a power of ten, where text would sort them wrongly
    numbers = list(range(9_000, 11_500))

    def page(sent: dict[str, str]) -> Any:
        first, size = int(sent["fromId"]), int(sent["limit"])
        return [trade(n) for n in numbers if n >= first][:size]

    recorder.on("GET", "myTrades", page)
    trades = await gateway.trades_after(SYMBOL, "9099")
    assert [int(t.fill.trade_id) for t in trades] == list(range(9_100, 11_500))
    assert recorder.count("GET", "myTrades") == 3


async def test_both_sides_of_a_trade_with_oneself_are_read_also_across_pages(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    # 999 others first, so that the first page ends between the two sides
    rows = [*(trade(n) for n in range(1, 1_000)), trade(1_000), trade(1_000) | {"isBuyer": False}]

    def page(sent: dict[str, str]) -> Any:
        first, size = int(sent["fromId"]), int(sent["limit"])
        return [row for row in rows if row["id"] >= first][:size]

    recorder.on("GET", "myTrades", page)
    trades = await gateway.trades_after(SYMBOL, None)
    assert [(int(t.fill.trade_id), t.side.value) for t in trades[-3:]] == [
        (999, "buy"),
        (1_000, "buy"),
        (1_000, "sell"),
    ]
    assert len(trades) == len(rows)


@pytest.mark.parametrize("changes", [{"qty": "-0.1"}, {"price": None}, {"commission": "NaN"}])
async def test_a_trade_that_cannot_be_right_is_read_as_nothing_among_the_others(
    recorder: Recorder, gateway: CcxtGateway, changes: dict[str, Any]
) -> None:
    recorder.on("GET", "myTrades", lambda _: [trade(1), {**trade(2), **changes}, trade(3)])
    trades = await gateway.trades_after(SYMBOL, None)
    assert [each.fill.trade_id for each in trades] == ["1", "2", "3"]
    assert [each.fill.quantity > 0 for each in trades] == [True, False, True]


@pytest.mark.parametrize(
    "changes", [{"qty": "NaN"}, {"id": None}, {"commission": None}, {"time": None}]
)
async def test_an_unreadable_trade_makes_the_read_fail_as_a_whole(
    recorder: Recorder, gateway: CcxtGateway, changes: dict[str, Any]
) -> None:
    recorder.on("GET", "myTrades", lambda _: [trade(1), {**trade(2), **changes}])
    with pytest.raises(VenueUnavailableError):
        await gateway.trades_after(SYMBOL, None)


@pytest.mark.parametrize("answer", [html, empty, server_error, truncated, dropped, endless])
async def test_a_broken_answer_to_a_read_is_unavailable(
    recorder: Recorder, gateway: CcxtGateway, answer: Handler
) -> None:
    for path in ("depth", "account", "myTrades", "openOrders", "order"):
        recorder.handlers["GET", path] = answer
    reads: list[Callable[[], Awaitable[Any]]] = [
        lambda: gateway.quote(SYMBOL),
        gateway.balances,
        lambda: gateway.trades_after(SYMBOL, None),
        lambda: gateway.open_orders(SYMBOL),
        lambda: gateway.read_order(SYMBOL, "28"),
        lambda: gateway.find(SYMBOL, intent().client_order_id, since_ms=0),
    ]
    for read in reads:
        with pytest.raises(VenueUnavailableError):
            await read()


async def test_the_venues_retry_after_is_told(recorder: Recorder, gateway: CcxtGateway) -> None:
    async def limited(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": -1003}, status=429, headers={"Retry-After": "17"})

    recorder.handlers["GET", "account"] = limited
    with pytest.raises(VenueUnavailableError) as refused:
        await gateway.balances()
    assert refused.value.retry_after_s == Decimal(17)


async def test_a_request_to_another_host_never_leaves() -> None:
    session = GuardedSession(RewritingSession({}), frozenset({"api.binance.com"}))
    with pytest.raises(ForeignHostError):
        async with session.get("https://fapi.binance.com/x"):
            pytest.fail("sent")
    with pytest.raises(ForeignHostError):
        session.ws_connect("wss://stream.binance.com:9443/ws")
    await session.close()


def test_a_configuration_never_shows_its_secrets() -> None:
    config = VenueConfig(
        venue="binance", account="main", api_key="the-key", secret="the-secret", passphrase="words"
    )
    for hidden in ("the-key", "the-secret", "words"):
        assert hidden not in repr(config)


def test_what_cannot_be_configured_is_refused_at_once() -> None:
    access = {"account": "main", "api_key": "k", "secret": "s"}
    with pytest.raises(ValueError, match="not one of"):
        open_gateway(VenueConfig(venue="Exchange", **access))
    with pytest.raises(ValueError, match="no sandbox"):
        open_gateway(VenueConfig(venue="binanceus", sandbox=True, **access))
    with pytest.raises(ValueError, match="exclude"):
        open_gateway(VenueConfig(venue="binance", sandbox=True, paper_url="http://x", **access))
