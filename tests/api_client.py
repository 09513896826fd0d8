"""How tests reach the HTTP API of a stack: with its local key."""

from typing import Any

import httpx

from workers.settings import Settings

UNLIMITED = {"API_READ_RATE": "0", "API_TRADE_RATE": "0"}
"""Settings of stacks whose tests ask more often than one key may."""


def bearer(settings: Settings) -> dict[str, str]:
    """The header of the stack's local key."""
    key = settings.home.api_key()
    assert key is not None, "the stack has made no local key"
    return {"Authorization": f"Bearer {key}"}


def open_client(settings: Settings, **options: Any) -> httpx.AsyncClient:
    """A client of the stack's API that carries the local key; `options` are httpx's."""
    options.setdefault("base_url", settings.api_url)
    headers = bearer(settings) | options.pop("headers", {})
    return httpx.AsyncClient(trust_env=False, headers=headers, **options)
