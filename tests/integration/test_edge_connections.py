"""The server's own connections: slow, huge or broken ones end, the others never notice."""

import asyncio
import contextlib
import json
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from starters.api.protocol import EdgeProtocol
from starters.api.server import configure
from tests.integration.edge_servers import app_of, served, settings_of
from workers.settings import SettingsError

SLOW_CLIENTS = 500
HEAD = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Hasty(EdgeProtocol):
    """Waits a tenth of what it waits in earnest."""

    header_wait_s = 1.0
    body_wait_s = 1.2


@pytest.fixture(autouse=True)
def short_body_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starters.api.bodies.READ_WAIT_S", 1.0)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def heard(reader: asyncio.StreamReader, within_s: float = 10) -> bytes:
    """Everything until the server closes."""
    whole = b""
    async with asyncio.timeout(within_s):
        with contextlib.suppress(ConnectionResetError):  # what came before it counts
            while block := await reader.read(65_536):
                whole += block
    return whole


async def said(port: int, text: bytes) -> bytes:
    reader, writer = await connect(port)
    writer.write(text)
    try:
        return await heard(reader)
    finally:
        writer.close()


def answer_in(raw: bytes) -> tuple[int, str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


async def drip(port: int, text: bytes, pause_s: float = 0.1) -> tuple[float, bytes]:
    """One byte after the other until the server closes: how long that took, and what it said."""
    reader, writer = await connect(port)
    started = time.monotonic()
    listening = asyncio.create_task(heard(reader, 20))
    for byte in text:
        if listening.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(pause_s)
    try:
        return time.monotonic() - started, await listening
    finally:
        writer.close()


async def test_clients_that_send_a_byte_now_and_then_are_let_go_while_others_are_served() -> None:
    settings = settings_of()
    async with served(app_of(settings), settings, Hasty) as (_server, port):
        url = f"http://127.0.0.1:{port}"
        dripping = [
            asyncio.create_task(drip(port, HEAD + b"X-Slow: " + b"s" * 300, 0.25))
            for _ in range(SLOW_CLIENTS)
        ]
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
            answers = 0
            while not all(each.done() for each in dripping):
                assert (await client.get("/who")).status_code == 200
                answers += 1
        took = [(await each)[0] for each in dripping]
    assert answers > 10
    # a second in earnest is a tenth here; the rest is this machine's
    assert min(took) > Hasty.header_wait_s * 0.5
    assert max(took) < Hasty.header_wait_s + 8
    assert {(await each)[1][9:12] for each in dripping} == {b"408"}


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    settings = settings_of()
    async with served(app_of(settings), settings, Hasty) as (_server, port):
        assert await said(port, b"") == b""


async def test_a_slow_body_is_told_so_and_closed() -> None:
    settings = settings_of()
    async with served(app_of(settings), settings, Hasty) as (_server, port):
        took, raw = await drip(port, HEAD + b"Content-Length: 400\r\n\r\n" + b" " * 400, 0.004)
        assert took < 10
        assert answer_in(raw) == (408, "TIMEOUT")


async def test_a_body_that_nobody_reads_cannot_keep_a_connection() -> None:
    settings = settings_of()
    async with served(app_of(settings), settings, Hasty) as (server, port):
        reader, writer = await connect(port)
        writer.write(b"GET /who HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        deadline = time.monotonic() + 10
        while server.server_state.connections:
            assert time.monotonic() < deadline
            writer.write(b"x")
            await asyncio.sleep(0.1)
        writer.close()


async def test_a_connection_is_used_again_also_for_requests_that_were_sent_ahead() -> None:
    settings = settings_of()
    ask = b"GET /who HTTP/1.1\r\nHost: localhost\r\n"
    async with served(app_of(settings), settings, Hasty) as (_server, port):
        raw = await said(port, (ask + b"\r\n") * 4 + ask + b"Connection: close\r\n\r\n")
        assert raw.count(b"200 OK") == 5
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(3):
                assert (await client.get("/who")).status_code == 200
                await asyncio.sleep(0.45)  # longer than the headers may take, all in all


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (b"GET /who HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000, 431, "HEADERS_TOO_LARGE"),
        (
            b"GET /who HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
            431,
            "HEADERS_TOO_LARGE",
        ),
        (b"GET /" + b"x" * 200_000, 431, "HEADERS_TOO_LARGE"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /who HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /who HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400, "BAD_REQUEST"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "BAD_REQUEST"),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400, "BAD_REQUEST"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400, "BAD_REQUEST"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}", 400, "BAD_REQUEST"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "BAD_REQUEST"),
        (b"GET /who HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n", 400, "BAD_REQUEST"),
        (
            b"GET /who HTTP/1.1\r\nHost: localhost\r\nA: b\x00\r\n\r\n",
            400,
            "BAD_REQUEST",
        ),
    ],
)
async def test_what_is_no_http_or_too_much_of_it_is_refused_in_our_form(
    text: bytes, status: int, code: str
) -> None:
    settings = settings_of()
    async with served(app_of(settings), settings, Hasty) as (_server, port):
        assert answer_in(await said(port, text)) == (status, code)


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    class Impatient(Hasty):
        write_wait_s = 0.5

    settings, app = settings_of(), app_of(settings_of())

    @app.get("/much")
    async def much() -> str:
        return "x" * 30_000_000

    async with served(app, settings, Impatient) as (server, port):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deadline = time.monotonic() + 15
        while not server.server_state.connections:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        while server.server_state.connections:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        writer.close()


