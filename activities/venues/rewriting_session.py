"""An HTTP session that sends requests for real exchanges' hosts to local servers instead.

Rule: only scheme, host and port change; path and query stay as they are byte for byte, since
signatures cover them. A host that is not mapped is an error, so no request strays to the outside.
Knows nothing of ccxt beyond the few session calls that it makes, nor of any exchange.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

_PLAIN_SCHEME = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}


class UnmappedHostError(KeyError):
    """A request named a host that has no local base."""


class RewritingSession:
    """Stands in for `aiohttp.ClientSession` in ccxt's `session` setting.

    `bases` maps a real host (as `api.binance.com`) to a local base (as `http://127.0.0.1:8101`).
    ccxt does not close a session that it was given: the owner calls `close`.
    """

    def __init__(self, bases: Mapping[str, str]) -> None:
        self._bases = {host: URL(base) for host, base in bases.items()}
        self._session: aiohttp.ClientSession | None = None

    # The arguments of these calls are aiohttp's own and are passed on untouched.
    def get(self, url: URL | str, **options: Any) -> Any:
        """As aiohttp's. Raises UnmappedHostError."""
        return self._opened().get(self._local(url), **options)

    def post(self, url: URL | str, **options: Any) -> Any:
        """As aiohttp's. Raises UnmappedHostError."""
        return self._opened().post(self._local(url), **options)

    def put(self, url: URL | str, **options: Any) -> Any:
        """As aiohttp's. Raises UnmappedHostError."""
        return self._opened().put(self._local(url), **options)

    def delete(self, url: URL | str, **options: Any) -> Any:
        """As aiohttp's. Raises UnmappedHostError."""
        return self._opened().delete(self._local(url), **options)

    def ws_connect(self, url: URL | str, **options: Any) -> Any:
        """As aiohttp's. Raises UnmappedHostError."""
        return self._opened().ws_connect(self._local(url), **options)

    @property
    def headers(self) -> Mapping[str, str]:
        """The session's default headers."""
        return self._opened().headers

    @property
    def closed(self) -> bool:
        """Whether no session is open (it opens again with the next request)."""
        return self._session is None or self._session.closed

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        # Made on first use: an aiohttp session belongs to the event loop it was made in.
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession()
        return self._session

    def _local(self, url: URL | str) -> URL:
        asked = url if isinstance(url, URL) else URL(url, encoded=True)
        base = self._bases.get(asked.host or "")
        if base is None:
            raise UnmappedHostError(f"no local base for host {asked.host!r}")
        scheme = _PLAIN_SCHEME[asked.scheme]
        return URL(f"{scheme}://{base.authority}{asked.raw_path_qs}", encoded=True)
