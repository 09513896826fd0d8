"""What the paper exchange refuses at the wire, with the code that OKX itself would use."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from activities.venues.simulator.config import PaperAccount
from activities.venues.simulator.judge import read_log
from activities.venues.simulator.seams import Answer, NoFaults, RequestContext
from activities.venues.simulator.server import RunningExchange, running
from tests.contract.paper_venue import KEY, PASSPHRASE, SECRET, config

LIMIT = {
    "instId": "BTC-USDT",
    "tdMode": "cash",
    "side": "buy",
    "ordType": "limit",
    "sz": "0.01",
    "px": "40000",
}
MARKET = {
    "instId": "BTC-USDT",
    "tdMode": "cash",
    "side": "buy",
    "ordType": "market",
    "sz": "0.01",
    "tgtCcy": "base_ccy",
}
PLACE, CANCEL = "trade/order", "trade/cancel-order"


class Wire:
    """A hand-made client: signs what it is told, with the headers that it is told."""

    def __init__(self, served: RunningExchange, session: aiohttp.ClientSession) -> None:
        self.served, self.session = served, session

    async def send(
        self, method: str, path: str, asked: Any, *, late_ms: int = 0, **headers: str | None
    ) -> tuple[int, Any]:
        """Status and body of a signed request; a header of None is left out.

        `late_ms`: how old its timestamp is. An `asked` that is a text is sent as it is.
        """
        target, body = f"/api/v5/{path}", ""
        if method == "GET":
            target += f"?{urlencode(asked)}" if asked else ""
        else:
            body = asked if isinstance(asked, str) else json.dumps(asked)
        stamp = self.timestamp(self.served.exchange.now_ms() - late_ms)
        payload = f"{stamp}{method}{target}{body}".encode()
        digest = hmac.new(SECRET.encode(), payload, hashlib.sha256).digest()
        signed = {
            "OK-ACCESS-KEY": KEY,
            "OK-ACCESS-SIGN": base64.b64encode(digest).decode(),
            "OK-ACCESS-TIMESTAMP": stamp,
            "OK-ACCESS-PASSPHRASE": PASSPHRASE,
            "Content-Type": "application/json",
        }
        sent = {name: value for name, value in (signed | headers).items() if value is not None}
        url = self.served.base_url + target
        data = body.encode() or None
        async with self.session.request(method, url, data=data, headers=sent) as answer:
            return answer.status, await answer.json()

    @staticmethod
    def timestamp(at_ms: int) -> str:
        """As OKX wants it: ISO with milliseconds."""
        moment = datetime.fromtimestamp(at_ms / 1_000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def row(self, order: Any, path: str = PLACE) -> tuple[str, str]:
        """Code and `sCode` of one order."""
        status, body = await self.send("POST", path, order)
        assert status == 200, body
        assert len(body["data"]) == 1
        return body["code"], body["data"][0]["sCode"]


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with (
        running(config("okx", tmp_path)) as served,
        aiohttp.ClientSession() as session,
    ):
        yield Wire(served, session)


def nothing_was_ordered(wire: Wire) -> bool:
    return read_log(wire.served.exchange.journal.path).orders == {}


# One exchange for the whole table: each order is refused, so none of them meets another.
LIMIT_TABLE: list[tuple[dict[str, Any], str]] = [
    ({"px": "40000.05"}, "51000"),
    ({"px": "1000000.1"}, "51006"),
    ({"px": "0"}, "51000"),
    ({"px": ""}, "50014"),
    ({"sz": ""}, "50014"),
    ({"sz": "0.0000001"}, "51020"),
    ({"sz": "0.00009"}, "51020"),
    ({"sz": "0.0001001"}, "51121"),
    ({"sz": "9000.1"}, "51005"),
    ({"sz": "8000", "px": "40000"}, "51203"),
    ({"sz": "-1"}, "51000"),
    ({"sz": "NaN"}, "51000"),
    ({"sz": "1e-2"}, "51000"),
    ({"sz": "0.000000001"}, "51000"),
    ({"sz": 0.01}, "51000"),
    ({"px": 40000}, "51000"),
    ({"side": "sell", "sz": "1001", "px": "2000"}, "51008"),
    ({"instId": "NOPE-USDT"}, "51001"),
    ({"instId": "BTC-USDT-SWAP"}, "51001"),
    ({"side": "long"}, "51000"),
    ({"side": ""}, "50014"),
    ({"ordType": "optimal_limit_ioc"}, "51000"),
    ({"ordType": "limit,ioc"}, "51000"),
    ({"tdMode": "cross"}, "51000"),
    ({"tdMode": None}, "50014"),
    ({"tgtCcy": "quote_ccy"}, "51000"),
    ({"clOrdId": "a" * 33}, "51000"),
    ({"clOrdId": "with-dash"}, "51000"),
    ({"clOrdId": "line\n"}, "51000"),
    ({"clOrdId": 7}, "51000"),
    ({"tag": "t" * 17}, "51000"),
    ({"ccy": "USDT"}, "51000"),
    ({"stpMode": "cancel_nobody"}, "51000"),
    ({"banAmend": True}, "51000"),
    ({"reduceOnly": "false"}, "51000"),
    ({"attachAlgoOrds": [{"slTriggerPx": "39000", "slOrdPx": "-1"}]}, "51000"),
    ({"slTriggerPx": "39000"}, "51000"),
    ({"expTime": "1"}, "51000"),
    ({"whatIsThis": ""}, "51000"),
]


async def test_a_limit_order_with_a_bad_parameter_gets_okxs_code(wire: Wire) -> None:
    found = [(changes, (await wire.row(LIMIT | changes))[1]) for changes, _ in LIMIT_TABLE]
    assert found == LIMIT_TABLE
    assert nothing_was_ordered(wire)


async def test_a_refused_order_is_told_in_its_row(wire: Wire) -> None:
    sent = LIMIT | {"side": "sell", "sz": "1001", "px": "2000", "clOrdId": "mine"}
    status, body = await wire.send("POST", PLACE, sent)
    assert (status, body["code"]) == (200, "1")
    row = body["data"][0]
    assert (row["ordId"], row["clOrdId"], row["sCode"]) == ("", "mine", "51008")
    assert row["sMsg"] == "Order failed. Insufficient BTC balance in account"
    logged = read_log(wire.served.exchange.journal.path).requests[-1]
    assert (logged.status, logged.code, logged.params["clOrdId"]) == (200, 51008, "mine")


@pytest.mark.parametrize("missing", sorted(LIMIT))
async def test_a_limit_order_needs_each_of_its_parameters(wire: Wire, missing: str) -> None:
    order = {name: value for name, value in LIMIT.items() if name != missing}
    assert await wire.row(order) == ("1", "50014")


async def test_a_market_order_takes_no_price_and_keeps_to_its_limits(wire: Wire) -> None:
    assert await wire.row(MARKET | {"px": "40000"}) == ("1", "51000")
    assert await wire.row(MARKET | {"sz": "9001"}) == ("1", "51202")
    assert await wire.row(MARKET | {"sz": "0.5", "tgtCcy": "quote_ccy"}) == ("1", "51020")
    assert nothing_was_ordered(wire)


async def test_a_market_buy_without_a_unit_is_by_cost_and_a_sale_by_quantity(wire: Wire) -> None:
    bare = {name: value for name, value in MARKET.items() if name != "tgtCcy"}
    assert await wire.row(bare | {"sz": "1000"}) == ("0", "0")
    assert await wire.row(bare | {"side": "sell"}) == ("0", "0")
    bought, sold = read_log(wire.served.exchange.journal.path).orders.values()
    assert 0 < bought.executed < 1
    assert str(sold.executed) == "0.01"


async def test_orders_without_a_client_id_do_not_meet_and_show_none(wire: Wire) -> None:
    for _ in range(2):
        assert await wire.row(LIMIT) == ("0", "0")
    _, body = await wire.send("GET", "trade/orders-pending", {})
    assert [row["clOrdId"] for row in body["data"]] == ["", ""]


async def test_where_both_ids_are_sent_the_venues_own_counts(wire: Wire) -> None:
    await wire.row(LIMIT | {"clOrdId": "first"})
    both = {"instId": "BTC-USDT", "ordId": "1", "clOrdId": "other"}
    _, body = await wire.send("GET", PLACE, both)
    assert [row["clOrdId"] for row in body["data"]] == ["first"]
    assert await wire.row({"instId": "BTC-USDT"}, CANCEL) == ("1", "51003")
    assert await wire.row(both | {"ordId": "2"}, CANCEL) == ("1", "51400")
    assert await wire.row(both, CANCEL) == ("0", "0")
    assert await wire.row(both, CANCEL) == ("1", "51400")


@pytest.mark.parametrize(
    ("path", "asked", "code"),
    [
        ("trade/order", {"instId": "BTC-USDT", "ordId": "7"}, "51603"),
        ("trade/order", {"instId": "BTC-USDT", "clOrdId": "nobody"}, "51603"),
        ("trade/order", {"instId": "BTC-USDT"}, "51003"),
        ("trade/order", {"ordId": "7"}, "50014"),
        ("trade/order", {"instId": "BTC-USDT", "ordId": "7", "more": "1"}, "51000"),
        ("trade/orders-pending", {"instType": "SWAP"}, "51000"),
        ("trade/orders-pending", {"limit": "101"}, "51000"),
        ("trade/orders-pending", {"limit": "0"}, "51000"),
        ("trade/orders-pending", {"state": "filled"}, "51000"),
        ("trade/orders-history", {}, "50014"),
        ("trade/fills-history", {}, "50014"),
        ("trade/fills", {"subType": "1"}, "51000"),
        ("trade/fills", {"after": "x"}, "51000"),
        ("account/balance", {"ccy": "btc"}, "51000"),
        ("account/trade-fee", {"instType": "SPOT", "instId": "A-B"}, "51001"),
        ("public/instruments", {}, "50014"),
        ("market/books", {"instId": "BTC-USDT", "sz": "401"}, "51000"),
        ("market/ticker", {"instId": "A-B"}, "51001"),
        ("market/candles", {}, "50014"),
        ("market/candles", {"instId": "A-B"}, "51001"),
        ("market/candles", {"instId": "BTC-USDT", "bar": "7m"}, "51000"),
        ("market/history-candles", {"instId": "BTC-USDT", "limit": "301"}, "51000"),
        ("market/history-trades", {"instId": "BTC-USDT", "type": "3"}, "51000"),
        ("market/history-trades", {"instId": "BTC-USDT", "type": "2", "before": "1"}, "51000"),
        ("market/index-candles", {"instId": "BTC-USDT"}, "404"),
        ("trade/cancel-order", {}, "50115"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(
    wire: Wire, path: str, asked: dict[str, str], code: str
) -> None:
    status, body = await wire.send("GET", path, asked)
    assert (body["code"], body["data"]) == (code, [])
    told_by_status = {"51000": 400, "50014": 400, "404": 404, "50115": 405}
    assert status == told_by_status.get(code, 200)


@pytest.mark.parametrize(
    ("body", "code"),
    [("", "50000"), ("{", "50002"), ("[]", "50002"), ('"text"', "50002"), ("[{}]", "50002")],
)
async def test_a_body_that_is_no_order_is_refused(wire: Wire, body: str, code: str) -> None:
    status, answer = await wire.send("POST", PLACE, body)
    assert (status, answer["code"]) == (400, code)


async def test_a_bulk_has_a_list_of_at_most_twenty_orders(wire: Wire) -> None:
    path = "trade/batch-orders"
    _, body = await wire.send("POST", path, LIMIT)
    assert body["code"] == "50002"
    _, body = await wire.send("POST", path, [LIMIT] * 21)
    assert body["code"] == "51111"
    _, body = await wire.send("POST", path, [LIMIT, LIMIT | {"sz": "0"}])
    assert (body["code"], [row["sCode"] for row in body["data"]]) == ("2", ["0", "51000"])


async def test_a_body_of_another_type_is_refused(wire: Wire) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body = await wire.send("POST", PLACE, LIMIT, **headers)
    assert (status, body["code"]) == (400, "50006")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"OK-ACCESS-KEY": None}, "50103"),
        ({"OK-ACCESS-SIGN": None}, "50106"),
        ({"OK-ACCESS-TIMESTAMP": None}, "50107"),
        ({"OK-ACCESS-PASSPHRASE": None}, "50104"),
        ({"OK-ACCESS-KEY": "nobody"}, "50111"),
        ({"OK-ACCESS-PASSPHRASE": "wrong"}, "50105"),
        ({"OK-ACCESS-SIGN": "wrong"}, "50113"),
        ({"OK-ACCESS-TIMESTAMP": "2026-01-01T00:00:00.000Z"}, "50113"),
    ],
)
async def test_who_does_not_sign_in_properly_is_refused(
    wire: Wire, headers: dict[str, str | None], code: str
) -> None:
    status, body = await wire.send("POST", PLACE, LIMIT, **headers)
    assert (status, body["code"], body["data"]) == (401, code, [])
    assert nothing_was_ordered(wire)


async def test_the_signature_covers_query_and_body(wire: Wire) -> None:
    _, good = await wire.send("GET", "account/balance", {"ccy": "BTC"})
    assert good["code"] == "0"
    stamp = wire.timestamp(wire.served.exchange.now_ms())
    payload = f"{stamp}GET/api/v5/account/balance".encode()
    signature = base64.b64encode(hmac.new(SECRET.encode(), payload, hashlib.sha256).digest())
    headers = {"OK-ACCESS-TIMESTAMP": stamp, "OK-ACCESS-SIGN": signature.decode()}
    _, bare = await wire.send("GET", "account/balance", {}, **headers)
    assert bare["code"] == "0"
    _, other = await wire.send("GET", "account/balance", {"ccy": "BTC"}, **headers)
    assert other["code"] == "50113"


async def test_a_timestamp_lives_for_thirty_seconds(wire: Wire) -> None:
    for late_ms in (31_000, -31_000):
        status, body = await wire.send("POST", PLACE, LIMIT, late_ms=late_ms)
        assert (status, body["code"]) == (401, "50102")
    status, body = await wire.send("POST", PLACE, LIMIT, late_ms=28_000)
    assert (status, body["code"]) == (200, "0")


async def test_an_order_that_arrives_after_its_own_deadline_is_refused(wire: Wire) -> None:
    now_ms = wire.served.exchange.now_ms()
    status, body = await wire.send("POST", PLACE, LIMIT, expTime=str(now_ms - 100))
    assert (status, body["code"], body["data"]) == (200, "50036", [])
    status, body = await wire.send("POST", PLACE, LIMIT, expTime="soon")
    assert (status, body["code"]) == (400, "51000")
    assert nothing_was_ordered(wire)
    _, body = await wire.send("POST", PLACE, LIMIT, expTime=str(now_ms + 20_000))
    assert body["code"] == "0"
    # Only orders have a deadline: a cancel that names one is a cancel.
    cancel = {"instId": "BTC-USDT", "ordId": "1"}
    _, body = await wire.send("POST", CANCEL, cancel, expTime=str(now_ms - 100))
    assert body["code"] == "0"


class WaitsBeforeTheBook(NoFaults):
    """Lets the exchange's clock run on while a request is on its way to the book."""

    def __init__(self, by_ms: int) -> None:
        self.by_ms = by_ms
        self.served: RunningExchange | None = None

    async def before_book(self, request: RequestContext) -> None:
        assert self.served is not None
        self.served.exchange.clock_offset_ms += self.by_ms


