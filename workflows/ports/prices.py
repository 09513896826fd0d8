"""The port of a symbol's public prices: following them, and how much the market traded.

Both run on the data queue of an account, whose gateway asks; nothing here changes anything.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from workflows.names import venue_data_queue
from workflows.ports.venue import NETWORK_RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowPrices:
    """One turn of following a symbol's prices at a venue, with this account's gateway."""

    venue: str
    account: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPrices:
    """`is_idle`: no watch was left, so nobody needs to follow on."""

    is_idle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """The market's volume between two moments (ms since 1970, the venue's clock)."""

    venue: str
    account: str
    symbol: str
    since_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketVolume:
    """Base units that all traders, we included, traded in the asked span."""

    volume: Decimal


class PricesPort(ABC):
    """Public prices; `follow_prices` is the long activity behind the watch of a symbol."""

    @activity.defn(name="follow_prices")
    @abstractmethod
    async def follow_prices(self, request: FollowPrices) -> FollowedPrices: ...

    @activity.defn(name="read_volume")
    @abstractmethod
    async def read_volume(self, request: VolumeRequest) -> MarketVolume: ...


PRICES_HEARTBEAT = timedelta(seconds=5)
PRICES_TURN = timedelta(hours=1)
"""How long one activity follows before the workflow begins the next."""
_PRICES_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=2)
)
_READ_TIMEOUT = timedelta(seconds=15)


async def follow_prices(request: FollowPrices) -> FollowedPrices:
    """Follow for one turn; a lost stream or worker is retried at once."""
    return await workflow.execute_activity_method(
        PricesPort.follow_prices,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=PRICES_TURN * 2,
        heartbeat_timeout=PRICES_HEARTBEAT,
        retry_policy=_PRICES_RETRY,
        summary=f"follow the prices of {request.symbol} at {request.venue}",
    )


async def read_volume(request: VolumeRequest, *, within: timedelta) -> MarketVolume:
    """The market's volume; ActivityError when the time is over."""
    return await workflow.execute_activity_method(
        PricesPort.read_volume,
        request,
        task_queue=venue_data_queue(request.venue, request.account),
        start_to_close_timeout=_READ_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=NETWORK_RETRY,
        summary=f"market volume of {request.symbol}",
    )
