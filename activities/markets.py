"""Rules and touch of each symbol, shared by all orders of this process that ask at one moment.

Many orders on one symbol cost the venue one request at a time, never one each. It must not know
what the market is read for.
"""

import asyncio

from activities.gateways import Gateways
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from activities.venues.refreshed import Refreshed
from workflows.domain.instruments import Quote
from workflows.ports import MarketRequest, MarketSnapshot

QUOTE_MAX_AGE_S = 0.05
"""Far below the age at which a price is too old to trade on."""
GLANCE_S = 0.5
"""Far below a workflow task's time: a venue that is slow is asked through its task queue."""


class Markets:
    """The markets of the configured accounts."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._quotes: dict[tuple[str, str, str], Refreshed[Quote]] = {}

    async def read(self, request: MarketRequest) -> MarketSnapshot:
        """The market now. Raises VenueUnavailableError."""
        try:
            instrument = await self._gateway(request).instrument(request.symbol)
            return MarketSnapshot(instrument=instrument, quote=await self._quote(request))
        except SymbolUnknownError:
            return MarketSnapshot(instrument=None, quote=None)

    async def glance(self, request: MarketRequest) -> MarketSnapshot | None:
        """The market if the venue tells it at once, else None; never raises a venue's error."""
        try:
            async with asyncio.timeout(GLANCE_S):
                return await self.read(request)
        except (VenueUnavailableError, TimeoutError):
            return None

    async def _quote(self, request: MarketRequest) -> Quote:
        key = (request.venue, request.account, request.symbol)
        if key not in self._quotes:
            gateway, symbol = self._gateway(request), request.symbol
            self._quotes[key] = Refreshed(lambda: gateway.quote(symbol), max_age_s=QUOTE_MAX_AGE_S)
        return await self._quotes[key].get()

    def _gateway(self, request: MarketRequest) -> VenueGateway:
        return self._gateways[request.venue, request.account]
