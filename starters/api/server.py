"""The API's process: one uvicorn server on the address that the settings name.

Rule: a taken port is one line, SIGTERM and Ctrl-C finish the running requests and end with 0.
"""

import asyncio
import signal
import socket

import uvicorn

from starters.api.app import create_app
from workers import logs
from workers.failpoint_rules import arm_failpoints
from workers.settings import Settings, SettingsError

GRACE_S = 10
MAX_HEADER_BYTES = 16 * 1024
BACKLOG = 256


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises SettingsError when the address cannot be bound."""
    logs.configure(settings.log_format, settings.log_level)
    arm_failpoints(settings)
    # uvicorn repeats the signal that stopped it: it has been obeyed by then
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    with _listen(settings.api_host, settings.api_port) as listener:
        config = uvicorn.Config(
            create_app(settings),
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


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
