"""The frame around every request: its id, its log line, its headers, and the last stop for bugs.

Rule: every answer carries X-Request-Id, every request is one structured log line, and a bug
answers 500 with the request id and nothing else. It must not know the routes.
"""

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.ledger.key_text import holds_key
from starters.api.errors import ApiCode, ApiError, error_response
from workflows.domain.denials import DenialCode

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# An escaped separator would be decoded before routing and could reach another route.
_ESCAPED_SEPARATOR = re.compile(rb"%2f|%5c|\\", re.IGNORECASE)
# The one address that ends with a symbol, which may be written BTC%2FUSDT; nothing follows it.
_POSITION = re.compile(rb"/api/v1/positions/[\w.-]+/\w+/[A-Za-z0-9]+%2f[A-Za-z0-9]+", re.IGNORECASE)
_log = structlog.get_logger("delta.api")


class RequestFrame:
    """ASGI middleware; the outermost of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.monotonic(), 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])  # it may be an enum, which logs badly
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers.setdefault("Cache-Control", "no-store")  # files that never change say so
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers.setdefault("Referrer-Policy", "no-referrer")
            await send(message)

        try:
            await self._answer(scope, receive, send_framed)
        except Exception:  # the last stop: logged with its trace, answered without it
            _log.exception("request failed", request_id=request_id)
            if status:
                raise  # the answer is under way: the server must break the connection
            bug = ApiError(ApiCode.INTERNAL, "an error of ours; the log knows this request_id")
            await error_response(request_id, bug)(scope, receive, send_framed)
        finally:
            _log.info(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=_shown_path(scope),
                status=status,
                duration_ms=round((time.monotonic() - started) * 1000, 1),
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        if _ESCAPED_SEPARATOR.search(path) and not _POSITION.fullmatch(path):
            refusal = ApiError(DenialCode.ILLEGAL_CHARS, "the path has an escaped separator")
            await error_response(scope["state"]["request_id"], refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _path(scope: Scope) -> bytes:
    """The path as it was sent, still percent-encoded."""
    raw: bytes | None = scope.get("raw_path")
    return raw if raw is not None else scope["path"].encode("utf-8")


def _shown_path(scope: Scope) -> str:
    """The path for the log: one line, and no key that somebody put into it."""
    path = _path(scope).decode("ascii", "backslashreplace")
    return "(a key)" if holds_key(path) else path


def _request_id(headers: Headers) -> str:
    """The caller's id for the request where it is a harmless one, else ours."""
    given = headers.get(REQUEST_ID_HEADER, "")
    is_harmless = _REQUEST_ID.fullmatch(given) and not holds_key(given)
    return given if is_harmless else uuid4().hex
