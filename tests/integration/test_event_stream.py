"""The live stream over real sockets: exactly once, in order, and only to whom it concerns."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from activities.ledger.engine import open_engine
from activities.ledger.key_store import KeyStore
from activities.ledger.key_text import KeyText, new_key
from starters.api import stream
from starters.api.app import create_app
from starters.api.open_streams import POLICY, OpenStreams
from starters.api.server import configure
from starters.api.sessions import COOKIE
from tests.e2e.world import free_ports
from tests.integration.ledger_world import as_engine
from workers.settings import load_settings
from workflows.domain.access import Scope

WITHIN_S = 30
MAKE = """
    INSERT INTO alarms (code, object, detail)
    SELECT 'ORDER_FAILED', $1 || number, repeat('x', $3::int)
    FROM generate_series(1, $2::int) AS number
"""
AN_ORDER = """
    INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, exchange,
        symbol, side, order_type, quantity, priority, request, status)
    VALUES ($1, 'c', 'h', $2, $3, 'binance', 'BTC/USDT', 'buy', 'limit', 1, 3, '{}', 'working')
"""
_names = itertools.count(1)


class Api:
    """A ledger, keys to it, and the addresses of processes that serve it."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.settings = load_settings({"DATABASE_URL": as_engine(url), "DELTA_HOME": str(home)})
        self.port = free_ports(1)
        self.key = ""

    async def run(self, statement: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute(statement, *arguments)
        await connection.close()

    async def make(self, count: int, size: int = 1) -> None:
        await self.run(MAKE, f"o{next(_names)}-", count, size)

    async def new_key(self, *scopes: Scope, accounts: list[str] | None = None) -> KeyText:
        key, engine = new_key(), open_engine(as_engine(self.url), pool_size=1)
        name = f"key-{next(_names)}"
        made = await KeyStore(engine).create(key, name, scopes, accounts=accounts, by="test")
        assert made is None
        await engine.dispose()
        return key

    async def revoke(self, key: KeyText) -> None:
        engine = open_engine(as_engine(self.url), pool_size=1)
        await KeyStore(engine).revoke(key.key_id, by="test")
        await engine.dispose()

    @asynccontextmanager
    async def stream(
        self, query: str = "", *, key: str | None = None, port: int | None = None, **options: Any
    ) -> AsyncIterator[ClientConnection]:
        """A stream after its hello."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        headers = options.pop("headers", headers)
        address = f"ws://127.0.0.1:{port or self.port}/api/v1/stream{query}"
        async with connect(address, additional_headers=headers, proxy=None, **options) as opened:
            yield opened

    async def refused(self, query: str = "", **options: Any) -> tuple[int, str]:
        """The status and the code with which a stream is refused."""
        with pytest.raises(InvalidStatus) as refusal:
            async with self.stream(query, **options):
                pass
        response = refusal.value.response
        assert response.body is not None
        body = json.loads(response.body)
        assert body.keys() == {"code", "message", "field", "request_id"}
        return response.status_code, body["code"]


async def told(opened: ClientConnection) -> dict[str, Any]:
    """The next message."""
    async with asyncio.timeout(WITHIN_S):
        message: dict[str, Any] = json.loads(await opened.recv())
    return message


async def numbers(opened: ClientConnection, last: int) -> list[int]:
    """The numbers of events up to this one."""
    seen: list[int] = []
    while not seen or seen[-1] < last:
        message = await told(opened)
        assert message["type"] == "event"
        seen.append(message["seq"])
    return seen


async def closed(opened: ClientConnection) -> tuple[int, list[dict[str, Any]]]:
    """The code with which it is closed, and what was told before."""
    async with asyncio.timeout(WITHIN_S):
        messages = [json.loads(text) async for text in _until_closed(opened)]
    assert opened.close_code is not None, "nobody said why"
    return opened.close_code, messages


async def _until_closed(opened: ClientConnection) -> AsyncIterator[str | bytes]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await opened.recv()


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """One API in this process."""
    api = Api(database_url, tmp_path)
    api.key = (await api.new_key(Scope.READ)).text
    with socket.create_server(("127.0.0.1", api.port)) as listener:
        app = create_app(api.settings)
        server = uvicorn.Server(configure(app, api.settings))
        api.app, api.server = app, server  # type: ignore[attr-defined] # for the tests of its ends
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(WITHIN_S):
                while not server.started:
                    await asyncio.sleep(0.01)
            yield api
        finally:
            server.should_exit = True
            await serving


async def test_a_stream_begins_with_where_it_stands_and_tells_what_follows(api: Api) -> None:
    await api.make(2)
    async with api.stream() as opened, api.stream("?since=1") as later:
        assert await told(opened) == {"type": "hello", "seq": 2, "oldest": 1}
        assert (await told(later))["type"] == "hello"
        await api.make(3)
        assert await numbers(opened, 5) == [3, 4, 5]
        assert await numbers(later, 5) == [2, 3, 4, 5]


async def test_silence_is_told_with_the_number_that_was_reached(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.2)
    async with api.stream("?kinds=fill") as opened:
        assert (await told(opened))["type"] == "hello"
        await api.make(3)  # nothing that it wants
        async with asyncio.timeout(WITHIN_S):
            while await told(opened) != {"type": "heartbeat", "seq": 3}:
                pass


async def test_each_reader_gets_what_it_asked_for_and_may_see(api: Api) -> None:
    bound = await api.new_key(Scope.READ, Scope.TRADE, accounts=["hedge"])
    async with (
        api.stream("?strategy_id=s1&kinds=order,fill") as of_strategy,
        api.stream("?order_id=b") as of_order,
        api.stream(key=bound.text) as of_account,
    ):
        streams = (of_strategy, of_order, of_account)
        for each in streams:
            assert (await told(each))["type"] == "hello"
        await api.make(1)
        for name, strategy, account in (
            ("a", "s1", "main"),
            ("b", "s2", "main"),
            ("c", "s2", "hedge"),
            ("d", "s1", "hedge"),
        ):
            await api.run(AN_ORDER, name, strategy, account)
        seen = [
            [(await told(each))["order_id"] for _ in range(count)]
            for each, count in zip(streams, (2, 1, 2), strict=True)
        ]
    assert seen == [["a", "d"], ["b"], ["c", "d"]]


async def test_a_stream_needs_a_key_that_reads_and_a_query_without_mistakes(api: Api) -> None:
    trader = await api.new_key(Scope.TRADE)
    assert await api.refused(headers={}) == (401, "UNAUTHENTICATED")
    assert await api.refused(key=new_key().text) == (401, "UNAUTHENTICATED")
    assert await api.refused(key=trader.text) == (403, "FORBIDDEN_SCOPE")
    assert await api.refused("?colour=red") == (422, "UNKNOWN_FIELD")
    assert await api.refused("?kinds=fill,dreams") == (422, "UNKNOWN_ENUM")
    assert await api.refused("?since=yesterday") == (422, "INVALID_TYPE")
    assert await api.refused("?order_id=%00") == (422, "ILLEGAL_CHARS")
    assert await api.refused("?since=1&since=2") == (400, "DUPLICATE_FIELD")


async def test_a_browser_reads_only_from_our_own_pages(api: Api) -> None:
    key, engine = await api.new_key(Scope.READ), open_engine(as_engine(api.url), pool_size=1)
    await KeyStore(engine).sign_in(key.key_id, "browser", "token", peer="127.0.0.1")
    cookie = {"Cookie": f"{COOKIE}=token"}
    own = cookie | {"Origin": f"http://127.0.0.1:{api.port}"}
    for foreign in (cookie, cookie | {"Origin": "http://evil.example"}):
        assert await api.refused(headers=foreign) == (401, "UNAUTHENTICATED")
    async with api.stream(headers=own) as opened:
        assert (await told(opened))["type"] == "hello"
        await KeyStore(engine).sign_out("token", peer="127.0.0.1")
        async with asyncio.timeout(2):  # though the key is still good
            assert (await closed(opened))[0] == POLICY
    await engine.dispose()


async def test_a_key_has_only_so_many_streams_and_so_has_the_process(api: Api) -> None:
    api.app.state.streams = OpenStreams(  # type: ignore[attr-defined] # set by the fixture
        api.app.state.connections,  # type: ignore[attr-defined] # likewise
        max_streams=3,
        max_of_key=2,
    )
    other, third = [(await api.new_key(Scope.READ)).text for _ in range(2)]
    async with AsyncExitStack() as opened:
        for key in (api.key, api.key, other):
            await told(await opened.enter_async_context(api.stream(key=key)))
        assert await api.refused() == (429, "RATE_LIMITED")
        assert await api.refused(key=third) == (429, "RATE_LIMITED")
    async with asyncio.timeout(WITHIN_S):
        while api.app.state.streams._open:  # type: ignore[attr-defined] # likewise
            await asyncio.sleep(0.01)
    async with api.stream(key=third) as room:
        assert (await told(room))["type"] == "hello"


async def test_a_number_that_is_not_kept_ends_the_stream_with_its_code(api: Api) -> None:
    await api.make(3)
    await api.run("DELETE FROM events WHERE seq < 3")
    async with api.stream("?since=1") as opened:
        code, messages = await closed(opened)
    assert code == stream.GONE
    assert [(each["type"], each["code"]) for each in messages] == [("error", "SEQUENCE_GONE")]


async def test_a_stream_ends_within_two_seconds_of_its_key(api: Api) -> None:
    key = await api.new_key(Scope.READ)
    async with api.stream(key=key.text) as opened, api.stream() as other:
        await told(opened)
        await told(other)
        await api.revoke(key)
        async with asyncio.timeout(2):
            code, _ = await closed(opened)
        assert code == 1008
        await api.make(1)
        assert (await told(other))["seq"] == 1


async def test_a_stream_takes_no_messages(api: Api) -> None:
    async with api.stream() as opened:
        await opened.send("buy")
        code, messages = await closed(opened)
    assert (code, messages[-1]["code"]) == (1008, "BAD_REQUEST")


async def test_a_reader_that_does_not_read_is_let_go_and_costs_the_others_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_WITHIN_S", 0.5)
    async with (
        api.stream("?since=0", max_queue=1, compression=None) as stuck,
        api.stream("?since=0") as quick,
    ):
        await told(quick)
        reading = asyncio.create_task(numbers(quick, 300))
        await api.make(300, 60_000)  # more than the sockets between take
        assert await reading == [*range(1, 301)]
        await asyncio.sleep(1)  # it is given up meanwhile; it hears of it once it reads
        code, messages = await closed(stuck)
    assert code == 1013
    seen = [each["seq"] for each in messages[1:]]
    assert seen == [*range(1, len(seen) + 1)]
    assert len(seen) < 300
    async with api.stream(f"?since={seen[-1]}") as again:
        assert (await told(again))["type"] == "hello"
        assert await numbers(again, 300) == [*range(len(seen) + 1, 301)]


async def test_an_api_that_stops_says_that_it_goes(api: Api) -> None:
    async with api.stream() as opened:
        await told(opened)
        api.server.should_exit = True  # type: ignore[attr-defined] # set by the fixture
        assert (await closed(opened))[0] == 1001


async def test_polling_tells_the_same(api: Api) -> None:
    await api.make(3)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{api.port}/api/v1",
        headers={"Authorization": f"Bearer {api.key}"},
        trust_env=False,
    ) as client:
        async with api.stream("?since=0") as opened:
            await told(opened)
            streamed = [await told(opened) for _ in range(3)]
        first = (await client.get("/events", params={"since": 0, "limit": 2})).json()
        rest = (await client.get("/events", params={"since": first["seq"]})).json()
        assert [each | {"type": "event"} for each in first["events"] + rest["events"]] == streamed
        assert (rest["seq"], rest["oldest"], rest["head"]) == (3, 1, 3)
        gone = await client.get("/events", params={"since": 9})
        assert (gone.status_code, gone.json()["code"]) == (410, "SEQUENCE_GONE")


async def test_readers_of_a_killed_api_go_on_at_another_without_loss_or_repetition(
    database_url: str, tmp_path: Path
) -> None:
    """Three readers over two processes; one process is killed while events are made."""
    api = Api(database_url, tmp_path)
    api.key = (await api.new_key(Scope.READ)).text
    total, at_once = 600, 20
    processes = [_api_process(database_url, tmp_path / str(n)) for n in range(2)]
    try:
        ports = [port for port, _ in processes]
        await asyncio.gather(*(_until_alive(port) for port in ports))
        async with asyncio.timeout(60):
            reading = [
                asyncio.create_task(_follow(api, ports[n % 2 :] + ports[: n % 2], total))
                for n in range(3)
            ]
            for turn in range(total // at_once):
                await api.make(at_once)
                if turn == 10:
                    os.kill(processes[0][1].pid, signal.SIGKILL)
            seen = await asyncio.gather(*reading)
    finally:
        for _, process in processes:
            process.kill()
            process.wait(10)
    for events, _ in seen:
        assert events == [*range(1, total + 1)]
    assert [changes > 0 for _, changes in seen] == [True, False, True]


async def _follow(api: Api, ports: list[int], last: int) -> tuple[list[int], int]:
    """A reader as a user would write it: on any loss it goes on elsewhere after what it saw."""
    seen, changes = [0], 0
    while seen[-1] < last:
        try:
            port = ports[changes % len(ports)]
            async with api.stream(f"?since={seen[-1]}", port=port) as opened:
                async for text in opened:
                    message = json.loads(text)
                    if message["type"] == "event":
                        seen.append(message["seq"])
                    if seen[-1] >= last:
                        break
        except (OSError, ConnectionClosed):
            pass
        changes += seen[-1] < last
    return seen[1:], changes


def _api_process(database_url: str, home: Path) -> "tuple[int, subprocess.Popen[bytes]]":
    port = free_ports(1)
    home.mkdir()
    changes = {
        "DATABASE_URL": as_engine(database_url),
        "DELTA_HOME": str(home),
        "API_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "starters", "api"],
        env=os.environ | changes,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return port, process


async def _until_alive(port: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/health/live")
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return
