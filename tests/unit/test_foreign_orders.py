"""An order of an account that a key is not bound to (B44): answered as one that never was."""

from types import SimpleNamespace
from typing import Any

import pytest

from starters.client import OrderNotFound
from tests.unit.api_door import holder_of
from tests.unit.starters_fakes import JSON, FakeConnections, call, snapshot
from workflows.domain.access import Scope

BOUND = holder_of(*Scope, accounts=frozenset({"hedge"}))
VERDICT = {"verdict": "absent", "reason": "seen at the venue"}
ASKED: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "orders/{}", None),
    ("GET", "orders/{}/twap-progress", None),
    ("GET", "orders/{}/iceberg-progress", None),
    ("GET", "orders/{}/stop-progress", None),
    ("GET", "analytics/orders/{}", None),
    ("POST", "orders/{}/cancel", None),
    ("POST", "orders/{}/pause", {}),
    ("POST", "orders/{}/resume", {}),
    ("PATCH", "orders/{}", {"price": "49000"}),
    ("POST", "orders/{}/children/0/resolve", VERDICT),
]


async def answer(connections: FakeConnections, method: str, path: str, body: Any) -> Any:
    options = {} if body is None else {"json": body, "headers": JSON}
    told = await call(connections, method, f"/api/v1/{path.format('a')}", **options)
    headers = {name: value for name, value in told.headers.items() if name != "x-request-id"}
    return told.status_code, {**told.json(), "request_id": None}, headers


@pytest.mark.parametrize(
    ("method", "path", "body"), ASKED, ids=[f"{method} {path}" for method, path, _ in ASKED]
)
async def test_a_foreign_order_is_answered_as_one_that_never_was(
    method: str, path: str, body: Any
) -> None:
    facts = SimpleNamespace(order=SimpleNamespace(account="main"))
    foreign = FakeConnections(
        snapshot("a"), orders=[snapshot("a")], rows={"order": facts}, caller=BOUND
    )
    unknown = FakeConnections(OrderNotFound("a"), rows={"order": None}, caller=BOUND)
    told = await answer(foreign, method, path, body)
    assert (told[0], told[1]["code"]) == (404, "NOT_FOUND")
    assert told == await answer(unknown, method, path, body)
    assert foreign.asked == []


async def test_an_order_of_its_own_account_is_answered() -> None:
    own = snapshot("a", account="hedge")
    status, told, _ = await answer(
        FakeConnections(own, orders=[own], caller=BOUND), "GET", "orders/{}", None
    )
    assert (status, told["account"]) == (200, "hedge")
