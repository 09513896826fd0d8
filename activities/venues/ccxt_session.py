"""The HTTP side that ccxt gets: listed hosts only, no redirects, bounded answers.

ccxt takes any object with aiohttp's request methods. The guard notes in the call's record that
a request left, because an error raised before that is no unknown outcome. It must not know any
venue, nor what the answers mean.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
from yarl import URL

from activities.venues.ccxt_call import MAX_ANSWER_BYTES, current_call

WS_CLOSE_DEADLINE_S = 1.0
"""A venue that is gone does not answer a close; nobody waits longer for it."""


class AnswerTooLargeError(aiohttp.ClientPayloadError):
    """The answer was longer than the call allows; reading stopped."""


class ForeignHostError(ValueError):
    """A request to a host that the venue's row does not list; nothing was sent."""


class HttpSession(Protocol):
    """What ccxt uses of an aiohttp session."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    def get(self, url: Any, **options: Any) -> Any: ...
    def post(self, url: Any, **options: Any) -> Any: ...
    def put(self, url: Any, **options: Any) -> Any: ...
    def delete(self, url: Any, **options: Any) -> Any: ...
    def ws_connect(self, url: Any, **options: Any) -> Any: ...
    async def close(self) -> None: ...


class LazySession:
    """A plain aiohttp session, made at the first request (it needs the running loop)."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The session's default headers."""
        return self._open().headers

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        return self._session

    def get(self, url: Any, **options: Any) -> Any:
        return self._open().get(url, **options)

    def post(self, url: Any, **options: Any) -> Any:
        return self._open().post(url, **options)

    def put(self, url: Any, **options: Any) -> Any:
        return self._open().put(url, **options)

    def delete(self, url: Any, **options: Any) -> Any:
        return self._open().delete(url, **options)

    def ws_connect(self, url: Any, **options: Any) -> Any:
        return self._open().ws_connect(url, **options)

    async def close(self) -> None:
        """Close the session if one was made."""
        if self._session is not None:
            await self._session.close()


class _Answer:
    """An aiohttp response whose body is read up to the call's limit."""

    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.content = response.content

    async def text(self, *, errors: str = "strict") -> str:
        """The body as UTF-8. AnswerTooLargeError."""
        body = bytearray()
        async for chunk in self._response.content.iter_any():
            body += chunk
            if len(body) > self._max_bytes:
                raise AnswerTooLargeError(f"answer longer than {self._max_bytes} bytes")
        return body.decode("utf-8", errors=errors)


class GuardedSession:
    """The session that ccxt gets: listed hosts only, no redirects, bounded answers."""

    def __init__(self, inner: HttpSession, hosts: frozenset[str]) -> None:
        self._inner = inner
        self._hosts = hosts

    @property
    def headers(self) -> Mapping[str, str]:
        """The session's default headers."""
        return self._inner.headers

    def get(self, url: Any, **options: Any) -> Any:
        return self._request(self._inner.get, url, options)

    def post(self, url: Any, **options: Any) -> Any:
        return self._request(self._inner.post, url, options)

    def put(self, url: Any, **options: Any) -> Any:
        return self._request(self._inner.put, url, options)

    def delete(self, url: Any, **options: Any) -> Any:
        return self._request(self._inner.delete, url, options)

    def ws_connect(self, url: Any, **options: Any) -> Any:
        self._check(url)
        closing = aiohttp.ClientWSTimeout(ws_close=WS_CLOSE_DEADLINE_S)
        return self._inner.ws_connect(url, **{"timeout": closing, **options})

    async def close(self) -> None:
        """Close the session behind this one."""
        await self._inner.close()

    def _check(self, url: Any) -> None:
        host = URL(url, encoded=True).host if isinstance(url, str) else url.host
        if host not in self._hosts:
            raise ForeignHostError(f"host {host!r} is not listed for this venue")

    @asynccontextmanager
    async def _request(
        self, send: Any, url: Any, options: dict[str, Any]
    ) -> AsyncIterator[_Answer]:
        self._check(url)
        call = current_call()
        if call is not None:
            call.sent = True
        limit = MAX_ANSWER_BYTES if call is None else call.max_answer_bytes
        # A followed 307 would post the same order a second time.
        async with send(url, **{**options, "allow_redirects": False}) as response:
            yield _Answer(response, limit)
