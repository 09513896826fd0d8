"""A one-cancels-the-other of Binance told as one order, though the venue keeps a list of two.

Theory. The list bears our id X, its legs X and one letter. The order's id at the venue is
`list:` and the list's number: all that the venue tells of a leg of ours is told of that. What the
legs executed is added up. The end of one leg means only that the other one acts; the order ends
when both have, or when all of it is executed. It must not know other venues.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues.dialects.ids import parse_leg_id
from activities.venues.dialects.row import CcxtOrder, CcxtTrade

ABOVE, BELOW = "a", "b"
_PREFIX = "list:"
_NO_LIST = "-1"


def list_number(venue_order_id: str) -> str | None:
    """The number of the list that a venue order id names; None for a single order's id."""
    return venue_order_id.removeprefix(_PREFIX) if venue_order_id.startswith(_PREFIX) else None


async def look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    """The list that bears our id, or ccxt's OrderNotFound."""
    del since_ms
    return await _read(client, symbol, {"origClientOrderId": rendered_id})


async def read(client: Any, symbol: str, number: str) -> CcxtOrder:
    """The list of this number, or ccxt's OrderNotFound."""
    return await _read(client, symbol, {"orderListId": number})


async def _read(client: Any, symbol: str, asked: Mapping[str, str]) -> CcxtOrder:
    told = await client.private_get_orderlist(asked)
    market = client.market(symbol)
    if told["symbol"] != market["id"]:
        raise ccxt.BadResponse("a list of another symbol")
    legs = [await client.fetch_order(str(each["orderId"]), symbol, {}) for each in told["orders"]]
    if told["listOrderStatus"] == "ALL_DONE" and any(leg["status"] == "open" for leg in legs):
        raise ccxt.BadResponse("a list that is done before its orders")
    return _as_one(str(told["orderListId"]), told["listClientOrderId"], legs)


def of_answer(client: Any, told: Mapping[str, Any], market: Any) -> CcxtOrder:
    """The order in the answer to a new list."""
    legs = [client.parse_order(each, market) for each in told["orderReports"]]
    return _as_one(str(told["orderListId"]), told["listClientOrderId"], legs)


async def cancel(client: Any, symbol: str, number: str) -> None:
    """Ask for a cancel of both legs; ccxt's OrderNotFound for a list that is open no more."""
    await client.private_delete_orderlist(
        {"symbol": client.market_id(symbol), "orderListId": number}
    )


def legs_of(order: CcxtOrder) -> Sequence[CcxtOrder]:
    """The legs that have traded, of an order that `read` or `look_up` gave."""
    return [leg for leg in order["legs"] if Decimal(leg["filled"]) > 0]


def merged(orders: Sequence[CcxtOrder]) -> list[CcxtOrder]:
    """Open orders with the legs of each list of ours as one order; one of both is enough: where
    the other is not open, it has executed nothing."""
    singles = [order for order in orders if _list_of_ours(order) is None]
    by_list: dict[str, list[CcxtOrder]] = {}
    for order in orders:
        number = _list_of_ours(order)
        if number is not None:
            by_list.setdefault(number, []).append(order)
    return singles + [_as_one(each, None, legs) for each, legs in by_list.items()]


def no_leg(order: CcxtOrder) -> CcxtOrder:
    """An order that stands for itself. A leg of ours is known by its list alone: what is asked for
    by a leg's number would end with the leg."""
    if _list_of_ours(order) is not None:
        raise ccxt.BadResponse("one order of a list of ours")
    return order


def of_list(trade: CcxtTrade) -> CcxtTrade:
    """A trade of a leg as one of its list."""
    number = _number(trade["info"])
    return trade if number is None else {**trade, "order": _PREFIX + number}


def joining() -> Callable[[CcxtOrder], CcxtOrder]:
    """A reader of the orders that one private stream pushes: a leg of ours comes out as its list,
    as far as this stream has told of it."""
    known: dict[str, dict[str, CcxtOrder]] = {}

    def join(order: CcxtOrder) -> CcxtOrder:
        number = _list_of_ours(order)
        if number is None:
            return order
        legs = known.setdefault(number, {})
        legs[order["id"]] = _later(legs.get(order["id"], order), order)
        joined = _as_one(number, None, list(legs.values()), legs_are_all=len(legs) > 1)
        if joined["status"] != "open":
            del known[number]
        return joined

    return join


def _later(one: CcxtOrder, other: CcxtOrder) -> CcxtOrder:
    """Both tell of one leg: an end stays, and what is executed never shrinks."""
    filled = max(one["filled"], other["filled"], key=Decimal)
    status = one["status"] if one["status"] != "open" else other["status"]
    return {**other, "status": status, "filled": filled}


def _list_of_ours(order: CcxtOrder) -> str | None:
    number, text = _number(order["info"]), order.get("clientOrderId")
    is_ours = isinstance(text, str) and text[-1:] in (ABOVE, BELOW) and parse_leg_id(text)
    return number if is_ours else None


def _number(info: Mapping[str, Any]) -> str | None:
    """The list's number as REST and the stream name it."""
    number = str(info.get("orderListId", info.get("g", _NO_LIST)))
    return None if number == _NO_LIST else number


def _as_one(
    number: str,
    client_order_id: str | None,
    legs: Sequence[CcxtOrder],
    *,
    legs_are_all: bool = True,
) -> CcxtOrder:
    limit = next((leg for leg in legs if leg["type"] == "limit"), legs[0])
    executed = sum((Decimal(leg["filled"]) for leg in legs), Decimal(0))
    status = _status(legs, executed, Decimal(limit["amount"]), legs_are_all)
    filled = format(executed, "f")
    stamps = [leg["lastUpdateTimestamp"] or leg["timestamp"] for leg in legs]
    ours = client_order_id or limit["clientOrderId"]
    info = {
        "orderId": number,
        "clientOrderId": ours,
        "status": status,
        "origQty": limit["amount"],
        "executedQty": filled,
    }
    return {
        **limit,
        "id": _PREFIX + number,
        "clientOrderId": ours,
        "status": status,
        "filled": filled,
        "lastUpdateTimestamp": max((stamp for stamp in stamps if stamp), default=None),
        "trades": [trade for leg in legs for trade in leg.get("trades") or ()],
        "info": info,
        "legs": legs,
    }


def _status(
    legs: Sequence[CcxtOrder], executed: Decimal, ordered: Decimal, legs_are_all: bool
) -> str:
    if executed >= ordered:
        return "closed"
    told = [str(leg["status"]) for leg in legs]
    if "open" in told or not legs_are_all:
        return "open"
    return "canceled" if "canceled" in told else told[0]
