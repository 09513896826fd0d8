"""Puts the dashboard into the API's application: its pages behind their door, its news begun.

Rule: once in a process, because the library that draws the pages has one global application; so
only whoever serves calls it, and only here is that library set up. Nothing of it is fetched from
elsewhere. It must not know what a page shows.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI
from nicegui import Client, core, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from starters.connections import Connections
from starters.dashboard import (
    alarms_page,
    arbitrage_page,
    arbitrages_page,
    order_page,
    orders_page,
    positions_page,
    status_page,
)
from starters.dashboard.board import Board
from starters.dashboard.door import MAX_PAGES, Door
from starters.dashboard.live import BLIND_S, News
from starters.dashboard.parts import Text, link
from starters.dashboard.sign_in import STYLE_URL, SignIn
from workers.settings import Settings

RECONNECT_WITHIN_S = 5.0
"""A page whose browser went away for longer is forgotten; the browser then loads it anew."""
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="8" fill="#0a58a6"/>'
    '<path d="M16 6 27 26H5Z" fill="none" stroke="#fff" stroke-width="3"/></svg>'
)
UNOPENED_S = 10.0
"""How long a page that was sent waits for its browser to open it."""
_HISTORY = 200
"""Messages that are kept for a browser that comes back, per page."""


def add_dashboard(app: FastAPI) -> None:
    """Serve the dashboard beside the routes of `app`; before its outer middleware is added."""
    settings: Settings = app.state.settings
    connections: Connections = app.state.connections
    events = getattr(app.state, "events", None)
    news = News(None if events is None else lambda: events.follow(idle_s=BLIND_S))
    board = Board(settings=settings, connections=connections, news=news)
    pages = _pages(board)
    inside, around = pages.router.lifespan_context, app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with around(_app), inside(pages):
            news.start()
            try:
                yield
            finally:
                await news.stop()

    app.router.lifespan_context = lifespan
    app.add_middleware(
        Door,
        pages=pages,
        settings=settings,
        connections=connections,
        count=_open_pages,
    )


def _open_pages() -> int:
    """How many there are; those that no browser came to show are forgotten when it gets tight."""
    if len(Client.instances) >= MAX_PAGES:
        Client.prune_instances(client_age_threshold=UNOPENED_S)
    return len(Client.instances)


def _pages(board: Board) -> FastAPI:
    """An application of the pages only, as the library wants to have one."""
    pages = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        routes=[*SignIn(board.connections).routes()],
    )
    for each in (
        orders_page,
        order_page,
        positions_page,
        arbitrages_page,
        arbitrage_page,
        alarms_page,
        status_page,
    ):
        each.register(board)
    ui.run_with(
        pages,
        title="Delta Executor",
        language="en-US",
        dark=None,
        favicon=_ICON,
        tailwind=False,
        reconnect_timeout=RECONNECT_WITHIN_S,
        message_history_length=_HISTORY,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    core.app.config.socket_io_js_transports = ["websocket"]
    core.app.on_page_exception(_broken)
    # its own answer is a page, which anybody without a session could have made by the thousand
    core.app.add_exception_handler(HTTPStatus.NOT_FOUND, _absent)
    return pages


async def _absent(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("not found", HTTPStatus.NOT_FOUND)


def _broken() -> None:
    """What a visitor sees of a bug; the log has the rest."""
    ui.add_head_html(f'<link rel="stylesheet" href="{STYLE_URL}">')
    Text("h1", "This page broke")
    Text("p", "The log of the API tells why. Load it again.")
    link("All orders", "/", "button")
