"""How the tests of keys reach a ledger and the API in-process: keys made, calls with them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from activities.ledger.key_store import KeyStore
from activities.ledger.key_text import KeyText, new_key
from tests.integration.ledger_world import World
from workflows.domain.access import Scope

SIGNED_IN = "/api/v1/alarms"


async def made(ledger: World, name: str = "desk-1", *scopes: Scope, days: int = 90) -> KeyText:
    """A key that the ledger knows."""
    key = new_key()
    store = KeyStore(ledger.engine)
    assert await store.create(key, name, scopes or tuple(Scope), days=days, by="ann") is None
    return key


async def trail(ledger: World) -> list[tuple[str, str, str]]:
    rows = await ledger.rows("SELECT who, action, object FROM audit ORDER BY id")
    return [(row["who"], row["action"], row["object"]) for row in rows]


@asynccontextmanager
async def a_client(app: FastAPI, peer: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


def bearer(key: KeyText) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.text}"}
