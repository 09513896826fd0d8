"""Binance and Binance US, spot.

One look-up finds open, filled and cancelled orders of any age; trades are numbered. An order may
be a list of two, which has its own look-ups. It must not know other venues.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from activities.venues.dialects import binance_lists as lists
from activities.venues.dialects import binance_prices as prices
from activities.venues.dialects import unified
from activities.venues.dialects.binance_native import NATIVE
from activities.venues.dialects.ids import hex_id, parse_leg_id
from activities.venues.dialects.listing import Params, listed, one_page
from activities.venues.dialects.prices_row import Candles
from activities.venues.dialects.row import (
    CcxtFees,
    CcxtOrder,
    Dialect,
    RequestLife,
    TradesByNumber,
    VenueErrorText,
)

PAGE_SIZE = 1000
_NONE = Decimal(0)


def _create_params(life_ms: int, valid_until_ms: int) -> Mapping[str, str | bool]:
    del valid_until_ms
    return {"recvWindow": str(life_ms)}


def _self_trade(entry: Mapping[str, Any], only_reduces: bool) -> Mapping[str, str]:
    mode = "EXPIRE_MAKER" if only_reduces else "EXPIRE_TAKER"
    allowed = entry.get("allowedSelfTradePreventionModes", ())
    return {"selfTradePreventionMode": mode} if mode in allowed else {}


async def _look_up(client: Any, symbol: str, rendered_id: str, since_ms: int) -> CcxtOrder:
    del since_ms
    order: CcxtOrder = await client.fetch_order(None, symbol, {"clientOrderId": rendered_id})
    return order


async def _open_orders(client: Any, symbol: str) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        del page
        orders: list[Any] = await client.fetch_open_orders(symbol)
        return orders

    return lists.merged(await listed(fetch, _is_list, one_page))


async def _read_order(client: Any, symbol: str, venue_order_id: str) -> CcxtOrder:
    number = lists.list_number(venue_order_id)
    if number is None:
        return lists.no_leg(await unified.read_order(client, symbol, venue_order_id))
    return await lists.read(client, symbol, number)


async def _cancel(client: Any, symbol: str, venue_order_id: str) -> None:
    number = lists.list_number(venue_order_id)
    if number is None:
        await unified.cancel(client, symbol, venue_order_id)
    else:
        await lists.cancel(client, symbol, number)


async def _order_trades(client: Any, symbol: str, order: CcxtOrder) -> list[Any]:
    if lists.list_number(order["id"]) is None:
        return await _single_trades(client, symbol, order["id"])
    legs = [each["id"] for each in lists.legs_of(order)]
    return [trade for leg in legs for trade in await _single_trades(client, symbol, leg)]


async def _single_trades(client: Any, symbol: str, order_id: str) -> list[Any]:
    async def fetch(page: Params) -> list[Any]:
        trades: list[Any] = await client.fetch_order_trades(
            order_id, symbol, None, PAGE_SIZE, dict(page)
        )
        return trades

    return await listed(fetch, _is_list, _next_trades)


def _next_trades(answer: Any, page: Params) -> Params | None:
    del page
    if len(answer) < PAGE_SIZE:
        return None
    return _trade_page(max(int(trade["id"]) for trade in answer) + 1)


def _trade_page(first: int) -> Params:
    return {"fromId": str(first)}


async def _fees(client: Any, symbol: str) -> CcxtFees:
    """Per symbol; ccxt asks another service for it, which the test network does not have."""
    asked = {"symbol": client.market_id(symbol)}
    told = await client.private_get_account_commission(asked)
    return _total_rates(told["standardCommission"], told["taxCommission"])


async def _account_fees(client: Any, symbol: str) -> CcxtFees:
    del symbol
    told = await client.private_get_account({"omitZeroBalances": "true"})
    return _total_rates(told["commissionRates"])


def _total_rates(*parts: Mapping[str, str]) -> CcxtFees:
    """The rate by role and the dearer one by side, of each part; a discount is not counted on."""
    of_side = sum((max(Decimal(part["buyer"]), Decimal(part["seller"])) for part in parts), _NONE)
    return {
        role: of_side + sum((Decimal(part[role]) for part in parts), _NONE)
        for role in ("maker", "taker")
    }


def _read_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict) or "code" not in answer:
        return None
    return VenueErrorText(code=str(answer["code"]), message=str(answer.get("msg", "")))


def _is_list(answer: object) -> bool:
    return isinstance(answer, list)


def _is_balances(answer: object) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("balances"), list)


def _duplicate(error: VenueErrorText) -> bool:
    # -2010 is every refusal of a new order; only the text tells a duplicate.
    return error.code == "-2010" and "duplicate" in error.message.lower()


def _refuses_price(error: VenueErrorText) -> bool:
    # a list of two orders needs the market between them
    return error.code == "-2010" and "relationship of the prices" in error.message


def _tells_absence(error: VenueErrorText) -> bool:
    return error.code == "-2018"  # of a list; of an order ccxt knows it


def _row(
    hosts: frozenset[str],
    sandbox_hosts: frozenset[str],
    ccxt_config: Mapping[str, Any],
    fees: Callable[[Any, str], Awaitable[CcxtFees]],
    candles: Candles,
) -> Dialect:
    return Dialect(
        hosts=hosts,
        sandbox_hosts=sandbox_hosts,
        is_on_paper=True,
        ccxt_config=ccxt_config,
        render_id=hex_id,
        parse_id=parse_leg_id,
        create_params=_create_params,
        self_trade=_self_trade,
        request_life=RequestLife(),
        native=NATIVE,
        look_up=_look_up,
        read_order=_read_order,
        cancel=_cancel,
        open_orders=_open_orders,
        order_trades=_order_trades,
        trades=TradesByNumber(number=int, page=_trade_page, page_size=PAGE_SIZE),
        fees=fees,
        buys_pay_base=True,
        order_fields=frozenset({"orderId", "clientOrderId", "status", "origQty", "executedQty"}),
        is_list=_is_list,
        is_balances=_is_balances,
        amend_trade=lists.of_list,
        read_error=_read_error,
        # unknown, disconnected, unexpected response, timeout, busy, shutting down, archived
        not_rejections=frozenset({"-1000", "-1001", "-1006", "-1007", "-1008", "-1016", "-2026"}),
        refuses_price=_refuses_price,
        duplicate_id=_duplicate,
        tells_absence=_tells_absence,
        public_trades=prices.PUBLIC_TRADES,
        candles=candles,
        price_stream=prices.PRICE_STREAM,
        stream_topics=frozenset({"orders", "myTrades"}),
        stream_ignored=frozenset(
            {"outboundAccountPosition", "balanceUpdate", "externalLockUpdate", "listStatus"}
        ),
        stream_ended=frozenset({"eventStreamTerminated"}),
        join_pushed_orders=lists.joining,
        amend_pushed_trade=lists.of_list,
    )


def _ws_api(url: str) -> Mapping[str, Any]:
    return {"urls": {"api": {"ws": {"ws-api": {"spot": url}}}}}


BINANCE = _row(
    frozenset({"api.binance.com", "ws-api.binance.com", "stream.binance.com"}),
    frozenset(
        {
            "testnet.binance.vision",
            "ws-api.testnet.binance.vision",
            "stream.testnet.binance.vision",
        }
    ),
    {},
    _fees,
    Candles(lengths=(("1s", 1_000), ("1m", 60_000)), page_size=prices.PAGE_SIZE, is_told=_is_list),
)
# ccxt's class would log in at binance.com with a Binance US key.
BINANCE_US = _row(
    frozenset({"api.binance.us", "ws-api.binance.us", "stream.binance.us"}),
    frozenset(),
    _ws_api("wss://ws-api.binance.us:443/ws-api/v3"),
    _account_fees,
    Candles(page_size=prices.PAGE_SIZE, is_told=_is_list),
)
