"""Binance's market streams: subscribe to trades and best prices of symbols, without logging in.

Rule: a message leaves as soon as the market has changed, trades before the touch, and nothing is
sent when nothing changes: not even after a subscription. There is no replay. A listener that does
not keep up is cut off. What may be subscribed to is `_CHANNELS`; streams can also be named in the
path, where unknown names are passed over (clients number their connections there).
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from activities.venues.simulator.binance import public_shapes, shapes
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.binance.stream import PING_INTERVAL_S
from activities.venues.simulator.public_feed import TOUCH, TRADE, Change, PublicFeed, public_event
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.stream_seam import StreamHooks, StreamKind, UndisturbedStream
from activities.venues.simulator.stream_session import (
    MAX_MESSAGE_BYTES,
    StreamSession,
    StreamSessions,
)
from activities.venues.simulator.tape import PublicTrade

WS_PATH = "/ws{names:(/.*)?}"
MAX_SUBSCRIPTIONS = 1_024

TradeShape = Callable[[SymbolSpec, PublicTrade, int], Json]
_TRADES: dict[str, TradeShape] = {
    "trade": public_shapes.pushed_trade,
    "aggTrade": public_shapes.pushed_aggregate,
}
_TOUCH = "bookTicker"
_CHANNELS = (*_TRADES, _TOUCH)


class _BadRequestError(Exception):
    """An answer with an error code; the connection stays."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class _Topic:
    """A channel of a symbol (unified name)."""

    symbol: str
    channel: str


class BinancePublicStream:
    """All market connections of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: StreamHooks | None = None) -> None:
        self._exchange = exchange
        self._hooks = hooks or UndisturbedStream()
        self._sessions = StreamSessions(self._hooks)
        # For each connection its topics by the names that it gave them, in their order.
        self._subscribed: dict[StreamSession, dict[str, _Topic]] = defaultdict(dict)
        self._topics = {
            f"{shapes.venue_symbol(spec).lower()}@{channel}": _Topic(name, channel)
            for name, spec in exchange.engine.state.specs.items()
            for channel in _CHANNELS
        }
        self._feed = PublicFeed(exchange, self._publish)

    async def handle(self, wire: web.Request) -> web.WebSocketResponse:
        """Serve one connection until either side ends it."""
        socket = web.WebSocketResponse(
            heartbeat=PING_INTERVAL_S, autoping=False, max_msg_size=MAX_MESSAGE_BYTES
        )
        await socket.prepare(wire)
        session = StreamSession(socket, wire, self._hooks, stream=StreamKind.PUBLIC)
        named = wire.match_info["names"].split("/")
        self._subscribed[session] |= {
            name: self._topics[name] for name in named if name in self._topics
        }
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
        spec = self._exchange.engine.state.specs[change.symbol]
        now_ms = self._exchange.now_ms()
        for session, named in self._subscribed.items():
            channels = {topic.channel for topic in named.values() if topic.symbol == change.symbol}
            wanted = [shape for channel, shape in _TRADES.items() if channel in channels]
            for trade in change.trades:
                for shape in wanted:
                    message = shape(spec, trade, now_ms)
                    session.queue(message, public_event(TRADE, change.symbol))
            if change.is_touch_new and _TOUCH in channels:
                book = self._exchange.engine.books[change.symbol]
                message = public_shapes.pushed_touch(spec, book)
                session.queue(message, public_event(TOUCH, change.symbol))

    # --- what the client says -------------------------------------------------------------------

    def _hear(self, session: StreamSession, text: str) -> None:
        request_id: Any = None
        try:
            request = _object(text)
            request_id = _id_of(request)
            answer: Json = {"result": self._answer(session, request)}
        except _BadRequestError as error:
            answer = {"error": {"code": error.code, "msg": error.message}}
        session.queue({**answer, "id": request_id})

    def _answer(self, session: StreamSession, request: Json) -> list[str] | None:
        """The `result` of a request. Raises _BadRequestError."""
        subscribed = self._subscribed[session]
        match request.get("method"):
            case "SUBSCRIBE":
                wanted = self._named(request)
                if len(subscribed | wanted) > MAX_SUBSCRIPTIONS:
                    raise _BadRequestError(2, "Invalid request: too many subscriptions")
                subscribed |= wanted
                return None
            case "UNSUBSCRIBE":
                for name in self._named(request):
                    subscribed.pop(name, None)
                return None
            case "LIST_SUBSCRIPTIONS":
                return list(subscribed)
            case other:
                known = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS"
                problem = f"unknown variant `{other}`, expected one of {known}"
                raise _BadRequestError(2, f"Invalid request: {problem}")

    def _named(self, request: Json) -> dict[str, _Topic]:
        names = request.get("params")
        if not names or not isinstance(names, list):
            raise _BadRequestError(2, "Invalid request: params must be a list of streams")
        if not all(isinstance(name, str) and name in self._topics for name in names):
            raise _BadRequestError(2, "Invalid request: invalid stream")
        return {name: self._topics[name] for name in names}


def _object(text: str) -> Json:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _BadRequestError(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(found, dict):
        raise _BadRequestError(2, "Invalid request: expected an object")
    return found


def _id_of(request: Json) -> int | str | None:
    found = request.get("id")
    is_number = isinstance(found, int) and not isinstance(found, bool) and found >= 0
    if found is not None and not is_number and not isinstance(found, str):
        raise _BadRequestError(2, "Invalid request: request ID must be an unsigned integer")
    return found
