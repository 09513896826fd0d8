"""One valid order of each type as JSON, and the reading of it."""

import json
from typing import Any

from workflows.domain.denials import Denied
from workflows.domain.orders import OrderType
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
ICEBERG = {**MARKET, "order_type": "iceberg", "price": "50000"}
EXIT = {**MARKET, "side": "sell"}
KINDS = {
    "market": MARKET,
    "limit": LIMIT,
    "twap": TWAP,
    "iceberg": ICEBERG,
    "stop_loss": {**EXIT, "order_type": "stop_loss", "stop_price": "49000"},
    "take_profit": {**EXIT, "order_type": "take_profit", "take_profit_price": "51500"},
    "trailing_stop": {**EXIT, "order_type": "trailing_stop", "trailing_delta_bps": 150},
    "oco": {**EXIT, "order_type": "oco", "oco_limit_price": "51500", "stop_price": "49000"},
}

OPTIONS: dict[str, Any] = {
    "order_id": "mine-1",
    "strategy_id": "s2",
    "account": "hedge",
    "exchange": "okx",
    "symbol": "ETH/USDT",
    "time_in_force": "GTC",
    "post_only": True,
    "slippage_tolerance": "0.01",
    "priority": 1,
    "timeout_s": "60",
    "twap_slices": 10,
    "twap_interval": "60",
    "duration_s": "600",
    "size_jitter": "0.1",
    "time_jitter": "0.1",
    "catch_up": "immediate",
    "catch_up_cap": 5,
    "end_sweep": False,
    "passive_fraction": "0.5",
    "max_participation": "0.1",
    "pause_shifts_end": True,
    "reduce_only": True,
    "allow_similar": True,
    "start_at": "2030-01-31T12:00:00Z",
    "placement": "engine",
    "iceberg_visible_ratio": "0.2",
    "iceberg_display": "0.1",
    "iceberg_variance": "0.1",
    "iceberg_min_visible": "0.01",
    "replenish_delay_s": "2",
    "peg_offset": "1",
    "reprice_interval_s": "5",
    "reprice_ticks": 2,
    "activation_price": "51000",
    "trigger_source": "last",
    "confirm_n": 2,
    "confirm_ms": 100,
    "stale_after_ms": 6000,
    "on_blind": "exit",
    "max_slippage": "0.001",
    "max_total_slippage": "0.01",
    "retry_ms": 600,
    "on_exhausted": "alarm",
    "post_trigger_timeout_s": "5",
    "on_unfilled": "market",
}
"""Values of options that go together, where a type has them."""


def raw(body: dict[str, Any], **changes: object) -> bytes:
    return json.dumps({**body, **changes}).encode()


def accepted(body: bytes) -> OrderRequest:
    answer = parse_order(body)
    assert isinstance(answer, OrderRequest), answer
    return answer


def denied(body: bytes, order_type: OrderType | None = None) -> Denied:
    answer = parse_order(body, order_types=(order_type,) if order_type else ())
    assert isinstance(answer, Denied), answer
    return answer
