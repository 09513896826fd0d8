"""OKX's public WebSocket: trades, best prices, tickers, mark and index prices of instruments.

Rule: a push leaves as soon as the market has changed, trades first; nothing is sent when nothing
changes. Who subscribes is told at once how things stand, but for trades, of which there is no
replay. A client that says nothing for 30 s, not even "ping", is cut off, and so is one that does
not keep up. The same subscription twice is one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.okx import public_shapes, shapes, talk
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.okx.talk import StreamError
from activities.venues.simulator.public_feed import TOUCH, TRADE, Change, PublicFeed, public_event
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.stream_seam import StreamHooks, StreamKind, UndisturbedStream
from activities.venues.simulator.stream_session import (
    MAX_MESSAGE_BYTES,
    StreamSession,
    StreamSessions,
)

WS_PATH = "/ws/v5/public"
_TRADES = "trades"


class _State(NamedTuple):
    """A channel that tells how things stand: its one row, and which changes it tells."""

    row: Callable[[Engine, SymbolSpec, int], Json]
    with_trades: bool = False
    with_touch: bool = True

    def tells(self, change: Change) -> bool:
        return (self.with_touch and change.is_touch_new) or (
            self.with_trades and bool(change.trades)
        )


def _touch(engine: Engine, spec: SymbolSpec, now_ms: int) -> Json:
    return shapes.book(engine.books[spec.name], 1, now_ms)


def _ticker(engine: Engine, spec: SymbolSpec, now_ms: int) -> Json:
    return shapes.ticker(spec, engine.books[spec.name], engine.tapes[spec.name], now_ms)


def _mark(engine: Engine, spec: SymbolSpec, now_ms: int) -> Json:
    book, tape = engine.books[spec.name], engine.tapes[spec.name]
    return public_shapes.mark_price(spec, book, tape, now_ms)


def _index(engine: Engine, spec: SymbolSpec, now_ms: int) -> Json:
    book, tape = engine.books[spec.name], engine.tapes[spec.name]
    return public_shapes.index_ticker(spec, book, tape, now_ms)


_STATES: Mapping[str, _State] = {
    "bbo-tbt": _State(_touch),
    "tickers": _State(_ticker, with_trades=True),
    "mark-price": _State(_mark),
    "index-tickers": _State(_index),
}


class _Topic(NamedTuple):
    """A channel of a symbol (unified name)."""

    channel: str
    symbol: str


class OkxPublicStream:
    """All public connections of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: StreamHooks | None = None) -> None:
        self._exchange = exchange
        self._hooks = hooks or UndisturbedStream()
        self._sessions = StreamSessions(self._hooks)
        # A dict for each connection: its topics in their order.
        self._subscribed: dict[StreamSession, dict[_Topic, None]] = defaultdict(dict)
        self._instruments = {
            shapes.instrument_id(spec): name for name, spec in exchange.engine.state.specs.items()
        }
        self._feed = PublicFeed(exchange, self._publish)

    async def handle(self, wire: web.Request) -> web.WebSocketResponse:
        """Serve one connection until either side ends it."""
        socket = web.WebSocketResponse(autoping=False, max_msg_size=MAX_MESSAGE_BYTES)
        await socket.prepare(wire)
        session = StreamSession(socket, wire, self._hooks, talk.IDLE_S, StreamKind.PUBLIC)
        try:
            await self._sessions.serve(session, partial(self._hear, session))
        finally:
            self._subscribed.pop(session, None)
        return socket

    async def close(self) -> None:
        """End all connections."""
        await self._sessions.close()

    # --- what the market tells ------------------------------------------------------------------

    def _publish(self, change: Change) -> None:
        for session, topics in self._subscribed.items():
            named = [topic for topic in topics if topic.symbol == change.symbol]
            self._tell_trades(session, change, named)
            for topic in named:
                state = _STATES.get(topic.channel)
                if state is not None and state.tells(change):
                    self._tell_state(session, topic)

    def _tell_trades(self, session: StreamSession, change: Change, named: Iterable[_Topic]) -> None:
        spec, topic = self._spec(change.symbol), _Topic(_TRADES, change.symbol)
        if topic in named:
            revision = self._exchange.engine.books[change.symbol].revision
            for trade in change.trades:
                row = public_shapes.pushed_trade(spec, trade, revision)
                session.queue(self._push(topic, row), public_event(TRADE, change.symbol))

    def _tell_state(self, session: StreamSession, topic: _Topic) -> None:
        engine, spec = self._exchange.engine, self._spec(topic.symbol)
        row = _STATES[topic.channel].row(engine, spec, self._exchange.now_ms())
        session.queue(self._push(topic, row), public_event(TOUCH, topic.symbol))

    def _push(self, topic: _Topic, row: Json) -> Json:
        return {"arg": self._arg(topic), "data": [row]}

    def _arg(self, topic: _Topic) -> Json:
        return {
            "channel": topic.channel,
            "instId": shapes.instrument_id(self._spec(topic.symbol)),
        }

    def _spec(self, symbol: str) -> SymbolSpec:
        return self._exchange.engine.state.specs[symbol]

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
        op = request.get("op")
        if op not in ("subscribe", "unsubscribe"):
            raise talk.bad_op(op)
        for topic in [self._topic(arg) for arg in args]:
            session.queue(talk.reply(request, {"event": op, "arg": self._arg(topic)}))
            if op == "unsubscribe":
                self._subscribed[session].pop(topic, None)
            else:
                self._subscribed[session][topic] = None
                if topic.channel in _STATES:
                    self._tell_state(session, topic)

    def _topic(self, arg: Mapping[str, Any]) -> _Topic:
        channel, instrument = arg.get("channel"), arg.get("instId")
        is_known = channel in (_TRADES, *_STATES) and instrument in list(self._instruments)
        if not is_known or set(arg) != {"channel", "instId"}:
            raise talk.no_channel(arg)
        return _Topic(str(channel), self._instruments[str(instrument)])
