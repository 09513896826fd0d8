"""Gate, spot of a classic account.

An order is found by our id only while it is open and shortly after; then the finished orders and
the trades since the request are searched for it. A market buy names the money to spend, not the
quantity. How long a signed request stays valid is not documented. It must not know other venues.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues.dialects.ids import base32_id, parse_base32_id
from activities.venues.dialects.listing import Params, listed, not_found, one_page, with_id
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.recent_trades import newest_trades
from activities.venues.dialects.row import (
    UNDOCUMENTED_LIFE,
    CcxtOrder,
    CcxtTrade,
    Dialect,
    TradesByTime,
    VenueErrorText,
)
from activities.venues.dialects.unified import cancel, fees, read_order
from workflows.domain.reports import RejectionFamily

ORDER_PAGE_SIZE, TRADE_PAGE_SIZE = 100, 1000
_LONGEST_SPAN_MS = 30 * 86_400_000 - 2_000
_SECOND_MS = 1000


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del life_ms, valid_until_ms
    return {}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    with suppress(ccxt.OrderNotFound):
        return dict(await client.fetch_order(None, symbol, {"clientOrderId": rendered_id}))
    found = with_id(await _finished(client, symbol, since_ms), rendered_id)
    if found is not None:
        return dict(found)
    for trade in await _trades(client, symbol, {"from": str(since_ms // _SECOND_MS)}):
        if trade["info"].get("text") == rendered_id:
            return await read_order(client, symbol, str(trade["order"]))
    raise not_found(rendered_id)


async def _finished(client: Any, symbol: str, since_ms: int) -> list[Any]:
    since = {"from": str(since_ms // _SECOND_MS)}

    async def fetch(page: Params) -> list[Any]:
        orders: list[Any] = await client.fetch_closed_orders(
            symbol, None, ORDER_PAGE_SIZE, {**since, **page}
        )
        return orders

    return await listed(fetch, _is_list, _next_orders)


async def _cancel_all_after(client: Any, seconds: int) -> object:
    answer = await client.private_spot_post_countdown_cancel_all({"timeout": seconds})
    return answer["triggerTime"]


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    # grouped by pair; beyond the limit an order is read by its own id
    async def fetch(page: Params) -> list[Any]:
        del page
        orders: list[Any] = await client.fetch_open_orders(symbol, None, ORDER_PAGE_SIZE)
        return orders

    return await listed(fetch, _is_list, one_page)


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    return await _trades(client, symbol, {"order_id": order["id"]})


async def _trades(client: Any, symbol: str, filters: Params) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        return await _trade_page(client, symbol, {**filters, **page})

    return await listed(fetch, _is_list, _next_trades)


async def _trade_page(client: Any, symbol: str, params: Params) -> list[Any]:
    # ccxt's fetch_order_trades drops its parameters, and with them the page
    asked = {"limit": str(TRADE_PAGE_SIZE), **params}
    trades: list[Any] = await client.fetch_my_trades(symbol, None, None, asked)
    return trades


async def _trades_between(
    client: Any, symbol: str, since_ms: int, until_ms: int, page: Params
) -> list[Any]:
    span = {"from": str(since_ms // _SECOND_MS), "to": str(until_ms // _SECOND_MS + 1)}
    trades = await _trade_page(client, symbol, {**span, **page})
    return [trade for trade in trades if since_ms <= int(trade["timestamp"]) <= until_ms]


def _next_trades(answer: Any, page: Params) -> Params | None:
    return _next_numbered(answer, page, TRADE_PAGE_SIZE)


def _next_orders(answer: Any, page: Params) -> Params | None:
    return _next_numbered(answer, page, ORDER_PAGE_SIZE)


def _next_numbered(answer: Any, page: Params, size: int) -> Params | None:
    return {"page": str(int(page.get("page", "1")) + 1)} if len(answer) >= size else None


def _amend_order(order: CcxtOrder) -> CcxtOrder:
    """ccxt passes on the many reasons for which an order ended as if they were states."""
    info = order["info"]
    if info.get("status") == "open":
        return {**order, "status": "open"}
    if info.get("status") not in ("closed", "cancelled"):
        return order
    is_filled = Decimal(str(info.get("left"))) == 0
    return {**order, "status": "closed" if is_filled else "canceled"}


def _amend_trade(trade: CcxtTrade) -> CcxtTrade:
    """A fee may be paid in points or GT; the other assets are then told with zero."""
    fees = trade.get("fees")
    if not isinstance(fees, list) or not fees:
        return trade
    paid = [fee for fee in fees if Decimal(str(fee.get("cost"))) != 0]
    if len(paid) > 1:
        return {**trade, "fee": None}  # one trade, one fee: it is unreadable
    return {**trade, "fee": paid[0] if paid else fees[0]}


def _read_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict) or "label" not in answer:
        return None
    return VenueErrorText(code=str(answer["label"]), message=str(answer.get("message", "")))


def _is_list(answer: object) -> bool:
    return isinstance(answer, list)


def _duplicate(error: VenueErrorText) -> bool:
    # the venue does not document the answer, so its words are taken widely: it means a look-up
    words = f"{error.code} {error.message}".lower()
    return error.code == "REPEATED_CREATION" or "duplicate" in words or "text exists" in words


GATE = Dialect(
    hosts=frozenset({"api.gateio.ws"}),
    sandbox_hosts=frozenset({"api-testnet.gateapi.io"}),
    ccxt_config={"options": {"unifiedAccount": False}},
    render_id=base32_id,
    parse_id=parse_base32_id,
    create_params=_create_params,
    request_life=UNDOCUMENTED_LIFE,
    buys_market_by_quote=True,
    look_up=_look_up,
    read_order=read_order,
    cancel=cancel,
    open_orders=_open_orders,
    cancel_all_after=_cancel_all_after,
    order_trades=_order_trades,
    trades=TradesByTime(fetch=_trades_between, next_page=_next_trades, span_ms=_LONGEST_SPAN_MS),
    fees=fees,
    buys_pay_base=True,
    order_fields=frozenset({"id", "status", "amount", "left"}),
    is_list=_is_list,
    is_balances=_is_list,
    amend_order=_amend_order,
    amend_trade=_amend_trade,
    read_error=_read_error,
    public_trades=newest_trades(1000),
    candles=Candles(page_size=1000),
    not_rejections=frozenset({"INTERNAL", "SERVER_ERROR", "TOO_BUSY", "ORDER_CLOSED"}),
    refusals={"REQUEST_EXPIRED": RejectionFamily.CLOCK},
    duplicate_id=_duplicate,
)
