"""KuCoin, spot, on its high-frequency (Pro) account: the classic look-up sees open orders only.

A new order is only acknowledged. How long a signed request stays valid is not documented. It must
not know other venues.
"""

from collections.abc import Mapping
from typing import Any

from activities.venues.dialects.ids import hex_id, parse_hex_id
from activities.venues.dialects.listing import Params, answer_of_call, listed, not_found, one_page
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.recent_trades import newest_trades
from activities.venues.dialects.row import (
    UNDOCUMENTED_LIFE,
    CcxtOrder,
    Dialect,
    TradesByTime,
    VenueErrorText,
)
from activities.venues.dialects.unified import cancel, fees
from workflows.domain.reports import RejectionFamily

PAGE_SIZE = 100
_LONGEST_SPAN_MS = 7 * 86_400_000 - 1


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del life_ms, valid_until_ms
    return {}


def _self_trade(entry: Mapping[str, Any], only_reduces: bool) -> Mapping[str, str]:
    del entry
    return {"stp": "CO" if only_reduces else "CN"}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    del since_ms
    order: CcxtOrder = await client.fetch_order(None, symbol, {"clientOrderId": rendered_id})
    return _told(order, rendered_id)


async def _read_order(client: Any, symbol: str, venue_order_id: str) -> CcxtOrder:
    order: CcxtOrder = await client.fetch_order(venue_order_id, symbol)
    return _told(order, venue_order_id)


def _told(order: CcxtOrder, asked_id: str) -> CcxtOrder:
    answer = answer_of_call()
    if answer.get("code") == "200000" and "data" in answer and answer["data"] is None:
        raise not_found(asked_id)  # a success without an order
    return order


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        del page
        orders: list[Any] = await client.fetch_open_orders(symbol)
        return orders

    return await listed(fetch, _is_list, one_page)


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        asked = {"orderId": order["id"], **page}
        trades: list[Any] = await client.fetch_my_trades(symbol, None, PAGE_SIZE, asked)
        return trades

    return await listed(fetch, _is_list, _next_page)


async def _trades_between(
    client: Any, symbol: str, since_ms: int, until_ms: int, page: Params
) -> list[Any]:
    asked = {"startAt": str(since_ms), "endAt": str(until_ms), **page}
    trades: list[Any] = await client.fetch_my_trades(symbol, None, PAGE_SIZE, asked)
    return trades


def _next_page(answer: Any, page: Params) -> Params | None:
    data = answer["data"]
    last = str(data.get("lastId", ""))
    if len(data["items"]) < PAGE_SIZE or last in ("", "0", page.get("lastId")):
        return None
    return {"lastId": last}


def _read_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict) or answer.get("code") in (None, "200000", "200"):
        return None
    return VenueErrorText(code=str(answer["code"]), message=str(answer.get("msg", "")))


def _is_list(answer: object) -> bool:
    if not isinstance(answer, dict) or answer.get("code") != "200000":
        return False
    data = answer.get("data")
    return isinstance(data, list) or (
        isinstance(data, dict) and isinstance(data.get("items"), list)
    )


def _is_balances(answer: object) -> bool:
    """ccxt leaves other accounts out: what is asked for must be what is told."""
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        return False
    return all(isinstance(row, dict) and row.get("type") == "trade_hf" for row in answer["data"])


def _duplicate(error: VenueErrorText) -> bool:
    return error.code in ("126033", "126044") or "duplicate" in error.message.lower()


def _tells_absence(error: VenueErrorText) -> bool:
    words = error.message.lower().replace("_", " ")
    return error.code == "126043" or ("order" in words and "not exist" in words)


KUCOIN = Dialect(
    hosts=frozenset({"api.kucoin.com"}),
    needs_passphrase=True,
    ccxt_config={
        "options": {
            "hf": True,
            "uta": False,
            "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False},
        }
    },
    market_params={"marginables": False},
    render_id=hex_id,
    parse_id=parse_hex_id,
    create_params=_create_params,
    self_trade=_self_trade,
    request_life=UNDOCUMENTED_LIFE,
    look_up=_look_up,
    read_order=_read_order,
    cancel=cancel,
    open_orders=_open_orders,
    order_trades=_order_trades,
    trades=TradesByTime(fetch=_trades_between, next_page=_next_page, span_ms=_LONGEST_SPAN_MS),
    fees=fees,
    buys_pay_base=False,
    book_sizes=(20, 100),
    order_fields=frozenset({"id", "active", "dealSize"}),
    ack_fields=frozenset({"orderId"}),
    is_list=_is_list,
    is_balances=_is_balances,
    read_error=_read_error,
    public_trades=newest_trades(100, number="sequence"),
    candles=Candles(page_size=1500),
    not_rejections=frozenset({"500000", "200002", "126038", "126039"}),
    refusals={
        "126009": RejectionFamily.PERMISSION,
        "126015": RejectionFamily.PERMISSION,
        "400002": RejectionFamily.CLOCK,
    },
    duplicate_id=_duplicate,
    tells_absence=_tells_absence,
)
