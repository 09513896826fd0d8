"""Every address of the API: nobody passes without a good key, and no key passes beyond its scopes.

What each address needs stands here a second time, so that a change of it is seen.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute

from activities.ledger.key_text import new_key
from starters.api.access import UndeclaredRouteError, routes_of
from starters.api.app import create_app
from starters.api.health import Dependency, Health, State
from starters.errors import Unavailable
from tests.unit.access_fakes import BEARER, KEY
from tests.unit.api_door import an_app, ask, holder_of
from tests.unit.execution_samples import ARBITRAGE_PLAN, REBALANCE_PLAN
from tests.unit.starters_fakes import JSON, FakeConnections, settings_of
from workflows.domain.access import Scope

READ, TRADE, ADMIN, KILL = Scope.READ, Scope.TRADE, Scope.ADMIN, Scope.KILL
PUBLIC = {"/health/live", "/health/ready"}
READ_BY_ADMINS = {"/api/v1/audit"}
CHANGES: dict[str, set[Scope]] = {
    "POST /api/v1/orders": {TRADE},
    "POST /api/v1/orders/preview": {READ, TRADE},
    "POST /api/v1/orders/cancel-all": {TRADE, KILL},
    "PATCH /api/v1/orders/{order_id}": {TRADE},
    "POST /api/v1/orders/{order_id}/pause": {TRADE},
    "POST /api/v1/orders/{order_id}/resume": {TRADE},
    "POST /api/v1/orders/{order_id}/cancel": {TRADE, KILL},
    "POST /api/v1/orders/{order_id}/children/{child}/resolve": {ADMIN},
    "POST /api/v1/arbitrage": {TRADE},
    "POST /api/v1/arbitrage/{execution_id}/cancel": {TRADE, KILL},
    "POST /api/v1/rebalance": {TRADE},
    "POST /api/v1/rebalance/{execution_id}/cancel": {TRADE, KILL},
    "POST /api/v1/positions/sync/{exchange}": {TRADE},
    "POST /api/v1/balances/{exchange}/transfers": {ADMIN},
    "POST /api/v1/alarms/{alarm_id}/ack": {TRADE, ADMIN},
    "PUT /api/v1/trading-state": {KILL, ADMIN},
    "PUT /api/v1/risk/limits": {ADMIN},
    "POST /api/v1/risk/overrides": {ADMIN},
    "POST /api/v1/risk/overrides/{override_id}/approve": {ADMIN},
    "POST /api/v1/risk/overrides/{override_id}/revoke": {ADMIN},
    "POST /api/v1/risk/rearm": {ADMIN},
}
EXAMPLES = {"exchange": "binance", "symbol": "BTC-USDT", "child": "0"}
OTHER = KEY.text[:-1] + ("B" if KEY.text[-1] == "A" else "A")
WRONG = {"Authorization": f"Bearer {new_key().text}"}
NO_GOOD_KEY: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"Authorization": ""},
    "bearer alone": {"Authorization": "Bearer"},
    "basic": {"Authorization": "Basic ZGVzazpzZWNyZXQ="},
    "without the scheme": {"Authorization": KEY.text},
    "without form": {"Authorization": "Bearer password"},
    "cut off": {"Authorization": f"Bearer {KEY.text[:-1]}"},
    "longer": {"Authorization": f"Bearer {KEY.text}A"},
    "unknown id": WRONG,
    "one character changed": {"Authorization": f"Bearer {OTHER}"},
    "as another header": {"X-Api-Key": KEY.text},
    "in a cookie": {"Cookie": f"key={KEY.text}; delta_session={KEY.text}"},
}


def addresses(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and route of the HTTP API."""
    for route in routes_of(app):
        if isinstance(route, APIRoute):
            for method in sorted(route.methods):
                yield method, route.path


def asked(template: str) -> str:
    """An address that fits the route."""
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: EXAMPLES.get(found[1], "7"), template)


def needed(method: str, path: str) -> set[Scope]:
    if method == "GET":
        return {ADMIN} if path in READ_BY_ADMINS else {READ}
    name = f"{method} {path}"
    assert name in CHANGES, f"say here which scope {name} needs"
    return CHANGES[name]


def without_id(answer: httpx.Response) -> tuple[Any, ...]:
    """All of an answer but what names the request."""
    body = {**answer.json(), "request_id": None}
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "date")
    }
    return answer.status_code, body, headers


