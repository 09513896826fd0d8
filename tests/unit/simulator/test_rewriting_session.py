"""The session that sends real exchanges' requests to a local server."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from yarl import URL

from activities.venues.rewriting_session import RewritingSession, UnmappedHostError


@pytest.fixture
async def local() -> AsyncIterator[str]:
    async def echo(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str(request.raw_path)
            return socket
        return web.Response(text=f"{request.method} {request.raw_path}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session(local: str) -> AsyncIterator[RewritingSession]:
    made = RewritingSession({"api.example.com": local})
    yield made
    await made.close()


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
async def test_path_and_query_arrive_byte_for_byte(session: RewritingSession, method: str) -> None:
    path = "/api/v3/order?symbol=BTC%2FUSDT&a=%5B%22x%22%5D&b=1+2&signature=ab%3D"
    url = URL("https://api.example.com" + path, encoded=True)
    async with getattr(session, method)(url) as answer:
        assert await answer.text() == f"{method.upper()} {path}"


async def test_web_sockets_go_to_the_local_server_too(session: RewritingSession) -> None:
    async with session.ws_connect("wss://api.example.com:443/ws-api/v3?x=%2F") as socket:
        assert await socket.receive_str(timeout=5) == "/ws-api/v3?x=%2F"


async def test_a_host_that_is_not_mapped_is_an_error(session: RewritingSession) -> None:
    with pytest.raises(UnmappedHostError, match=r"fapi\.example\.com"):
        session.get("https://fapi.example.com/ping")
    with pytest.raises(UnmappedHostError):
        session.ws_connect("wss://stream.example.com/ws")


async def test_it_opens_on_first_use_and_again_after_close(session: RewritingSession) -> None:
    assert session.closed
    for _ in range(2):
        async with session.get("https://api.example.com/x") as answer:
            assert answer.status == 200
        assert not session.closed
        await session.close()
        assert session.closed
