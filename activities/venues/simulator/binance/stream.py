"""Binance's WebSocket API as ccxt uses it: subscribe to the account's user-data stream.

Rule: events leave in the order of the journal, and only after it. There is no replay: what happens
while nobody listens is not sent later. A listener that does not keep up is cut off, so that it
cannot hold the exchange's memory.
"""

import json
from functools import partial
from typing import Any

from aiohttp import web

from activities.venues.simulator.binance import auth, errors, reports
from activities.venues.simulator.binance.errors import ApiError
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.events import Event
from activities.venues.simulator.request_log import subscription_record
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.stream_seam import StreamEvent, StreamHooks, UndisturbedStream
from activities.venues.simulator.stream_session import (
    MAX_MESSAGE_BYTES,
    StreamSession,
    StreamSessions,
)

WS_PATH = "/ws-api/v3"
PING_INTERVAL_S = 20.0
_SUBSCRIBE = "userDataStream.subscribe.signature"


class BinanceStream:
    """All WebSocket sessions of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: StreamHooks | None = None) -> None:
        self._exchange = exchange
        self._hooks = hooks or UndisturbedStream()
        self._auth = auth.Authenticator(exchange.config.accounts)
        self._sessions = StreamSessions(self._hooks)
        exchange.listeners.append(self._publish)

    async def handle(self, wire: web.Request) -> web.WebSocketResponse:
        """Serve one connection until either side ends it."""
        socket = web.WebSocketResponse(
            heartbeat=PING_INTERVAL_S, autoping=False, max_msg_size=MAX_MESSAGE_BYTES
        )
        await socket.prepare(wire)
        session = StreamSession(socket, wire, self._hooks)
        await self._sessions.serve(session, partial(self._hear, session))
        return socket

    async def close(self) -> None:
        """End all sessions."""
        await self._sessions.close()

    def _publish(self, events: list[Event]) -> None:
        for session in self._sessions:
            if session.account is None:
                continue
            own = [each for each in events if reports.account_of(each) == session.account]
            if own:
                self._tell(session, session.account, own)

    def _tell(self, session: StreamSession, account: str, own: list[Event]) -> None:
        state = self._exchange.engine.state
        for event in own:
            report = reports.report_of(state, event)
            if report is not None:
                session.queue(_pushed(report), reports.delivery(event, report))
        position = reports.account_position(state, own, account)
        session.queue(_pushed(position), StreamEvent(account=account))

    def _hear(self, session: StreamSession, text: str) -> None:
        session.queue(self._reply(session, text))

    def _reply(self, session: StreamSession, text: str) -> Json:
        request_id: Any = None
        try:
            request = json.loads(text)
            if not isinstance(request, dict):
                raise errors.bad_value("request")
            request_id = request.get("id")
            result = self._answer(session, request)
        except ApiError as error:
            answer = {"code": error.code, "msg": error.message}
            return {"id": request_id, "status": error.status, "error": answer}
        except ValueError:
            answer = {"code": -1100, "msg": "Illegal characters found in request."}
            return {"id": None, "status": 400, "error": answer}
        return {"id": request_id, "status": 200, "result": result, "rateLimits": []}

    def _answer(self, session: StreamSession, request: Json) -> Any:
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
            case method if method == _SUBSCRIBE:
                return self._subscribe(session, params, sent)
            case "userDataStream.unsubscribe":
                params.finish()
                session.account = None
                return {}
            case _:
                raise errors.unsupported()

    def _subscribe(self, session: StreamSession, params: Params, sent: Json) -> Json:
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
        record = subscription_record(_SUBSCRIBE, account, code, self._exchange.now_ms())
        self._exchange.commit(record)


def _pushed(body: Json) -> Json:
    return {"subscriptionId": 0, "event": body}


def _sorted_payload(sent: Json) -> bytes:
    named = sorted((name, _text(value)) for name, value in sent.items() if name != "signature")
    return "&".join(f"{name}={value}" for name, value in named).encode()


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise errors.bad_value("params")
    return str(value)
