"""What OKX's WebSocket connections have in common: how requests look, and how they are answered.

Rule: a request that is refused changes nothing, and the connection stays.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from activities.venues.simulator.okx.shapes import Json

IDLE_S = 30.0
"""A client that says nothing for longer, not even "ping", is cut off."""


class StreamError(Exception):
    """An answer with an error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def bad_op(op: object) -> StreamError:
    return StreamError(60019, f"Invalid op: {op}")


def no_channel(arg: Mapping[str, Any]) -> StreamError:
    told = ",".join(f"{name}:{value}" for name, value in arg.items())
    return StreamError(
        60018,
        f"Wrong URL or {told} doesn't exist. "
        "Please use the correct URL, channel and parameters referring to API document.",
    )


def request_of(text: str) -> Json:
    """The request that a text is. Raises StreamError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise StreamError(60012, "Invalid request")
    return found


def args_of(request: Json) -> list[dict[str, Any]]:
    """What a request is about. Raises StreamError."""
    args = request.get("args")
    if not isinstance(args, list) or not args or not all(isinstance(a, dict) for a in args):
        raise StreamError(60012, "Invalid request: args")
    if request.keys() - {"id", "op", "args"}:
        raise StreamError(60012, f"Invalid request: {json.dumps(request)}")
    return args


def reply(request: Json, answer: Json) -> Json:
    """An answer with the request's `id`, if it has one that is a text."""
    named = request.get("id")
    told = {"id": named, **answer} if isinstance(named, str) else dict(answer)
    return {**told, "connId": secrets.token_hex(4)}


def problem(request: Json, error: StreamError) -> Json:
    """The answer that an error is."""
    told = {"event": "error", "code": str(error.code), "msg": error.message}
    return reply(request, told)
