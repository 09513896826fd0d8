"""The edge: who may speak to the server at all, before anybody asks for a key.

Rule: refusals need nothing but the connection and the headers: client addresses, host names,
ambiguous or huge headers, too many requests at once. Whatever
follows sees the client's own address, also behind a proxy that the settings name. It must not know
keys, scopes and routes.

Host names are checked against DNS rebinding: a foreign page whose name suddenly means this machine.
Addresses in place of a name cannot be rebound, so they pass unless API_ALLOWED_HOSTS is set.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from starters.api.bodies import KEY_HEADER
from starters.api.errors import (
    EXECUTION_ID_HEADER,
    ORDER_ID_HEADER,
    ApiCode,
    ApiError,
    error_response,
)
from starters.api.frame import REQUEST_ID_HEADER
from workers.settings import Settings
from workflows.domain.denials import DenialCode

MAX_HEADER_BYTES = 16 * 1024
MAX_REQUESTS = 128
MAX_STREAMS = 200
"""Open WebSockets."""
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
OWN_PROBES = ("/health/live", "/health/ready")
"""What the supervisor and a container's health check ask from this machine itself."""
CORS: dict[str, Any] = {
    "allow_methods": ("GET", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": ("Authorization", "Content-Type", KEY_HEADER, REQUEST_ID_HEADER),
    "expose_headers": (REQUEST_ID_HEADER, ORDER_ID_HEADER, EXECUTION_ID_HEADER, "Retry-After"),
    "max_age": 600,
}
"""For pages of the origins that the settings list. They give a key; cookies are never theirs."""
_SINGLE = (b"host", b"content-length", b"authorization", b"content-type", b"origin", b"cookie")
_HEADER_FRAME = len(b": \r\n")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Edge:
    """ASGI middleware, between the frame and whoever checks keys. Refuses with ApiError's body."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        max_requests: int = MAX_REQUESTS,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._app = app
        self._allowed = _networks(settings.api_allowed_ips)
        self._proxies = _networks(settings.api_trusted_proxies)
        self._hosts = LOOPBACK_HOSTS | {
            *(host.lower() for host in settings.api_allowed_hosts),
            settings.api_host.lower(),
        }
        self._lets_addresses_pass = not settings.api_allowed_hosts
        self._room = {"http": max_requests, "websocket": max_streams}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in self._room:
            await self._app(scope, receive, send)
            return
        try:
            seen = self._checked(scope)
            self._enter(scope)
        except ApiError as error:
            await refuse(error, scope, receive, send)
            return
        try:
            await self._app(seen, receive, send)
        finally:
            self._room[kind] += 1

    def _checked(self, scope: Scope) -> Scope:
        """The request as the next ones see it. Raises ApiError."""
        _check_headers(scope)
        headers = Headers(scope=scope)
        peer = _address(scope["client"][0]) if scope.get("client") else None
        client, scheme = self._behind_proxies(peer, headers, scope["scheme"])
        self._check_address(client, scope, headers)
        self._check_host(headers)
        if client is None or (client == peer and scheme == scope["scheme"]):
            return scope
        return {**scope, "client": (str(client), 0), "scheme": scheme}

    def _behind_proxies(
        self, peer: Address | None, headers: Headers, scheme: str
    ) -> tuple[Address | None, str]:
        """The client that trusted proxies speak for: the last one that is no such proxy."""
        if peer is None or not _is_in(peer, self._proxies):
            return peer, scheme
        told = headers.get("x-forwarded-proto", "").strip().lower()
        if told in ("http", "https"):
            is_secure = told == "https"
            scheme = ("wss" if is_secure else "ws") if scheme in ("ws", "wss") else told
        client = peer
        for hop in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            if not hop.strip():
                break
            found = _address(hop.strip())
            if found is None:
                raise ApiError(
                    ApiCode.BAD_REQUEST, "X-Forwarded-For has no address", field="X-Forwarded-For"
                )
            client = found
            if not _is_in(found, self._proxies):
                break
        return client, scheme

    def _check_address(self, client: Address | None, scope: Scope, headers: Headers) -> None:
        if not self._allowed or (client is not None and _is_in(client, self._allowed)):
            return
        own = _address(scope["server"][0]) if scope.get("server") else None
        is_own = client is not None and (client.is_loopback or client == own)
        if is_own and scope["path"] in OWN_PROBES and "x-forwarded-for" not in headers:
            return
        raise ApiError(ApiCode.FORBIDDEN_ADDRESS, "this address may not use the API")

    def _check_host(self, headers: Headers) -> None:
        host = _host_of(headers.get("host", ""))
        if host in self._hosts:
            return
        if not self._lets_addresses_pass or _address(host) is None:
            raise ApiError(
                ApiCode.BAD_REQUEST, "the host is not one of API_ALLOWED_HOSTS", field="Host"
            )

    def _enter(self, scope: Scope) -> None:
        kind = scope["type"]
        if self._room[kind] <= 0 and scope["path"] != OWN_PROBES[0]:
            raise ApiError(DenialCode.UNAVAILABLE, "too many requests are in progress")
        self._room[kind] -= 1


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or a WebSocket's handshake with an error, in the one form of errors."""
    state = scope.setdefault("state", {})
    answer = error_response(state.setdefault("request_id", uuid4().hex), error)
    if scope["type"] == "http":
        await answer(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await WebSocket(scope, receive, send).close(1008, str(error.code))


def _check_headers(scope: Scope) -> None:
    """Raise ApiError for headers that are too many, or that two readers could read differently."""
    raw: Sequence[tuple[bytes, bytes]] = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    size += sum(len(name) + len(value) + _HEADER_FRAME for name, value in raw)
    if size > MAX_HEADER_BYTES:
        raise ApiError(
            ApiCode.HEADERS_TOO_LARGE,
            f"address and headers have more than {MAX_HEADER_BYTES} bytes",
            headers={"Connection": "close"},
        )
    names = [name.lower() for name, _value in raw]
    for single in _SINGLE:
        if names.count(single) > 1:
            name = single.decode().title()
            raise ApiError(ApiCode.BAD_REQUEST, f"the header {name} is given twice", field=name)
    if b"content-length" in names and b"transfer-encoding" in names:
        raise ApiError(
            ApiCode.BAD_REQUEST, "the body's length is given in two ways", field="Content-Length"
        )


def _networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """The address, with IPv4 in its own form also where it came in by IPv6."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _host_of(header: str) -> str:
    """The host without its port, in small letters; "" for what is none."""
    text = header.strip().lower()
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        return host if bracket and _is_port(port) else ""
    host, colon, digits = text.partition(":")
    return host if _is_port(colon + digits) else ""


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit())
