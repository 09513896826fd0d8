"""OKX v5 as documented, as far as the gateway asks it."""

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

_STATES = {"open": "live", "filled": "filled", "cancelled": "canceled"}
LISTED = {
    "instId": "BTC-USDT",
    "instType": "SPOT",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "tickSz": TICK,
    "lotSz": STEP,
    "minSz": STEP,
    "state": "live",
}


def ok(data: Any) -> Any:
    return {"code": "0", "msg": "", "data": data}


def refused(code: str, message: str) -> Any:
    row = {"clOrdId": "", "ordId": "", "sCode": code, "sMsg": message}
    return {"code": "1", "msg": "All operations failed", "data": [row]}


@dataclass
class OkxVenue(ScriptedVenue):
    venue = "okx"
    create = ("POST", "/api/v5/trade/order")

    def answer(self, seen: Seen) -> Any:
        match seen.method, seen.path.removeprefix("/api/v5/"):
            case "GET", "public/time":
                return ok([{"ts": str(now_ms())}])
            case "GET", "public/instruments":
                return ok([LISTED])
            case "POST", "trade/order":
                row = {"ordId": "312", "clOrdId": seen.body["clOrdId"], "sCode": "0", "sMsg": ""}
                return ok([row])
            case "GET", "trade/order":
                return self._order(seen)
            case "GET", "trade/orders-pending":
                return ok([self._row(o) for o in self.orders if o.state == "open"])
            case "POST", "trade/cancel-order":
                if self.order_by(venue_id=seen.body["ordId"]) is None:
                    return refused("51400", "Cancellation failed as the order does not exist.")
                return ok([{"ordId": seen.body["ordId"], "sCode": "0", "sMsg": ""}])
            case "GET", "trade/fills-history":
                return ok(self._fills(seen.query))
            case "GET", "account/balance":
                details = [
                    {
                        "ccy": "BTC",
                        "cashBal": "1.5",
                        "availBal": "1",
                        "frozenBal": "0.5",
                        "eq": "1.5",
                        "availEq": "1",
                    }
                ]
                return ok([{"details": details, "uTime": "1700000000000"}])
        return Answer(404, {"code": "404"})

    def _order(self, seen: Seen) -> Any:
        if "ordId" in seen.query:
            order = self.order_by(venue_id=seen.query["ordId"])
        else:
            order = self.order_by(client_id=seen.query["clOrdId"])
        if order is None:
            return {"code": "51603", "msg": "Order does not exist", "data": []}
        return ok([self._row(order)])

    def _row(self, order: Order) -> Any:
        return {
            "instId": "BTC-USDT",
            "instType": "SPOT",
            "ordId": order.venue_id,
            "clOrdId": order.client_id,
            "state": _STATES[order.state],
            "sz": order.size,
            "accFillSz": order.filled,
            "px": order.price,
            "avgPx": order.price,
            "side": order.side,
            "ordType": "limit",
            "fee": "-0.16",
            "feeCcy": "USDT",
            "cTime": "1700000000000",
            "uTime": "1700000000000",
        }

    def _fills(self, query: dict[str, str]) -> list[Any]:
        rows = [self._fill(trade) for trade in self.trades_of(query.get("ordId"))]
        begin, end = int(query.get("begin", "0")), int(query.get("end", str(2**60)))
        rows = [row for row in rows if begin < int(row["ts"]) < end]
        if "after" in query:
            rows = [row for row in rows if int(row["billId"]) < int(query["after"])]
        return rows[: int(query["limit"])]

    def _fill(self, trade: Trade) -> Any:
        order = self.order_by(venue_id=trade.order_id)
        return {
            "instId": "BTC-USDT",
            "instType": "SPOT",
            "tradeId": trade.trade_id,
            "billId": f"{trade.at_ms}{trade.trade_id:0>6}",
            "ordId": trade.order_id,
            "clOrdId": order.client_id if order else "",
            "fillPx": trade.price,
            "fillSz": trade.quantity,
            "fee": f"-{trade.fee}",
            "feeCcy": "USDT",
            "side": "buy",
            "execType": "T",
            "ts": str(trade.at_ms),
        }
