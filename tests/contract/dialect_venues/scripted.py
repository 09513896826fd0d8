"""A small exchange that a test scripts: it keeps orders and trades, and all that it was asked.

Each venue's module answers in that venue's documented form. It checks nothing about an order;
tests read what arrived instead.
"""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from activities.venues.ccxt_gateway import CcxtGateway, VenueConfig, open_gateway
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce, client_order_id

TICK, STEP = "0.01", "0.00001"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]

    @property
    def asked(self) -> dict[str, Any]:
        """Query and body in one."""
        return {**self.query, **(self.body or {})}


@dataclass
class Order:
    """An order that the venue knows. `state` is open, filled or cancelled."""

    venue_id: str
    client_id: str
    state: str = "open"
    filled: str = "0"
    size: str = "0.01"
    side: str = "buy"
    price: str = "40000"


@dataclass
class Trade:
    """A trade that the venue knows; quantities in base, fee in quote."""

    trade_id: str
    order_id: str
    at_ms: int
    quantity: str = "0.004"
    price: str = "40000"
    fee: str = "0.16"


@dataclass(frozen=True)
class Answer:
    """An answer other than a plain 200."""

    status: int
    body: Any


@dataclass
class ScriptedVenue(ABC):
    """What all venues share; a subclass answers in its venue's form."""

    venue = ""
    create = ("", "")
    """Method and path of a new order."""
    symbol = "BTC/USDT"
    secret = "c2VjcmV0"  # also valid base64
    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    scripted: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Answers by (method, path) that go before the venue's own; an exception class drops."""
    ignores_filters: bool = False
    """Answers with its first order, whichever was asked for."""
    base_url: str = ""

    @abstractmethod
    def answer(self, seen: Seen) -> Any:
        """The venue's answer to one request."""

    def requests(self, method: str, path: str) -> list[Seen]:
        """What arrived at one endpoint."""
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    def paths(self) -> list[str]:
        """All that arrived, as `METHOD /path`."""
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def order_by(self, **known: str) -> Order | None:
        """The order with this attribute."""
        if self.ignores_filters:
            return self.orders[0]
        ((name, value),) = known.items()
        return next((order for order in self.orders if getattr(order, name) == value), None)

    def trades_of(self, order_id: str | None) -> list[Trade]:
        """Newest first, as every venue lists them."""
        mine = [t for t in self.trades if order_id is None or t.order_id == order_id]
        return sorted(mine, key=lambda t: (t.at_ms, t.trade_id), reverse=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """aiohttp's entry."""
        text = await request.text()
        body = json.loads(text) if text.startswith(("{", "[")) else dict(parse_qsl(text))
        # gate's signed path and kraken's lists repeat names; the last one is enough here
        seen = Seen(request.method, request.path, dict(request.query), body, dict(request.headers))
        self.seen.append(seen)
        told = self.scripted.get((seen.method, seen.path))
        told = self.answer(seen) if told is None else told
        if told is ConnectionResetError:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if isinstance(told, Answer):
            return web.json_response(told.body, status=told.status)
        return web.json_response(told)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def served(venue: ScriptedVenue) -> AsyncIterator[CcxtGateway]:
    """The venue on a free port, and a gateway that takes it for the real one."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    gateway = open_gateway(
        VenueConfig(
            venue=venue.venue,
            account="main",
            api_key="the-key",
            secret=venue.secret,
            passphrase="words",
            paper_url=venue.base_url,
            http_deadline_s=Decimal(5),
        )
    )
    try:
        yield gateway
    finally:
        await gateway.close()
        await runner.cleanup()
        await asyncio.sleep(0)


def intent(venue: ScriptedVenue, number: int = 1, **changes: Any) -> ChildIntent:
    """A limit buy that may rest, unless changed."""
    fields: dict[str, Any] = {
        "client_order_id": client_order_id("dialect", number),
        "order_id": "dialect",
        "child_index": number,
        "strategy_id": "s",
        "account": "main",
        "venue": venue.venue,
        "symbol": venue.symbol,
        "side": Side.BUY,
        "child_type": ChildType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": Decimal("0.01"),
        "price": Decimal(40000),
    }
    return ChildIntent(**{**fields, **changes})
