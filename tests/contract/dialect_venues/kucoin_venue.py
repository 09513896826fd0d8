"""KuCoin's high-frequency spot API as documented, as far as the gateway asks it."""

from dataclasses import dataclass
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

LISTED = {
    "symbol": "BTC-USDT",
    "baseCurrency": "BTC",
    "quoteCurrency": "USDT",
    "baseIncrement": STEP,
    "priceIncrement": TICK,
    "quoteIncrement": TICK,
    "baseMinSize": STEP,
    "baseMaxSize": "100",
    "quoteMinSize": "1",
    "quoteMaxSize": "1000000",
    "enableTrading": True,
    "isMarginEnabled": False,
}


def ok(data: Any) -> Any:
    return {"code": "200000", "data": data}


def refused(code: str, message: str) -> Any:
    return {"code": code, "msg": message}


@dataclass
class KucoinVenue(ScriptedVenue):
    venue = "kucoin"
    create = ("POST", "/api/v1/hf/orders")

    def answer(self, seen: Seen) -> Any:
        path = seen.path.removeprefix("/api/v1/").removeprefix("/api/v2/")
        match seen.method, path.split("/"):
            case "GET", ["timestamp"]:
                return ok(now_ms())
            case "GET", ["symbols"]:
                return ok([LISTED])
            case "POST", ["hf", "orders"]:
                return ok({"orderId": "312", "clientOid": seen.body["clientOid"]})
            case "GET", ["hf", "orders", "client-order", client_id]:
                order = self.order_by(client_id=client_id)
                return ok(None if order is None else self._row(order))
            case "GET", ["hf", "orders", "active"]:
                return ok([self._row(o) for o in self.orders if o.state == "open"])
            case "GET", ["hf", "orders", order_id]:
                order = self.order_by(venue_id=order_id)
                return ok(None if order is None else self._row(order))
            case "DELETE", ["hf", "orders", order_id]:
                if self.order_by(venue_id=order_id) is None:
                    return refused("400100", "order_not_exist_or_not_allow_to_cancel")
                return ok({"orderId": order_id})
            case "GET", ["hf", "fills"]:
                return self._fills(seen.query)
            case "GET", ["accounts"]:
                row = {
                    "id": "1",
                    "currency": "BTC",
                    "type": "trade_hf",
                    "balance": "1.5",
                    "available": "1",
                    "holds": "0.5",
                }
                return ok([row])
        return Answer(404, {"code": "404000", "msg": seen.path})

    def _row(self, order: Order) -> Any:
        return {
            "id": order.venue_id,
            "clientOid": order.client_id,
            "symbol": "BTC-USDT",
            "active": order.state == "open",
            "cancelExist": order.state == "cancelled",
            "size": order.size,
            "dealSize": order.filled,
            "dealFunds": "0",
            "price": order.price,
            "side": order.side,
            "type": "limit",
            "fee": "0",
            "feeCurrency": "USDT",
            "timeInForce": "GTC",
            "createdAt": 1700000000000,
            "tradeType": "TRADE",
        }

    def _fills(self, query: dict[str, str]) -> Any:
        rows = self.trades_of(query.get("orderId"))
        first, last = int(query.get("startAt", "0")), int(query.get("endAt", str(2**60)))
        assert last - first < 7 * 86_400_000 or "startAt" not in query
        rows = [t for t in rows if first <= t.at_ms <= last]
        start, size = int(query.get("lastId", "0")), int(query["limit"])
        page = [self._fill(t) for t in rows[start : start + size]]
        return ok({"items": page, "lastId": start + len(page)})

    def _fill(self, trade: Trade) -> Any:
        return {
            "id": trade.trade_id,
            "tradeId": trade.trade_id,
            "orderId": trade.order_id,
            "symbol": "BTC-USDT",
            "price": trade.price,
            "size": trade.quantity,
            "funds": "160",
            "fee": trade.fee,
            "feeCurrency": "USDT",
            "side": "buy",
            "type": "limit",
            "liquidity": "taker",
            "createdAt": trade.at_ms,
        }
