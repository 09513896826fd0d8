"""Coinbase Advanced, spot.

There is no look-up by our id: the account's orders since the request are searched for it. The
same id sent again answers with the old order, which is why an acknowledgement is believed. ccxt
drops `clientOrderId` and sends a random one, so the venue's own name is passed. A market buy
names the money to spend, not the quantity. It must not know other venues.
"""

from collections.abc import Mapping
from typing import Any

import ccxt

from activities.venues.dialects.ids import parse_uuid_id, uuid_id
from activities.venues.dialects.listing import Params, listed, not_found, with_id
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.recent_trades import newest_trades
from activities.venues.dialects.row import (
    UNDOCUMENTED_LIFE,
    CcxtOrder,
    Dialect,
    TradesByTime,
    VenueErrorText,
)
from activities.venues.dialects.unified import fees, read_order
from workflows.domain.reports import RejectionFamily

PAGE_SIZE = 100
_LONGEST_SPAN_MS = 365 * 86_400_000
_WAITING = frozenset({"PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"})
_NO_REASON = (None, "", "UNKNOWN_PREVIEW_FAILURE_REASON")


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del life_ms, valid_until_ms
    return {}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    async def fetch(page: Params) -> list[Any]:
        orders: list[Any] = await client.fetch_orders(symbol, since_ms, PAGE_SIZE, dict(page))
        return orders

    found = with_id(await listed(fetch, _is_list, _next_page), rendered_id)
    if found is None:
        raise not_found(rendered_id)
    return dict(found)


async def _cancel(client: Any, symbol: str, venue_order_id: str) -> None:
    """ccxt's cancel_order does not tell an absent order from any other failure."""
    del symbol
    answer = await client.v3PrivatePostBrokerageOrdersBatchCancel({"order_ids": [venue_order_id]})
    (result,) = answer["results"]
    if result["success"] is True or result["failure_reason"] == "DUPLICATE_CANCEL_REQUEST":
        return
    if result["failure_reason"] == "UNKNOWN_CANCEL_ORDER":
        raise not_found(venue_order_id)
    raise ccxt.ExchangeError(f"not cancelled: {result['failure_reason']}")


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        orders: list[Any] = await client.fetch_open_orders(symbol, None, PAGE_SIZE, dict(page))
        return orders

    return await listed(fetch, _is_list, _next_page)


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        asked = {"order_ids": [order["id"]], **page}
        trades: list[Any] = await client.fetch_my_trades(symbol, None, PAGE_SIZE, asked)
        return trades

    return await listed(fetch, _is_list, _next_page)


async def _trades_between(
    client: Any, symbol: str, since_ms: int, until_ms: int, page: Params
) -> list[Any]:
    asked = {"until": str(until_ms + 1), **page}
    trades: list[Any] = await client.fetch_my_trades(symbol, since_ms, PAGE_SIZE, asked)
    return trades


def _next_page(answer: Any, page: Params) -> Params | None:
    cursor = answer.get("cursor")
    rows = answer.get("orders", answer.get("fills"))
    if not cursor or not rows or cursor == page.get("cursor"):
        return None
    return {"cursor": str(cursor)}


def _amend_order(order: CcxtOrder) -> CcxtOrder:
    """ccxt has no word for an order that waits at the venue, be it for its cancellation."""
    return {**order, "status": "open"} if order["info"].get("status") in _WAITING else order


def _read_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict):
        return None
    refused = answer.get("error_response")
    if isinstance(refused, dict):
        reasons = (refused.get("preview_failure_reason"), refused.get("error"))
        code = next((reason for reason in reasons if reason not in _NO_REASON), "")
        return VenueErrorText(code=str(code), message=str(refused.get("message", "")))
    if answer.get("error") is None:
        return None
    return VenueErrorText(code=str(answer["error"]), message=str(answer.get("message", "")))


def _is_list(answer: object) -> bool:
    if not isinstance(answer, dict):
        return False
    return any(isinstance(answer.get(name), list) for name in ("orders", "fills"))


def _is_balances(answer: object) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("accounts"), list)


def _duplicate(error: VenueErrorText) -> bool:
    return "duplicate" in f"{error.code} {error.message}".lower()


def _tells_absence(error: VenueErrorText) -> bool:
    return error.code == "NOT_FOUND"


COINBASE = Dialect(
    hosts=frozenset({"api.coinbase.com"}),
    ccxt_config={
        "options": {
            "fetchMarkets": "fetchMarketsV3",
            # the older list, ccxt's own choice, does not tell what is on hold
            "fetchBalance": "v3PrivateGetBrokerageAccounts",
        }
    },
    render_id=uuid_id,
    parse_id=parse_uuid_id,
    id_param="client_order_id",
    create_params=_create_params,
    request_life=UNDOCUMENTED_LIFE,
    buys_market_by_quote=True,
    look_up=_look_up,
    read_order=read_order,
    cancel=_cancel,
    open_orders=_open_orders,
    order_trades=_order_trades,
    trades=TradesByTime(fetch=_trades_between, next_page=_next_page, span_ms=_LONGEST_SPAN_MS),
    fees=fees,
    buys_pay_base=False,
    order_fields=frozenset({"order_id", "status", "filled_size"}),
    ack_fields=frozenset({"order_id", "client_order_id"}),
    is_list=_is_list,
    is_balances=_is_balances,
    amend_order=_amend_order,
    read_error=_read_error,
    public_trades=newest_trades(1000),
    candles=Candles(page_size=300),
    not_rejections=frozenset({"internal_server_error", "UNKNOWN_FAILURE_REASON"}),
    refusals={
        "INSUFFICIENT_FUND": RejectionFamily.BALANCE,
        "PREVIEW_INSUFFICIENT_FUND": RejectionFamily.BALANCE,
        "INVALID_LIMIT_PRICE_POST_ONLY": RejectionFamily.PRICE,
        "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY": RejectionFamily.PRICE,
        "INVALID_LIMIT_PRICE": RejectionFamily.FILTER,
        "INVALID_SIZE_PRECISION": RejectionFamily.FILTER,
        "INVALID_PRICE_PRECISION": RejectionFamily.FILTER,
        "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL": RejectionFamily.FILTER,
        "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE": RejectionFamily.FILTER,
        "UNSUPPORTED_ORDER_CONFIGURATION": RejectionFamily.FILTER,
        "INVALID_PRODUCT_ID": RejectionFamily.PERMISSION,
        "ORDER_ENTRY_DISABLED": RejectionFamily.PERMISSION,
        "INELIGIBLE_PAIR": RejectionFamily.PERMISSION,
    },
    duplicate_id=_duplicate,
    tells_absence=_tells_absence,
)
