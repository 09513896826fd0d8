"""Kraken's REST API as documented, as far as the gateway asks it."""

from dataclasses import dataclass
from typing import Any

from tests.contract.dialect_venues.scripted import (
    Answer,
    Order,
    ScriptedVenue,
    Seen,
    Trade,
    now_ms,
)

_STATES = {"open": "open", "filled": "closed", "cancelled": "canceled"}
LISTED = {
    "altname": "XBTUSDT",
    "wsname": "XBT/USDT",
    "base": "XXBT",
    "quote": "USDT",
    "pair_decimals": 2,
    "lot_decimals": 5,
    "ordermin": "0.0001",
    "costmin": "5",
    "status": "online",
    "leverage_buy": [],
    "fees": [[0, 0.26]],
    "fees_maker": [[0, 0.16]],
}


def ok(result: Any) -> Any:
    return {"error": [], "result": result}


def refused(*errors: str) -> Any:
    return {"error": list(errors)}


@dataclass
class KrakenVenue(ScriptedVenue):
    venue = "kraken"
    create = ("POST", "/0/private/AddOrder")

    def answer(self, seen: Seen) -> Any:
        match seen.path.removeprefix("/0/"):
            case "public/Time":
                return ok({"unixtime": now_ms() // 1000})
            case "public/AssetPairs":
                return ok({"XBTUSDT": LISTED})
            case "private/AddOrder":
                told = {"order": "buy 0.01000 XBTUSDT @ limit 40000.00"}
                return ok({"descr": told, "txid": ["OABCDE-12345-FGHIJK"]})
            case "private/OpenOrders":
                rows = [o for o in self.orders if o.state == "open"]
                return ok({"open": self._rows(rows, seen.body)})
            case "private/ClosedOrders":
                rows = [o for o in self.orders if o.state != "open"]
                return ok({"closed": self._rows(rows, seen.body), "count": len(rows)})
            case "private/QueryOrders":
                order = self.order_by(venue_id=seen.body["txid"])
                if order is None:
                    return refused("EOrder:Invalid order")
                names = [t.trade_id for t in self.trades_of(order.venue_id)]
                return ok({order.venue_id: {**self._row(order), "trades": names}})
            case "private/CancelOrder":
                if self.order_by(venue_id=seen.body["txid"]) is None:
                    return refused("EOrder:Unknown order")
                return ok({"count": 1})
            case "private/QueryTrades":
                asked = seen.body["txid"].split(",")
                return ok({t.trade_id: self._trade(t) for t in self.trades if t.trade_id in asked})
            case "private/TradesHistory":
                return self._history(seen.body)
            case "private/BalanceEx":
                return ok({"XXBT": {"balance": "1.5", "hold_trade": "0.5"}})
        return Answer(404, {"error": [f"EGeneral:Unknown method:{seen.path}"]})

    def _rows(self, orders: list[Order], asked: dict[str, str]) -> Any:
        if "cl_ord_id" in asked and not self.ignores_filters:
            orders = [o for o in orders if o.client_id == asked["cl_ord_id"]]
        return {o.venue_id: self._row(o) for o in orders}

    def _row(self, order: Order) -> Any:
        return {
            "cl_ord_id": order.client_id,
            "userref": 0,
            "status": _STATES[order.state],
            "opentm": 1700000000.1234,
            "vol": order.size,
            "vol_exec": order.filled,
            "cost": "0",
            "fee": "0",
            "price": "0",
            "descr": {
                "pair": "XBTUSDT",
                "type": order.side,
                "ordertype": "limit",
                "price": order.price,
                "price2": "0",
                "order": f"{order.side} {order.size} XBTUSDT @ limit {order.price}",
            },
            "oflags": "fciq",
        }

    def _history(self, asked: dict[str, str]) -> Any:
        start, end = int(asked["start"]) * 1000, int(asked["end"]) * 1000
        rows = [t for t in self.trades_of(None) if start < t.at_ms <= end]
        first = int(asked.get("ofs", "0"))
        page = {t.trade_id: self._trade(t) for t in rows[first : first + 50]}
        return ok({"trades": page, "count": len(rows)})

    def _trade(self, trade: Trade) -> Any:
        return {
            "ordertxid": trade.order_id,
            "pair": "XBTUSDT",
            "time": f"{trade.at_ms / 1000:.4f}",
            "type": "buy",
            "ordertype": "limit",
            "price": trade.price,
            "cost": "160",
            "fee": trade.fee,
            "vol": trade.quantity,
            "maker": True,
        }