async def test_the_end_lets_requests_finish_and_tells_streams_that_we_go_away() -> None:
    settings = settings_of()
    app = app_of(settings)
    async with (
        served(app, settings) as (server, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
        websockets.connect(f"ws://127.0.0.1:{port}/stream", proxy=None) as stream,
    ):
        assert await stream.recv() == "hello"
        running = asyncio.create_task(client.get("/slow"))
        deadline = time.monotonic() + 10
        while len(server.server_state.tasks) < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        server.should_exit = True
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(stream.recv(), 10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        app.state.go_on.set()
        assert (await running).status_code == 200


async def test_a_stream_passes_the_same_edge() -> None:
    settings = settings_of()
    async with served(app_of(settings), settings) as (_server, port):
        here = {"host": "127.0.0.1", "port": port, "proxy": None}
        async with websockets.connect("ws://localhost/stream", **here) as stream:
            assert await stream.recv() == "hello"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect("ws://evil.example/stream", **here)
        answer = refused.value.response
        assert (answer.status_code, json.loads(answer.body or b"")["field"]) == (400, "Host")


def certificate(folder: Path) -> dict[str, str]:
    """A certificate for localhost that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    texts = {
        "API_TLS_CERT_PATH": made.public_bytes(pem),
        "API_TLS_KEY_PATH": key.private_bytes(pem, private, serialization.NoEncryption()),
    }
    for variable, text in texts.items():
        path = folder / variable
        path.write_bytes(text)
        path.chmod(0o600)
    return {variable: str(folder / variable) for variable in texts}


async def test_with_a_certificate_of_its_own_the_api_speaks_tls_and_nothing_else(
    tmp_path: Path,
) -> None:
    files = certificate(tmp_path)
    settings = settings_of(**files)
    trusting = ssl.create_default_context(cafile=files["API_TLS_CERT_PATH"])
    async with served(app_of(settings), settings) as (_server, port):
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            answer = await client.get(f"https://localhost:{port}/who")
            assert answer.json() == {"client": "127.0.0.1", "scheme": "https"}
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://localhost:{port}/who")


def test_what_is_no_certificate_is_refused_in_one_line(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    Path(files["API_TLS_CERT_PATH"]).write_text("nonsense")
    settings = settings_of(**files)
    with pytest.raises(SettingsError, match=r"^API_TLS_CERT_PATH: .*PEM"):
        configure(app_of(settings), settings)
