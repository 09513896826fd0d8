"""The HTTP client's live stream: every event once, in order, also over lost connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from starters.api.models import EVENTS_PATH, STREAM_PATH
from starters.api.stream import EventList, StreamEvent
from starters.http_transport import HttpClientError, NoAnswer, Transport
from workflows.payloads import strict_loads

SILENCE_S = 45.0
"""Three heartbeats: a connection that is silent for longer is dead."""
PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Before the next attempt; the last one again and again, up to GIVE_UP_AFTER in a row."""
GIVE_UP_AFTER = 20
OPEN_WITHIN_S = 10.0
_PERMANENT = {401, 403, 404, 422}


class StreamGone(HttpClientError):  # noqa: N818 - named as the state that it is
    """The number asked for is not kept any more: read the state anew, then stream from now."""


class StreamCalls(Transport):
    """Events as they happen."""

    async def events(
        self,
        *,
        since: int | None = None,
        limit: int | None = None,
        strategy_id: str | None = None,
        order_id: str | None = None,
        execution_id: str | None = None,
        kinds: Sequence[str] = (),
    ) -> EventList:
        """The events after `since`, by polling."""
        return await self.get(
            EventList,
            EVENTS_PATH,
            since=since,
            limit=limit,
            strategy_id=strategy_id,
            order_id=order_id,
            execution_id=execution_id,
            kinds=",".join(kinds) or None,
        )

    async def stream(
        self,
        *,
        since: int | None = None,
        strategy_id: str | None = None,
        order_id: str | None = None,
        execution_id: str | None = None,
        kinds: Sequence[str] = (),
    ) -> AsyncIterator[StreamEvent]:
        """Every event after `since` (without it: from now on), without end.

        A lost connection is opened again after the last number that was seen. Raises StreamGone,
        HttpClientError for a refusal, NoAnswer after GIVE_UP_AFTER attempts without a message.
        """
        filters = {
            "strategy_id": strategy_id,
            "order_id": order_id,
            "execution_id": execution_id,
            "kinds": ",".join(kinds) or None,
        }
        seen, failures = since, 0
        while True:
            try:
                # no generator within this one: a loop that ends closes both at once, and fails
                async with await self._open(filters | {"since": seen}) as opened:
                    while (message := await _next(opened)) is not None:
                        failures = 0
                        # the greeting names the newest event, of which none may be told yet
                        if message.kind is not _Kind.HELLO or seen is None:
                            seen = message.seq
                        if message.event is not None:
                            yield message.event
            except (OSError, TimeoutError, WebSocketException):
                failures += 1
            if failures >= GIVE_UP_AFTER:
                raise NoAnswer(f"the stream of {self.base_url} does not open")
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])

    async def _open(self, query: dict[str, object]) -> websockets.ClientConnection:
        """A connection that follows what the query says. Raises HttpClientError for a refusal."""
        said = urlencode({name: value for name, value in query.items() if value is not None})
        address = "ws" + self.base_url.removeprefix("http") + STREAM_PATH + (said and f"?{said}")
        try:
            return await websockets.connect(
                address,
                additional_headers=self.headers,
                open_timeout=OPEN_WITHIN_S,
                proxy=None,
                max_size=2**22,
            )
        except InvalidStatus as error:
            if error.response.status_code in _PERMANENT:
                raise HttpClientError(_said(bytes(error.response.body or b""))) from error
            raise


async def _next(opened: websockets.ClientConnection) -> "_Message | None":
    """What the connection says next; None at its end. Raises TimeoutError after SILENCE_S."""
    async with asyncio.timeout(SILENCE_S):
        try:
            return _read(strict_loads(_bytes(await opened.recv())))
        except ConnectionClosed:
            return None


class _Kind(StrEnum):
    HELLO = "hello"
    EVENT = "event"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """What the stream said; `seq`: everything up to there was told, or is not wanted."""

    kind: _Kind
    seq: int
    event: StreamEvent | None = None


def _read(message: dict[str, object]) -> _Message:
    kind = message.pop("type", None)
    if kind == "error":
        if message.get("code") == "SEQUENCE_GONE":
            raise StreamGone(str(message.get("message")))
        raise HttpClientError(f"{message.get('code')}: {message.get('message')}")
    if kind == "event":
        event = StreamEvent.model_validate(message)
        return _Message(kind=_Kind.EVENT, seq=event.seq, event=event)
    return _Message(kind=_Kind(str(kind)), seq=int(str(message["seq"])))


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def _said(body: bytes) -> str:
    try:
        told = json.loads(body or b"{}")
        return f"{told['code']}: {told['message']}"
    except (ValueError, LookupError, TypeError):
        return "the stream was refused"
