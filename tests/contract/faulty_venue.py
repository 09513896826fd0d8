"""A paper exchange in this process whose faults are set through its control port."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt

from activities.venues.simulator.faults.client import ControlClient
from activities.venues.simulator.judge import JudgedRequest, VenueLog, read_log
from tests.contract.paper_venue import PAIR, Venue, open_venue

CLIENT_TIMEOUT_MS = 400


@dataclass
class FaultyVenue:
    """The served exchange with its ccxt client, and its faults."""

    venue: Venue
    faults: ControlClient

    @property
    def client(self) -> Any:
        return self.venue.client

    @property
    def log(self) -> VenueLog:
        return read_log(self.venue.journal)

    async def buy(self, client_order_id: str, symbol: str = PAIR) -> Any:
        """A market buy of 0.01."""
        params = {"clientOrderId": client_order_id}
        return await self.client.create_order(symbol, "market", "buy", "0.01", None, params)

    async def rest(
        self, client_order_id: str, quantity: str = "0.01", price: str = "40000", side: str = "buy"
    ) -> Any:
        """A limit order far below the market unless changed."""
        params = {"clientOrderId": client_order_id}
        return await self.client.create_order(PAIR, "limit", side, quantity, price, params)

    async def total(self, asset: str) -> Decimal:
        return Decimal((await self.client.fetch_balance())[asset]["total"])

    def disturbed(self) -> list[JudgedRequest]:
        """The requests that a fault met."""
        return [request for request in self.log.requests if request.faults]


@contextlib.asynccontextmanager
async def faulty_venue(data_dir: Path, **changes: Any) -> AsyncIterator[FaultyVenue]:
    async with open_venue("binance", data_dir, control_port=0, **changes) as venue:
        url = venue.served.control_url
        assert url is not None
        async with ControlClient(url) as faults:
            venue.client.timeout = CLIENT_TIMEOUT_MS
            yield FaultyVenue(venue, faults)


async def outcome(call: Any) -> Any:
    """What a call came to: the class of its error, or its answer."""
    try:
        return await call
    except (ccxt.BaseError, ValueError) as error:
        return type(error)
