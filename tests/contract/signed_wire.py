"""A hand-made client of the paper exchange's Binance dialect: what ccxt would never send."""

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp

from activities.venues.simulator.server import RunningExchange
from tests.contract.paper_venue import KEY, SECRET


class Wire:
    """A hand-made client: signs what it is told, where it is told."""

    def __init__(self, served: RunningExchange, session: aiohttp.ClientSession) -> None:
        self.served, self.session = served, session

    async def send(
        self,
        method: str,
        path: str,
        params: dict[str, Any],
        *,
        in_body: bool = False,
        **changes: Any,
    ) -> tuple[int, Any]:
        """Status and body of a signed request."""
        stamped = {"timestamp": time.time_ns() // 1_000_000} | params | changes
        raw = urlencode(stamped)
        signature = hmac.new(SECRET.encode(), raw.encode(), hashlib.sha256).hexdigest()
        raw += f"&signature={signature}"
        headers = {"X-MBX-APIKEY": KEY, "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.served.base_url}/api/v3/{path}" + ("" if in_body else f"?{raw}")
        data = raw if in_body else None
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            return answer.status, await answer.json()

    async def code(self, params: dict[str, Any], **changes: Any) -> int:
        """The error code of an order."""
        status, body = await self.send("POST", "order", params | changes)
        assert status == 400, body
        return body["code"]


def subscription(now_ms: int) -> dict[str, Any]:
    """A request to hear the private stream of the account that `Wire` trades for."""
    sent = {"apiKey": KEY, "timestamp": now_ms}
    signature = hmac.new(SECRET.encode(), urlencode(sent).encode(), hashlib.sha256).hexdigest()
    method = "userDataStream.subscribe.signature"
    return {"id": "1", "method": method, "params": sent | {"signature": signature}}
