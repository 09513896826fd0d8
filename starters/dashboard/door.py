"""The dashboard's door: which addresses are its own, who may come in, and what a browser may do.

Rule: a page and its socket need a session; only the sign-in and files that are the same for
everybody do not. Every answer tells the browser to run nothing but our own scripts, and to show us
in nobody's frame. At most `MAX_PAGES` pages are open. It must not know what a page shows.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starters.api.sessions import cookie_of, local_sign_in, sign_in
from starters.callers import NotAuthenticated
from starters.connections import Connections
from starters.dashboard import who
from starters.errors import Unavailable
from workers.settings import Settings
from workflows.domain import access

MAX_PAGES = 50
PAGES = re.compile(r"/(?:orders/[^/]{1,200}|positions|arbitrage(?:/[^/]{1,200})?|alarms|status)?")
SIGN_IN, SIGN_OUT, THEME = "/login", "/logout", "/theme"
FILES, SOCKET, LOOK = "/_nicegui/", "/_nicegui_ws/", "/dashboard/style.css"
_OURS = (SIGN_IN, SIGN_OUT, THEME, LOOK, "/favicon.ico")
_OPEN = _OURS
_SCRIPT = re.compile(rb"<script(?=[ >])")
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_CLOSE = {"type": "websocket.close", "code": 1008}
# Vue compiles its templates in the browser, and elements are styled one by one: hence both unsafes
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def owns(path: str) -> bool:
    """True for an address of the dashboard."""
    return path in _OURS or path.startswith((FILES, SOCKET)) or bool(PAGES.fullmatch(path))


class Door:
    """ASGI middleware: the dashboard's addresses go to `pages`, all others to `app`.

    `count` tells how many pages are open.
    """

    def __init__(
        self,
        app: ASGIApp,
        pages: ASGIApp,
        settings: Settings,
        connections: Connections,
        count: Callable[[], int],
    ) -> None:
        self._app, self._pages, self._count = app, pages, count
        self._settings, self._connections = settings, connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not owns(scope["path"]):
            await self._app(scope, receive, send)
            return
        enter = self._enter_socket if scope["type"] == "websocket" else self._enter_page
        await enter(scope, receive, send)

    async def _enter_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await who.visitor_of(self._connections, scope)
        except Unavailable:
            visitor = None
        if visitor is None or not scope["path"].startswith(SOCKET) or not _is_same_origin(scope):
            await receive()  # the connect, which has to be taken before it is refused
            await send(_CLOSE)
            return
        await self._pages(scope, receive, send)

    async def _enter_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        guarded = _guarded(send, nonce)
        path = scope["path"]
        if path.startswith(SOCKET):  # only as a WebSocket
            await PlainTextResponse("not found", 404)(scope, receive, guarded)
            return
        if path in _OPEN or path.startswith(FILES):
            await self._pages(scope, receive, guarded)
            return
        answer = self._too_many() or await self._let_in(scope)
        if isinstance(answer, Response):
            await answer(scope, receive, guarded)
            return
        await _Scripts(self._pages, nonce, answer)(scope, receive, guarded)

    def _too_many(self) -> Response | None:
        if self._count() < MAX_PAGES:
            return None
        text = f"{MAX_PAGES} pages are open here: close some, and load this one again."
        return PlainTextResponse(text, 503, headers={"Retry-After": "10"})

    async def _let_in(self, scope: Scope) -> Response | str:
        """The cookie that is to be set, often none; or what is answered instead of the page."""
        try:
            visitor = await who.visitor_of(self._connections, scope)
            cookie = ""
            if visitor is None and (token := await self._local(scope)):
                cookie = cookie_of(token, secure=scope["scheme"] == "https")
                caller = await self._connections.callers.of_token(token)
                peer = who.peer_of(scope)
                visitor = who.Visitor(token=token, caller=caller, peer=peer) if caller else None
        except Unavailable:
            text = "The ledger does not answer now. Load this page again in a moment."
            return PlainTextResponse(text, 503, headers={"Retry-After": "2"})
        if visitor is None:
            wanted = scope["path"] + ("?" + scope["query_string"].decode("latin-1")).rstrip("?")
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='')}", 303)
        if why := who.missing(visitor.caller, access.Scope.READ):
            return PlainTextResponse(f"{why} Sign in with another key at {SIGN_IN}.", 403)
        who.remember(scope, visitor)
        return cookie

    async def _local(self, scope: Scope) -> str:
        """A session of the local key, where a page may sign in by itself; else nothing."""
        peer = who.peer_of(scope)
        is_local = _is_a_visit(scope) and local_sign_in(self._settings, peer)
        key = self._settings.home.api_key() if is_local else None
        if key is None:
            return ""
        try:
            return await sign_in(self._connections, key, peer)
        except NotAuthenticated:
            return ""


class _Scripts:
    """Marks the page's own scripts with the nonce; what users wrote is escaped in it."""

    def __init__(self, pages: ASGIApp, nonce: str, cookie: str) -> None:
        self._pages, self._cookie = pages, cookie
        self._mark = b'<script nonce="' + nonce.encode() + b'"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}
        body = bytearray()

        async def send_marked(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            marked = _SCRIPT.sub(self._mark, bytes(body))
            headers = MutableHeaders(scope=start)
            headers["Content-Length"] = str(len(marked))
            if self._cookie:
                headers.append("Set-Cookie", self._cookie)
            await send(start)
            await send({"type": "http.response.body", "body": marked})

        # compressed, a page could not be marked
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await self._pages({**scope, "headers": plain}, receive, send_marked)


def _guarded(send: Send, nonce: str) -> Callable[[Message], Awaitable[None]]:
    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "same-origin"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        await send(message)

    return send_guarded


def _is_a_visit(scope: Scope) -> bool:
    """True for a page that somebody at this machine opens: nothing that a proxy passes on from
    elsewhere, and nothing that another site's page loads."""
    headers = Headers(scope=scope)
    is_passed_on = any(name in headers for name in _PASSED_ON)
    return not is_passed_on and headers.get("sec-fetch-dest", "document") == "document"


def _is_same_origin(scope: Scope) -> bool:
    """A browser names the page's origin when it opens a socket; a foreign page's is refused."""
    headers = Headers(scope=scope)
    origin, host = headers.get("origin", ""), headers.get("host", "")
    return origin.partition("://")[2] == host and bool(host)
