"""Kraken, spot.

A new order is only acknowledged. Each private request carries a nonce that must grow per API key,
so the pinned time of an order cannot be its nonce: an older one would be refused, and would make
all others fail. The pin goes into `deadline`, after which the matching engine refuses the order.
Two processes on one key need a nonce window on that key. It must not know other venues.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import ccxt

from activities.venues.dialects.ids import hex_id, parse_hex_id
from activities.venues.dialects.listing import (
    Params,
    answer_of_call,
    listed,
    not_found,
    one_page,
    with_id,
)
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.recent_trades import newest_trades
from activities.venues.dialects.row import (
    CcxtOrder,
    Dialect,
    RequestLife,
    TradesByTime,
    VenueErrorText,
)
from activities.venues.dialects.unified import fees, read_order
from workflows.domain.reports import RejectionFamily

PAGE_SIZE = 50
_TRADES_PER_QUERY = 20
_LONGEST_SPAN_MS = 365 * 86_400_000
_SECOND_MS = 1000
_DUPLICATES = ("duplicate", "already exists", "already in use")


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del life_ms
    deadline = datetime.fromtimestamp(valid_until_ms // _SECOND_MS, UTC)
    fraction = valid_until_ms % _SECOND_MS
    return {"deadline": f"{deadline:%Y-%m-%dT%H:%M:%S}.{fraction:03d}Z"}


def _self_trade(entry: Mapping[str, Any], only_reduces: bool) -> Mapping[str, str]:
    del entry
    return {"stptype": "cancel-oldest" if only_reduces else "cancel-newest"}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    del since_ms  # the id alone is the filter; its order may have been opened by an earlier try
    params = {"clientOrderId": rendered_id}
    for fetch, is_list in (
        (client.fetch_open_orders, _is_open),
        (client.fetch_closed_orders, _is_closed),
    ):
        orders = await _whole(fetch, symbol, params, is_list)
        found = with_id(orders, rendered_id)
        if found is not None:
            return dict(found)
    raise not_found(rendered_id)


async def _whole(fetch: Any, symbol: str, params: Params, is_list: Any) -> list[Any]:
    async def fetch_page(page: Params) -> list[Any]:
        orders: list[Any] = await fetch(symbol, None, None, {**params, **page})
        return orders

    return await listed(fetch_page, is_list, one_page)


async def _cancel(client: Any, symbol: str, venue_order_id: str) -> None:
    # ccxt's cancel_order reads its errors from the instance, where another call may have written
    del symbol
    await client.privatePostCancelOrder({"txid": venue_order_id})


async def _cancel_all_after(client: Any, seconds: int) -> object:
    answer = await client.privatePostCancelAllOrdersAfter({"timeout": str(seconds)})
    return answer["result"]["triggerTime"]


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    return await _whole(client.fetch_open_orders, symbol, {}, _is_open)


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    """By the trade ids that the order names; a closed order of a list names none."""
    info = order["info"]
    if not info.get("trades"):
        info = (await read_order(client, symbol, str(order["id"])))["info"]
    ids = [str(trade_id) for trade_id in info.get("trades") or []]
    market = client.market(symbol)
    trades: list[Any] = []
    for first in range(0, len(ids), _TRADES_PER_QUERY):
        asked = ids[first : first + _TRADES_PER_QUERY]
        answer = await client.privatePostQueryTrades({"txid": ",".join(asked)})
        rows = answer["result"]
        named = [{**rows[trade_id], "id": trade_id} for trade_id in asked]
        trades += [client.parse_trade(trade, market) for trade in named]
    return trades


async def _trades_between(
    client: Any, symbol: str, since_ms: int, until_ms: int, page: Params
) -> list[Any]:
    # whole seconds, and the start is exclusive
    span = {
        "start": str(since_ms // _SECOND_MS - 1),
        "end": str(until_ms // _SECOND_MS + 1),
    }
    trades: list[Any] = await client.fetch_my_trades(symbol, None, None, {**span, **page})
    answer = answer_of_call()
    if not isinstance(answer.get("result", {}).get("trades"), dict):
        raise ccxt.BadResponse("an answer without its trades")
    return [trade for trade in trades if since_ms <= int(trade["timestamp"]) <= until_ms]


def _next_trades(answer: Any, page: Params) -> Params | None:
    """The list is of all symbols: how long a page is, only the answer itself tells."""
    got = len(answer["result"]["trades"])
    return {"ofs": str(int(page.get("ofs", "0")) + got)} if got >= PAGE_SIZE else None


def _read_error(answer: object) -> VenueErrorText | None:
    errors = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(errors, list) or not errors:
        return None
    return VenueErrorText(code=str(errors[0]), message="; ".join(map(str, errors)))


def _result(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or answer.get("error") != []:
        return {}
    result = answer.get("result")
    return result if isinstance(result, dict) else {}


def _is_open(answer: object) -> bool:
    return isinstance(_result(answer).get("open"), dict)


def _is_closed(answer: object) -> bool:
    return isinstance(_result(answer).get("closed"), dict)


def _is_list(answer: object) -> bool:
    result = _result(answer)
    return any(isinstance(result.get(name), dict) for name in ("open", "closed", "trades"))


def _is_balances(answer: object) -> bool:
    return isinstance(answer, dict) and answer.get("error") == [] and "result" in answer


def _duplicate(error: VenueErrorText) -> bool:
    # the venue does not document the answer, so its words are taken widely: it means a look-up
    return any(word in error.message.lower() for word in _DUPLICATES)


def _tells_absence(error: VenueErrorText) -> bool:
    return error.code in ("EOrder:Unknown order", "EOrder:Invalid order")


KRAKEN = Dialect(
    hosts=frozenset({"api.kraken.com"}),
    counts_nonces=True,
    render_id=hex_id,
    parse_id=parse_hex_id,
    create_params=_create_params,
    self_trade=_self_trade,
    request_life=RequestLife(shortest_ms=3_000, longest_ms=60_000),  # a deadline of 2..60 s
    look_up=_look_up,
    read_order=read_order,
    cancel=_cancel,
    open_orders=_open_orders,
    cancel_all_after=_cancel_all_after,
    order_trades=_order_trades,
    trades=TradesByTime(fetch=_trades_between, next_page=_next_trades, span_ms=_LONGEST_SPAN_MS),
    fees=fees,
    buys_pay_base=False,
    order_fields=frozenset({"status", "vol", "vol_exec"}),
    ack_fields=frozenset({"txid"}),
    is_list=_is_list,
    is_balances=_is_balances,
    read_error=_read_error,
    public_trades=newest_trades(1000),
    candles=Candles(page_size=720, reach=720),
    refusals={
        "EOrder:Post only order": RejectionFamily.PRICE,
        "EOrder:Cost minimum not met": RejectionFamily.FILTER,
        "EOrder:Tick size check failed": RejectionFamily.FILTER,
        "EOrder:Orders limit exceeded": RejectionFamily.FILTER,
        "EOrder:Trading agreement required": RejectionFamily.PERMISSION,
        "EQuery:Unknown asset pair": RejectionFamily.PERMISSION,
    },
    duplicate_id=_duplicate,
    tells_absence=_tells_absence,
)
