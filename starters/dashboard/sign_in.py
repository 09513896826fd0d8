"""Signing in and out, the theme, and the stylesheet: plain pages that need no script.

Rule: forms are taken only from our own pages, an address to go on to is one of ours, and a wrong
key is told as nothing but wrong. It must not know what the pages behind it show.
"""

import hashlib
from html import escape
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from starters.api import sessions
from starters.api.gate import comes_from_our_pages
from starters.callers import LockedOut, NotAuthenticated
from starters.connections import Connections
from starters.dashboard import door, who
from starters.errors import Unavailable

THEMES = {"auto": "System", "light": "Light", "dark": "Dark"}
THEME_COOKIE = "delta_theme"
MAX_FORM_BYTES = 4 * 1024
MAX_FIELDS = 8
_YEAR_S = 365 * 86_400
STYLE = (Path(__file__).parent / "style.css").read_bytes()
STYLE_URL = f"{door.LOOK}?v={hashlib.sha256(STYLE).hexdigest()[:12]}"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in · Delta Executor</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="{style}"><link rel="icon" href="/favicon.ico"></head>
<body class="{theme}"><main class="sign-in"><form class="card" method="post" action="/login">
<p class="brand"><span class="mark" aria-hidden="true">Δ</span>Delta Executor</p>
<h1>Sign in</h1>{wrong}
<label for="key">API key</label>
<input class="field" id="key" name="key" type="password" autocomplete="current-password"
 required autofocus aria-describedby="hint">
<p class="muted small" id="hint">Begins with <span class="mono">ek_</span>. Make one with
<span class="mono">python -m starters keys create</span>. It needs the scope read; buttons need
the scope of what they do.</p>
<input type="hidden" name="next" value="{next}">
<button class="button first" type="submit">Sign in</button></form></main></body></html>
"""
_WRONG = '<p class="notice bad" role="alert">{text}</p>'


class SignIn:
    """The routes; `connections` find sessions and keys."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def routes(self) -> list[Route]:
        """Each under its address."""
        return [
            Route(door.SIGN_IN, self.form, methods=["GET"]),
            Route(door.SIGN_IN, self.sign_in, methods=["POST"]),
            Route(door.SIGN_OUT, self.sign_out, methods=["POST"]),
            Route(door.THEME, self.theme, methods=["GET"]),
            Route(door.LOOK, self.style, methods=["GET"]),
        ]

    async def form(self, request: Request) -> Response:
        """The form."""
        return _form(request, request.query_params.get("next", "/"))

    async def sign_in(self, request: Request) -> Response:
        """A session for a good key, and on to where the visitor wanted to go."""
        form = await _read(request)
        if form is None:
            return _form(request, "/", "The form did not come from this page.", 403)
        onward = _own(form.get("next", "/"))
        try:
            token = await sessions.sign_in(
                self._connections, form.get("key", "").strip(), who.peer_of(request.scope)
            )
        except LockedOut as error:
            minutes = int(error.wait_s // 60) + 1
            return _form(request, onward, f"Too many wrong keys: wait {minutes} min.", 429)
        except NotAuthenticated:
            return _form(request, onward, "This key is not good.", 401)
        except Unavailable:
            return _form(request, onward, "Keys cannot be checked now: try again soon.", 503)
        answer = RedirectResponse(onward, 303)
        answer.headers["Set-Cookie"] = sessions.cookie_of(token, secure=_is_secure(request))
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        if await _read(request) is None:
            return _form(request, "/", "The form did not come from this page.", 403)
        token = who.token_of(request.scope)
        try:
            if token:
                await sessions.sign_out(self._connections, token, who.peer_of(request.scope))
        except Unavailable:
            text = "The session could not be ended now: try again soon."
            return _form(request, "/", text, 503)
        answer = RedirectResponse(door.SIGN_IN, 303)
        answer.headers["Set-Cookie"] = sessions.cookie_of("", secure=_is_secure(request))
        return answer

    async def theme(self, request: Request) -> Response:
        """Remember light, dark, or the system's."""
        chosen = request.query_params.get("to", "")
        answer = RedirectResponse(_own(request.query_params.get("next", "/")), 303)
        cookie: SimpleCookie = SimpleCookie()
        cookie[THEME_COOKIE] = chosen if chosen in THEMES else "auto"
        morsel = cookie[THEME_COOKIE]
        morsel["path"], morsel["max-age"], morsel["samesite"] = "/", _YEAR_S, "Lax"
        answer.headers["Set-Cookie"] = morsel.OutputString()
        return answer

    async def style(self, _request: Request) -> Response:
        """The look; its address changes with it."""
        keep = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(STYLE, media_type="text/css", headers=keep)


def theme_of(request: Request) -> str:
    """auto, light or dark."""
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def _form(request: Request, onward: str, wrong: str = "", status: int = 200) -> Response:
    text = _WRONG.format(text=escape(wrong)) if wrong else ""
    page = _PAGE.format(
        style=STYLE_URL,
        theme=f"theme-{theme_of(request)}",
        wrong=text,
        next=escape(_own(onward), quote=True),
    )
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


async def _read(request: Request) -> dict[str, str] | None:
    """The form's fields; None where it came from another place, or is too long."""
    if not comes_from_our_pages(request):
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            return None
    try:
        fields = parse_qs(body.decode(), max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _own(address: str) -> str:
    """The address, if it is a page of ours; else the first page."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    is_own = not parts.scheme and not parts.netloc and door.PAGES.fullmatch(parts.path)
    return address if is_own and address.startswith("/") and "\\" not in address else "/"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
