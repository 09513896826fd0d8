"""Errors over HTTP: one code per cause, one body for all, never a trace.

Rule: the body is exactly code, message, field and request_id, and what the caller sent is never
echoed. A denial keeps the code and the status that the core gave it; codes that only HTTP has
stand here. It must not know the routes.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from activities.ledger.key_text import holds_key
from starters.errors import (
    ExecutionNotFound,
    NotFound,
    PartOfExecution,
    Refused,
    Unavailable,
)
from workflows.domain.denials import DenialCode, http_status

ORDER_ID_HEADER = "X-Order-Id"
EXECUTION_ID_HEADER = "X-Execution-Id"
RETRY_AFTER_S = 1


class ApiCode(StrEnum):
    """Causes that only HTTP knows."""

    BAD_REQUEST = "BAD_REQUEST"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN_SCOPE = "FORBIDDEN_SCOPE"
    FORBIDDEN_ADDRESS = "FORBIDDEN_ADDRESS"
    NOT_FOUND = "NOT_FOUND"
    NOT_A_TWAP = "NOT_A_TWAP"
    NOT_AN_ICEBERG = "NOT_AN_ICEBERG"
    NOT_A_STOP = "NOT_A_STOP"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    PART_OF_EXECUTION = "PART_OF_EXECUTION"
    SEQUENCE_GONE = "SEQUENCE_GONE"
    TIMEOUT = "TIMEOUT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    HEADERS_TOO_LARGE = "HEADERS_TOO_LARGE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    INTERNAL = "INTERNAL"


Code = ApiCode | DenialCode

_STATUS: dict[ApiCode, HTTPStatus] = {
    ApiCode.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    ApiCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ApiCode.FORBIDDEN_SCOPE: HTTPStatus.FORBIDDEN,
    ApiCode.FORBIDDEN_ADDRESS: HTTPStatus.FORBIDDEN,
    ApiCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ApiCode.NOT_A_TWAP: HTTPStatus.NOT_FOUND,
    ApiCode.NOT_AN_ICEBERG: HTTPStatus.NOT_FOUND,
    ApiCode.NOT_A_STOP: HTTPStatus.NOT_FOUND,
    ApiCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ApiCode.PART_OF_EXECUTION: HTTPStatus.CONFLICT,
    ApiCode.SEQUENCE_GONE: HTTPStatus.GONE,
    ApiCode.TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    ApiCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ApiCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.HEADERS_TOO_LARGE: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ApiCode.OUTCOME_UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_ASK_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_FROM_STATUS = {
    HTTPStatus.NOT_FOUND: (ApiCode.NOT_FOUND, "there is nothing at this address"),
}
# pydantic's own error types that a query or path parameter can meet
_VALIDATION: dict[str, tuple[DenialCode, str]] = {
    "missing": (DenialCode.MISSING_FIELD, "is required"),
    "enum": (DenialCode.UNKNOWN_ENUM, "is not one of the allowed values"),
}


class ErrorBody(BaseModel):
    """The body of every answer from 400 up."""

    code: str = Field(description="the cause; stable, for programs")
    message: str = Field(description="the cause in words, for people; may change")
    field: str | None = Field(description="the field, parameter or header at fault")
    request_id: str = Field(description="also in X-Request-Id and in the log")


class ApiError(Exception):
    """An answer from 400 up, raised from wherever the cause is found."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.headers = dict(headers or {})


def status_of(code: Code) -> int:
    """The HTTP status that carries the code."""
    return int(_STATUS[code]) if isinstance(code, ApiCode) else http_status(code)


def error_response(request_id: str, error: ApiError) -> JSONResponse:
    """The answer; 429 and 503 always say when to ask again."""
    status = status_of(error.code)
    headers = dict(error.headers)
    if status in _ASK_AGAIN:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    else:
        headers.pop("Retry-After", None)
    # what the caller sent is theirs, but for a key that came in the wrong place
    message = "(a key)" if holds_key(str(error)) else str(error)
    body = ErrorBody(code=error.code, message=message, field=error.field, request_id=request_id)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def no_verdict(what: str, error: Exception, headers: Mapping[str, str]) -> ApiError:
    """`what`, such as an order and its id, got no verdict: it was not started, or nobody knows."""
    if isinstance(error, Unavailable):
        message = f"{what} was not started: {error}"
        return ApiError(DenialCode.UNAVAILABLE, message, headers=headers)
    return ApiError(ApiCode.OUTCOME_UNKNOWN, str(error), headers=headers)


def retry_after(wait_s: Decimal) -> dict[str, str]:
    """The header that says when to ask again; sent with a 503 only."""
    return {"Retry-After": str(math.ceil(wait_s))}


def validation_error(errors: Any) -> ApiError:
    """The first thing wrong with a path or query parameter, without the value that was sent."""
    first = errors[0]
    name = str(first["loc"][1]) if len(first["loc"]) > 1 else None
    kind = first["type"]
    if kind in DenialCode.__members__:
        code, text = DenialCode(kind), first["msg"]
    else:
        code, text = _VALIDATION.get(kind, (DenialCode.INVALID_TYPE, "has the wrong type"))
    return ApiError(code, f"{name or 'request'} {text}", field=name)


def _answer(request: Request, error: ApiError) -> JSONResponse:
    """The answer to a request; who writes the audit trail finds the code in its state."""
    request.state.code = error.code
    return error_response(request.state.request_id, error)


def install_handlers(app: FastAPI) -> None:
    """Make every error of the app leave in our form."""

    @app.exception_handler(ApiError)
    async def _ours(request: Request, error: ApiError) -> JSONResponse:
        return _answer(request, error)

    @app.exception_handler(Unavailable)
    async def _away(request: Request, error: Unavailable) -> JSONResponse:
        away = ApiError(DenialCode.UNAVAILABLE, str(error))
        return _answer(request, away)

    @app.exception_handler(NotFound)
    async def _absent(request: Request, error: NotFound) -> JSONResponse:
        field = "execution_id" if isinstance(error, ExecutionNotFound) else "order_id"
        absent = ApiError(ApiCode.NOT_FOUND, str(error), field=field)
        return _answer(request, absent)

    @app.exception_handler(PartOfExecution)
    async def _a_leg(request: Request, error: PartOfExecution) -> JSONResponse:
        a_leg = ApiError(ApiCode.PART_OF_EXECUTION, str(error), field="order_id")
        return _answer(request, a_leg)

    @app.exception_handler(Refused)
    async def _refused(request: Request, error: Refused) -> JSONResponse:
        refused = ApiError(error.denied.code, str(error), field=error.denied.field)
        return _answer(request, refused)

    @app.exception_handler(WebSocketRequestValidationError)
    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _answer(request, validation_error(error.errors()))

    @app.exception_handler(HTTPException)
    async def _routing(request: Request, error: HTTPException) -> JSONResponse:
        default = (ApiCode.BAD_REQUEST, "the request cannot be answered")
        code, message = _FROM_STATUS.get(HTTPStatus(error.status_code), default)
        ours = ApiError(code, message, headers=error.headers)
        return _answer(request, ours)
