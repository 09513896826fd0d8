"""One call to a venue as seen on the wire: the pinned clock, what was sent, what came back.

ccxt keeps the last request and answer on the instance, where concurrent calls overwrite each
other. Here each call has its own record in a context variable, which its task alone sees.
It must not know any venue.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

MAX_ANSWER_BYTES = 5_000_000
MAX_LISTING_BYTES = 64_000_000
"""The list of all symbols of a large venue is near 5 MB by itself."""


@dataclass(slots=True, kw_only=True)
class VenueCall:
    """The record of one call; the only mutable object here, owned by one task."""

    signed_at_ms: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Extra headers of its signed requests."""
    max_answer_bytes: int = MAX_ANSWER_BYTES
    sent: bool = False
    status: int | None = None
    body: str = ""
    retry_after: str | None = None

    def answered(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """Note the answer, and forget that of an earlier request of the same call."""
        self.status = status
        self.body = body
        by_name = {name.lower(): value for name, value in headers.items()}
        self.retry_after = by_name.get("retry-after")


_current: ContextVar[VenueCall | None] = ContextVar("venue_call", default=None)


def current_call() -> VenueCall | None:
    """The record of the call that this task makes, if it makes one."""
    return _current.get()


@contextmanager
def venue_call(
    *,
    signed_at_ms: int | None = None,
    headers: Mapping[str, str] | None = None,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
) -> Iterator[VenueCall]:
    """Open a record for the calls made inside; `signed_at_ms` pins the signing clock."""
    call = VenueCall(
        signed_at_ms=signed_at_ms, headers=headers or {}, max_answer_bytes=max_answer_bytes
    )
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)
