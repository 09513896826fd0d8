"""A small recording server that plays a venue as a test tells it, and counts what arrived."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from activities.venues.ccxt_gateway import VenueConfig
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id

SYMBOL = "BTC/USDT"
LISTED = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01", "minPrice": "0.01", "maxPrice": "1e6"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001", "minQty": "0.00001", "maxQty": "9000"},
        {"filterType": "NOTIONAL", "minNotional": "5"},
    ],
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def accepted(client_id: str, **changes: Any) -> dict[str, Any]:
    """Binance's answer to a new resting order."""
    order = {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "clientOrderId": client_id,
        "transactTime": 1_700_000_000_000,
        "price": "40000.00",
        "origQty": "0.01000",
        "executedQty": "0.00000",
        "cummulativeQuoteQty": "0.00",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "fills": [],
    }
    return {**order, **changes}


class Recorder:
    """The server: answers each path by a handler, and keeps what arrived."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.released = asyncio.Event()
        self.base_url = ""
        self.on("GET", "exchangeInfo", lambda _: {"symbols": [LISTED]})
        self.on("GET", "time", lambda _: {"serverTime": 1_700_000_000_000})

    def on(self, method: str, path: str, answer: Callable[[dict[str, str]], Any]) -> None:
        """Answer with JSON."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return web.json_response(answer(self.requests[-1][2]))

        self.handlers[method, path] = handle

    def count(self, method: str, path: str) -> int:
        """Requests of this kind that arrived."""
        return sum(1 for seen in self.requests if seen[:2] == (method, path))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = request.query_string + "&" + await request.text()
        path = request.path.removeprefix("/api/v3/")
        self.requests.append((request.method, path, dict(parse_qsl(text))))
        return await self.handlers[request.method, path](request)


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    """A served recorder on a free port."""
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recorder.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield recorder
    recorder.released.set()
    await runner.cleanup()


def access(recorder: Recorder) -> VenueConfig:
    """An account at the recorder, with a short deadline."""
    return VenueConfig(
        venue="binance",
        account="main",
        api_key="the-key",
        secret="the-secret",
        paper_url=recorder.base_url,
        http_deadline_s=Decimal("0.5"),
    )


@asynccontextmanager
async def quiet_event_loop() -> AsyncIterator[None]:
    """No exception may end in the loop's handler, such as one that nobody retrieved.

    Only what the test made is gone through for it: all that was there before (the modules of the
    whole run, mostly) would take longer than the test.
    """
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    gc.freeze()
    try:
        yield
        await asyncio.sleep(0)
        gc.collect()
    finally:
        gc.unfreeze()
    await asyncio.sleep(0)
    assert told == []


def intent(**changes: Any) -> ChildIntent:
    fields: dict[str, Any] = {
        "client_order_id": client_order_id("wire", 1),
        "order_id": "wire",
        "child_index": 1,
        "strategy_id": "s",
        "account": "main",
        "venue": "binance",
        "symbol": SYMBOL,
        "side": Side.BUY,
        "child_type": ChildType.LIMIT,
        "quantity": Decimal("0.01"),
        "price": Decimal(40000),
    }
    return ChildIntent(**{**fields, **changes})
