"""The seam at which a request can be disturbed: before it reaches the book, and after.

Rule: the exchange itself calls these two hooks around each request and knows nothing of what they
do. A hook says in the answer how it shall leave; it never writes to the wire by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from aiohttp import web


class Named(Protocol):
    """A disturbance, by the name that the journal gives it."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """One request on its way. `account` is None for public endpoints.

    What the hooks add to `disturbed_by` is named in the journal's record of the request.
    """

    method: str
    path: str
    account: str | None
    params: Mapping[str, str]
    wire: web.Request
    disturbed_by: list[Named] = field(default_factory=list)


class Delivery(Enum):
    """How an answer leaves."""

    WHOLE = "whole"
    TWICE = "twice"
    CUT = "cut"
    """The head and half of the body, then the connection is closed."""
    CLOSED = "closed"
    """Nothing; the connection is closed."""
    RESET = "reset"
    """Nothing; the connection is reset (TCP RST)."""
    NEVER = "never"
    """Nothing; the connection stays until the client goes away."""


NOT_ANSWERED = 0
"""Status in the journal of a request that was lost before it could have an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """HTTP status and JSON body; `code` is the venue's error code, 0 for success.

    `raw`, where set, leaves in place of the JSON body, as `content_type`.
    """

    status: int
    body: Any = None
    code: int = 0
    raw: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE


class RequestHooks(Protocol):
    """Called around every REST request."""

    async def before_book(self, request: RequestContext) -> Answer | None:
        """After the checks on arrival, before the window is checked again and the book acts.

        An answer takes the book's place: nothing is carried out.
        """

    async def after_book(self, request: RequestContext, answer: Answer) -> Answer:
        """After the journal was written, before the answer leaves. Returns what shall leave."""


class NoFaults:
    """The undisturbed exchange."""

    async def before_book(self, request: RequestContext) -> Answer | None:
        """Let it pass."""

    async def after_book(
        self,
        request: RequestContext,  # noqa: ARG002 (the protocol's; other hooks read it)
        answer: Answer,
    ) -> Answer:
        """Pass the answer on as it is."""
        return answer
