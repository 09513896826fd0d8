"""What the price stream of each venue reads in one message."""

from decimal import Decimal
from typing import Any

import pytest

from activities.venues.ccxt_fields import UnreadableAnswerError
from activities.venues.dialects.binance_prices import PRICE_STREAM as BINANCE
from activities.venues.dialects.okx_prices import PRICE_STREAM as OKX
from workflows.domain.triggers import Tick

D = Decimal
NOW_MS = 1_700_000_000_000
AT_MS = NOW_MS - 5


def okx(channel: str, **row: Any) -> dict[str, Any]:
    arg = {"channel": channel, "instId": "BTC-USDT"}
    return {"arg": arg, "data": [{"ts": str(AT_MS), **row}]}


@pytest.mark.parametrize(
    ("message", "tick"),
    [
        (okx("trades", px="40000.5", sz="1", tradeId="7"), Tick(at_ms=AT_MS, last=D("40000.5"))),
        (
            okx("bbo-tbt", bids=[["40000", "1", "0", "1"]], asks=[["40001", "1", "0", "1"]]),
            Tick(at_ms=AT_MS, bid=D(40000), ask=D(40001)),
        ),
        (
            okx("bbo-tbt", bids=[], asks=[["40001", "1", "0", "1"]]),
            Tick(at_ms=AT_MS, ask=D(40001)),
        ),
        (okx("mark-price", markPx="40000.1"), Tick(at_ms=AT_MS, mark=D("40000.1"))),
        (okx("index-tickers", idxPx="40000.2"), Tick(at_ms=AT_MS, index=D("40000.2"))),
    ],
)
def test_okx_names_the_time_of_each_price(message: dict[str, Any], tick: Tick) -> None:
    assert list(OKX.read(message, NOW_MS)) == [tick]


@pytest.mark.parametrize(
    "message",
    [
        okx("trades", px="NaN"),
        okx("trades", px="40000", ts=""),
        okx("bbo-tbt", bids=[["0", "1"]], asks=[]),
        okx("unheard-of", px="40000"),
        {**okx("trades", px="40000"), "data": ["40000"]},
        {**okx("trades", px="40000"), "arg": None},
        "torn",
        [],
    ],
)
def test_a_price_that_cannot_be_read_is_told_as_that(message: Any) -> None:
    with pytest.raises(UnreadableAnswerError):
        OKX.read(message, NOW_MS)


def test_a_refused_mark_price_leaves_the_stream_without_it() -> None:
    refused = {"event": "error", "code": "60018", "msg": "doesn't exist", "connId": "a"}
    assert OKX.agreed(refused) is None
    assert list(OKX.read(refused, NOW_MS)) == []
    agreed = [
        OKX.agreed({"event": "subscribe", "arg": {"channel": channel, "instId": "BTC-USDT"}})
        for channel in ("trades", "bbo-tbt")
    ]
    assert OKX.topics == set(agreed)


def test_binance_names_no_time_of_a_touch_so_it_is_that_of_its_coming() -> None:
    touch = {"u": 1, "s": "BTCUSDT", "b": "40000.00", "B": "1", "a": "40001.00", "A": "1"}
    assert list(BINANCE.read(touch, NOW_MS)) == [Tick(at_ms=NOW_MS, bid=D(40000), ask=D(40001))]
    traded = {"e": "trade", "s": "BTCUSDT", "p": "40000.50", "q": "1", "T": AT_MS}
    assert list(BINANCE.read(traded, NOW_MS)) == [Tick(at_ms=AT_MS, last=D("40000.5"))]


@pytest.mark.parametrize("message", [{"result": None, "id": 2}, {"result": []}, {"id": 1}])
def test_binance_has_agreed_only_with_its_answer_to_our_request(message: dict[str, Any]) -> None:
    assert BINANCE.agreed(message) is None
    assert BINANCE.agreed({"result": None, "id": 1}) in BINANCE.topics
