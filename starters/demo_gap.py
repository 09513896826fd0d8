"""Where to buy and where to sell: the best prices of one symbol at the demo's two exchanges.

Rule: public reads of the paper exchanges only, each in its own words. What it finds is what a
caller knows before a plan; whether the plan starts is the engine's decision at its own reading.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations
from typing import Any, Self

import httpx

from starters.demo_market import Quote

TAKER_FEE = Decimal("0.001")
"""Fraction that each of the two paper exchanges takes from a taker."""
_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One direction, at the best prices of now, in quote currency."""

    buy_exchange: str
    sell_exchange: str
    buy_price: Decimal
    sell_price: Decimal

    def net(self, quantity: Decimal) -> Decimal:
        """What buying and selling so many base units would earn, both fees paid."""
        bought, sold = self.buy_price * (1 + TAKER_FEE), self.sell_price * (1 - TAKER_FEE)
        return quantity * (sold - bought)


class Touches:
    """The best prices of one symbol at several exchanges, read at once.

    Questions raise httpx.HTTPError when an exchange does not answer.
    """

    def __init__(self, clients: Mapping[str, httpx.AsyncClient], symbol: str) -> None:
        self._clients = clients
        self._symbol = symbol

    @classmethod
    @asynccontextmanager
    async def open(cls, urls: Mapping[str, str], symbol: str) -> AsyncIterator[Self]:
        """Connections to the exchanges, by name, until the block is left."""
        async with AsyncExitStack() as opened:
            clients = {
                name: await opened.enter_async_context(
                    httpx.AsyncClient(base_url=url, trust_env=False, timeout=_TIMEOUT_S)
                )
                for name, url in urls.items()
            }
            yield cls(clients, symbol)

    async def best(self) -> Gap:
        """The direction that earns most, or loses least."""
        gaps = (
            Gap(buy_exchange=here, sell_exchange=there, buy_price=at.ask, sell_price=to.bid)
            for (here, at), (there, to) in permutations((await self.quotes()).items(), 2)
        )
        return max(gaps, key=lambda gap: gap.net(Decimal(1)))

    async def quotes(self) -> dict[str, Quote]:
        """The best prices now, by exchange."""
        quotes = await asyncio.gather(*(self._quote(name) for name in self._clients))
        return dict(zip(self._clients, quotes, strict=True))

    async def _quote(self, exchange: str) -> Quote:
        path, name, separator, read = _READS[exchange]
        symbol = self._symbol.replace("/", separator)
        answer = await self._clients[exchange].get(path, params={name: symbol})
        answer.raise_for_status()
        return read(answer.json())


def _of_binance(body: Any) -> Quote:  # the exchange's JSON
    return Quote(bid=Decimal(body["bidPrice"]), ask=Decimal(body["askPrice"]))


def _of_okx(body: Any) -> Quote:  # the exchange's JSON
    (book,) = body["data"]
    (bid, *_), (ask, *_) = book["bids"][0], book["asks"][0]
    return Quote(bid=Decimal(bid), ask=Decimal(ask))


_READS: Mapping[str, tuple[str, str, str, Callable[[Any], Quote]]] = {
    "binance": ("/api/v3/ticker/bookTicker", "symbol", "", _of_binance),
    "okx": ("/api/v5/market/books", "instId", "-", _of_okx),
}
"""Path, parameter and separator of a symbol, and how the answer is read."""
