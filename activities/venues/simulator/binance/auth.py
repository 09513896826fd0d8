"""Who sent a request, and whether it is still valid.

Rule: key, then signature over the raw bytes, then the time window; the window is checked again just
before the book acts, because a request may have waited in between. Never logs a secret.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from activities.venues.simulator.binance import errors
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.config import PaperAccount

DEFAULT_WINDOW_MS = 5_000
MAX_WINDOW_MS = 60_000
MAX_AHEAD_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a signed request is valid: from its timestamp on, for `length_ms`."""

    timestamp_ms: int
    length_ms: int

    def check(self, now_ms: int) -> None:
        """Raises ApiError -1021 outside of the window."""
        if self.timestamp_ms >= now_ms + MAX_AHEAD_MS:
            raise errors.ahead_of_server()
        if now_ms - self.timestamp_ms > self.length_ms:
            raise errors.outside_window()


class Authenticator:
    """The keys of all accounts."""

    def __init__(self, accounts: Mapping[str, PaperAccount]) -> None:
        self._by_key = {each.api_key: (name, each.secret) for name, each in accounts.items()}

    def account(self, api_key: str | None, payload: bytes, params: Params) -> tuple[str, Window]:
        """The account that signed `payload`, and the window of its request.

        Raises ApiError -2014, -2015, -1102, -1022 or -1131.
        """
        if not api_key:
            raise errors.bad_key_format()
        known = self._by_key.get(api_key)
        if known is None:
            raise errors.unknown_key()
        name, secret = known
        signature = params.required("signature")
        expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.lower().encode()):
            raise errors.bad_signature()
        return name, _window(params)


def _window(params: Params) -> Window:
    params.required("timestamp")
    timestamp_ms = params.integer("timestamp") or 0
    length_ms = params.integer("recvWindow")
    if length_ms is None:
        length_ms = DEFAULT_WINDOW_MS
    if length_ms > MAX_WINDOW_MS:
        raise errors.window_too_large()
    return Window(timestamp_ms=timestamp_ms, length_ms=length_ms)


def signed_payload(query: str, body: str) -> bytes:
    """What the signature covers: raw query and raw body in a row, without the signature itself."""
    parts = [
        "&".join(pair for pair in raw.split("&") if not pair.startswith("signature="))
        for raw in (query, body)
    ]
    return "".join(parts).encode("utf-8", "surrogateescape")
