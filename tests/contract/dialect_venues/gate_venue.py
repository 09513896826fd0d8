"""Gate's API v4 as documented, as far as the gateway asks it."""

from dataclasses import dataclass, field
from typing import Any

from tests.contract.dialect_venues.scripted import (
    Answer,
    Order,
    ScriptedVenue,
    Seen,
    Trade,
    now_ms,
)

LISTED = {
    "id": "BTC_USDT",
    "base": "BTC",
    "quote": "USDT",
    "fee": "0.2",
    "min_base_amount": "0.0001",
    "min_quote_amount": "1",
    "amount_precision": 5,
    "precision": 2,
    "trade_status": "tradable",
}


def refused(label: str, message: str = "no") -> Answer:
    return Answer(400, {"label": label, "message": message})


@dataclass
class GateVenue(ScriptedVenue):
    venue = "gate"
    create = ("POST", "/api/v4/spot/orders")
    unlisted: set[str] = field(default_factory=set)
    """Venue ids that the list of finished orders does not have (yet)."""

    def answer(self, seen: Seen) -> Any:
        match seen.method, seen.path.removeprefix("/api/v4/").split("/"):
            case "GET", ["spot", "time"]:
                return {"server_time": now_ms()}
            case "GET", ["spot", "currency_pairs"]:
                return [LISTED]
            case "GET", ["margin", "currency_pairs"]:
                return []
            case "POST", ["spot", "orders"]:
                order = Order("312", seen.body["text"], size=seen.body["amount"])
                return self._row(order)
            case "GET", ["spot", "orders", asked]:
                return self._order(asked)
            case "GET", ["spot", "orders"]:
                done = [o for o in self.orders if o.state != "open"]
                page, size = int(seen.query.get("page", "1")), int(seen.query["limit"])
                rows = [o for o in done if o.venue_id not in self.unlisted]
                return [self._row(o) for o in rows[(page - 1) * size : page * size]]
            case "GET", ["spot", "open_orders"]:
                rows = [self._row(o) for o in self.orders if o.state == "open"]
                return [{"currency_pair": "BTC_USDT", "total": len(rows), "orders": rows}]
            case "DELETE", ["spot", "orders", order_id]:
                order = self.order_by(venue_id=order_id)
                if order is None:
                    return Answer(404, {"label": "ORDER_NOT_FOUND", "message": "no"})
                order.state = "cancelled"
                return self._row(order)
            case "GET", ["spot", "my_trades"]:
                return self._my_trades(seen.query)
            case "GET", ["spot", "accounts"]:
                return [{"currency": "BTC", "available": "1", "locked": "0.5"}]
        return Answer(404, {"label": "NOT_FOUND", "message": seen.path})

    def _order(self, asked: str) -> Any:
        order = self.order_by(venue_id=asked)
        if order is None:  # by our id: open ones only
            order = self.order_by(client_id=asked)
            if order is not None and order.state != "open":
                order = None
        if order is None:
            return Answer(404, {"label": "ORDER_NOT_FOUND", "message": "Order not found"})
        return self._row(order)

    def _row(self, order: Order) -> Any:
        ends = {"open": "open", "filled": "closed", "cancelled": "cancelled"}
        reasons = {"open": "open", "filled": "filled", "cancelled": "stp"}
        left = f"{float(order.size) - float(order.filled):.5f}"
        return {
            "id": order.venue_id,
            "text": order.client_id,
            "create_time_ms": "1700000000000",
            "update_time_ms": "1700000000000",
            "status": ends[order.state],
            "finish_as": reasons[order.state],
            "currency_pair": "BTC_USDT",
            "type": "limit",
            "account": "spot",
            "side": order.side,
            "amount": order.size,
            "price": order.price,
            "time_in_force": "gtc",
            "left": left,
            "filled_total": "0",
            "avg_deal_price": order.price,
            "fee": "0",
            "fee_currency": "BTC",
            "gt_fee": "0",
        }

    def _my_trades(self, query: dict[str, str]) -> Any:
        rows = self.trades_of(query.get("order_id"))
        first = int(query.get("from", "0")) * 1000
        last = int(query.get("to", str(2**50))) * 1000 + 999
        assert last - first < 30 * 86_400_000 or "to" not in query
        rows = [t for t in rows if first <= t.at_ms <= last]
        page, size = int(query.get("page", "1")), int(query["limit"])
        return [self._trade(t) for t in rows[(page - 1) * size : page * size]]

    def _trade(self, trade: Trade) -> Any:
        order = self.order_by(venue_id=trade.order_id)
        return {
            "id": trade.trade_id,
            "create_time": str(trade.at_ms // 1000),
            "create_time_ms": f"{trade.at_ms}.000000",
            "currency_pair": "BTC_USDT",
            "side": "buy",
            "role": "taker",
            "amount": trade.quantity,
            "price": trade.price,
            "order_id": trade.order_id,
            "fee": "0",
            "fee_currency": "BTC",
            "gt_fee": trade.fee,
            "point_fee": "0",
            "text": order.client_id if order else "",
        }
