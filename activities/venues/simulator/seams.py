"""The seam at which a request can be disturbed: before it reaches the book, and after.

Rule: the exchange itself calls these two hooks around each request and knows nothing of what they
do. What a hook does to the wire it does through `RequestContext.wire`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """One request on its way. `account` is None for public endpoints."""

    method: str
    path: str
    account: str | None
    params: Mapping[str, str]
    wire: web.Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """HTTP status and JSON body; `code` is the venue's error code, 0 for success."""

    status: int
    body: Any
    code: int = 0


class RequestHooks(Protocol):
    """Called around every REST request."""

    async def before_book(self, request: RequestContext) -> None:
        """After the checks on arrival, before the window is checked again and the book acts."""

    async def after_book(self, request: RequestContext, answer: Answer) -> Answer:
        """After the journal was written, before the answer leaves. Returns what shall leave."""


class NoFaults:
    """The undisturbed exchange."""

    async def before_book(self, request: RequestContext) -> None:
        """Pass."""

    async def after_book(
        self,
        request: RequestContext,  # noqa: ARG002 (the protocol's; other hooks read it)
        answer: Answer,
    ) -> Answer:
        """Pass the answer on as it is."""
        return answer
