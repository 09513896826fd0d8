"""The JSON of orders, order lists and own trades at Binance.

Rule: as in `shapes.py`. Fields that Binance shows under conditions only (the stop price, the
trailing delta, what an iceberg shows) come under the same ones. Decides nothing.
"""

from collections.abc import Iterable, Mapping

from activities.venues.simulator.binance.shapes import Json, number, venue_symbol
from activities.venues.simulator.events import MatchPrevented, TradeDone
from activities.venues.simulator.orders import NO_MATCH, Order, OrderList, Side, TimeInForce
from activities.venues.simulator.specs import SymbolSpec

NEVER = -1  # the time of what has not happened


def order_acknowledged(spec: SymbolSpec, order: Order) -> Json:
    """newOrderRespType ACK."""
    return {
        "symbol": venue_symbol(spec),
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_ms,
    }


def order_result(spec: SymbolSpec, order: Order) -> Json:
    """newOrderRespType RESULT."""
    return {
        **order_acknowledged(spec, order),
        **_figures(order),
        **_conditional(order),
        "workingTime": _time(order.working_ms),
        **_self_trade(order),
    }


def order_full(
    spec: SymbolSpec,
    order: Order,
    trades: Iterable[TradeDone],
    prevented: Iterable[MatchPrevented],
) -> Json:
    """newOrderRespType FULL; `prevented` are the matches with others of the account."""
    fills = [
        {
            "price": number(trade.price),
            "qty": number(trade.quantity),
            "commission": number(trade.fee),
            "commissionAsset": trade.fee_asset,
            "tradeId": trade.trade_id,
        }
        for trade in trades
    ]
    answer = {**order_result(spec, order), "fills": fills}
    matches = [_prevented_match(match) for match in prevented]
    return answer | ({"preventedMatches": matches} if matches else {})


def _prevented_match(match: MatchPrevented) -> Json:
    found: Json = {
        "preventedMatchId": match.match_id,
        "makerOrderId": match.maker_order_id,
        "price": number(match.price),
    }
    if match.taker_prevented:
        found["takerPreventedQuantity"] = number(match.taker_prevented)
    if match.maker_prevented:
        found["makerPreventedQuantity"] = number(match.maker_prevented)
    return found


def order_state(spec: SymbolSpec, order: Order) -> Json:
    """An order as queries show it: no fills and no fee."""
    return {
        "symbol": venue_symbol(spec),
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        **_figures(order),
        **_conditional(order),
        "stopPrice": number(order.stop_price),
        "icebergQty": number(order.iceberg_quantity),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.working_ms is not None,
        "workingTime": _time(order.working_ms),
        **_self_trade(order),
    }


def order_cancelled(spec: SymbolSpec, order: Order, cancel_id: str) -> Json:
    """The answer to a cancel: `clientOrderId` names the cancel request, as at the real exchange."""
    return {
        **order_result(spec, order),
        "origClientOrderId": order.client_order_id,
        "clientOrderId": cancel_id,
    }


def order_list(spec: SymbolSpec, found: OrderList, orders: Mapping[int, Order]) -> Json:
    """An order list as queries show it; `orders` by order id."""
    return {
        "orderListId": found.list_id,
        "contingencyType": "OCO",
        "listStatusType": "ALL_DONE" if found.is_done else "EXEC_STARTED",
        "listOrderStatus": "ALL_DONE" if found.is_done else "EXECUTING",
        "listClientOrderId": found.client_order_id,
        "transactionTime": found.updated_ms,
        "symbol": venue_symbol(spec),
        "orders": [
            {
                "symbol": venue_symbol(spec),
                "orderId": each,
                "clientOrderId": orders[each].client_order_id,
            }
            for each in found.order_ids
        ],
    }


def list_cancelled(
    spec: SymbolSpec, found: OrderList, orders: Mapping[int, Order], cancel_id: str
) -> Json:
    """The answer to the cancel of a list: both its orders as they ended."""
    legs = [orders[each] for each in found.order_ids]
    reports = [order_cancelled(spec, leg, cancel_id) for leg in legs]
    return {**order_list(spec, found, orders), "orderReports": reports}


def shown_tif(order: Order) -> str:
    """Time in force as Binance shows it: GTC where the order has none."""
    return order.tif.value if order.type.has_limit else TimeInForce.GTC.value


def my_trade(spec: SymbolSpec, trade: TradeDone, list_id: int) -> Json:
    """One of the account's own trades. It bears no client order id, as at the real exchange."""
    return {
        "symbol": venue_symbol(spec),
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": list_id,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.price * trade.quantity),
        "commission": number(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.ts_ms,
        "isBuyer": trade.side is Side.BUY,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def _figures(order: Order) -> Json:
    return {
        "price": number(order.price),
        "origQty": number(order.quantity),
        "executedQty": number(order.executed),
        "origQuoteOrderQty": number(order.quote_quantity),
        "cummulativeQuoteQty": number(order.quote_executed),
        "status": order.status.value,
        "timeInForce": shown_tif(order),
        "type": order.type.value,
        "side": order.side.value,
    }


def _conditional(order: Order) -> Json:
    found: Json = {}
    if order.type.is_contingent:
        found["stopPrice"] = number(order.stop_price)
    if order.trailing_delta:
        found["trailingDelta"] = order.trailing_delta
        found["trailingTime"] = _time(order.following_ms)
    if order.iceberg_quantity:
        found["icebergQty"] = number(order.iceberg_quantity)
    return found


def _self_trade(order: Order) -> Json:
    found: Json = {"selfTradePreventionMode": order.self_trade.value}
    if order.match_id != NO_MATCH:
        found["preventedMatchId"] = order.match_id
        found["preventedQuantity"] = number(order.prevented)
    return found


def _time(moment_ms: int | None) -> int:
    return NEVER if moment_ms is None else moment_ms
