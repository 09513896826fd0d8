"""OKX's private WebSocket: log in, then subscribe to the orders and balances of the account.

Rule: pushes leave in the order of the journal, and only after it. There is no replay: what happens
while nobody listens is not sent later. A client that says nothing for 30 s, not even "ping", is cut
off. The same subscription twice is one.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from activities.venues.simulator.events import Event
from activities.venues.simulator.okx import auth, pushes, shapes, talk
from activities.venues.simulator.okx.errors import ApiError
from activities.venues.simulator.okx.params import SPOT
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.okx.talk import StreamError
from activities.venues.simulator.request_log import subscription_record
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.stream_seam import StreamEvent, StreamHooks, UndisturbedStream
from activities.venues.simulator.stream_session import (
    MAX_MESSAGE_BYTES,
    StreamSession,
    StreamSessions,
)

WS_PATH = "/ws/v5/private"
_ORDERS, _ACCOUNT = "orders", "account"
_LOGIN_CODES = {50111: 60005, 50105: 60024, 50113: 60007}
_LOGIN_FIELDS = ("apiKey", "passphrase", "timestamp", "sign")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subscription:
    """A channel; of orders those of one instrument, or all (None)."""

    channel: str
    product: str = ""
    instrument: str | None = None

    def covers(self, instrument: str) -> bool:
        """Whether it is about the orders of this instrument."""
        return self.channel == _ORDERS and self.instrument in (None, instrument)

    def as_arg(self, account: str | None = None) -> Json:
        """How it was asked for; in a push with the user's number."""
        named = {
            "channel": self.channel,
            "instType": self.product,
            "instId": self.instrument,
            "uid": None if account is None else shapes.user_id(account),
        }
        return {name: value for name, value in named.items() if value}


