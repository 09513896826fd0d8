"""The seam at which streams can be disturbed: each event, and each connection.

Rule: the exchange hands every event of a subscription to `deliver` together with the means to send
it, in the order of its journal, and knows nothing of what becomes of it. Answers to the client's
own requests on a connection never pass here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Send = Callable[[], Awaitable[None]]
"""Writes one message to its connection; raises ConnectionError when that is gone."""


class StreamKind(StrEnum):
    """Whose news a stream tells: an account's, or the market's."""

    PRIVATE = "private"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One message on its way to one connection; a public one has no account.

    `kind` is the execution type (NEW, TRADE, CANCELED, EXPIRED) of an order's event; balances have
    none, nor a symbol or an order. On a public stream it is TRADE or TOUCH.
    """

    account: str = ""
    stream: StreamKind = StreamKind.PRIVATE
    kind: str | None = None
    symbol: str | None = None
    client_order_id: str | None = None


class Connection(Protocol):
    """One client's connection; `account` is None until it has subscribed to one."""

    account: str | None
    stream: StreamKind

    def cut(self) -> None:
        """End it at once, without a word."""

    async def drained(self) -> None:
        """Wait until everything that is queued was handed to the network."""


class StreamHooks(Protocol):
    """Called by the stream's server."""

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def closed(self, connection: Connection) -> None:
        """A connection ended."""

    def answers_pings(self, connection: Connection) -> bool:
        """Whether the exchange shows this client that it lives."""

    async def deliver(self, event: StreamEvent, send: Send) -> None:
        """Send the event, now or later, once or more often, or not at all."""


class UndisturbedStream:
    """Every event leaves once, at once."""

    def opened(self, connection: Connection) -> None:
        """Pass."""

    def closed(self, connection: Connection) -> None:
        """Pass."""

    def answers_pings(self, connection: Connection) -> bool:  # noqa: ARG002 (the protocol's)
        """It always does."""
        return True

    async def deliver(self, event: StreamEvent, send: Send) -> None:  # noqa: ARG002 (as above)
        """Send."""
        await send()
