"""The API in-process with fakes behind it, for the tests of who is let in."""

from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from starters.api.app import create_app
from tests.unit.access_fakes import KEY
from tests.unit.starters_fakes import FakeConnections, settings_of
from workflows.domain.access import Caller, Scope


@cache
def made() -> FastAPI:
    """Made once: that costs more than a call. Here no key asks too often."""
    return create_app(settings_of(API_TRADE_RATE="0", API_READ_RATE="0"))


def an_app(caller: Caller | None = None) -> tuple[FastAPI, FakeConnections]:
    """The app with a door that remembers nothing yet. What is let in finds everything away."""
    connections = FakeConnections(
        is_temporal_away=True, is_ledger_away=True, caller=caller or holder_of(*Scope)
    )
    made().state.connections = connections
    made().state.health = None
    return made(), connections


def holder_of(*scopes: Scope, accounts: frozenset[str] | None = None) -> Caller:
    return Caller(key_id=KEY.key_id, name="desk-2", scopes=frozenset(scopes), accounts=accounts)


async def ask(
    app: FastAPI, method: str, path: str, headers: Any, *, peer: str = "127.0.0.1", **options: Any
) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, headers=headers, **options)
