"""The wire of the HTTP server: uvicorn's protocols, with the bounds that it lacks.

Rule: every wait for the other side ends. Headers arrive within `header_wait_s`, a body within
`body_wait_s`, our answer is taken within `write_wait_s`; else the connection is closed. What is not
HTTP gets an answer in our form. It must not know the application.
"""

import asyncio
import json
import sys
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from starters.api.errors import ApiCode, ErrorBody, status_of

GOING_AWAY = 1001
_MESSAGES = {
    ApiCode.BAD_REQUEST: "this is not a valid HTTP request",
    ApiCode.HEADERS_TOO_LARGE: "the headers are too large",
    ApiCode.TIMEOUT: "the headers did not arrive in time",
}


class EdgeProtocol(H11Protocol):
    """One connection. Seconds; a test makes them shorter in a subclass."""

    header_wait_s = 10.0
    body_wait_s = 12.0  # a route that reads its body answers 408 at 10 s, and does it better
    write_wait_s = 30.0
    linger_s = 1.0
    max_connections = 900  # below the 1,024 descriptors that a process usually gets

    _read_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
        else:
            self._wait_for(self.header_wait_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading_timer()
        self._stop_writing_timer()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._linger_timer is not None:
            return  # refused; what still comes is thrown away
        before = self._is_reading()
        super().data_received(data)
        now = self._is_reading()
        if now is None:
            self._stop_reading_timer()
        elif now != before or self._read_timer is None:
            self._wait_for(self.header_wait_s if now == "headers" else self.body_wait_s)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # what was pipelined behind the answered request starts a time of its own
        if self._is_reading() == "headers" and self.conn.trailing_data[0]:
            self._wait_for(self.header_wait_s)

    def _is_reading(self) -> str | None:
        """What the client still owes; None: nothing, or the connection is closing."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return None
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            return "body"
        return "headers" if state is h11.IDLE else None

    def _wait_for(self, wait_s: float) -> None:
        self._stop_reading_timer()
        self._read_timer = self.loop.call_later(wait_s, self._read_too_slow)

    def _read_too_slow(self) -> None:
        self._read_timer = None
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(ApiCode.TIMEOUT)
        else:
            self.transport.close()

    def send_400_response(self, _msg: str) -> None:
        """Answer what is not HTTP; called while the parser's error is handled."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else None
        is_large = hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._refuse(ApiCode.HEADERS_TOO_LARGE if is_large else ApiCode.BAD_REQUEST)

    def _refuse(self, code: ApiCode) -> None:
        """Answer in our form, if no answer is under way, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = uuid4().hex
            told = ErrorBody(code=code, message=_MESSAGES[code], field=None, request_id=request_id)
            body = json.dumps(told.model_dump()).encode()
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("X-Request-Id", request_id),
                ("Cache-Control", "no-store"),
                ("Connection", "close"),
            ]
            status = HTTPStatus(status_of(code))
            start = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._linger()

    def _linger(self) -> None:
        """Close, but let a client that is still sending read our answer first."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._linger_timer = self.loop.call_later(self.linger_s, self.transport.close)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_wait_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing_timer()

    def _stop_reading_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _stop_writing_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class EdgeWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket; at our shutdown it is told that we go away, which invites to come again.

    Seconds; whoever takes nothing for so long is gone, and would hold what was written for ever.
    """

    write_wait_s = 60.0  # the stream gives up before, and says so

    _write_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_wait_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_writing_timer()
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:  # one of uvicorn's own types
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # refused: uvicorn would log it as a bug of ours

    def _stop_writing_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
            self.conn.send_close(GOING_AWAY)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        else:
            super().shutdown()
