"""Reads for executions: one symbol at several venues at one moment, or all that an account holds.

Books are shared by all of this process who ask at one moment; funds never are, since whoever asks
wants to see what the last fill left. It must not know what the views are decided by.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.gateways import Gateways, try_again
from activities.markets import GLANCE_S, QUOTE_MAX_AGE_S, Markets
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from activities.venues.refreshed import Refreshed
from workflows.domain.books import Book
from workflows.domain.instruments import Quote
from workflows.ports import (
    AssetMarket,
    Fees,
    MarketRequest,
    Portfolio,
    PortfolioRequest,
    VenueView,
    ViewRequest,
    ViewsPort,
    ViewsRequest,
)

BOOK_DEPTH = 50
"""Levels of each side; more than an order within its limits walks through."""
AT_ONCE = 8
"""Markets of one portfolio that are read side by side."""
QUOTE_TRIES = 3
"""Attempts after which a market that gives no quote counts as one that has none."""


class VenueViews:
    """Views through the gateways of this process."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._books: dict[ViewRequest, Refreshed[Book]] = {}

    async def read(self, request: ViewRequest) -> VenueView:
        """One view now. Raises VenueUnavailableError."""
        gateway = self._gateways[request.venue, request.account]
        unlisted = VenueView(
            venue=request.venue, account=request.account, symbol=request.symbol, instrument=None
        )
        try:
            instrument = await gateway.instrument(request.symbol)
            book, fees, free = await asyncio.gather(
                self._book(gateway, request), gateway.fees(request.symbol), gateway.free_balances()
            )
        except SymbolUnknownError:
            return unlisted
        assets = (instrument.base, instrument.quote)
        held = {asset: free[asset] for asset in assets if asset in free}
        return replace(unlisted, instrument=instrument, book=book, fees=fees, free=held)

    async def glance(self, requests: Iterable[ViewRequest]) -> tuple[VenueView, ...] | None:
        """All views of one moment, or None when a venue does not tell at once."""
        try:
            async with asyncio.timeout(GLANCE_S):
                return tuple(await asyncio.gather(*map(self.read, requests)))
        except (VenueUnavailableError, TimeoutError):
            return None

    async def _book(self, gateway: VenueGateway, request: ViewRequest) -> Book:
        if request not in self._books:
            self._books[request] = Refreshed(
                lambda: gateway.book(request.symbol, BOOK_DEPTH), max_age_s=QUOTE_MAX_AGE_S
            )
        return await self._books[request].get()


class ViewActivities(ViewsPort):
    """See ViewsPort."""

    def __init__(self, gateways: Gateways, views: VenueViews, markets: Markets) -> None:
        self._gateways = gateways
        self._views = views
        self._markets = markets

    @activity.defn(name="glance_at_views")
    async def glance_at_views(self, request: ViewsRequest) -> tuple[VenueView, ...]:
        """See ViewsPort."""
        views = await self._views.glance(request.views)
        if views is None:
            raise ApplicationError("a venue did not tell at once", type="VenueUnavailable")
        return views

    @activity.defn(name="read_view")
    async def read_view(self, request: ViewRequest) -> VenueView:
        """See ViewsPort."""
        try:
            return await self._views.read(request)
        except VenueUnavailableError as error:
            raise try_again(error) from error

    @activity.defn(name="read_portfolio")
    async def read_portfolio(self, request: PortfolioRequest) -> Portfolio:
        """See ViewsPort."""
        gateway = self._gateways[request.venue, request.account]
        try:
            total, free = await asyncio.gather(gateway.balances(), gateway.free_balances())
            wanted = [asset for asset in total | dict.fromkeys(request.assets) if asset]
            if request.only:
                wanted = [asset for asset in wanted if asset in request.only]
            assets = [asset for asset in wanted if asset != request.cash]
            markets = await self._asset_markets(gateway, assets, request.cash)
        except VenueUnavailableError as error:
            raise try_again(error) from error
        shown = {*assets, request.cash}
        return Portfolio(
            venue=request.venue,
            account=request.account,
            total={asset: amount for asset, amount in total.items() if asset in shown},
            free={asset: amount for asset, amount in free.items() if asset in shown},
            markets=markets,
        )

    async def _asset_markets(
        self, gateway: VenueGateway, assets: list[str], cash: str
    ) -> dict[str, AssetMarket]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(asset: str) -> AssetMarket:
            async with gate:
                return await self._asset_market(gateway, f"{asset}/{cash}")

        return dict(zip(assets, await asyncio.gather(*map(one, assets)), strict=True))

    async def _asset_market(self, gateway: VenueGateway, symbol: str) -> AssetMarket:
        try:
            instrument = await gateway.instrument(symbol)
            fees: Fees = await gateway.fees(symbol)
        except SymbolUnknownError:
            return AssetMarket(instrument=None, quote=None, fees=None)
        return AssetMarket(
            instrument=instrument, quote=await self._quote(gateway, symbol), fees=fees
        )

    async def _quote(self, gateway: VenueGateway, symbol: str) -> Quote | None:
        """None for a market that has shown no touch in several attempts: an empty book.

        One attempt does not tell that from a venue that is away.
        """
        asked = MarketRequest(venue=gateway.venue, account=gateway.account, symbol=symbol)
        try:
            return (await self._markets.read(asked)).quote
        except VenueUnavailableError:
            if activity.info().attempt < QUOTE_TRIES:
                raise
            return None
