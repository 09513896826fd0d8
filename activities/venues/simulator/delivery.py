"""How an answer leaves: whole, or as badly as a network can deliver it.

Rule: the only place that touches a connection's transport. Knows nothing of why.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping

from aiohttp import web

from activities.venues.simulator.seams import Answer, Delivery

LOOK_EVERY_S = 0.05
_LINGER_NONE = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN


async def deliver(
    answer: Answer, wire: web.Request, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Let `answer` leave on the connection of `wire`. What is returned may never be sent.

    `headers` are those that all answers of the dialect have.
    """
    response = _response(answer, headers or {})
    match answer.delivery:
        case Delivery.NEVER:
            await until_gone(wire)
        case Delivery.CLOSED:
            _close(wire)
        case Delivery.RESET:
            _reset(wire)
        case Delivery.CUT:
            await _cut(wire, response)
        case Delivery.TWICE:
            _write(wire, _bytes_of(response))
        case Delivery.WHOLE:
            pass
    return response


async def until_gone(wire: web.Request, within_s: float | None = None) -> None:
    """Wait until the client closed the connection, or for `within_s` seconds."""
    left_s = within_s
    while wire.transport is not None and not wire.transport.is_closing():
        pause_s = LOOK_EVERY_S if left_s is None else min(LOOK_EVERY_S, left_s)
        if pause_s <= 0:
            return
        await asyncio.sleep(pause_s)
        if left_s is not None:
            left_s -= pause_s


def _response(answer: Answer, headers: Mapping[str, str]) -> web.Response:
    raw = answer.raw
    if raw is None:
        raw = json.dumps(answer.body, separators=(",", ":")).encode()
    return web.Response(
        # A request that was never answered has no status; its connection is closed by now.
        status=answer.status or 500,
        body=raw,
        headers={**headers, "Content-Type": answer.content_type, **answer.headers},
    )


def _close(wire: web.Request) -> None:
    if wire.transport is not None:
        wire.transport.close()


def _reset(wire: web.Request) -> None:
    if wire.transport is None:
        return
    connection = wire.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    wire.transport.abort()


async def _cut(wire: web.Request, response: web.Response) -> None:
    whole = _bytes_of(response)
    body = response.body
    assert isinstance(body, bytes), "answers are made of bytes"
    _write(wire, whole[: len(whole) - len(body) // 2 - 1])
    _close(wire)  # after what was written has left


def _write(wire: web.Request, data: bytes) -> None:
    if wire.transport is not None:
        wire.transport.write(data)


def _bytes_of(response: web.Response) -> bytes:
    """The whole response as it would stand on the wire."""
    body = response.body
    assert isinstance(body, bytes), "answers are made of bytes"
    headers = {**response.headers, "Content-Length": str(len(body))}
    head = [f"HTTP/1.1 {response.status} {response.reason or ''}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, "", ""]).encode() + body
