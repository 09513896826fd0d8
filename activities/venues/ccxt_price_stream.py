"""The price stream of one symbol: one connection, each message read in the order it came.

ccxt connects, pings and notices a lost connection; the messages are read by the dialect. Any doubt
(a lost connection, an unreadable message, a reader too slow) ends the stream, and the reader opens
a new one. One ccxt instance serves one stream. It must not know what prices are used for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from activities.venues.ccxt_client import PriceStreamClient, close_client
from activities.venues.ccxt_errors import ANSWER_ERRORS, Redactor
from activities.venues.ccxt_events import StreamEvents
from activities.venues.ccxt_link import CcxtLink
from activities.venues.dialects import PriceStream
from workflows.domain.triggers import Tick

_NEVER = "prices"
"""What ccxt is told to wait for; no message resolves it, only the connection's end."""


@asynccontextmanager
async def price_stream(
    link: CcxtLink, dialect: PriceStream, symbol: str
) -> AsyncIterator[AsyncIterator[Tick]]:
    """Subscribe to a symbol. VenueUnavailableError when that is not live within the deadline."""
    market = await link.market(symbol)
    client = await link.stream_client(PriceStreamClient)
    events: StreamEvents[Tick] = StreamEvents("price stream")
    subscribed = _attach(client, link, dialect, events)
    waiting = asyncio.create_task(
        _until_lost(_connected(client, dialect, market["id"]), events, link.redactor)
    )
    try:
        await events.until(subscribed, float(link.config.http_deadline_s))
        yield aiter(events)
    finally:
        events.fail("closed by the reader")
        client.is_stopped = True
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await close_client(client)


def _attach(
    client: PriceStreamClient, link: CcxtLink, dialect: PriceStream, events: StreamEvents[Tick]
) -> asyncio.Event:
    """The event that is set once the venue has agreed to all topics."""
    missing, subscribed = set(dialect.topics), asyncio.Event()

    def take(message: object) -> None:
        agreed = dialect.agreed(message)
        if agreed is not None:
            missing.discard(agreed)
            if not missing:
                subscribed.set()
            return
        for tick in dialect.read(message, link.venue_now_ms()):
            events.put(tick)

    client.on_message = take
    client.on_lost = events.fail
    return subscribed


async def _connected(client: Any, dialect: PriceStream, market_id: str) -> None:
    message = dialect.subscribe(market_id)
    await client.watch(dialect.url(client), _NEVER, dict(message), _NEVER)


async def _until_lost(
    connection: Awaitable[None], events: StreamEvents[Tick], redactor: Redactor
) -> None:
    try:
        await connection
    except ANSWER_ERRORS as error:
        events.fail(redactor.describe(error))
