"""What OpenAPI says beyond what FastAPI finds by itself: the bodies, examples, error codes.

Bodies are read by hand, so their schemas are added here from the models themselves, and the table
of error answers is made from the codes' own statuses: neither can differ from the code.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from starters.api.errors import ApiCode, Code, ErrorBody, status_of
from starters.api.openapi_access import add_access
from starters.trading_state import SwitchRequest
from workflows.domain.denials import DenialCode
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import OrderRequest
from workflows.steering_messages import AmendRequest, SteerRequest

WHO = "requested_by"
REF = "#/components/schemas/{model}"
_BASE = {"strategy_id": "strategy_001", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
_EXIT = {**_BASE, "side": "sell", "quantity": "0.1", "reduce_only": True}
ORDER_EXAMPLES = {
    "market": {
        "summary": "buy now",
        "value": {**_BASE, "order_type": "market", "quantity": "0.1", "time_in_force": "GTC"},
    },
    "limit": {
        "summary": "rest at a price",
        "value": {**_BASE, "order_type": "limit", "quantity": "0.1", "price": "49500"},
    },
    "twap": {
        "summary": "ten slices, one a minute",
        "value": {
            **_BASE,
            "order_type": "twap",
            "quantity": "1.0",
            "twap_slices": 10,
            "twap_interval": 60,
        },
    },
    "iceberg": {
        "summary": "rest, and show a tenth at a time",
        "value": {
            **_BASE,
            "order_type": "iceberg",
            "quantity": "5.0",
            "price": "50000",
            "iceberg_visible_ratio": "0.1",
        },
    },
    "stop_loss": {
        "summary": "sell the position when the best bid is at 49000 or lower",
        "value": {**_EXIT, "order_type": "stop_loss", "stop_price": "49000"},
    },
    "take_profit": {
        "summary": "sell the position when 51500 is reached",
        "value": {**_EXIT, "order_type": "take_profit", "take_profit_price": "51500"},
    },
    "trailing_stop": {
        "summary": "sell the position 1.5 % below the best price since the start",
        "value": {**_EXIT, "order_type": "trailing_stop", "trailing_delta_bps": 150},
    },
    "oco": {
        "summary": "sell at 51500, or when the price falls to 49000",
        "value": {
            **_EXIT,
            "order_type": "oco",
            "oco_limit_price": "51500",
            "stop_price": "49000",
        },
    },
}
STEER_EXAMPLES = {
    "with a reason": {
        "summary": "both are kept with the order",
        "value": {"reason": "news at 14:00"},
    }
}
AMEND_EXAMPLES = {
    "price and total": {
        "summary": "the executed quantity counts in the new total",
        "value": {"price": "49900", "quantity": "2"},
    },
    "end": {"summary": "end later", "value": {"end_at": "2030-01-31T12:00:00Z"}},
}
ARBITRAGE_EXAMPLES = {
    "concurrent": {
        "summary": "both legs at once",
        "value": {
            "symbol": "BTC/USDT",
            "buy_exchange": "binance",
            "sell_exchange": "okx",
            "buy_price": "50000",
            "sell_price": "50300",
            "amount": "0.1",
            "timeout": 30,
        },
    }
}
REBALANCE_EXAMPLES = {
    "two venues": {
        "summary": "half in BTC, a third in ETH, the rest in cash; only planned",
        "value": {
            "exchanges": ["binance", "okx"],
            "targets": {"BTC": "0.5", "ETH": "0.3", "USDT": "0.2"},
            "preview": True,
        },
    }
}
SWITCH_EXAMPLES = {
    "halt": {
        "summary": "stop everything, and take what rests off the exchanges",
        "value": {"state": "halted", "scope": "global", "reason": "wrong prices"},
    },
    "flatten": {
        "summary": "stop one strategy and close its positions at the market",
        "value": {"state": "halted", "scope": "strategy:strategy_001", "flatten": True},
    },
    "reduce": {
        "summary": "let one exchange only reduce positions",
        "value": {"state": "reducing", "scope": "venue:binance", "reason": "slow answers"},
    },
    "resume": {
        "summary": "let a symbol trade again",
        "value": {
            "state": "active",
            "scope": "symbol:binance:BTC/USDT",
            "reason": "prices checked",
        },
    },
}


def body_of(
    model: type[BaseModel], examples: dict[str, Any], *, required: bool = True
) -> dict[str, Any]:
    """The body of a route that reads it by hand."""
    schema = {"$ref": REF.format(model=model.__name__)}
    media = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"required": required, "content": media}}


ORDER_BODY = body_of(OrderRequest, ORDER_EXAMPLES)
ARBITRAGE_BODY = body_of(ArbitragePlan, ARBITRAGE_EXAMPLES)
REBALANCE_BODY = body_of(RebalancePlan, REBALANCE_EXAMPLES)
STEER_BODY = body_of(SteerRequest, STEER_EXAMPLES, required=False)
AMEND_BODY = body_of(AmendRequest, AMEND_EXAMPLES)
SWITCH_BODY = body_of(SwitchRequest, SWITCH_EXAMPLES)
_HAND_READ: tuple[type[BaseModel], ...] = (
    OrderRequest,
    SteerRequest,
    AmendRequest,
    ArbitragePlan,
    RebalancePlan,
    SwitchRequest,
)
PATH_CODES: tuple[Code, ...] = (DenialCode.ILLEGAL_CHARS, DenialCode.TOO_LONG)
QUERY_CODES: tuple[Code, ...] = (DenialCode.UNKNOWN_FIELD, DenialCode.DUPLICATE_FIELD)
ONE_ORDER: tuple[Code, ...] = (
    *PATH_CODES,
    *QUERY_CODES,
    ApiCode.NOT_FOUND,
    DenialCode.UNAVAILABLE,
)
_OF_REQUESTS: tuple[Code, ...] = (
    ApiCode.BAD_REQUEST,
    ApiCode.TIMEOUT,
    ApiCode.BODY_TOO_LARGE,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
)
_OF_FIELDS: tuple[Code, ...] = (
    DenialCode.INVALID_JSON,
    DenialCode.DUPLICATE_FIELD,
    DenialCode.TOO_DEEP,
    DenialCode.INVALID_INPUT,
    DenialCode.INVALID_TYPE,
    DenialCode.UNKNOWN_FIELD,
    DenialCode.ILLEGAL_CHARS,
    DenialCode.TOO_LONG,
)
BODY_FIELD_CODES: tuple[Code, ...] = (*_OF_REQUESTS, *_OF_FIELDS)
PAGE_CODES: tuple[Code, ...] = (
    *QUERY_CODES,
    *PATH_CODES,
    DenialCode.INVALID_TYPE,
    DenialCode.OUT_OF_RANGE,
    DenialCode.INVALID_CURSOR,
    DenialCode.UNAVAILABLE,
)
"""Of every list."""
_OF_RUNNING_ORDERS: tuple[DenialCode, ...] = (
    DenialCode.ALREADY_TERMINAL,
    DenialCode.NOT_STEERABLE,
    DenialCode.NOT_PAUSED,
    DenialCode.AMEND_BELOW_FILLED,
)
# what is new may meet every denial but those that only other calls give
_OF_NEW_ORDERS: tuple[DenialCode, ...] = tuple(
    code for code in DenialCode if code not in (*_OF_RUNNING_ORDERS, DenialCode.INVALID_CURSOR)
)
BODY_CODES: tuple[Code, ...] = (*_OF_REQUESTS, ApiCode.OUTCOME_UNKNOWN, *_OF_NEW_ORDERS)
PREVIEW_CODES: tuple[Code, ...] = (
    *_OF_REQUESTS,
    *_OF_FIELDS,
    DenialCode.MISSING_FIELD,
    DenialCode.FIELD_NOT_ALLOWED,
    DenialCode.INVALID_DECIMAL,
    DenialCode.NOT_POSITIVE,
    DenialCode.OUT_OF_RANGE,
    DenialCode.PRECISION,
    DenialCode.UNKNOWN_ENUM,
    DenialCode.INVALID_TIME,
    DenialCode.OCO_PRICES,
    DenialCode.END_BEFORE_START,
    DenialCode.INCONSISTENT_SCHEDULE,
    DenialCode.UNAVAILABLE,
)
STEER_CODES: tuple[Code, ...] = (
    *_OF_REQUESTS,
    *_OF_FIELDS,
    ApiCode.PART_OF_EXECUTION,
    DenialCode.ALREADY_TERMINAL,
    DenialCode.NOT_STEERABLE,
    ApiCode.OUTCOME_UNKNOWN,
)
SWITCH_CODES: tuple[Code, ...] = (
    *_OF_REQUESTS,
    *_OF_FIELDS,
    DenialCode.MISSING_FIELD,
    DenialCode.FIELD_NOT_ALLOWED,
    DenialCode.UNKNOWN_ENUM,
    DenialCode.UNKNOWN_SYMBOL,
    DenialCode.UNAVAILABLE,
)
AMEND_CODES: tuple[Code, ...] = (
    *_OF_REQUESTS,
    ApiCode.PART_OF_EXECUTION,
    DenialCode.ALREADY_TERMINAL,
    DenialCode.NOT_STEERABLE,
    DenialCode.AMEND_BELOW_FILLED,
    ApiCode.OUTCOME_UNKNOWN,
    # a change is checked as an order of what it adds
    *_OF_NEW_ORDERS,
)


def error_answers(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """The documented error answers for these codes, grouped by their status."""
    groups: dict[int, list[Code]] = {}
    for code in dict.fromkeys((*codes, ApiCode.INTERNAL)):
        groups.setdefault(status_of(code), []).append(code)
    return {status: _answer(status, found) for status, found in sorted(groups.items())}


def _answer(status: int, codes: list[Code]) -> dict[str, Any]:
    examples = {
        code: {"value": {"code": code, "message": "...", "field": None, "request_id": "5f1c"}}
        for code in codes
    }
    return {
        "model": ErrorBody,
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
        "content": {"application/json": {"examples": examples}},
    }


def _by_http(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body: who asks is the API key's name there, and need not be said."""
    required = [name for name in schema.pop("required", []) if name != WHO]
    properties = {name: each for name, each in schema["properties"].items() if name != WHO}
    return {**schema, "properties": properties, **({"required": required} if required else {})}


def openapi_of(app: FastAPI, *more: type[BaseModel]) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document, made once, with the schemas of the hand-read bodies.

    `more` are bodies beside those of orders and plans.
    """

    def make() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = document["components"]["schemas"]
            for model in (*_HAND_READ, *more):
                schema = model.model_json_schema(ref_template=REF)
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = _by_http(schema)
            add_access(app, document)
            app.openapi_schema = document
        return app.openapi_schema

    return make