@pytest.mark.parametrize(("by_ms", "code"), [(6_000, "50037"), (31_000, "50102")])
async def test_the_life_of_an_order_is_checked_again_just_before_the_book(
    tmp_path: Path, by_ms: int, code: str
) -> None:
    hooks = WaitsBeforeTheBook(by_ms)
    async with (
        running(config("okx", tmp_path), hooks) as served,
        aiohttp.ClientSession() as session,
    ):
        hooks.served = served
        wire = Wire(served, session)
        deadline = str(served.exchange.now_ms() + 5_000)
        _, body = await wire.send("POST", PLACE, LIMIT, expTime=deadline)
        assert body["code"] == code
        assert nothing_was_ordered(wire)


class ReplacesTheAnswer(NoFaults):
    """Takes the answer of an order that was carried out."""

    async def after_book(self, request: RequestContext, answer: Answer) -> Answer:
        return Answer(status=503, body={})


async def test_the_seam_can_lose_the_answer_of_an_order_that_is_live(tmp_path: Path) -> None:
    async with (
        running(config("okx", tmp_path), ReplacesTheAnswer()) as served,
        aiohttp.ClientSession() as session,
    ):
        status, _ = await Wire(served, session).send("POST", PLACE, LIMIT)
        assert status == 503
        assert len(read_log(served.exchange.journal.path).orders) == 1


async def test_the_time_is_told_to_anybody(wire: Wire) -> None:
    async with wire.session.get(f"{wire.served.base_url}/api/v5/public/time") as answer:
        assert answer.status == 200
        told = (await answer.json())["data"][0]["ts"]
    assert abs(int(told) - wire.served.exchange.now_ms()) < 5_000


def test_an_account_without_a_passphrase_cannot_be_opened(tmp_path: Path) -> None:
    account = PaperAccount(api_key=KEY, secret=SECRET)
    with pytest.raises(ValueError, match="passphrase"):
        config("okx", tmp_path, accounts={"main": account})
    assert PASSPHRASE not in repr(PaperAccount(api_key=KEY, secret=SECRET, passphrase=PASSPHRASE))
