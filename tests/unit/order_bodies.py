"""One valid order of each type as JSON, and the reading of it."""

import json
from typing import Any

from workflows.messages import OrderRequest, parse_order

MARKET: dict[str, Any] = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "0.1",
}
LIMIT = {**MARKET, "order_type": "limit", "price": "50000"}
TWAP = {**MARKET, "order_type": "twap"}
KINDS = {"market": MARKET, "limit": LIMIT, "twap": TWAP}


def raw(body: dict[str, Any], **changes: object) -> bytes:
    return json.dumps({**body, **changes}).encode()


def accepted(body: bytes) -> OrderRequest:
    answer = parse_order(body)
    assert isinstance(answer, OrderRequest), answer
    return answer
