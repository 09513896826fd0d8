"""What OpenAPI says beyond what FastAPI finds by itself: the order body, examples, error codes.

The order's body is read by hand, so its schema is added here from the model itself, and the table
of error answers is made from the codes' own statuses: neither can differ from the code.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from starters.api.errors import ApiCode, Code, ErrorBody, status_of
from workflows.domain.denials import DenialCode
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
ORDER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REF.format(model="OrderRequest")},
                "examples": ORDER_EXAMPLES,
            }
        },
    }
}
PATH_CODES: tuple[Code, ...] = (DenialCode.ILLEGAL_CHARS, DenialCode.TOO_LONG)
QUERY_CODES: tuple[Code, ...] = (DenialCode.UNKNOWN_FIELD, DenialCode.DUPLICATE_FIELD)
BODY_CODES: tuple[Code, ...] = (
    ApiCode.BAD_REQUEST,
    ApiCode.TIMEOUT,
    ApiCode.BODY_TOO_LARGE,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.OUTCOME_UNKNOWN,
    # a new order may meet every denial but the two that only other calls give
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
    """The app's OpenAPI document, made once, with the schemas of the hand-read body."""

    def make() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            order = OrderRequest.model_json_schema(ref_template=REF)
            schemas = document["components"]["schemas"]
            schemas.update(order.pop("$defs", {}))
            schemas["OrderRequest"] = order
            app.openapi_schema = document
        return app.openapi_schema

    return make
