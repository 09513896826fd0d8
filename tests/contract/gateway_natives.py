"""Native orders for the recorder: intents, and Binance's answers about them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aiohttp import web

from activities.venues.ccxt_gateway import CcxtGateway, open_gateway
from tests.contract.gateway_recorder import LISTED, Handler, Recorder, accepted, access, intent
from workflows.domain.orders import ChildIntent, ChildType, Side

D = Decimal
SIGNED_AT_MS = 1_700_000_000_123
ID = intent().client_order_id
EVERYWHERE = {"symbol", "side", "quantity", "timestamp", "recvWindow", "signature"}
SINGLE = EVERYWHERE | {"type", "newClientOrderId", "newOrderRespType"}
NATIVE_RULES: dict[str, Any] = {
    "orderTypes": [
        "LIMIT",
        "LIMIT_MAKER",
        "MARKET",
        "STOP_LOSS",
        "STOP_LOSS_LIMIT",
        "TAKE_PROFIT",
        "TAKE_PROFIT_LIMIT",
    ],
    "icebergAllowed": True,
    "ocoAllowed": True,
    "allowTrailingStop": True,
    "filters": [
        *LISTED["filters"],
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 20,
            "maxTrailingBelowDelta": 1000,
        },
    ],
}


@asynccontextmanager
async def patient(recorder: Recorder) -> AsyncIterator[CcxtGateway]:
    """A gateway for the recorder that no hanging answer is meant for."""
    gateway = open_gateway(replace(access(recorder), http_deadline_s=Decimal(5)))
    yield gateway
    await gateway.close()


def stop(**changes: Any) -> ChildIntent:
    """A stop of a long position, that becomes a market order, unless changed."""
    fields: dict[str, Any] = {
        "side": Side.SELL,
        "child_type": ChildType.STOP_LOSS,
        "price": None,
        "trigger_price": D("39000.5"),
    }
    return intent(**{**fields, **changes})


def oco(**changes: Any) -> ChildIntent:
    """A take-profit and a stop of a long position, unless changed."""
    return stop(child_type=ChildType.OCO, price=D("42000"), **changes)


def leg(letter: str, **changes: Any) -> dict[str, Any]:
    """One order of the list, as the venue tells it."""
    number = {"a": 31, "b": 32}[letter]
    kind = {"a": "LIMIT_MAKER", "b": "STOP_LOSS"}[letter]
    price = {"a": "42000.00", "b": "0.00"}[letter]
    fields = {"orderId": number, "orderListId": 7, "type": kind, "price": price, "side": "SELL"}
    return accepted(ID + letter, **{**fields, **changes})


def listed(status: str = "EXECUTING", **changes: Any) -> dict[str, Any]:
    """The list, as the venue tells it."""
    orders = [
        {"symbol": "BTCUSDT", "orderId": 31, "clientOrderId": ID + "a"},
        {"symbol": "BTCUSDT", "orderId": 32, "clientOrderId": ID + "b"},
    ]
    told = {
        "orderListId": 7,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": status,
        "listClientOrderId": ID,
        "transactionTime": 1_700_000_000_000,
        "symbol": "BTCUSDT",
        "orders": orders,
    }
    return {**told, **changes}


def taking_orders(recorder: Recorder) -> None:
    """Take every single order, and every list of two."""
    recorder.on("POST", "order", lambda sent: accepted(sent["newClientOrderId"], side="SELL"))
    answer = listed(orderReports=[leg("b"), leg("a")])
    recorder.on("POST", "orderList/oco", lambda _: answer)


def telling_list(recorder: Recorder, status: str, **legs: dict[str, Any]) -> None:
    """Answer reads of the list and of its legs, by letter."""
    told = {"31": leg("a", **legs.get("a", {})), "32": leg("b", **legs.get("b", {}))}
    recorder.on("GET", "orderList", lambda _: listed(status))
    recorder.on("GET", "order", lambda asked: told[asked["orderId"]])


def refusal(code: int, words: str) -> Handler:
    """The venue's answer where it refuses."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": code, "msg": words}, status=400)

    return refuse


def trade(order: int, number: int, quantity: str) -> dict[str, Any]:
    """One trade of a leg in the account's list."""
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": order,
        "orderListId": 7,
        "price": "42000.00",
        "qty": quantity,
        "commission": "0.1",
        "commissionAsset": "USDT",
        "time": 1_700_000_000_000,
        "isBuyer": False,
        "isMaker": True,
    }


def sent(recorder: Recorder, path: str) -> dict[str, str]:
    """The one request of this path, without what every signed request has."""
    (found,) = [asked for method, at, asked in recorder.requests if (method, at) == ("POST", path)]
    assert found["timestamp"] == str(SIGNED_AT_MS)
    return found