class OkxStream:
    """All private connections of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: StreamHooks | None = None) -> None:
        self._exchange = exchange
        self._hooks = hooks or UndisturbedStream()
        self._auth = auth.Authenticator(exchange.config.accounts)
        self._sessions = StreamSessions(self._hooks)
        # A dict for each connection: its subscriptions in their order.
        self._subscribed: dict[StreamSession, dict[_Subscription, None]] = defaultdict(dict)
        specs = exchange.engine.state.specs
        self._instruments = [shapes.instrument_id(spec) for spec in specs.values()]
        exchange.listeners.append(self._publish)

    async def handle(self, wire: web.Request) -> web.WebSocketResponse:
        """Serve one connection until either side ends it."""
        socket = web.WebSocketResponse(autoping=False, max_msg_size=MAX_MESSAGE_BYTES)
        await socket.prepare(wire)
        session = StreamSession(socket, wire, self._hooks, talk.IDLE_S)
        try:
            await self._sessions.serve(session, partial(self._hear, session))
        finally:
            self._subscribed.pop(session, None)
        return socket

    async def close(self) -> None:
        """End all connections."""
        await self._sessions.close()

    # --- what the exchange tells ----------------------------------------------------------------

    def _publish(self, events: list[Event]) -> None:
        for session, subscriptions in self._subscribed.items():
            if session.account is not None and subscriptions:
                own = pushes.own_events(events, session.account)
                if own:
                    self._tell(session, session.account, own)

    def _tell(self, session: StreamSession, account: str, own: list[pushes.OrderEvent]) -> None:
        state = self._exchange.engine.state
        for event in own:
            row = pushes.order(state, event)
            if row is None:
                continue
            for subscription in self._subscribed[session]:
                if subscription.covers(row["instId"]):
                    push = {"arg": subscription.as_arg(account), "data": [row]}
                    session.queue(push, pushes.delivery(event))
        if _BALANCES in self._subscribed[session]:
            row = pushes.balances(state, own, account)
            session.queue(_balance_push(row, account), StreamEvent(account=account))

    # --- what the client says -------------------------------------------------------------------

    def _hear(self, session: StreamSession, text: str) -> None:
        if text == "ping":
            if self._hooks.answers_pings(session):
                session.queue_text("pong")
            return
        request: Json = {}
        try:
            request = talk.request_of(text)
            self._answer(session, request)
        except StreamError as error:
            session.queue(talk.problem(request, error))

    def _answer(self, session: StreamSession, request: Json) -> None:
        """Do what is asked and queue the reply. Raises StreamError."""
        args = talk.args_of(request)
        match request.get("op"):
            case "login":
                self._log_in(session, args[0])
                session.queue(talk.reply(request, {"event": "login", "code": "0", "msg": ""}))
            case "subscribe":
                self._subscribe(session, request, args)
            case "unsubscribe":
                for each in [self._subscription(session, arg) for arg in args]:
                    self._subscribed[session].pop(each, None)
                    left = {"event": "unsubscribe", "arg": each.as_arg()}
                    session.queue(talk.reply(request, left))
            case other:
                raise talk.bad_op(other)

    def _log_in(self, session: StreamSession, arg: Mapping[str, Any]) -> None:
        account: str | None = None
        code = 0
        try:
            account = self._account(session, arg)
        except StreamError as error:
            code = error.code
            raise
        finally:
            now_ms = self._exchange.now_ms()
            self._exchange.commit(subscription_record("login", account, code, now_ms))
        session.account = account

    def _account(self, session: StreamSession, arg: Mapping[str, Any]) -> str:
        """The account that signed this login. Raises StreamError."""
        if session.account is not None:
            raise StreamError(
                60031, "The WebSocket endpoint does not allow multiple or repeated logins."
            )
        if set(arg) != set(_LOGIN_FIELDS) or not all(isinstance(v, str) for v in arg.values()):
            raise StreamError(60009, "Login failed.")
        timestamp = arg["timestamp"]
        if not (timestamp.isascii() and timestamp.isdecimal()):
            raise StreamError(60004, "Invalid timestamp")
        if abs(self._exchange.now_ms() - int(timestamp) * 1_000) > auth.TIMESTAMP_LIFE_MS:
            raise StreamError(60006, "Timestamp request expired")
        claim = auth.Claim(
            key=arg["apiKey"],
            passphrase=arg["passphrase"],
            timestamp=timestamp,
            signature=arg["sign"],
        )
        try:
            return self._auth.verified(claim, "GET", auth.LOGIN_PATH)
        except ApiError as error:
            raise StreamError(_LOGIN_CODES[error.code], error.message) from None

    def _subscribe(
        self, session: StreamSession, request: Json, args: Sequence[Mapping[str, Any]]
    ) -> None:
        for each in [self._subscription(session, arg) for arg in args]:
            self._subscribed[session][each] = None
            session.queue(talk.reply(request, {"event": "subscribe", "arg": each.as_arg()}))
            if each == _BALANCES and session.account is not None:
                now_ms = self._exchange.now_ms()
                held = self._exchange.engine.state.accounts.balances[session.account]
                row = shapes.balance(shapes.balance_rows(held, now_ms), now_ms)
                push = _balance_push(row, session.account, "snapshot")
                session.queue(push, StreamEvent(account=session.account))

    def _subscription(self, session: StreamSession, arg: Mapping[str, Any]) -> _Subscription:
        """What an `arg` asks for. Raises StreamError."""
        if session.account is None:
            raise StreamError(60011, "Please log in")
        if arg == {"channel": _ACCOUNT}:
            return _BALANCES
        known = {"channel", "instType", "instId"}
        instrument = arg.get("instId")
        if (
            arg.get("channel") == _ORDERS
            and arg.get("instType") in (SPOT, "ANY")
            and not arg.keys() - known
            and (instrument is None or instrument in self._instruments)
        ):
            return _Subscription(channel=_ORDERS, product=arg["instType"], instrument=instrument)
        raise talk.no_channel(arg)


_BALANCES = _Subscription(channel=_ACCOUNT)


def _balance_push(row: Json, account: str, kind: str = "event_update") -> Json:
    push = {"arg": _BALANCES.as_arg(account), "data": [row]}
    return {**push, "eventType": kind, "curPage": 1, "lastPage": True}
