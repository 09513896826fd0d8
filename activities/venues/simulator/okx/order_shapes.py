"""The JSON of orders and fills at OKX.

Rule: as in `shapes.py`. Queries and the stream show an order alike, as it stood after some of its
trades. Decides nothing.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from activities.venues.simulator.accounts import fee_asset_of
from activities.venues.simulator.events import TradeDone
from activities.venues.simulator.okx import shapes
from activities.venues.simulator.okx.params import SPOT
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.orders import (
    ZERO,
    Order,
    OrderStatus,
    OrderType,
    SelfTradeMode,
    Side,
    TimeInForce,
)
from activities.venues.simulator.specs import SymbolSpec

UNNAMED = "-"
"""How the exchange's own names of orders begin that came without a client order id."""
_AVERAGE_STEP = Decimal("0.000000000001")
_STATES: Mapping[OrderStatus, str] = {
    OrderStatus.NEW: "live",
    OrderStatus.PARTIALLY_FILLED: "partially_filled",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "canceled",
    OrderStatus.EXPIRED: "canceled",
    OrderStatus.EXPIRED_IN_MATCH: "canceled",
}
_STP_MODES: Mapping[SelfTradeMode, str] = {
    SelfTradeMode.EXPIRE_MAKER: "cancel_maker",
    SelfTradeMode.EXPIRE_TAKER: "cancel_taker",
    SelfTradeMode.EXPIRE_BOTH: "cancel_both",
}
_BY_USER, _FILL_OR_KILL, _IMMEDIATE, _POST_ONLY, _BY_SYSTEM = "1", "13", "14", "31", "0"
_SELF_TRADE, _BY_TIMER = "32", "20"
_UNUSED = (
    *("algoClOrdId", "algoId", "attachAlgoClOrdId", "cancelSourceReason", "ccy", "lever"),
    *("pxType", "pxUsd", "pxVol", "quickMgnType", "source", "stpId", "tag"),
    *("slOrdPx", "slTriggerPx", "slTriggerPxType", "tpOrdPx", "tpTriggerPx", "tpTriggerPxType"),
)


def client_id(client_order_id: str) -> str:
    """As the client knows it: empty if it gave none."""
    return "" if client_order_id.startswith(UNNAMED) else client_order_id


def acknowledgement(order: Order, now_ms: int, tag: str = "") -> Json:
    """All that OKX says of a request that it took."""
    return {
        "ordId": str(order.order_id),
        "clOrdId": client_id(order.client_order_id),
        "tag": tag,
        "ts": str(now_ms),
        "sCode": "0",
        "sMsg": "",
    }


def timer(due_ms: int, now_ms: int) -> Json:
    """The one row of cancel-all-after; `due_ms` zero where it is off."""
    return {"triggerTime": str(due_ms), "tag": "", "ts": str(now_ms)}


def order_type(order: Order) -> str:
    """`ordType`: type and time in force in one word."""
    match order.type:
        case OrderType.MARKET:
            return "market"
        case OrderType.LIMIT_MAKER:
            return "post_only"
        case _:  # contingent orders are no part of this dialect
            return "limit" if order.tif is TimeInForce.GTC else order.tif.lower()


def order(
    spec: SymbolSpec,
    found: Order,
    status: OrderStatus,
    updated_ms: int,
    trades: Sequence[TradeDone],
) -> Json:
    """An order as it stood after `trades`, its first ones; queries and pushes show it alike."""
    by_cost = found.type is OrderType.MARKET and bool(found.quote_quantity)
    return {
        "instType": SPOT,
        "instId": shapes.instrument_id(spec),
        "ordId": str(found.order_id),
        "clOrdId": client_id(found.client_order_id),
        "side": found.side.lower(),
        "ordType": order_type(found),
        "px": "" if found.type is OrderType.MARKET else shapes.number(found.price),
        "sz": shapes.number(found.quote_quantity if by_cost else found.quantity),
        "tgtCcy": _size_unit(found, by_cost=by_cost),
        "tdMode": "cash",
        "state": _STATES[status],
        "cancelSource": _cancel_source(found, status),
        "cTime": str(found.created_ms),
        "uTime": str(updated_ms),
        **_filled(spec, found, trades),
        "category": "normal",
        "posSide": "net",
        "pnl": "0",
        "rebate": "0",
        "rebateCcy": spec.quote if found.side is Side.BUY else spec.base,
        "reduceOnly": "false",
        "isTpLimit": "false",
        "attachAlgoOrds": [],
        "linkedAlgoOrd": {"algoId": ""},
        "tradeQuoteCcy": spec.quote,
        "stpMode": _STP_MODES.get(found.self_trade, ""),
        **dict.fromkeys(_UNUSED, ""),
    }


def _size_unit(found: Order, *, by_cost: bool) -> str:
    if found.type is not OrderType.MARKET:
        return ""
    return "quote_ccy" if by_cost else "base_ccy"


def _cancel_source(found: Order, status: OrderStatus) -> str:
    if status is OrderStatus.CANCELED:
        return _BY_TIMER if found.by_timer else _BY_USER
    if status is OrderStatus.EXPIRED_IN_MATCH:
        return _SELF_TRADE
    if status is not OrderStatus.EXPIRED:
        return ""
    if found.type is OrderType.LIMIT_MAKER:
        return _POST_ONLY
    by_tif = {TimeInForce.IOC: _IMMEDIATE, TimeInForce.FOK: _FILL_OR_KILL}
    return by_tif.get(found.tif, _BY_SYSTEM)


def _filled(spec: SymbolSpec, found: Order, trades: Sequence[TradeDone]) -> Json:
    if not trades:
        return {
            "accFillSz": "0",
            "fillSz": "0",
            "fee": "0",
            "feeCcy": fee_asset_of(spec, found.side),
            **dict.fromkeys(("avgPx", "fillPx", "fillTime", "tradeId"), ""),
        }
    last = trades[-1]
    fee = sum((trade.fee for trade in trades if trade.fee_asset == last.fee_asset), ZERO)
    return {
        "accFillSz": shapes.number(last.executed),
        "avgPx": shapes.number(_average(last.quote_executed, last.executed)),
        "fillPx": shapes.number(last.price),
        "fillSz": shapes.number(last.quantity),
        "fillTime": str(last.ts_ms),
        "tradeId": str(last.trade_id),
        "fee": shapes.negative(fee),
        "feeCcy": last.fee_asset,
    }


def _average(quote: Decimal, base: Decimal) -> Decimal:
    return (quote / base).quantize(_AVERAGE_STEP, ROUND_HALF_EVEN)


def fill(spec: SymbolSpec, bill: int, trade: TradeDone) -> Json:
    """One of the account's own trades."""
    return {
        "instType": SPOT,
        "instId": shapes.instrument_id(spec),
        "tradeId": str(trade.trade_id),
        "billId": str(bill),
        "ordId": str(trade.order_id),
        "clOrdId": client_id(trade.client_order_id),
        "fillPx": shapes.number(trade.price),
        "fillSz": shapes.number(trade.quantity),
        "side": trade.side.lower(),
        "execType": "M" if trade.maker else "T",
        "fee": shapes.negative(trade.fee),
        "feeCcy": trade.fee_asset,
        "ts": str(trade.ts_ms),
        "fillTime": str(trade.ts_ms),
        "subType": "1" if trade.side is Side.BUY else "2",
        "posSide": "net",
        "fillPnl": "0",
        "tradeQuoteCcy": spec.quote,
        **dict.fromkeys(("tag", "fillIdxPx", "fillPxVol", "fillPxUsd", "fillMarkVol"), ""),
    }
