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
from workflows.domain.denials import DenialCode
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import OrderRequest

REF = "#/components/schemas/{model}"
_BASE = {"strategy_id": "strategy_001", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
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


def _body(model: type[BaseModel], examples: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": REF.format(model=model.__name__)}
    media = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"required": True, "content": media}}


ORDER_BODY = _body(OrderRequest, ORDER_EXAMPLES)
ARBITRAGE_BODY = _body(ArbitragePlan, ARBITRAGE_EXAMPLES)
REBALANCE_BODY = _body(RebalancePlan, REBALANCE_EXAMPLES)
_HAND_READ: tuple[type[BaseModel], ...] = (OrderRequest, ArbitragePlan, RebalancePlan)
PATH_CODES: tuple[Code, ...] = (DenialCode.ILLEGAL_CHARS, DenialCode.TOO_LONG)
QUERY_CODES: tuple[Code, ...] = (DenialCode.UNKNOWN_FIELD, DenialCode.DUPLICATE_FIELD)
BODY_CODES: tuple[Code, ...] = (
    ApiCode.BAD_REQUEST,
    ApiCode.TIMEOUT,
    ApiCode.BODY_TOO_LARGE,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.OUTCOME_UNKNOWN,
    # what is new may meet every denial but the two that only other calls give
    *(
        code
        for code in DenialCode
        if code not in (DenialCode.ALREADY_TERMINAL, DenialCode.INVALID_CURSOR)
    ),
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


def openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document, made once, with the schemas of the hand-read bodies."""

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
            for model in _HAND_READ:
                schema = model.model_json_schema(ref_template=REF)
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
            app.openapi_schema = document
        return app.openapi_schema

    return make
