"""Who asks, and whether the route lets them: every route declares the scope that it needs.

Rule: `needs(scope)` stands among the dependencies of each route (of its router, where all have the
same one); `create_app` refuses to build an app with a route that declares none. The caller was
found before the route was: `request.state.caller`. It must not know how a key is checked.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from starters.api.errors import ApiCode, ApiError
from workflows.domain.access import Caller, Scope


def caller_of(request: Request) -> Caller:
    """Who asks. Raises ApiError UNAUTHENTICATED."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        raise ApiError(ApiCode.UNAUTHENTICATED, "an API key is needed")
    return caller


Asking = Annotated[Caller, Depends(caller_of)]


class Needs:
    """The dependency that `needs` makes; a route's scopes are read from it."""

    def __init__(self, scopes: frozenset[Scope]) -> None:
        self.scopes = scopes

    def __call__(self, request: Request) -> None:
        """Raise ApiError FORBIDDEN_SCOPE unless the caller has one of the scopes."""
        caller = caller_of(request)
        if not any(caller.may(scope) for scope in self.scopes):
            wanted = " or ".join(sorted(self.scopes))
            raise ApiError(ApiCode.FORBIDDEN_SCOPE, f"the key has no scope {wanted}")


def needs(*scopes: Scope) -> Callable[[Request], None]:
    """A dependency that lets callers pass who have one of the scopes."""
    return Needs(frozenset(scopes))
