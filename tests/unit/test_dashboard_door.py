"""The dashboard's door: who gets a page, a socket, neither; and what every answer forbids."""

import re
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from starters.dashboard.door import MAX_PAGES, Door, owns
from starters.dashboard.sign_in import SignIn
from starters.errors import Unavailable
from workflows.domain.access import Caller, Scope

BASE = "http://127.0.0.1:8003"
READER = Caller(key_id="reader00", name="reader", scopes=frozenset({Scope.READ}))
KILLER = Caller(key_id="killer00", name="killer", scopes=frozenset({Scope.KILL}))
PAGE = "<html><head><script>one()</script><script defer src=x></script></head><body></body></html>"


class Callers:
    """Sessions by their tokens."""

    def __init__(self) -> None:
        self.is_away = False

    async def of_token(self, token: str) -> Caller | None:
        if self.is_away:
            raise Unavailable("the ledger does not answer")
        return {"good": READER, "killer": KILLER}.get(token)


class Rig:
    """The door between an API and the pages."""

    def __init__(self, key: str | None = None) -> None:
        self.open_pages = 0
        self.callers = Callers()
        connections: Any = SimpleNamespace(callers=self.callers)
        settings: Any = SimpleNamespace(
            api_host="127.0.0.1",
            database_url=None,
            exchanges=("binance",),
            home=SimpleNamespace(api_key=lambda: key),
            temporal_target="127.0.0.1:7233",
            api_trusted_proxies=(),
            accounts=lambda _exchange: (),
        )

        async def page(_request: object) -> HTMLResponse:
            return HTMLResponse(PAGE)

        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close()

        async def api(_request: object) -> PlainTextResponse:
            return PlainTextResponse("the API")

        pages = Starlette(
            routes=[
                *SignIn(connections).routes(),
                WebSocketRoute("/_nicegui_ws/{rest:path}", socket),
                Route("/{rest:path}", page),
            ]
        )
        inner = Starlette(routes=[Route("/{rest:path}", api)])
        self.door = Door(inner, pages, settings, connections, lambda: self.open_pages)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.door), base_url=BASE, trust_env=False
        )

    async def get(self, path: str, token: str = "") -> httpx.Response:
        headers = {"Cookie": f"delta_session={token}"} if token else {}
        return await self.client.get(path, headers=headers)

    async def open_socket(self, headers: dict[str, str]) -> str:
        """The first thing that a browser hears which opens a socket."""
        raw = {"host": BASE.partition("//")[2], **headers}
        scope = {
            "type": "websocket",
            "path": "/_nicegui_ws/socket.io/",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in raw.items()],
            "client": ("127.0.0.1", 1),
            "scheme": "ws",
        }
        heard: list[str] = []

        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            heard.append(message["type"])

        await self.door(scope, receive, send)
        return heard[0]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    "path",
    ["/api/v1/orders", "/health", "/metrics", "/docs", "/openapi.json", "/orders", "/alarms/1/x"],
)
async def test_what_is_not_the_dashboards_goes_to_the_api(rig, path):
    assert not owns(path)
    assert (await rig.get(path)).text == "the API"


