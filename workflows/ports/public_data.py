"""The port of public facts for those who ask: a venue's symbols, and what its market traded.

Both run on the data queue of an account, whose gateway asks; nothing here changes anything.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from temporalio import activity, workflow

from workflows.domain.instruments import Instrument
from workflows.names import venue_data_queue
from workflows.ports.venue import NETWORK_RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolsRequest:
    """Which symbols does the venue list? Asked with this account's gateway.

    `symbol`: only this one. `after`: those whose names come after it, at most `limit` of them.
    """

    venue: str
    account: str
    symbol: str | None = None
    after: str = ""
    limit: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSymbols:
    """Spot symbols, by name; `more` come after them. `read_at` in UTC as RFC 3339."""

    symbols: tuple[Instrument, ...]
    more: bool
    read_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRequest:
    """What the market traded in [since_ms, until_ms), ms since 1970 by the venue's clock."""

    venue: str
    account: str
    symbol: str
    since_ms: int
    until_ms: int


class WindowSource(StrEnum):
    """What the figures of a window are made of."""

    TRADES = "trades"
    """Every trade of the market: exact."""
    CANDLES = "candles"
    """Candles, each at the mean of high, low and close: an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketWindow:
    """All traders, we included. `volume` in base units, `vwap` in quote units (None: no trade).

    `source` of None: the venue does not tell that far back.
    """

    source: WindowSource | None
    volume: Decimal | None = None
    vwap: Decimal | None = None


class PublicDataPort(ABC):
    """Reads of what everybody may see."""

    @activity.defn(name="list_symbols")
    @abstractmethod
    async def list_symbols(self, request: SymbolsRequest) -> VenueSymbols: ...

    @activity.defn(name="read_window")
    @abstractmethod
    async def read_window(self, request: WindowRequest) -> MarketWindow: ...


_READ_TIMEOUT = timedelta(seconds=8)


async def list_symbols(request: SymbolsRequest, *, within: timedelta) -> VenueSymbols:
    """The venue's symbols; ActivityError when the time is over."""
    return await workflow.execute_activity_method(
        PublicDataPort.list_symbols,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=NETWORK_RETRY,
        summary=f"symbols of {request.venue}",
    )


async def read_window(request: WindowRequest, *, within: timedelta) -> MarketWindow:
    """What the market traded; ActivityError when the time is over."""
    return await workflow.execute_activity_method(
        PublicDataPort.read_window,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=NETWORK_RETRY,
        summary=f"trades of {request.symbol} at {request.venue}",
    )
