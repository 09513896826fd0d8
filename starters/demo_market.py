"""What everybody can see of the demo's market: its rules, its quotes, and their average.

Rule: public reads of the paper exchange only. Orders go through workflows, never through here.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from statistics import mean
from typing import Any, Self

import httpx

SAMPLE_EVERY_S = 0.25
_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best prices, in quote currency."""

    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        """Half-way between the two."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Smallest steps of price (quote currency) and quantity (base units)."""

    tick: Decimal
    lot: Decimal

    def quantity_worth(self, value: Decimal, price: Decimal) -> Decimal:
        """The whole lots that `value` (quote currency) buys at `price`."""
        return (value / price / self.lot).to_integral_value(ROUND_DOWN) * self.lot


class Market:
    """One symbol at one paper exchange; samples its mid price while it is open.

    Questions raise httpx.HTTPError when the exchange does not answer.
    """

    def __init__(self, http: httpx.AsyncClient, symbol: str) -> None:
        self.symbol = symbol
        self._http = http
        self._samples: list[tuple[float, Decimal]] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, symbol: str) -> AsyncIterator[Self]:
        """Follow the market until the block is left."""
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_TIMEOUT_S) as http:
            market = cls(http, symbol)
            await market.quote()
            sampling = asyncio.create_task(market._sample())
            try:
                yield market
            finally:
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)

    async def quote(self) -> Quote:
        """The best prices now, which also count as a sample."""
        answer = await self._get("/api/v3/ticker/bookTicker")
        found = Quote(bid=Decimal(answer["bidPrice"]), ask=Decimal(answer["askPrice"]))
        self._samples.append((time.monotonic(), found.mid))
        return found

    async def rules(self) -> Rules:
        """The steps of the symbol."""
        (symbol,) = (await self._get("/api/v3/exchangeInfo"))["symbols"]
        filters = {each["filterType"]: each for each in symbol["filters"]}
        return Rules(
            tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
            lot=Decimal(filters["LOT_SIZE"]["stepSize"]),
        )

    def average(self, since: float, until: float) -> Decimal:
        """Mean of the mid prices sampled between two moments of the monotonic clock.

        Between two samples there is none: then the last one before counts.
        """
        within = [mid for at, mid in self._samples if since <= at <= until]
        before = [mid for at, mid in self._samples if at <= until]
        return mean(within) if within else before[-1]

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            with suppress(httpx.HTTPError):  # a gap in the samples does not falsify their mean
                await self.quote()

    async def _get(self, path: str) -> Any:  # the exchange's JSON
        answer = await self._http.get(path, params={"symbol": self.symbol.replace("/", "")})
        answer.raise_for_status()
        return answer.json()