async def test_every_address_but_the_public_ones_refuses_whoever_has_no_good_key() -> None:
    app, connections = an_app()
    seen = [each for each in addresses(app) if each[1] not in PUBLIC]
    assert len(seen) > len(CHANGES)
    for peer, (method, path) in enumerate(seen):
        for headers in ({}, WRONG):
            answer = await ask(app, method, asked(path), headers, peer=f"10.0.0.{peer}")
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), path
            assert answer.headers["www-authenticate"] == "Bearer"
    assert connections.asked == []


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_key_passes_where_its_scope_is_declared_and_nowhere_else(scope: Scope) -> None:
    app, _ = an_app(holder_of(scope))
    for method, path in addresses(app):
        answer = await ask(app, method, asked(path), BEARER)
        is_let_in = path in PUBLIC or scope in needed(method, path)
        code = answer.json().get("code") if answer.status_code == 403 else None
        assert (code != "FORBIDDEN_SCOPE") is is_let_in, f"{method} {path}: {answer.text}"
        assert answer.status_code != 401


@pytest.mark.parametrize("path", sorted(PUBLIC))
@pytest.mark.parametrize("headers", [{}, WRONG, BEARER], ids=["none", "wrong", "good"])
async def test_public_addresses_answer_everybody(path: str, headers: dict[str, str]) -> None:
    app, _ = an_app()
    answer = await ask(app, "GET", path, headers)
    assert answer.json()["status"] in ("ok", "unavailable")


@pytest.mark.parametrize("headers", NO_GOOD_KEY.values(), ids=NO_GOOD_KEY)
async def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(headers: dict[str, str]) -> None:
    app, connections = an_app()
    plain = await ask(app, "GET", "/api/v1/orders", {})
    answer = await ask(app, "GET", "/api/v1/orders", headers)
    assert without_id(answer) == without_id(plain)
    assert connections.asked == []


async def test_two_authorization_headers_are_not_one_good_one() -> None:
    app, _ = an_app()
    for second in (BEARER, WRONG):
        answer = await ask(app, "GET", "/api/v1/orders", [*BEARER.items(), *second.items()])
        assert answer.status_code in (400, 401)


async def test_nothing_is_told_of_addresses_that_do_not_exist() -> None:
    app, _ = an_app()
    plain = await ask(app, "GET", "/api/v1/orders", {})
    absent = await ask(app, "GET", "/api/v1/nothing", {})
    assert without_id(absent) == without_id(plain)
    assert (await ask(app, "GET", "/api/v1/nothing", BEARER)).status_code == 404


async def test_readiness_tells_the_public_what_is_missing_and_only_readers_why() -> None:
    app, _ = an_app(holder_of(READ))
    public = (await ask(app, "GET", "/health/ready", {})).json()
    told = (await ask(app, "GET", "/health/ready", BEARER)).json()
    assert public["dependencies"]["postgresql"] == {"status": "unavailable", "detail": ""}
    assert told["dependencies"]["postgresql"]["detail"] != ""
    assert {*public["dependencies"]} == {*told["dependencies"]} == {"temporal", "postgresql"}


def test_of_accounts_the_public_learns_whether_all_are_well_and_no_name() -> None:
    def short(*states: State) -> dict[str, Any]:
        accounts = {
            f"account:okx:desk{number}": Dependency(status=state, detail="RECONCILING")
            for number, state in enumerate(states)
        }
        found = {"temporal": Dependency(status="ok"), **accounts}
        health = Health(status="ok", dependencies=found, trading_state={"strategy:s1": "halted"})
        return health.in_short().model_dump()

    assert "desk" not in str(short("ok", "unavailable"))
    for states, wanted in (
        (("ok", "ok"), "ok"),
        (("ok", "unavailable"), "unavailable"),
        (("unavailable", "ok"), "unavailable"),
    ):
        told = short(*states)
        assert told["dependencies"]["accounts"] == {"status": wanted, "detail": ""}
        assert told["trading_state"] == {}


async def test_a_crowd_that_asks_for_readiness_costs_one_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, connections = an_app()
    questions: list[None] = []
    answers = asyncio.Event()

    async def orders() -> None:
        questions.append(None)
        await answers.wait()
        raise Unavailable("away")

    monkeypatch.setattr(connections, "orders", orders)
    crowd = [asyncio.create_task(ask(app, "GET", "/health/ready", {})) for _ in range(20)]
    for _ in range(1_000):  # until all of them wait
        await asyncio.sleep(0)
    answers.set()
    assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {503}
    assert len(questions) == 1


