"""One request over HTTP and its answer: the key, the errors, and what may be sent twice.

ApiError, below, is drawn by what the caller must do:

    ApiError          the API said no, and why: code, field, request_id
      ApiUnavailable  not now (429, 503): again after `retry_after_s`; nothing was changed unless
                      the code is OUTCOME_UNKNOWN: then ask for it under its id
    NoAnswer          no answer came, after all attempts. What was asked may have been done

Rule: an attempt is repeated only where twice is once: what only reads, what names its own id or
sets what shall be. It must not know the routes.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter

from workflows.payloads import InvalidJsonError, strict_loads

ATTEMPTS = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
TIMEOUT_S = 30.0
"""Longer than the longest answer that the API waits for itself, but for a flattening halt."""
_LATER = (429, 503)
_PASSING = (502, 504)
"""Said by something between us and the API."""
ModelT = TypeVar("ModelT")


class HttpClientError(Exception):
    """The root of what this client raises."""


class NoAnswer(HttpClientError):  # noqa: N818 - part of the public face: named as the state it is
    """No answer came. What was asked may have been done; ask again where that is safe."""


class ApiError(HttpClientError):
    """The API refused. `code` is for programs, `str()` for people."""

    def __init__(self, response: httpx.Response) -> None:
        told = _error_of(response)
        super().__init__(str(told.get("message") or f"HTTP {response.status_code}"))
        self.response = response
        self.status = response.status_code
        self.code = str(told.get("code") or f"HTTP_{response.status_code}")
        self.field: str | None = told.get("field")
        self.request_id: str | None = told.get("request_id") or response.headers.get("x-request-id")
        self.order_id: str | None = response.headers.get("x-order-id")
        """The order that the answer is about, also when nobody knows whether it was started."""
        self.execution_id: str | None = response.headers.get("x-execution-id")
        self.retry_after_s = _retry_after(response)


class ApiUnavailable(ApiError):  # noqa: N818 - as above
    """Not now: ask again after `retry_after_s`."""


class Transport:
    """Sends requests with the key, and repeats those that may be."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url, self._key = base_url.rstrip("/"), api_key
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            headers=self.headers,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self._key}"}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def get(self, answer: type[ModelT], path: str, **query: object) -> ModelT:
        """Read; repeated where no answer came."""
        response = await self.send("GET", path, query=query, is_repeatable=True)
        return parsed(answer, response)

    async def get_csv(self, path: str, **query: object) -> tuple[str, str | None]:
        """As `get`, as CSV; and the next page's cursor."""
        asked = {**query, "format": "csv"}
        response = await self.send("GET", path, query=asked, is_repeatable=True)
        return response.text, response.headers.get("x-next-cursor")

    async def ask(
        self,
        answer: type[ModelT],
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = False,
        timeout_s: float | None = None,
    ) -> ModelT:
        """Change something. Raises ApiError, NoAnswer."""
        response = await self.send(
            method,
            path,
            body=body,
            query=query,
            headers=headers,
            is_repeatable=is_repeatable,
            timeout_s=timeout_s,
        )
        return parsed(answer, response)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = False,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """The answer. `timeout_s` instead of the client's own. Raises ApiError, NoAnswer."""
        content = None if body is None else _json(body)
        given = dict(headers or {})
        if content is not None:
            given["Content-Type"] = "application/json"
        for attempt in range(ATTEMPTS):
            is_last = not is_repeatable or attempt == ATTEMPTS - 1
            try:
                response = await self._http.request(
                    method,
                    path,
                    content=content,
                    params=_query(query or {}),
                    headers=given,
                    timeout=self._timeout_s if timeout_s is None else timeout_s,
                )
            except httpx.TransportError as error:
                if is_last:
                    raise NoAnswer(f"{method} {path}: {type(error).__name__}") from error
                await asyncio.sleep(_pause_s(attempt, None))
                continue
            if response.is_success:
                return response
            refusal = error_of(response)
            is_passing = response.status_code in (*_LATER, *_PASSING)
            if is_last or not is_passing or _is_long(refusal.retry_after_s):
                raise refusal
            await asyncio.sleep(_pause_s(attempt, refusal.retry_after_s))
        raise AssertionError("unreachable: the last attempt returns or raises")


def error_of(response: httpx.Response) -> ApiError:
    """The refusal that an answer is."""
    kind = ApiUnavailable if response.status_code in _LATER else ApiError
    return kind(response)


def parsed(answer: type[ModelT], response: httpx.Response) -> ModelT:
    """The body as a model, its decimals exact. Raises HttpClientError for what is none of ours."""
    try:
        value = strict_loads(response.content)
        return TypeAdapter(answer).validate_python(value)
    except (InvalidJsonError, ValueError) as error:
        raise HttpClientError(f"{response.request.url.path}: the answer is not ours") from error


def _json(body: object) -> bytes:
    """A model says only what was set, so that the API's own defaults hold."""
    if isinstance(body, BaseModel):
        return body.model_dump_json(exclude_unset=True).encode()
    return TypeAdapter(dict[str, Any]).dump_json(TypeAdapter(dict[str, Any]).validate_python(body))


def _query(given: Mapping[str, object]) -> dict[str, str]:
    said = {name: value for name, value in given.items() if value is not None}
    return {name: _text(value) for name, value in said.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat is not None else str(value)


def _error_of(response: httpx.Response) -> dict[str, Any]:
    try:
        told = strict_loads(response.content)
    except InvalidJsonError:
        return {}
    return told if isinstance(told, dict) else {}


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _is_long(retry_after_s: float | None) -> bool:
    return retry_after_s is not None and retry_after_s > LONGEST_PAUSE_S


def _pause_s(attempt: int, retry_after_s: float | None) -> float:
    """Doubling, drawn at random so that many clients do not come back at one moment."""
    longest: float = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
    own = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, keeps no secret
    return max(own, retry_after_s or 0.0)