async def test_without_a_session_a_page_asks_to_sign_in_and_remembers_where_to_go(rig):
    answer = await rig.get("/orders/o-1?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Forders%2Fo-1%3Fx%3D1"


async def test_a_session_gets_the_page_whose_own_scripts_alone_may_run(rig):
    answer = await rig.get("/", token="good")
    nonce = re.search(r"'nonce-([^']+)'", answer.headers["content-security-policy"])
    assert nonce is not None
    assert answer.text.count(f'<script nonce="{nonce[1]}"') == 2
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert (
        "unsafe-inline"
        not in re.search(r"script-src[^;]*", answer.headers["content-security-policy"]).group()
    )
    assert (await rig.get("/", token="good")).text != answer.text


async def test_a_key_that_may_not_read_sees_no_page(rig):
    answer = await rig.get("/", token="killer")
    assert (answer.status_code, "no scope read" in answer.text) == (403, True)


async def test_so_many_pages_and_no_more_are_open(rig):
    rig.open_pages = MAX_PAGES
    answer = await rig.get("/", token="good")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


async def test_a_ledger_that_does_not_answer_lets_nobody_in(rig):
    rig.callers.is_away = True
    assert (await rig.get("/", token="good")).status_code == 503


@pytest.mark.parametrize(
    ("token", "origin"),
    [("", BASE), ("bad", BASE), ("good", "http://evil.example"), ("good", None)],
    ids=["no session", "bad session", "foreign page", "no origin"],
)
async def test_a_socket_needs_a_session_and_our_own_page(rig, token, origin):
    headers = {"Cookie": f"delta_session={token}"} | ({"Origin": origin} if origin else {})
    assert await rig.open_socket(headers) == "websocket.close"


async def test_a_socket_of_our_own_page_with_a_session_is_opened(rig):
    headers = {"Cookie": "delta_session=good", "Origin": BASE}
    assert await rig.open_socket(headers) == "websocket.accept"


async def test_the_socket_is_no_page(rig):
    answer = await rig.get("/_nicegui_ws/socket.io/?transport=polling", token="good")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "onward", ["//evil.example", "http://evil.example/", "/\\evil.example", "/api/v1/orders", "x"]
)
async def test_signing_in_leads_on_to_pages_of_ours_only(rig, onward):
    form = await rig.client.get("/login", params={"next": onward})
    assert 'name="next" value="/"' in form.text


async def test_what_somebody_puts_into_the_address_is_text_in_the_form(rig):
    form = await rig.client.get("/login", params={"next": '/orders/"><script>x()</script>'})
    assert "<script" not in form.text


@pytest.mark.parametrize("path", ["/login", "/logout"])
async def test_forms_of_foreign_pages_are_not_taken(rig, path):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {}):
        answer = await rig.client.post(path, data={"key": "ek_x"}, headers=headers)
        assert answer.status_code == 403


async def test_a_form_that_is_too_long_is_not_read(rig):
    answer = await rig.client.post("/login", data={"key": "x" * 10_000}, headers={"Origin": BASE})
    assert answer.status_code == 403


@pytest.mark.parametrize("address", ["http://[", "//[", "/\t/evil.example"])
async def test_what_is_no_address_leads_to_the_first_page(rig, address):
    form = await rig.client.get("/login", params={"next": address})
    assert (form.status_code, 'name="next" value="/"' in form.text) == (200, True)
    theme = await rig.client.get("/theme", params={"to": "dark", "next": address})
    assert (theme.status_code, theme.headers["location"]) == (303, "/")


async def test_an_origin_that_is_none_is_a_foreign_one(rig):
    answer = await rig.client.post("/login", data={"key": "x"}, headers={"Origin": "http://["})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({}, True),
        ({"Sec-Fetch-Dest": "document"}, True),
        ({"Sec-Fetch-Dest": "image"}, False),
        ({"Sec-Fetch-Dest": "iframe"}, False),
        ({"X-Forwarded-For": "203.0.113.9"}, False),
        ({"Forwarded": "for=203.0.113.9"}, False),
        ({"Via": "1.1 proxy"}, False),
    ],
)
async def test_a_page_signs_in_by_itself_for_a_visit_from_this_machine_only(
    monkeypatch, headers, may
):
    signed_in = []

    async def sign_in(_connections, key, peer):
        signed_in.append((key, peer))
        return "good"

    monkeypatch.setattr("starters.dashboard.door.sign_in", sign_in)
    rig = Rig(key="ek_local")
    answer = await rig.client.get("/", headers=headers)
    assert (answer.status_code == 200) is may
    assert (signed_in == [("ek_local", "127.0.0.1")]) is may
    assert ("delta_session=good" in answer.headers.get("set-cookie", "")) is may
