"""Coinbase Advanced as documented, as far as the gateway asks it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

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

_STATES = {"open": "OPEN", "filled": "FILLED", "cancelled": "CANCELLED"}
LISTED = {
    "product_id": "BTC-USDT",
    "base_currency_id": "BTC",
    "quote_currency_id": "USDT",
    "base_increment": STEP,
    "quote_increment": TICK,
    "price_increment": TICK,
    "base_min_size": STEP,
    "base_max_size": "100",
    "quote_min_size": "1",
    "quote_max_size": "1000000",
    "status": "online",
    "product_type": "SPOT",
    "trading_disabled": False,
    "is_disabled": False,
    "cancel_only": False,
    "limit_only": False,
    "post_only": False,
    "view_only": False,
    "alias": "",
    "alias_to": [],
}


def private_key() -> str:
    """A throw-away key of the kind that the venue hands out."""
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def iso(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def ms_of(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def refused(error: str, preview: str = "UNKNOWN_PREVIEW_FAILURE_REASON") -> Any:
    told = {"error": error, "message": "no", "preview_failure_reason": preview}
    return {"success": False, "error_response": told}


@dataclass
class CoinbaseVenue(ScriptedVenue):
    venue = "coinbase"
    create = ("POST", "/api/v3/brokerage/orders")

    def __post_init__(self) -> None:
        self.secret = private_key()

    def answer(self, seen: Seen) -> Any:
        match seen.method, seen.path.removeprefix("/api/v3/brokerage/"):
            case "GET", "/v2/time":
                return {"data": {"epoch": now_ms() // 1000}}
            case "GET", "market/products":
                is_spot = seen.query.get("product_type") != "FUTURE"
                return {"products": [LISTED] if is_spot else []}
            case "GET", "transaction_summary":
                return {"fee_tier": {"taker_fee_rate": "0.006", "maker_fee_rate": "0.004"}}
            case "POST", "orders":
                told = {
                    "order_id": "0000-312",
                    "client_order_id": seen.body["client_order_id"],
                    "product_id": "BTC-USDT",
                    "side": "BUY",
                }
                return {"success": True, "success_response": told}
            case "POST", "orders/batch_cancel":
                (order_id,) = seen.body["order_ids"]
                known = self.order_by(venue_id=order_id) is not None
                reason = "UNKNOWN_CANCEL_FAILURE_REASON" if known else "UNKNOWN_CANCEL_ORDER"
                row = {"success": known, "failure_reason": reason, "order_id": order_id}
                return {"results": [row]}
            case "GET", "orders/historical/batch":
                return self._orders(seen.query)
            case "GET", "orders/historical/fills":
                return self._fills(seen.query)
            case "GET", "accounts":
                held = {"value": "0.5", "currency": "BTC"}
                row = {
                    "type": "ACCOUNT_TYPE_CRYPTO",
                    "currency": "BTC",
                    "hold": held,
                    "available_balance": {"value": "1", "currency": "BTC"},
                }
                return {"accounts": [row], "has_next": False, "cursor": ""}
        return self._order(seen)

    def _order(self, seen: Seen) -> Any:
        order = self.order_by(venue_id=seen.path.rpartition("/")[2])
        if order is None:
            return Answer(404, {"error": "NOT_FOUND", "message": "order not found"})
        return {"order": self.row(order)}

    def _orders(self, query: dict[str, str]) -> Any:
        rows = [o for o in self.orders if query.get("order_status") in (None, _STATES[o.state])]
        first = int(query.get("cursor", "0"))
        more = str(first + 100) if first + 100 < len(rows) else ""
        page = [self.row(o) for o in rows[first : first + 100]]
        return {"orders": page, "has_next": bool(more), "cursor": more}

    def row(self, order: Order) -> Any:
        wanted = {"base_size": order.size, "limit_price": order.price, "post_only": False}
        return {
            "order_id": order.venue_id,
            "client_order_id": order.client_id,
            "product_id": "BTC-USDT",
            "status": _STATES[order.state],
            "filled_size": order.filled,
            "average_filled_price": order.price,
            "total_fees": "0",
            "order_type": "LIMIT",
            "side": order.side.upper(),
            "time_in_force": "GOOD_UNTIL_CANCELLED",
            "created_time": iso(now_ms()),
            "order_configuration": {"limit_limit_gtc": wanted},
        }

    def _fills(self, query: dict[str, str]) -> Any:
        rows = self.trades_of(query.get("order_ids"))
        if "start_sequence_timestamp" in query:
            first = ms_of(query["start_sequence_timestamp"])
            last = ms_of(query["end_sequence_timestamp"])
            rows = [t for t in rows if first <= t.at_ms <= last]
        start, size = int(query.get("cursor", "0")), int(query["limit"])
        more = str(start + size) if start + size < len(rows) else ""
        return {"fills": [self._fill(t) for t in rows[start : start + size]], "cursor": more}

    def _fill(self, trade: Trade) -> Any:
        return {
            "entry_id": f"entry-{trade.trade_id}",
            "trade_id": trade.trade_id,
            "order_id": trade.order_id,
            "product_id": "BTC-USDT",
            "price": trade.price,
            "size": trade.quantity,
            "size_in_quote": False,
            "commission": trade.fee,
            "side": "BUY",
            "liquidity_indicator": "MAKER",
            "trade_type": "FILL",
            "trade_time": iso(trade.at_ms),
        }
