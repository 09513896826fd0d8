"""A reader of the live stream, as a service of somebody else would have one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect

from tests.api_client import bearer
from tests.bench.rig import Rig

_HELLO_WITHIN_S = 10.0


@asynccontextmanager
async def fills_heard(rig: Rig) -> AsyncIterator[dict[str, float]]:
    """Read the stream; yields trade id -> when its event was read, in ms since 1970."""
    heard: dict[str, float] = {}
    settings = rig.stack.settings
    address = f"{settings.api_url.replace('http', 'ws', 1)}/api/v1/stream?kinds=fill"
    async with connect(address, additional_headers=bearer(settings), proxy=None) as stream:
        async with asyncio.timeout(_HELLO_WITHIN_S):
            await stream.recv()
        reading = asyncio.create_task(_read(stream, heard))
        try:
            yield heard
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(stream: ClientConnection, heard: dict[str, float]) -> None:
    async for text in stream:
        message = json.loads(text)
        if message["type"] == "event":
            heard[message["data"]["trade_id"]] = time.time_ns() / 1e6
