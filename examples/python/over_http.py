"""A TWAP over HTTP: start it, hear each fill as it is booked, cancel it, print what it came to.

Rule: it knows the API and nothing behind it. It finds address and key of the local stack by
itself; for another one: `DeltaHttpClient("https://...", key)`, the key from a file or a vault.

    python -m examples.python.over_http my-twap-8 2
"""

import asyncio
import os
import sys
from uuid import uuid4

from starters.http_client import DeltaHttpClient

ENDS_WITHIN_S = 60
ORDER = {
    "strategy_id": os.environ.get("STRATEGY_ID", "python-http"),
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "twap",
    "quantity": "0.1",  # a string: a float would round what is money
    "twap_slices": 10,
    "twap_interval": "1",
}


async def hear_fills(client: DeltaHttpClient, order_id: str, since: int, count: int) -> None:
    """Print fills as they are booked, until there are so many."""
    heard = 0
    async for event in client.stream(since=since, order_id=order_id, kinds=["fill"]):
        fill = event.data
        print(f"event {event.seq}: {fill['quantity']} BTC at {fill['price']}")
        heard += 1
        if heard >= count:
            return


async def main(order_id: str, cancel_after: int) -> None:
    """Raises ApiError where the order is denied, TimeoutError when nothing fills."""
    async with DeltaHttpClient.local() as client:
        # the number first: whatever happens from now on comes after it
        before = (await client.events(limit=1)).head
        order = await client.submit(ORDER | {"order_id": order_id})
        print(f"{order.order_id} is {order.status}; its history: {order.links.temporal_ui}")
        async with asyncio.timeout(ENDS_WITHIN_S):
            await hear_fills(client, order_id, before, cancel_after)
        ended = await client.cancel(order_id, reason="the example has seen enough")
    print(ended.model_dump_json(indent=2))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    name = arguments[0] if arguments else f"http-{uuid4().hex}"
    asyncio.run(main(name, int(arguments[1]) if len(arguments) > 1 else 2))
