"""The API's process: one uvicorn server on the address that the settings name.

Rule: a taken port or a bad certificate is one line. SIGTERM and Ctrl-C finish the running requests,
tell the streams that we go away, and end with 0 within 10 s.
"""

import asyncio
import signal
import socket
import ssl
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from starters.api.app import create_app
from starters.api.edge import MAX_HEADER_BYTES
from starters.api.protocol import EdgeProtocol, EdgeWebSocket
from starters.dashboard.mount import add_dashboard
from workers import logs
from workers.failpoint_rules import arm_failpoints
from workers.settings import Settings, SettingsError

GRACE_S = 7
"""For running requests; what closes after them has the rest of the 10 s."""
HANDSHAKE_WAIT_S = 10.0
MAX_STREAM_MESSAGE_BYTES = 256 * 1024
BACKLOG = 256


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises SettingsError when the address cannot be bound."""
    logs.configure(settings.log_format, settings.log_level)
    arm_failpoints(settings)
    # uvicorn repeats the signal that stopped it: it has been obeyed by then
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    with _listen(settings.api_host, settings.api_port) as listener:
        server = uvicorn.Server(configure(create_app(settings, extend=add_dashboard), settings))
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(server.serve(sockets=[listener]))


def configure(
    app: ASGIApp, settings: Settings, protocol: type[EdgeProtocol] = EdgeProtocol
) -> uvicorn.Config:
    """How the app is served. Raises SettingsError for a certificate or key that is none."""
    tls: dict[str, Any] = {}
    if settings.api_tls_cert_path is not None:
        tls = {"ssl_certfile": settings.api_tls_cert_path, "ssl_keyfile": settings.api_tls_key_path}
    config = uvicorn.Config(
        app,
        http=protocol,
        ws=EdgeWebSocket,
        ws_max_size=MAX_STREAM_MESSAGE_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        **tls,
    )
    try:
        config.load()
    except (ssl.SSLError, OSError):
        raise SettingsError(
            "API_TLS_CERT_PATH", "and API_TLS_KEY_PATH are no certificate in PEM and its key"
        ) from None
    if isinstance(config.ssl, ssl.SSLContext):
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


class _Loop(asyncio.SelectorEventLoop):
    """Its TLS handshakes end within the time that headers have, instead of a minute."""

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HANDSHAKE_WAIT_S)
        return await super().create_server(*arguments, **options)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            "API_PORT", f"cannot listen on {host}:{port}: {error.strerror}"
        ) from None
    listener.listen(BACKLOG)
    return listener
