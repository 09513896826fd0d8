"""What somebody with a key, or without, may try against the ledger behind the API, and what is left
of it in the audit trail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from activities.ledger.key_text import new_key
from activities.ledger.results import TradingState
from activities.ledger.state_store import Setting, StateStore
from starters.api.app import create_app
from starters.connections import Connections
from starters.dashboard import trading, who
from starters.dashboard.actions import RefusedError
from tests.integration.access_calls import SIGNED_IN, a_client, bearer, made, trail
from tests.integration.ledger_world import World
from workers.settings import Settings, load_settings
from workflows.domain.access import Caller, Scope
from workflows.domain.scopes import Scope as SwitchScope
from workflows.domain.scopes import parse_scope

GOOD = 200


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    found = load_settings({"DELTA_HOME": str(tmp_path / "home"), "DATABASE_URL": database_url})
    found.home.make()
    return found


@pytest.fixture
async def connections(settings: Settings) -> AsyncIterator[Connections]:
    opened = Connections(settings)
    yield opened
    await opened.close()


def parsed(text: str) -> SwitchScope:
    scope = parse_scope(text)
    assert isinstance(scope, SwitchScope)
    return scope


async def test_a_kill_key_does_not_let_what_is_halted_reduce(
    settings: Settings, ledger: World, connections: Connections
) -> None:
    stopper, admin = await made(ledger, "a", Scope.KILL), await made(ledger, "b", Scope.ADMIN)
    halt = Setting(state=TradingState.HALTED, reason="wrong prices", by="ann")
    await StateStore(ledger.engine).set(parsed("strategy:s1"), halt)
    app, url = create_app(settings, connections), "/api/v1/trading-state"
    asked = {"state": "reducing", "scope": "strategy:s1", "reason": "a way around"}
    async with a_client(app) as client:
        refused = await client.put(url, headers=bearer(stopper), json=asked)
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN_SCOPE")
        other = await client.put(
            url, headers=bearer(stopper), json={**asked, "scope": "strategy:s2"}
        )
        assert other.status_code == GOOD
        board: Any = SimpleNamespace(connections=connections)
        caller = await connections.callers.of_key(stopper.text, "127.0.0.1")
        with pytest.raises(RefusedError, match="halted"):
            await trading.reduce(board, "strategy:s1").do(caller, "a way around")
        assert (await client.put(url, headers=bearer(admin), json=asked)).status_code == GOOD


async def test_who_tries_ever_new_ids_fills_no_trail(settings: Settings, ledger: World) -> None:
    app = create_app(settings)
    async with a_client(app) as client:
        for _ in range(40):
            await client.get(SIGNED_IN, headers=bearer(new_key()))
        await app.state.connections.close()
    told = [each[1] for each in await trail(ledger)]
    assert told == ["authentication_failed"] * 4 + ["lock_out"] * 1


async def test_a_text_that_the_database_refuses_takes_no_other_row_with_it(
    connections: Connections, ledger: World
) -> None:
    caller = Caller(key_id="k", name="desk-1", scopes=frozenset(Scope))
    reasons = ["fine", "\x00", "\ud800", "two\r\nlines \x1b[31m", "x" * 100_000, new_key().text]
    await asyncio.gather(
        *(who.tell(connections, caller, "halt", "global", {"reason": each}) for each in reasons)
    )
    rows = await ledger.rows("SELECT after->>'reason' AS reason FROM audit ORDER BY id")
    kept = [row["reason"] for row in rows]
    assert kept == [
        "fine",
        "\\x00",
        "\\ud800",
        "two\\r\\nlines \\x1b[31m",
        "x" * 500,
        "(a key)",
    ]
