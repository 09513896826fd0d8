"""Bybit v5 as documented, as far as the gateway asks it."""

from dataclasses import dataclass, field
from typing import Any

from tests.contract.dialect_venues.scripted import (
    STEP,
    TICK,
    Answer,
    Order,
    ScriptedVenue,
    Seen,
    Trade,
    now_ms,
)

_STATES = {"open": "New", "filled": "Filled", "cancelled": "Cancelled"}
LISTED = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "status": "Trading",
    "lotSizeFilter": {
        "basePrecision": STEP,
        "quotePrecision": "0.00000001",
        "minOrderQty": STEP,
        "maxOrderQty": "100",
        "minOrderAmt": "5",
    },
    "priceFilter": {"tickSize": TICK},
}


def ok(result: Any) -> Any:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms()}


def refused(code: int, message: str) -> Any:
    return {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": now_ms()}


def listing(rows: list[Any], cursor: str = "") -> Any:
    return ok({"category": "spot", "list": rows, "nextPageCursor": cursor})


@dataclass
class BybitVenue(ScriptedVenue):
    venue = "bybit"
    create = ("POST", "/v5/order/create")
    forgotten: set[str] = field(default_factory=set)
    """Venue ids that the realtime list has dropped; the history has them."""

    def answer(self, seen: Seen) -> Any:
        match seen.method, seen.path.removeprefix("/v5/"):
            case "GET", "market/time":
                return ok({"timeSecond": str(now_ms() // 1000)})
            case "GET", "market/instruments-info":
                return listing([LISTED])
            case "POST", "order/create":
                return ok({"orderId": "1523", "orderLinkId": seen.body["orderLinkId"]})
            case "GET", "order/realtime":
                # orderId goes before orderLinkId, as at the venue
                rows = [o for o in self.orders if o.venue_id not in self.forgotten]
                return listing([self._row(o) for o in self._filtered(rows, seen.query)])
            case "GET", "order/history":
                closed = [o for o in self.orders if o.state != "open"]
                return listing([self._row(o) for o in self._filtered(closed, seen.query)])
            case "POST", "order/cancel":
                if self.order_by(venue_id=seen.body["orderId"]) is None:
                    return refused(170213, "Order does not exist.")
                return ok({"orderId": seen.body["orderId"], "orderLinkId": ""})
            case "GET", "execution/list":
                return self._executions(seen.query)
            case "GET", "account/wallet-balance":
                coin = {"coin": "BTC", "walletBalance": "1.5", "equity": "1.5", "locked": "0.5"}
                return listing([{"accountType": "UNIFIED", "coin": [coin]}])
        return Answer(404, {"retCode": 404, "retMsg": seen.path})

    def _filtered(self, orders: list[Order], query: dict[str, str]) -> list[Order]:
        if self.ignores_filters:
            return orders
        if "orderId" in query:
            return [o for o in orders if o.venue_id == query["orderId"]]
        if "orderLinkId" in query:
            return [o for o in orders if o.client_id == query["orderLinkId"]]
        return [o for o in orders if o.state == "open"]

    def _row(self, order: Order) -> Any:
        state = _STATES[order.state]
        if order.state == "cancelled" and order.filled != "0":
            state = "PartiallyFilledCanceled"
        return {
            "symbol": "BTCUSDT",
            "orderId": order.venue_id,
            "orderLinkId": order.client_id,
            "orderStatus": state,
            "qty": order.size,
            "cumExecQty": order.filled,
            "cumExecValue": "0",
            "leavesQty": "0",
            "price": order.price,
            "side": order.side.title(),
            "orderType": "Limit",
            "timeInForce": "GTC",
            "createdTime": "1700000000000",
            "updatedTime": "1700000000000",
        }

    def _executions(self, query: dict[str, str]) -> Any:
        rows = self.trades_of(query.get("orderId"))
        if "orderLinkId" in query:
            order = self.order_by(client_id=query["orderLinkId"])
            rows = [t for t in rows if order and t.order_id == order.venue_id]
        first, last = int(query.get("startTime", "0")), int(query.get("endTime", str(2**60)))
        assert last - first < 7 * 86_400_000 or "startTime" not in query
        rows = [t for t in rows if first <= t.at_ms <= last]
        start, size = int(query.get("cursor", "0")), int(query["limit"])
        more = str(start + size) if start + size < len(rows) else ""
        return listing([self._execution(t) for t in rows[start : start + size]], more)

    def _execution(self, trade: Trade) -> Any:
        return {
            "symbol": "BTCUSDT",
            "execId": trade.trade_id,
            "orderId": trade.order_id,
            "execPrice": trade.price,
            "execQty": trade.quantity,
            "execFee": trade.fee,
            "feeCurrency": "USDT",
            "side": "Buy",
            "isMaker": False,
            "execType": "Trade",
            "execTime": str(trade.at_ms),
        }
