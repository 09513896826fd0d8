"""Binance's WebSocket API as ccxt uses it: subscribe to the account's user-data stream.

Rule: events leave in the order of the journal, and only after it. There is no replay: what happens
while nobody listens is not sent later. A listener that does not keep up is cut off, so that it
cannot hold the exchange's memory.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from activities.venues.simulator.binance import auth, errors, reports
from activities.venues.simulator.binance.errors import ApiError
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.events import Event
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.stream_seam import StreamEvent, StreamHooks, UndisturbedStream

WS_PATH = "/ws-api/v3"
MAX_QUEUED_MESSAGES = 10_000
MAX_MESSAGE_BYTES = 64 * 1024
PING_INTERVAL_S = 20.0


class BinanceStream:
    """All WebSocket sessions of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: StreamHooks | None = None) -> None:
        self._exchange = exchange
        self._hooks = hooks or UndisturbedStream()
        self._auth = auth.Authenticator(exchange.config.accounts)
        self._sessions: set[_Session] = set()
        exchange.listeners.append(self._publish)

    async def handle(self, wire: web.Request) -> web.WebSocketResponse:
        """Serve one connection until either side ends it."""
        socket = web.WebSocketResponse(
            heartbeat=PING_INTERVAL_S, autoping=False, max_msg_size=MAX_MESSAGE_BYTES
        )
        await socket.prepare(wire)
        session = _Session(socket, wire, self._answer, self._hooks)
        self._sessions.add(session)
        self._hooks.opened(session)
        try:
            await session.run()
        finally:
            self._hooks.closed(session)
            self._sessions.discard(session)
        return socket

    async def close(self) -> None:
        """End all sessions."""
        for session in list(self._sessions):
            await session.close()

    def _publish(self, events: list[Event]) -> None:
        for session in self._sessions:
            if session.account is None:
                continue
            own = [each for each in events if reports.account_of(each) == session.account]
            if own:
                self._tell(session, session.account, own)

    def _tell(self, session: "_Session", account: str, own: list[Event]) -> None:
        state = self._exchange.engine.state
        for event in own:
            report = reports.execution_report(state, event)
            if report is not None:
                session.queue_event(report, reports.delivery(event, report))
        position = reports.account_position(state, own, account)
        session.queue_event(position, StreamEvent(account=account))

    def _answer(self, session: "_Session", request: Json) -> Any:
        """The `result` of a request. Raises ApiError."""
        sent = request.get("params") or {}
        if not isinstance(sent, dict):
            raise errors.bad_value("params")
        params = Params({name: _text(value) for name, value in sent.items()})
        match request.get("method"):
            case "ping":
                params.finish()
                return {}
            case "time":
                params.finish()
                return {"serverTime": self._exchange.now_ms()}
            case "userDataStream.subscribe.signature":
                return self._subscribe(session, params, sent)
            case "userDataStream.unsubscribe":
                params.finish()
                session.account = None
                return {}
            case _:
                raise errors.unsupported()

    def _subscribe(self, session: "_Session", params: Params, sent: Json) -> Json:
        account: str | None = None
        code = 0
        try:
            key = params.text("apiKey")
            account, window = self._auth.account(key, _sorted_payload(sent), params)
            params.finish()
            window.check(self._exchange.now_ms())
            if session.account is not None:
                raise errors.already_subscribed()
        except ApiError as error:
            code = error.code
            raise
        finally:
            self._log_subscription(account, code)
        session.account = account
        return {"subscriptionId": 0}

    def _log_subscription(self, account: str | None, code: int) -> None:
        self._exchange.commit(
            {
                "ts_ms": self._exchange.now_ms(),
                "kind": "request",
                "method": "WS",
                "path": "userDataStream.subscribe.signature",
                "account": account,
                "params": {},
                "status": 400 if code else 200,
                "code": code,
            }
        )


class _Session:
    """One connection: a bounded queue of what is to be sent, and the account it listens to."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        wire: web.Request,
        answer: Callable[["_Session", Json], Any],
        hooks: StreamHooks,
    ) -> None:
        self.account: str | None = None
        self._socket, self._wire, self._answer, self._hooks = socket, wire, answer, hooks
        self._queue: asyncio.Queue[tuple[str, StreamEvent | None]] = asyncio.Queue(
            MAX_QUEUED_MESSAGES
        )
        self._overrun = asyncio.Event()

    async def run(self) -> None:
        """Read and write until the connection ends."""
        tasks = [
            asyncio.create_task(step()) for step in (self._write, self._read, self._overrun.wait)
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

    def queue_event(self, body: Json, event: StreamEvent) -> None:
        """Send an event of the subscription when its turn comes."""
        self._queue_json({"subscriptionId": 0, "event": body}, event)

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

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                self._queue_json(self._handle(message.data))
            elif message.type is WSMsgType.PING and self._hooks.answers_pings(self):
                await self._socket.pong(message.data)

    def _handle(self, text: str) -> Json:
        request_id: Any = None
        try:
            request = json.loads(text)
            if not isinstance(request, dict):
                raise errors.bad_value("request")
            request_id = request.get("id")
            result = self._answer(self, request)
        except ApiError as error:
            answer = {"code": error.code, "msg": error.message}
            return {"id": request_id, "status": error.status, "error": answer}
        except ValueError:
            answer = {"code": -1100, "msg": "Illegal characters found in request."}
            return {"id": None, "status": 400, "error": answer}
        return {"id": request_id, "status": 200, "result": result, "rateLimits": []}

    def _queue_json(self, message: Json, event: StreamEvent | None = None) -> None:
        try:
            self._queue.put_nowait((json.dumps(message, separators=(",", ":")), event))
        except asyncio.QueueFull:
            self._overrun.set()


def _sorted_payload(sent: Json) -> bytes:
    named = sorted((name, _text(value)) for name, value in sent.items() if name != "signature")
    return "&".join(f"{name}={value}" for name, value in named).encode()


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise errors.bad_value("params")
    return str(value)
