"""Who asks, and whether the route lets them: every route declares the scope that it needs.

Rule: `needs(scope)` stands among the dependencies of each route (of its router, where all have the
same one), and `needs()` on those few that anyone may ask; `create_app` refuses to build an app with
a route that declares nothing. The caller was found before the route was: `request.state.caller`.
It must not know how a key is checked.
"""

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from starters.api.errors import ApiCode, ApiError
from starters.api.rate_limits import RateLimits
from workflows.domain.access import Caller, Scope

BEARER = {"WWW-Authenticate": "Bearer"}
NO_KEY = "a valid API key is needed"


class UndeclaredRouteError(Exception):
    """A bug of ours: a route says neither which scope it needs nor that it needs none."""


def unauthenticated() -> ApiError:
    """The one answer to whoever has no good key, whatever is wrong with the one they have."""
    return ApiError(ApiCode.UNAUTHENTICATED, NO_KEY, headers=BEARER)


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks. Raises ApiError UNAUTHENTICATED."""
    caller = caller_if_any(connection)
    if caller is None:
        raise unauthenticated()
    return caller


def caller_if_any(connection: HTTPConnection) -> Caller | None:
    """Who asks, on a route that anyone may ask."""
    caller: Caller | None = getattr(connection.state, "caller", None)
    return caller


Asking = Annotated[Caller, Depends(caller_of)]


class Needs:
    """The dependency that `needs` makes; a route's scopes are read from it."""

    def __init__(self, scopes: frozenset[Scope]) -> None:
        self.scopes = scopes

    def __call__(self, connection: HTTPConnection) -> None:
        """Raise ApiError FORBIDDEN_SCOPE unless the caller has one of the scopes, RATE_LIMITED
        when they ask too often."""
        if not self.scopes:
            return
        caller = caller_of(connection)
        if not any(caller.may(scope) for scope in self.scopes):
            raise lacks(*self.scopes)
        limits: RateLimits = connection.app.state.rate_limits
        try:
            limits.take(caller, self.scopes)
        except ApiError:
            connection.state.asks_too_often = True
            raise


def needs(*scopes: Scope) -> Callable[[HTTPConnection], None]:
    """A dependency that lets callers pass who have one of the scopes; without any: everybody."""
    return Needs(frozenset(scopes))


def lacks(*scopes: Scope) -> ApiError:
    """What a caller is told who has none of the scopes."""
    wanted = " or ".join(sorted(scopes))
    return ApiError(ApiCode.FORBIDDEN_SCOPE, f"the key has no scope {wanted}")


def check_account(caller: Caller, account: str, field: str = "account") -> None:
    """Raise ApiError FORBIDDEN_SCOPE unless the caller's key is good for the account."""
    if not caller.sees(account):
        raise ApiError(ApiCode.FORBIDDEN_SCOPE, "the key is not good for this account", field=field)


def check_unbound(caller: Caller, field: str | None = None) -> None:
    """As `check_account`, for what is about all accounts."""
    if caller.accounts is not None:
        message = "the key is bound to accounts, and this is about all of them"
        raise ApiError(ApiCode.FORBIDDEN_SCOPE, message, field=field)


def check_scope_text(caller: Caller, scope: str) -> None:
    """As `check_account`, for what binds orders by a scope such as account:<venue>:<account>."""
    kind, *names = scope.split(":")
    if kind == "account" and len(names) > 1:
        check_account(caller, names[1], "scope")
    else:
        check_unbound(caller, "scope")


def sees_scope(caller: Caller, scope: str) -> bool:
    """False for a scope of an account that the caller's key is not good for."""
    kind, *names = scope.split(":")
    return kind != "account" or (len(names) > 1 and caller.sees(names[1]))


def unbound(connection: HTTPConnection) -> None:
    """A dependency of routes that tell of all accounts. Raises ApiError FORBIDDEN_SCOPE."""
    check_unbound(caller_of(connection))


def scopes_of(route: BaseRoute | None) -> frozenset[Scope] | None:
    """The scopes of which a route needs one, empty for everybody's; None: it declares nothing."""
    if not isinstance(route, APIRoute | APIWebSocketRoute):
        return None
    declared = [each.dependency for each in route.dependencies]
    return next((each.scopes for each in declared if isinstance(each, Needs)), None)


def routes_of(app: FastAPI) -> Iterator[APIRoute | APIWebSocketRoute]:
    """Every route of ours, also of included routers."""
    yield from _walk(app.routes)


def public_paths(app: FastAPI, pages: frozenset[str] = frozenset()) -> frozenset[str]:
    """The addresses that anyone may ask: `pages`, and those that say so.

    Raises UndeclaredRouteError, also for whatever else would answer behind the gate unasked.
    """
    for route in app.routes:
        if not _is_ours(route) and getattr(route, "path", None) not in pages:
            raise UndeclaredRouteError(f"{route} declares no scope: needs(...)")
    found: dict[str, frozenset[Scope]] = {}
    for route in routes_of(app):
        scopes = scopes_of(route)
        if scopes is None:
            raise UndeclaredRouteError(f"{route.path} declares no scope: needs(...)")
        found[route.path] = found.get(route.path, frozenset()) | scopes
    return pages | {path for path, scopes in found.items() if not scopes}


def _is_ours(route: BaseRoute) -> bool:
    return isinstance(route, APIRoute | APIWebSocketRoute) or hasattr(route, "original_router")


def _walk(routes: list[BaseRoute]) -> Iterator[APIRoute | APIWebSocketRoute]:
    for route in routes:
        if isinstance(route, APIRoute | APIWebSocketRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _walk(included.routes)