async def test_a_route_that_declares_no_scope_is_not_served() -> None:
    def open_door(app: FastAPI) -> None:
        app.get("/api/v1/secrets")(lambda: "all of them")

    with pytest.raises(UndeclaredRouteError, match="/api/v1/secrets"):
        create_app(settings_of(), FakeConnections(), extend=open_door)


async def test_a_stream_is_refused_without_a_key_before_it_is_accepted() -> None:
    app, _ = an_app()
    streams = [each.path for each in routes_of(app) if isinstance(each, APIWebSocketRoute)]
    assert streams
    for path in streams:
        for headers in ([], [(b"authorization", WRONG["Authorization"].encode())]):
            sent = await opened(app, path, headers)
            assert sent[0]["type"] == "websocket.http.response.start"
            assert sent[0]["status"] == 401


async def opened(app: FastAPI, path: str, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    """What a server is told by the app that a WebSocket asks."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "ws",
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return sent


# --- what a key may do in a body ------------------------------------------------------------------

SWITCH = "/api/v1/trading-state"


@pytest.mark.parametrize(
    ("scope", "body", "code"),
    [
        (KILL, {"state": "active", "scope": "global", "reason": "go on"}, "FORBIDDEN_SCOPE"),
        (KILL, {"state": "halted", "scope": "global", "flatten": True}, "FORBIDDEN_SCOPE"),
        (TRADE, {"state": "halted", "scope": "global"}, "FORBIDDEN_SCOPE"),
        (ADMIN, {"state": "halted", "scope": "planet", "flatten": True}, "UNKNOWN_ENUM"),
        (KILL, {"state": "halted", "scope": "planet"}, "UNKNOWN_ENUM"),
        (KILL, {"state": "halted", "scope": "global", "requested_by": "ceo"}, "FIELD_NOT_ALLOWED"),
    ],
)
async def test_a_kill_key_stops_trading_and_never_lets_it_go_on(
    scope: Scope, body: dict[str, Any], code: str
) -> None:
    app, _ = an_app(holder_of(scope))
    answer = await ask(app, "PUT", SWITCH, {**BEARER, **JSON}, content=json.dumps(body))
    assert answer.json()["code"] == code, answer.text


ORDER = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "1",
}
PLANS: list[tuple[str, dict[str, Any]]] = [
    ("/api/v1/orders", ORDER),
    ("/api/v1/orders/preview", ORDER),
    ("/api/v1/arbitrage", ARBITRAGE_PLAN),
    ("/api/v1/rebalance", REBALANCE_PLAN),
    (
        "/api/v1/balances/binance/transfers",
        {"asset": "USDT", "amount": "5", "reason": "deposit"},
    ),
]


@pytest.mark.parametrize(("path", "body"), PLANS, ids=[path for path, _ in PLANS])
async def test_a_key_that_is_bound_to_accounts_asks_for_no_other(
    path: str, body: dict[str, Any]
) -> None:
    app, connections = an_app(holder_of(*Scope, accounts=frozenset({"hedge"})))
    headers = {**BEARER, **JSON}
    answer = await ask(app, "POST", path, headers, content=json.dumps(body))
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_SCOPE"), answer.text
    assert answer.json()["field"] == "account"
    assert connections.asked == []
    own = json.dumps({**body, "account": "hedge"})
    answer = await ask(app, "POST", path, headers, content=own)
    assert answer.json().get("code") != "FORBIDDEN_SCOPE", answer.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", SWITCH, {"state": "halted", "scope": "strategy:s1"}),
        ("POST", "/api/v1/positions/sync/binance", None),
        ("POST", "/api/v1/risk/rearm", {"strategy_id": "s1", "reason": "mended"}),
        (
            "PUT",
            "/api/v1/risk/limits",
            {"scope": "global", "name": "max_order_value", "value": "1", "reason": "why"},
        ),
        (
            "PUT",
            "/api/v1/risk/limits",
            {
                "scope": "account:binance:main",
                "name": "max_order_value",
                "value": "1",
                "reason": "why",
            },
        ),
    ],
)
async def test_a_key_that_is_bound_to_accounts_decides_nothing_for_others(
    method: str, path: str, body: dict[str, Any] | None
) -> None:
    app, connections = an_app(holder_of(*Scope, accounts=frozenset({"hedge"})))
    sent = {} if body is None else {"content": json.dumps(body)}
    headers = {**BEARER, **JSON} if body else BEARER
    answer = await ask(app, method, path, headers, **sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_SCOPE"), answer.text
    assert connections.asked == []
