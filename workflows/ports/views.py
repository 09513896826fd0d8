"""What an execution sees of a venue before it decides: book, rules, fees and funds.

One glance inside the workflow task asks all venues at one moment, so that their books are of one
moment too; when a venue does not tell at once, each is asked through its own queue.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from workflows.domain.books import Book
from workflows.domain.fees import Fees
from workflows.domain.instruments import Instrument, Quote
from workflows.names import venue_data_queue
from workflows.ports.venue import NETWORK_RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRequest:
    """Whose view of which symbol."""

    venue: str
    account: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueView:
    """One symbol at one venue. `instrument` is None when the venue does not list the symbol.

    `free` are the funds that are not locked by orders, by asset: base and quote of the symbol.
    """

    venue: str
    account: str
    symbol: str
    instrument: Instrument | None
    book: Book | None = None
    fees: Fees | None = None
    free: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsRequest:
    """Several views, to be read at one moment."""

    views: tuple[ViewRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRequest:
    """All that an account holds, and the markets of these assets against `cash`.

    `assets` are wanted too, held or not; `only`, if not empty, leaves all others out.
    """

    venue: str
    account: str
    cash: str
    assets: tuple[str, ...]
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetMarket:
    """One asset against cash at one venue; None for what the venue does not list or quote."""

    instrument: Instrument | None
    quote: Quote | None
    fees: Fees | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """What an account holds, by asset: `total`, and `free` of orders. Markets by asset."""

    venue: str
    account: str
    total: dict[str, Decimal]
    free: dict[str, Decimal]
    markets: dict[str, AssetMarket]


class ViewsPort(ABC):
    """Reads that change nothing."""

    @activity.defn(name="glance_at_views")
    @abstractmethod
    async def glance_at_views(self, request: ViewsRequest) -> tuple[VenueView, ...]: ...

    @activity.defn(name="read_view")
    @abstractmethod
    async def read_view(self, request: ViewRequest) -> VenueView: ...

    @activity.defn(name="read_portfolio")
    @abstractmethod
    async def read_portfolio(self, request: PortfolioRequest) -> Portfolio: ...


_READ_TIMEOUT = timedelta(seconds=15)
_GLANCE_TIMEOUT = timedelta(milliseconds=800)


async def glance_at_views(request: ViewsRequest) -> tuple[VenueView, ...]:
    """All views, in the order asked for, read at one moment inside the workflow task.

    Raises FailureError when a venue does not tell at once.
    """
    return await workflow.execute_local_activity_method(
        ViewsPort.glance_at_views,
        request,
        start_to_close_timeout=_GLANCE_TIMEOUT,
        retry_policy=RetryPolicy(maximum_attempts=1),
        summary="books and funds of " + ", ".join(view.venue for view in request.views),
    )


async def read_view(request: ViewRequest, *, within: timedelta) -> VenueView:
    """One view, asked with patience; ActivityError when the time is over."""
    return await workflow.execute_activity_method(
        ViewsPort.read_view,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=NETWORK_RETRY,
        summary=f"book and funds of {request.symbol} at {request.venue}",
    )


async def read_portfolio(request: PortfolioRequest, *, within: timedelta) -> Portfolio:
    """All holdings and their markets; ActivityError when the time is over."""
    return await workflow.execute_activity_method(
        ViewsPort.read_portfolio,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=NETWORK_RETRY,
        summary=f"holdings at {request.venue}",
    )
