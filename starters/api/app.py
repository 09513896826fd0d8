"""The HTTP application: `create_app(settings)` puts the pieces together.

Rule: it starts while Temporal and PostgreSQL are away and answers 503 until they are there. No
route decides what is traded; there is no authentication yet, so it listens on loopback
unless the settings say otherwise.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from starters.api import (
    alarms,
    arbitrage,
    health,
    metrics,
    operations,
    orders,
    positions,
    progress,
    rebalance,
    risk,
    steering,
    trading_state,
)
from starters.api.decision_bodies import DECISIONS
from starters.api.documentation import openapi_of
from starters.api.errors import install_handlers
from starters.api.frame import RequestFrame
from starters.connections import Connections
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
    {"name": "health", "description": "Is it alive, can it take an order."},
    {"name": "metrics", "description": "For Prometheus."},
]


def create_app(settings: Settings, connections: Connections | None = None) -> FastAPI:
    """The application; `connections` are opened on first use and closed at its shutdown."""
    shared = connections or Connections(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await shared.close()

    app = FastAPI(
        title="Delta Executor",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.connections = shared
    install_handlers(app)
    for routes in (
        operations,
        orders,
        steering,
        progress,
        arbitrage,
        rebalance,
        trading_state,
        risk,
        positions,
        alarms,
        health,
        metrics,
    ):
        app.include_router(routes.router)
    app.add_middleware(RequestFrame)
    app.openapi = openapi_of(app, *DECISIONS)  # type: ignore[method-assign] # FastAPI's documented way
    return app
