"""The HTTP application: `create_app(settings)` puts the pieces together.

Rule: it starts while Temporal and PostgreSQL are away and answers 503 until they are there. No
route decides what is traded. Who asks is known before any route is, and every route says which
scope it needs.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from starters.api import (
    alarms,
    arbitrage,
    cancels,
    health,
    metrics,
    operations,
    orders,
    oversight,
    positions,
    progress,
    rebalance,
    risk,
    steering,
    stream,
    symbols,
    trading_state,
)
from starters.api.access import public_paths
from starters.api.decision_bodies import DECISIONS
from starters.api.documentation import openapi_of
from starters.api.edge import CORS, Edge
from starters.api.errors import install_handlers
from starters.api.frame import RequestFrame
from starters.api.gate import Gate
from starters.api.methods import install_methods
from starters.api.open_streams import OpenStreams
from starters.api.pages import add_pages
from starters.api.rate_limits import RateLimits
from starters.connections import Connections
from starters.stream import EventTail
from workers.settings import Settings

DESCRIPTION = """Durable execution of crypto orders.

Decimals are written as strings and read from numbers or strings, both exactly. Times are UTC,
RFC 3339. Errors have one body: `code` (for programs), `message`, `field`, `request_id`.
"""
TAGS = [
    {"name": "orders", "description": "Start, follow, steer and preview orders."},
    {"name": "arbitrage", "description": "Buy at one exchange and sell at another."},
    {"name": "rebalance", "description": "Trade holdings towards target weights."},
    {"name": "control", "description": "Stop trading, and let it go on."},
    {"name": "books", "description": "Positions, PnL, fills, balances."},
    {"name": "alarms", "description": "What a human must know."},
    {"name": "stream", "description": "What happens, as it happens."},
    {"name": "health", "description": "Is it alive, can it take an order."},
    {"name": "metrics", "description": "For Prometheus."},
]


def create_app(
    settings: Settings,
    connections: Connections | None = None,
    *,
    extend: Callable[[FastAPI], None] | None = None,
) -> FastAPI:
    """The application; `connections` are opened on first use and closed at its shutdown.

    `extend` adds what has its own door, beside the gate: the dashboard.
    """
    shared = connections or Connections(settings)
    events = EventTail(shared)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await events.close()
            await shared.close()

    app = FastAPI(
        title="Delta Executor",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        docs_url=None,
        openapi_url="/openapi.json" if settings.is_api_local else None,
    )
    app.state.settings = settings
    app.state.connections = shared
    app.state.health = None
    app.state.events = events
    app.state.streams = OpenStreams(shared)
    app.state.rate_limits = RateLimits.of(settings)
    install_handlers(app)
    install_methods(app)
    for routes in (
        operations,
        oversight,
        cancels,
        orders,
        steering,
        progress,
        arbitrage,
        rebalance,
        trading_state,
        risk,
        positions,
        symbols,
        alarms,
        stream,
        health,
        metrics,
    ):
        app.include_router(routes.router)
    pages = add_pages(app)
    app.add_middleware(Gate)
    if extend is not None:
        extend(app)
    app.state.public_paths = public_paths(app, pages)
    if settings.api_cors_origins:
        app.add_middleware(CORSMiddleware, **CORS, allow_origins=settings.api_cors_origins)
    app.add_middleware(Edge, settings=settings)
    app.add_middleware(RequestFrame)
    app.openapi = openapi_of(app, *DECISIONS)  # type: ignore[method-assign] # FastAPI's documented way
    return app
