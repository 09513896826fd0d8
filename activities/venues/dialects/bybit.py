"""Bybit v5, spot of a unified account.

A new order is only acknowledged. ccxt's read by id would send `orderId=None` beside our own id,
which the venue prefers, so both ids are asked for through the lists: realtime first, which also
knows the last 500 closed orders, then the history. It must not know other venues.
"""

from collections.abc import Mapping
from typing import Any

import ccxt

from activities.venues.dialects.ids import hex_id, parse_hex_id
from activities.venues.dialects.listing import Params, listed, not_found, with_id
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.recent_trades import newest_trades
from activities.venues.dialects.row import (
    CcxtOrder,
    CcxtTrade,
    Dialect,
    RequestLife,
    TradesByTime,
    VenueErrorText,
)
from activities.venues.dialects.unified import cancel, fees
from workflows.domain.reports import RejectionFamily

ORDER_PAGE_SIZE, TRADE_PAGE_SIZE = 50, 100
_LONGEST_SPAN_MS = 7 * 86_400_000 - 1
_CANCELLED_AFTER_FILLS = frozenset({"PartiallyFilledCanceled", "PARTIALLY_FILLED_CANCELLED"})


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del life_ms, valid_until_ms
    return {}


def _ccxt_options(life_ms: int) -> Mapping[str, Any]:
    return {"recvWindow": life_ms}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    del since_ms
    params = {"orderLinkId": rendered_id}
    for orders in (_realtime, _history):
        found = with_id(await orders(client, symbol, params), rendered_id)
        if found is not None:
            return dict(found)
    if await _executions(client, symbol, params):  # the order history may lag behind
        raise ccxt.BadResponse("its executions are there, the order is not yet")
    raise not_found(rendered_id)


async def _read_order(client: Any, symbol: str, venue_order_id: str) -> CcxtOrder:
    for orders in (_realtime, _history):
        for order in await orders(client, symbol, {"orderId": venue_order_id}):
            if order.get("id") == venue_order_id:
                return dict(order)
    raise not_found(venue_order_id)


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    orders = await _realtime(client, symbol, {})
    return [order for order in orders if _amend_order(order).get("status") == "open"]


async def _realtime(client: Any, symbol: str, filters: Params) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        asked = {**filters, **page}
        orders: list[Any] = await client.fetch_open_orders(symbol, None, ORDER_PAGE_SIZE, asked)
        return orders

    return await listed(fetch, _is_list, _next_page)


async def _history(client: Any, symbol: str, filters: Params) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        orders: list[Any] = await client.fetch_canceled_and_closed_orders(
            symbol, None, ORDER_PAGE_SIZE, {**filters, **page}
        )
        return orders

    return await listed(fetch, _is_list, _next_page)


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    return await _executions(client, symbol, {"orderId": order["id"]})


async def _executions(client: Any, symbol: str, filters: Params) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        return await _execution_page(client, symbol, {**filters, **page})

    return await listed(fetch, _is_list, _next_page)


async def _execution_page(client: Any, symbol: str, params: Params) -> list[Any]:
    asked = {"limit": str(TRADE_PAGE_SIZE), **params}
    trades: list[Any] = await client.fetch_my_trades(symbol, None, None, asked)
    return trades


async def _trades_between(
    client: Any, symbol: str, since_ms: int, until_ms: int, page: Params
) -> list[Any]:
    span = {"startTime": str(since_ms), "endTime": str(until_ms)}
    return await _execution_page(client, symbol, {**span, **page})


def _next_page(answer: Any, page: Params) -> Params | None:
    cursor = answer["result"].get("nextPageCursor")
    if not cursor or not answer["result"]["list"] or cursor == page.get("cursor"):
        return None
    return {"cursor": str(cursor)}


def _amend_order(order: CcxtOrder) -> CcxtOrder:
    """ccxt files an order that was cancelled after a part of it filled under filled."""
    if order["info"].get("orderStatus") in _CANCELLED_AFTER_FILLS:
        return {**order, "status": "canceled"}
    return order


def _amend_trade(trade: CcxtTrade) -> CcxtTrade:
    """ccxt guesses the fee's asset from the side; the venue names it."""
    asset = trade["info"].get("feeCurrency")
    if not asset or not isinstance(trade.get("fee"), dict):
        return trade
    return {**trade, "fee": {**trade["fee"], "currency": asset}}


def _read_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict) or answer.get("retCode") in (None, 0, "0"):
        return None
    return VenueErrorText(code=str(answer["retCode"]), message=str(answer.get("retMsg", "")))


def _is_list(answer: object) -> bool:
    if not isinstance(answer, dict) or str(answer.get("retCode")) != "0":
        return False
    result = answer.get("result")
    return isinstance(result, dict) and isinstance(result.get("list"), list)


def _is_balances(answer: object) -> bool:
    return isinstance(answer, dict) and _is_list(answer) and bool(answer["result"]["list"])


def _duplicate(error: VenueErrorText) -> bool:
    return error.code in ("170141", "110072", "10014")


def _tells_absence(error: VenueErrorText) -> bool:
    # unknown order, not on the book, filled or cancelled already: a read tells which
    return error.code in ("170213", "170143", "170139", "170142")


BYBIT = Dialect(
    hosts=frozenset({"api.bybit.com"}),
    sandbox_hosts=frozenset({"api-testnet.bybit.com"}),
    ccxt_config={
        "options": {
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
        }
    },
    ccxt_options=_ccxt_options,
    render_id=hex_id,
    parse_id=parse_hex_id,
    create_params=_create_params,
    request_life=RequestLife(),
    look_up=_look_up,
    read_order=_read_order,
    cancel=cancel,
    open_orders=_open_orders,
    order_trades=_order_trades,
    trades=TradesByTime(fetch=_trades_between, next_page=_next_page, span_ms=_LONGEST_SPAN_MS),
    fees=fees,
    buys_pay_base=True,
    order_fields=frozenset({"orderId", "orderStatus", "qty", "cumExecQty"}),
    ack_fields=frozenset({"orderId", "orderLinkId"}),
    is_list=_is_list,
    is_balances=_is_balances,
    amend_order=_amend_order,
    amend_trade=_amend_trade,
    read_error=_read_error,
    public_trades=newest_trades(60),
    candles=Candles(page_size=1000, is_told=_is_list),
    # server error (twice), internal error, backend timeout, order creation timeout
    not_rejections=frozenset({"10000", "10016", "170001", "170007", "170146"}),
    refusals={"10002": RejectionFamily.CLOCK},
    duplicate_id=_duplicate,
    tells_absence=_tells_absence,
)
