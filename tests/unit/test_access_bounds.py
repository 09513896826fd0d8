"""What a key with every scope may still not do: what others own, and more than its share."""

import asyncio
import json
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute

from activities.ledger.key_text import new_key
from starters import keys
from starters.api.access import UndeclaredRouteError, needs
from starters.api.app import create_app
from starters.api.bodies import KEY_HEADER, id_of_key
from starters.api.gate import MAX_OF_KEY
from starters.callers import LockedOut, LockOut
from starters.dashboard import trading
from starters.dashboard.actions import RefusedError
from tests.unit.access_fakes import BEARER, KEY
from tests.unit.api_door import an_app, ask, holder_of
from tests.unit.starters_fakes import JSON, FakeConnections, settings_of
from workflows.domain.access import Scope
from workflows.domain.denials import Denied

BOUND = holder_of(*Scope, accounts=frozenset({"hedge"}))
ORDER = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "1",
}


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/api/v1/audit",
        "/api/v1/risk/strategies",
        "/api/v1/risk/limits?exchange=binance&account=main",
        "/api/v1/balances/binance?account=main",
    ],
)
async def test_a_key_that_is_bound_to_accounts_is_told_nothing_of_others(path: str) -> None:
    app, _ = an_app(BOUND)
    answer = await ask(app, "GET", path, BEARER)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_SCOPE"), answer.text
    app, _ = an_app()
    assert (await ask(app, "GET", path, BEARER)).status_code == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("switch", [trading.halt, trading.reduce, trading.resume])
async def test_a_key_that_is_bound_to_accounts_sets_no_kill_switch_from_a_page(switch: Any) -> None:
    board: Any = SimpleNamespace()  # whatever was asked of it would fail
    with pytest.raises(RefusedError, match="bound"):
        await switch(board).do(BOUND, "why")


async def test_an_id_that_stands_for_an_idempotency_key_is_not_given_without_it() -> None:
    app, connections = an_app()
    other, own = id_of_key("monday", "another"), id_of_key("monday", holder_of().name)
    for order_id, headers in ((other, {}), (other, {KEY_HEADER: "monday"}), (own, {})):
        body = json.dumps({**ORDER, "order_id": order_id})
        answer = await ask(
            app, "POST", "/api/v1/orders", {**BEARER, **JSON, **headers}, content=body
        )
        assert answer.json()["code"] == "FIELD_NOT_ALLOWED", answer.text
    assert connections.asked == []
    body = json.dumps({**ORDER, "order_id": own})
    headers = {**BEARER, **JSON, KEY_HEADER: "monday"}
    answer = await ask(app, "POST", "/api/v1/orders", headers, content=body)
    assert (answer.json()["code"], answer.headers["X-Order-Id"]) == ("UNAVAILABLE", own)


async def test_a_key_in_the_request_id_is_not_kept() -> None:
    app, _ = an_app()
    answer = await ask(app, "GET", "/health/live", {"X-Request-Id": KEY.text})
    assert KEY.secret not in answer.headers["X-Request-Id"]


async def test_one_key_has_at_most_its_share_of_requests_in_progress() -> None:
    go_on, inside = asyncio.Event(), 0

    def add(app: FastAPI) -> None:
        @app.get("/slow", dependencies=[Depends(needs(Scope.READ))])
        async def slow() -> str:
            nonlocal inside
            inside += 1
            await go_on.wait()
            return "done"

    connections = FakeConnections(caller=holder_of(*Scope))
    settings = settings_of(API_TRADE_RATE="0", API_READ_RATE="0")
    app = create_app(settings, connections, extend=add)
    asked = [asyncio.create_task(ask(app, "GET", "/slow", BEARER)) for _ in range(MAX_OF_KEY)]
    try:
        async with asyncio.timeout(10):
            while inside < MAX_OF_KEY:
                await asyncio.sleep(0.01)
        refused = await ask(app, "GET", "/slow", BEARER)
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert "Retry-After" in refused.headers
        assert (await ask(app, "GET", "/health/live", {})).status_code == HTTPStatus.OK
    finally:
        go_on.set()
        done = await asyncio.gather(*asked)
    assert {each.status_code for each in done} == {HTTPStatus.OK}
    assert (await ask(app, "GET", "/slow", BEARER)).status_code == HTTPStatus.OK


def test_what_is_no_route_of_ours_is_not_served_behind_the_gate() -> None:
    async def page(_request: object) -> PlainTextResponse:
        return PlainTextResponse("all of them")

    for add in (
        lambda app: app.mount("/files", page),
        lambda app: app.add_route("/secrets", page),
        lambda app: app.router.routes.append(WebSocketRoute("/secrets", page)),
    ):
        with pytest.raises(UndeclaredRouteError):
            create_app(settings_of(), FakeConnections(), extend=add)


@pytest.mark.parametrize("name", ["engine", "unauthenticated"])
def test_no_key_has_a_name_that_the_audit_trail_has_for_somebody_else(name: str) -> None:
    denied = keys.validate_key_request({"name": name, "scopes": ["read"]})
    assert isinstance(denied, Denied)
    assert denied.field == "name"


def test_a_good_key_goes_on_whatever_else_its_address_tries() -> None:
    door = LockOut(lambda: 0.0)
    for _ in range(50):
        assert door.failed("10.0.0.1", new_key().key_id) is not None
    with pytest.raises(LockedOut):
        raise door.failed("10.0.0.1", "tried000")
    door.check("10.0.0.1", KEY.key_id)
    door.check("10.0.0.2", "tried000")
