"""OKX, spot.

A new order is only acknowledged. Its deadline is a header, which ccxt does not know. An unfilled
cancelled order is forgotten after about two hours, so fills are looked at too. It must not know
other venues.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues.dialects import okx_prices as prices
from activities.venues.dialects.ids import hex_id, parse_hex_id
from activities.venues.dialects.listing import Params, listed, not_found
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.row import (
    CcxtOrder,
    CcxtTrade,
    Dialect,
    RequestLife,
    TradesByTime,
    VenueErrorText,
)
from activities.venues.dialects.unified import cancel, fees, read_order
from workflows.domain.reports import RejectionFamily

PAGE_SIZE = 100
_LONGEST_SPAN_MS = 89 * 86_400_000  # fills are listed for three months


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del life_ms, valid_until_ms
    return {}


def _create_headers(valid_until_ms: int) -> Mapping[str, str]:
    return {"expTime": str(valid_until_ms)}  # ccxt would put a parameter into the body


def _self_trade(entry: Mapping[str, Any], only_reduces: bool) -> Mapping[str, str]:
    del entry
    return {"stpMode": "cancel_maker" if only_reduces else "cancel_taker"}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    with suppress(ccxt.OrderNotFound):
        return dict(await client.fetch_order(None, symbol, {"clientOrderId": rendered_id}))
    fills = await _fills(client, symbol, {"begin": str(since_ms)})
    if any(fill["info"].get("clOrdId") == rendered_id for fill in fills):
        raise ccxt.BadResponse("its fills are there, the order is not yet")
    raise not_found(rendered_id)


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        orders: list[Any] = await client.fetch_open_orders(symbol, None, PAGE_SIZE, dict(page))
        return orders

    return await listed(fetch, _is_list, _next_by("ordId"))


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    return await _fills(client, symbol, {"ordId": order["id"]})


async def _fills(client: Any, symbol: str, filters: Params) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        return await _fill_page(client, symbol, {**filters, **page})

    return await listed(fetch, _is_list, _next_by("billId"))


async def _fill_page(client: Any, symbol: str, params: Params) -> list[Any]:
    asked = {"limit": str(PAGE_SIZE), **params}
    trades: list[Any] = await client.fetch_my_trades(symbol, None, None, asked)
    return trades


async def _trades_between(
    client: Any, symbol: str, since_ms: int, until_ms: int, page: Params
) -> list[Any]:
    # both ends are exclusive in one edition of the documentation and inclusive in another
    span = {"begin": str(since_ms - 1), "end": str(until_ms + 1)}
    return await _fill_page(client, symbol, {**span, **page})


async def _cancel_all_after(client: Any, seconds: int) -> object:
    # as a text: ccxt's own call sends a number
    answer = await client.private_post_trade_cancel_all_after({"timeOut": str(seconds)})
    return answer["data"][0]["triggerTime"]


def _next_by(name: str) -> Any:
    def next_page(answer: Any, page: Params) -> Params | None:
        del page
        rows = answer["data"]
        return {"after": str(rows[-1][name])} if len(rows) >= PAGE_SIZE else None

    return next_page


def _read_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict) or answer.get("code") in (None, "0"):
        return None
    rows = answer.get("data")
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    if row.get("sCode") not in (None, "0"):  # `code` says then only that something failed
        return VenueErrorText(code=str(row["sCode"]), message=str(row.get("sMsg", "")))
    return VenueErrorText(code=str(answer["code"]), message=str(answer.get("msg", "")))


def _is_list(answer: object) -> bool:
    return (
        isinstance(answer, dict)
        and answer.get("code") == "0"
        and isinstance(answer.get("data"), list)
    )


def _is_balances(answer: object) -> bool:
    if not isinstance(answer, dict) or not _is_list(answer):
        return False
    return any(isinstance(row, dict) and "details" in row for row in answer["data"])


def _stream_agreed(message: object) -> bool:
    return isinstance(message, dict) and message.get("event") == "subscribe"


def _amend_pushed_trade(trade: CcxtTrade) -> CcxtTrade | None:
    """ccxt makes a trade of each push of an order that has traded, also where nothing is new, and
    keeps the venue's sign: a fee that is paid is negative there."""
    if not Decimal(trade["amount"]):
        return None
    fee = trade["fee"]
    return {**trade, "fee": {**fee, "cost": str(-Decimal(fee["cost"]))}}


def _duplicate(error: VenueErrorText) -> bool:
    return error.code in ("51011", "51016") or "duplicated client order" in error.message.lower()


OKX = Dialect(
    hosts=frozenset({"www.okx.com", "ws.okx.com"}),
    # REST is the same host, told by a header
    sandbox_hosts=frozenset({"www.okx.com", "wspap.okx.com"}),
    is_on_paper=True,
    needs_passphrase=True,
    ccxt_config={
        "options": {
            "createOrder": "privatePostTradeOrder",
            "tgtCcy": "base_ccy",
            # its own choice, ANY, brings orders in symbols that are not loaded
            "watchOrders": {"type": "SPOT"},
            "watchMyTrades": {"type": "SPOT"},
        }
    },
    render_id=hex_id,
    parse_id=parse_hex_id,
    create_params=_create_params,
    self_trade=_self_trade,
    create_headers=_create_headers,
    request_life=RequestLife(longest_ms=30_000),  # the timestamp itself lives 30 s
    look_up=_look_up,
    read_order=read_order,
    cancel=cancel,
    open_orders=_open_orders,
    cancel_all_after=_cancel_all_after,
    order_trades=_order_trades,
    trades=TradesByTime(
        fetch=_trades_between, next_page=_next_by("billId"), span_ms=_LONGEST_SPAN_MS
    ),
    fees=fees,
    buys_pay_base=True,
    order_fields=frozenset({"ordId", "state", "sz", "accFillSz"}),
    order_blank_fields=frozenset({"clOrdId"}),
    ack_fields=frozenset({"ordId", "sCode"}),
    is_list=_is_list,
    is_balances=_is_balances,
    read_error=_read_error,
    public_trades=prices.PUBLIC_TRADES,
    candles=Candles(page_size=100, is_told=_is_list),
    other_prices=prices.other_prices,
    price_stream=prices.PRICE_STREAM,
    # its deadline has passed: on arrival, or before the book
    refusals={"50036": RejectionFamily.CLOCK, "50037": RejectionFamily.CLOCK},
    # unavailable, timeout ("does not mean success or failure"), busy, system error, timed out
    not_rejections=frozenset({"50001", "50004", "50013", "50026", "51054", "51149"}),
    duplicate_id=_duplicate,
    stream_topics=frozenset({"orders", "orders::myTrades"}),
    stream_agreed=_stream_agreed,
    amend_pushed_trade=_amend_pushed_trade,
)
