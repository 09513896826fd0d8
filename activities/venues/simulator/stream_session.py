"""The connections of a stream: what is to be sent waits its turn, and never without bound.

Rule: messages leave in the order in which they were queued. A client that does not keep up is cut
off, so that it cannot hold the exchange's memory. Knows nothing of what the messages say: the
dialect hears them and queues its answers.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from activities.venues.simulator.stream_seam import StreamEvent, StreamHooks, StreamKind

MAX_QUEUED_MESSAGES = 10_000
MAX_MESSAGE_BYTES = 64 * 1024
NO_DATA_CLOSE_CODE = 4004

Hear = Callable[[str], None]
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class StreamSession:
    """One connection, and the account that it listens to, if any. See stream_seam.Connection.

    `idle_s`: a client that is silent for longer is cut off; None: it may be.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        wire: web.Request,
        hooks: StreamHooks,
        idle_s: float | None = None,
        stream: StreamKind = StreamKind.PRIVATE,
    ) -> None:
        self.account: str | None = None
        self.stream = stream
        self._socket, self._wire, self._hooks, self._idle_s = socket, wire, hooks, idle_s
        self._queue: asyncio.Queue[tuple[str, StreamEvent | None]] = asyncio.Queue(
            MAX_QUEUED_MESSAGES
        )
        self._overrun = asyncio.Event()

    async def run(self, hear: Hear) -> None:
        """Read and write until the connection ends; `hear` is given each text of the client."""
        tasks = [
            asyncio.create_task(step())
            for step in (self._write, partial(self._read, hear), self._overrun.wait)
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._overrun.is_set():
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too slow")
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                raise outcome

    def queue(self, message: Any, event: StreamEvent | None = None) -> None:
        """Send a message as JSON when its turn comes; one with an `event` passes the seam."""
        self.queue_text(json.dumps(message, separators=(",", ":")), event)

    def queue_text(self, text: str, event: StreamEvent | None = None) -> None:
        """As `queue`, word for word."""
        try:
            self._queue.put_nowait((text, event))
        except asyncio.QueueFull:
            self._overrun.set()

    def cut(self) -> None:
        """See stream_seam.Connection."""
        if self._wire.transport is not None:
            self._wire.transport.abort()

    async def drained(self) -> None:
        """See stream_seam.Connection."""
        await self._queue.join()

    async def close(self) -> None:
        """Tell the client that the exchange goes away."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"shutdown")

    async def _write(self) -> None:
        while True:
            text, event = await self._queue.get()
            try:
                if event is None:
                    await self._socket.send_str(text)
                else:
                    await self._hooks.deliver(event, partial(self._socket.send_str, text))
            finally:
                self._queue.task_done()

    async def _read(self, hear: Hear) -> None:
        while True:
            try:
                message = await self._socket.receive(self._idle_s)
            except TimeoutError:
                reason = b"No data received in time"
                await self._socket.close(code=NO_DATA_CLOSE_CODE, message=reason)
                return
            if message.type in _ENDS:
                return
            if message.type is WSMsgType.TEXT:
                hear(message.data)
            elif message.type is WSMsgType.PING and self._hooks.answers_pings(self):
                await self._socket.pong(message.data)


class StreamSessions:
    """All connections of one exchange."""

    def __init__(self, hooks: StreamHooks) -> None:
        self._hooks = hooks
        self._open: set[StreamSession] = set()

    def __iter__(self) -> Iterator[StreamSession]:
        return iter(self._open)

    async def serve(self, session: StreamSession, hear: Hear) -> None:
        """Run one connection until either side ends it."""
        self._open.add(session)
        self._hooks.opened(session)
        try:
            await session.run(hear)
        finally:
            self._hooks.closed(session)
            self._open.discard(session)

    async def close(self) -> None:
        """End all of them."""
        for session in list(self._open):
            await session.close()
