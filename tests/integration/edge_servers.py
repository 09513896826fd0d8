"""A small application behind the real edge, asked without a network or over real connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from starters.api.bodies import read_json
from starters.api.edge import CORS, Edge
from starters.api.errors import install_handlers
from starters.api.frame import RequestFrame
from starters.api.protocol import EdgeProtocol
from starters.api.server import configure
from workers.settings import Settings, load_settings

STARTS_WITHIN_S = 20


def settings_of(**environ: str) -> Settings:
    return load_settings(environ)


def app_of(settings: Settings, **limits: int) -> FastAPI:
    """Routes that tell what came in, that read a body, and that take their time."""
    app = FastAPI()
    install_handlers(app)
    app.state.go_on = asyncio.Event()

    @app.get("/who")
    async def who(request: Request) -> dict[str, str]:
        assert request.client is not None
        return {"client": request.client.host, "scheme": request.url.scheme}

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/body")
    async def body(request: Request) -> object:
        return await read_json(request)

    @app.get("/slow")
    async def slow(request: Request) -> str:
        await request.app.state.go_on.wait()
        return "done"

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.receive()

    if settings.api_cors_origins:
        app.add_middleware(CORSMiddleware, **CORS, allow_origins=settings.api_cors_origins)
    app.add_middleware(Edge, settings=settings, **limits)
    app.add_middleware(RequestFrame)
    return app


@asynccontextmanager
async def asked(app: ASGIApp, peer: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client whose requests come from this peer, without a network."""
    transport = httpx.ASGITransport(app, client=(peer, 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8003") as client:
        yield client


@asynccontextmanager
async def served(
    app: ASGIApp, settings: Settings, protocol: type[EdgeProtocol] = EdgeProtocol
) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """The app on a free port of this machine, as the API's own process serves it."""
    server = uvicorn.Server(configure(app, settings, protocol))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(STARTS_WITHIN_S):
                while not server.started:
                    assert not running.done(), "the server ended while it started"
                    await asyncio.sleep(0.01)
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, STARTS_WITHIN_S)
