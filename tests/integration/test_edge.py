"""Who may speak to the server at all, without a network: addresses, hosts, headers, room."""

import asyncio
import time

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.edge_servers import app_of, asked, settings_of

LOCAL = "127.0.0.1"
SECURE = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}
PROXIED = {"API_TRUSTED_PROXIES": "10.0.0.5,10.0.0.6"}


def app(**environ: str) -> FastAPI:
    return app_of(settings_of(**environ))


def told(answer: httpx.Response) -> tuple[int, str, str | None]:
    body = answer.json()
    assert set(body) == {"code", "message", "field", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"], body["field"]


@pytest.mark.parametrize(
    ("peer", "is_let_in"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::7", True),
        ("10.2.0.1", False),
        ("127.0.0.1", False),
        ("fe80::1", False),
        ("no address", False),
    ],
)
async def test_only_allowed_addresses_are_answered(peer: str, is_let_in: bool) -> None:
    async with asked(app(API_ALLOWED_IPS="10.1.0.0/16, fd00::/8"), peer) as client:
        answer = await client.get("/who")
    if is_let_in:
        assert answer.status_code == 200
    else:
        assert told(answer) == (403, "FORBIDDEN_ADDRESS", None)


async def test_this_machine_may_always_ask_whether_it_lives_but_nobody_in_its_name() -> None:
    narrow = app(API_ALLOWED_IPS="10.1.2.3")
    async with asked(narrow) as own, asked(narrow, "10.9.9.9") as foreign:
        assert (await own.get("/health/live")).status_code == 200
        assert (await own.get("/who")).status_code == 403
        assert (await foreign.get("/health/live")).status_code == 403
        proxied = await own.get("/health/live", headers={"X-Forwarded-For": "10.9.9.9"})
        assert proxied.status_code == 403


@pytest.mark.parametrize(
    ("peer", "headers", "client", "scheme"),
    [
        ("10.0.0.5", SECURE, "1.2.3.4", "https"),
        ("10.0.0.5", {"X-Forwarded-For": "6.6.6.6, 1.2.3.4, 10.0.0.6"}, "1.2.3.4", "http"),
        ("10.0.0.5", {}, "10.0.0.5", "http"),
        ("10.0.0.7", SECURE, "10.0.0.7", "http"),
        ("10.0.0.5", {"X-Forwarded-Proto": "gopher"}, "10.0.0.5", "http"),
    ],
)
async def test_only_a_named_proxy_is_believed_and_only_about_the_hop_before_it(
    peer: str, headers: dict[str, str], client: str, scheme: str
) -> None:
    async with asked(app(**PROXIED), peer) as http:
        assert (await http.get("/who", headers=headers)).json() == {
            "client": client,
            "scheme": scheme,
        }


async def test_an_allowed_address_is_that_of_the_client_and_not_of_its_proxy() -> None:
    narrow = app(**PROXIED, API_ALLOWED_IPS="1.2.3.4")
    async with asked(narrow, "10.0.0.5") as proxy, asked(narrow, "1.2.3.4") as direct:
        for forwarded, status in (("1.2.3.4", 200), ("1.2.3.5", 403), ("1.2.3.4, 6.6.6.6", 403)):
            answer = await proxy.get("/who", headers={"X-Forwarded-For": forwarded})
            assert answer.status_code == status
        assert (await direct.get("/who", headers={"X-Forwarded-For": "9.9.9.9"})).status_code == 200
        bad = await proxy.get("/who", headers={"X-Forwarded-For": "somebody"})
        assert told(bad) == (400, "BAD_REQUEST", "X-Forwarded-For")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8003", "localhost", "LOCALHOST:1", "[::1]:8003", "10.1.1.1"]
)
async def test_names_of_this_machine_and_plain_addresses_are_hosts(host: str) -> None:
    async with asked(app()) as client:
        assert (await client.get("/who", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "a:b"]
)
async def test_a_foreign_host_name_is_refused_since_it_may_be_rebound(host: str) -> None:
    async with asked(app()) as client:
        answer = await client.get("/who", headers={"Host": host})
    assert told(answer) == (400, "BAD_REQUEST", "Host")


async def test_where_hosts_are_named_no_other_counts_but_this_machine() -> None:
    named = app(API_ALLOWED_HOSTS="desk.example")
    expected = {"desk.example:443": 200, "Desk.Example": 200, "localhost": 200, "10.1.1.1": 400}
    async with asked(named) as client:
        for host, status in expected.items():
            assert (await client.get("/who", headers={"Host": host})).status_code == status


@pytest.mark.parametrize(
    "name", ["Host", "Authorization", "Content-Type", "Content-Length", "Origin"]
)
async def test_a_header_that_must_be_single_may_not_repeat(name: str) -> None:
    value = {"Host": LOCAL, "Content-Length": "0"}.get(name, "x")
    async with asked(app()) as client:
        request = client.build_request("GET", "/who", headers=[(name, value), (name, value)])
        answer = await client.send(request)
    assert told(answer) == (400, "BAD_REQUEST", name)


async def test_a_body_whose_length_is_given_in_two_ways_is_refused() -> None:
    headers = {"Content-Length": "2", "Transfer-Encoding": "chunked"}
    async with asked(app()) as client:
        answer = await client.post("/body", content=b"{}", headers=headers)
    assert told(answer) == (400, "BAD_REQUEST", "Content-Length")


async def test_address_and_headers_have_at_most_16_kb_together() -> None:
    async with asked(app()) as client:
        for size, status in ((15_000, 200), (16_500, 431)):
            in_header = await client.get("/who", headers={"X-Padding": "x" * size})
            in_query = await client.get("/who", params={"padding": "x" * size})
            assert [in_header.status_code, in_query.status_code] == [status, status]
        assert told(in_header) == (431, "HEADERS_TOO_LARGE", None)


async def test_too_many_requests_at_once_are_told_to_come_back_and_the_others_go_on() -> None:
    crowded = app_of(settings_of(), max_requests=3)
    async with asked(crowded) as client:
        running = [asyncio.create_task(client.get("/slow")) for _ in range(3)]
        deadline = time.monotonic() + 10
        while (refused := await client.get("/who")).status_code == 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert told(refused) == (503, "UNAVAILABLE", None)
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/health/live")).status_code == 200
        crowded.state.go_on.set()
        assert [answer.status_code for answer in await asyncio.gather(*running)] == [200] * 3
        assert (await client.get("/who")).status_code == 200


async def test_no_page_of_another_origin_may_call_unless_its_origin_is_listed() -> None:
    origins = ("https://desk.example", "https://other.example")
    preflight = {"Access-Control-Request-Method": "POST"}
    for listed in (None, origins[0]):
        guarded = app(**({} if listed is None else {"API_CORS_ORIGINS": listed}))
        async with asked(guarded) as client:
            for origin in origins:
                asks = await client.options("/body", headers={"Origin": origin, **preflight})
                got = await client.get("/who", headers={"Origin": origin})
                allowed = [each.headers.get("access-control-allow-origin") for each in (asks, got)]
                assert allowed == ([origin] * 2 if origin == listed else [None] * 2)
                assert "access-control-allow-credentials" not in got.headers
