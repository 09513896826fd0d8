"""The protocols that a paper exchange can speak: one row each, by the name of the dialect.

Rule: what is the same at every venue is the exchange's; a face is REST under a prefix, the private
stream and the public one, all built around the same exchange and the same seams.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from activities.venues.simulator.binance.public_stream import WS_PATH as BINANCE_PUBLIC_PATH
from activities.venues.simulator.binance.public_stream import BinancePublicStream
from activities.venues.simulator.binance.rest import PREFIX as BINANCE_PREFIX
from activities.venues.simulator.binance.rest import BinanceRest
from activities.venues.simulator.binance.stream import WS_PATH as BINANCE_WS_PATH
from activities.venues.simulator.binance.stream import BinanceStream
from activities.venues.simulator.okx.answers import PREFIX as OKX_PREFIX
from activities.venues.simulator.okx.public_stream import WS_PATH as OKX_PUBLIC_PATH
from activities.venues.simulator.okx.public_stream import OkxPublicStream
from activities.venues.simulator.okx.rest import OkxRest
from activities.venues.simulator.okx.stream import WS_PATH as OKX_WS_PATH
from activities.venues.simulator.okx.stream import OkxStream
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import RequestHooks
from activities.venues.simulator.stream_seam import StreamHooks


class Rest(Protocol):
    """The REST interface of a dialect."""

    async def handle(self, wire: web.Request) -> web.StreamResponse:
        """Answer any request under the prefix."""


class Stream(Protocol):
    """A stream of a dialect, private or public."""

    async def handle(self, wire: web.Request) -> web.WebSocketResponse:
        """Serve one connection until either side ends it."""

    async def close(self) -> None:
        """End all connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    prefix: str
    ws_path: str
    rest: Callable[[PaperExchange, RequestHooks], Rest]
    stream: Callable[[PaperExchange, StreamHooks], Stream]
    public_path: str
    public_stream: Callable[[PaperExchange, StreamHooks], Stream]


_DIALECTS: Mapping[str, _Dialect] = {
    "binance": _Dialect(
        prefix=BINANCE_PREFIX,
        ws_path=BINANCE_WS_PATH,
        rest=BinanceRest,
        stream=BinanceStream,
        public_path=BINANCE_PUBLIC_PATH,
        public_stream=BinancePublicStream,
    ),
    "okx": _Dialect(
        prefix=OKX_PREFIX,
        ws_path=OKX_WS_PATH,
        rest=OkxRest,
        stream=OkxStream,
        public_path=OKX_PUBLIC_PATH,
        public_stream=OkxPublicStream,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One exchange as its clients see it."""

    app: web.Application
    close_streams: Callable[[], Awaitable[None]]


def face_of(
    exchange: PaperExchange, requests: RequestHooks, streams: StreamHooks, max_body_bytes: int
) -> Face:
    """The exchange in the dialect of its configuration, disturbed by these hooks."""
    dialect = _DIALECTS[exchange.config.dialect]
    rest, stream = dialect.rest(exchange, requests), dialect.stream(exchange, streams)
    public_stream = dialect.public_stream(exchange, streams)
    app = web.Application(client_max_size=max_body_bytes)
    app.router.add_get(dialect.ws_path, stream.handle)
    app.router.add_get(dialect.public_path, public_stream.handle)
    app.router.add_route("*", dialect.prefix + "/{path:.*}", rest.handle)

    async def close_streams() -> None:
        await asyncio.gather(stream.close(), public_stream.close())

    return Face(app=app, close_streams=close_streams)
