"""The typed HTTP client: for services that reach the engine over its API and nothing else.

    async with DeltaHttpClient.local() as delta:
        order = await delta.submit({"strategy_id": "s1", "exchange": "binance", ...})
        async for event in delta.stream(order_id=order.order_id):
            ...

Answers are the API's own models, decimals exact. Errors are drawn in `http_transport`. What may be
sent twice is, when no answer comes: reads, what names its own id, what says what shall be.
"""

from typing import Self

from starters.http_books import BookCalls, ControlCalls
from starters.http_orders import ExecutionCalls, OrderCalls
from starters.http_stream import StreamCalls, StreamGone
from starters.http_transport import (
    ApiError,
    ApiUnavailable,
    HttpClientError,
    NoAnswer,
)
from workers.settings import Settings, SettingsError, load_settings

__all__ = [
    "ApiError",
    "ApiUnavailable",
    "DeltaHttpClient",
    "HttpClientError",
    "NoAnswer",
    "StreamGone",
]


class DeltaHttpClient(OrderCalls, ExecutionCalls, BookCalls, ControlCalls, StreamCalls):
    """Every route of the API; safe to share between tasks. Close it with `aclose`."""

    @classmethod
    def local(cls, settings: Settings | None = None) -> Self:
        """The stack of this machine, by its settings, with the key that its first start made.

        Raises SettingsError where there is none.
        """
        found = settings or load_settings()
        key = found.home.api_key()
        if key is None:
            raise SettingsError(
                "DELTA_HOME", f"{found.home.api_key_path} has no key; start it once"
            )
        return cls(found.api_url, key)
