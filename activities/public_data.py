"""Public facts as activities: the symbols of a venue, and what its market traded in a span.

Trades are read where the venue still tells them, else candles; a span before those has no figures.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from temporalio import activity

from activities.gateways import Gateways, try_again
from activities.prices import volume_within
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from workflows.domain.exact import rounded
from workflows.domain.prices import Candle, PublicTrade
from workflows.fields import utc_text
from workflows.ports.public_data import (
    MarketWindow,
    PublicDataPort,
    SymbolsRequest,
    VenueSymbols,
    WindowRequest,
    WindowSource,
)

_NOT_TOLD = MarketWindow(source=None)


class PublicDataActivities(PublicDataPort):
    """See PublicDataPort."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    @activity.defn(name="list_symbols")
    async def list_symbols(self, request: SymbolsRequest) -> VenueSymbols:
        """See PublicDataPort."""
        gateway = self._gateways[request.venue, request.account]
        try:
            listed = await gateway.instruments()
        except VenueUnavailableError as error:
            raise try_again(error) from error
        asked = [
            each
            for each in sorted(listed, key=lambda each: each.symbol)
            if each.symbol > request.after and request.symbol in (None, each.symbol)
        ]
        return VenueSymbols(
            symbols=tuple(asked[: request.limit]),
            more=len(asked) > request.limit,
            read_at=utc_text(datetime.now(UTC)),
        )

    @activity.defn(name="read_window")
    async def read_window(self, request: WindowRequest) -> MarketWindow:
        """See PublicDataPort."""
        gateway = self._gateways[request.venue, request.account]
        try:
            trades = await gateway.public_trades(request.symbol, request.since_ms)
            if trades is not None:
                return of_trades(trades, request.since_ms, request.until_ms)
            return await _of_candles(gateway, request)
        except SymbolUnknownError:
            return _NOT_TOLD
        except VenueUnavailableError as error:
            raise try_again(error) from error


def of_trades(trades: Iterable[PublicTrade], since_ms: int, until_ms: int) -> MarketWindow:
    """Volume and average price of the trades in [since_ms, until_ms)."""
    within = [each for each in trades if since_ms <= each.at_ms < until_ms]
    volume = sum((Fraction(each.quantity) for each in within), Fraction(0))
    value = sum((Fraction(each.quantity) * Fraction(each.price) for each in within), Fraction(0))
    return _window(WindowSource.TRADES, volume, value)


def of_candles(candles: Iterable[Candle], since_ms: int, until_ms: int) -> MarketWindow:
    """As `of_trades`; of a candle that is cut its share by time, at the mean of its prices."""
    volume, value = Fraction(0), Fraction(0)
    for candle in candles:
        part = volume_within([candle], since_ms, until_ms, until_ms)
        volume += part
        value += part * Fraction(candle.high + candle.low + candle.close) / 3
    return _window(WindowSource.CANDLES, volume, value)


async def _of_candles(gateway: VenueGateway, request: WindowRequest) -> MarketWindow:
    candles = await gateway.candles(request.symbol, request.since_ms, request.until_ms)
    # a venue that keeps them no longer begins later
    begins_ms = min((each.opened_ms for each in candles), default=None)
    if begins_ms is None or begins_ms > request.since_ms:
        return _NOT_TOLD
    return of_candles(candles, request.since_ms, request.until_ms)


def _window(source: WindowSource, volume: Fraction, value: Fraction) -> MarketWindow:
    vwap: Decimal | None = rounded(value / volume) if volume else None
    return MarketWindow(source=source, volume=rounded(volume), vwap=vwap)
