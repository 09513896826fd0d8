"""The gate: who asks is found before any route is, and what changes something leaves its trace.

Rule: nobody passes without a good key or session, but for the few addresses that `public_paths`
names; a ledger that cannot be asked lets nobody in. A key counts in `Authorization: Bearer` only,
a session in its own cookie only, and with a cookie whatever changes something must come from our
own pages. Every answer to a request that changes something is in the audit trail before it leaves.

It must not know what any route does.
"""

import math
from collections import Counter
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.ledger.key_text import holds_key
from starters.api.access import scopes_of, unauthenticated
from starters.api.errors import (
    EXECUTION_ID_HEADER,
    ORDER_ID_HEADER,
    ApiCode,
    ApiError,
    error_response,
)
from starters.api.sessions import COOKIE, authenticate, caller_of_token
from starters.callers import LockedOut, NotAuthenticated
from starters.connections import Connections
from starters.errors import Unavailable
from starters.trail import NOBODY, Told
from workflows.domain import access
from workflows.domain.access import Caller
from workflows.domain.denials import DenialCode

MAX_OF_KEY = 100
"""Requests of one key in progress: less than what the edge lets in, so that others get in too."""
KEYS_UNCHECKED = "keys cannot be checked now; nothing was done"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ABOUT = ("order_id", "execution_id", "alarm_id", "override_id", "exchange")


class Gate:
    """ASGI middleware, inside the frame."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_progress: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state.setdefault("request_id", uuid4().hex)
        is_public = scope["path"] in scope["app"].state.public_paths
        try:
            state["caller"] = await _caller(HTTPConnection(scope))
        except ApiError as refusal:
            state["caller"] = None
            if not is_public:
                await _refuse(refusal, scope, receive, send)
                return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the key has its share of requests in progress."""
        caller: Caller | None = scope["state"]["caller"]
        if caller is None:
            await self._answer(scope, receive, send)
            return
        if self._in_progress[caller.key_id] >= MAX_OF_KEY:
            busy = f"the key may have {MAX_OF_KEY} requests in progress"
            await _refuse(ApiError(DenialCode.RATE_LIMITED, busy), scope, receive, send)
            return
        self._in_progress[caller.key_id] += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._in_progress[caller.key_id] -= 1
            if not self._in_progress[caller.key_id]:
                del self._in_progress[caller.key_id]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_told = False

        async def send_told(message: Message) -> None:
            nonlocal is_told
            if message["type"] == "http.response.start" and not is_told:
                is_told = True
                await _tell(scope, int(message["status"]), Headers(raw=message["headers"]))
            await send(message)

        try:
            await self._app(scope, receive, send_told)
        except Exception:  # a bug, which the frame answers: it has changed something all the same
            if not is_told:
                scope["state"]["code"] = ApiCode.INTERNAL
                await _tell(scope, 500, Headers())
            raise


async def _caller(connection: HTTPConnection) -> Caller:
    """Who asks. Raises ApiError."""
    connections: Connections = connection.app.state.connections
    peer = peer_of(connection)
    try:
        caller = await _presented(connection, connections, peer)
    except LockedOut as error:
        raise ApiError(
            DenialCode.RATE_LIMITED,
            "too many wrong keys from this address",
            headers={"Retry-After": str(math.ceil(error.wait_s))},
        ) from error
    except NotAuthenticated as error:
        raise unauthenticated() from error
    except Unavailable as error:
        raise ApiError(DenialCode.UNAVAILABLE, KEYS_UNCHECKED) from error
    if caller is None:
        await _tell_misplaced(connection, connections, peer)
        raise unauthenticated()
    return caller


async def _presented(
    connection: HTTPConnection, connections: Connections, peer: str
) -> Caller | None:
    """Who the header's key or the cookie stands for; None where there is neither."""
    given = connection.headers.getlist("Authorization")
    if given:
        scheme, _, key = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not key.strip():
            return None
        return await authenticate(connections, key, peer)
    token = connection.cookies.get(COOKIE)
    if not token or not comes_from_our_pages(connection):
        return None
    connection.state.token = token
    return await caller_of_token(connections, token)


def comes_from_our_pages(connection: HTTPConnection) -> bool:
    """True unless another site's page may have sent it: what changes something names its Origin."""
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE:
        return True
    origin, host = connection.headers.get("Origin"), connection.headers.get("Host")
    try:
        return bool(host) and origin is not None and urlsplit(origin).netloc == host
    except ValueError:
        return False


def peer_of(connection: HTTPConnection) -> str:
    """The address that asks."""
    return connection.client.host if connection.client is not None else "local"


async def _refuse(refusal: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get(
        "extensions", {}
    ):
        await send({"type": "websocket.close", "code": 1008, "reason": str(refusal.code)})
    else:
        await error_response(scope["state"]["request_id"], refusal)(scope, receive, send)


async def _tell_misplaced(connection: HTTPConnection, connections: Connections, peer: str) -> None:
    """A key that others may have read on its way is worth a warning, though it opens nothing."""
    query = connection.scope.get("query_string", b"").decode("latin-1")
    places = {"query": query, "cookie": connection.headers.get("Cookie", "")}
    for place, text in places.items():
        if holds_key(text):
            after = {"peer": peer, "request_id": connection.state.request_id}
            told = Told(who=NOBODY, action="misplaced_key", about=place, after=after)
            await connections.trail.tell_once(told, f"{peer} {place}")


async def _tell(scope: Scope, status: int, headers: Headers) -> None:
    """The row of a request that changes something, or that its key had no scope for.

    Refusals of what a key may not do, or not so often, are counted and told once a minute.
    """
    caller: Caller | None = scope["state"]["caller"]
    scopes = scopes_of(scope.get("route"))
    if caller is None or not scopes:
        return
    code = scope["state"].get("code")
    template, method = scope["route"].path, scope["method"]
    connection = HTTPConnection(scope)
    told = Told(
        who=caller.name,
        action=f"{method} {template}",
        about=_about(scope, headers),
        after={
            "status": status,
            "code": code,
            "key": caller.key_id,
            "peer": peer_of(connection),
            "request_id": connection.state.request_id,
        },
    )
    trail = scope["app"].state.connections.trail
    if code is ApiCode.FORBIDDEN_SCOPE or scope["state"].get("asks_too_often"):
        await trail.tell_once(told, f"{peer_of(connection)} {caller.key_id}")
    elif method not in _SAFE and access.Scope.READ not in scopes:
        await trail.tell(told)


def _about(scope: Scope, headers: Headers) -> str:
    """The order or execution, else what the path names, else the path itself: one harmless line."""
    for kind, header in (("order", ORDER_ID_HEADER), ("execution", EXECUTION_ID_HEADER)):
        if header in headers:
            return f"{kind}:{headers[header]}"
    given = scope.get("path_params") or {}
    for name in _ABOUT:
        if name in given:
            return _harmless(f"{name.removesuffix('_id')}:{given[name]}")
    return _harmless(scope["path"])


def _harmless(text: str) -> str:
    """One line of ASCII without a secret."""
    shown = "(a key)" if holds_key(text) else text
    return shown.encode("unicode_escape").decode("ascii")[:200]
