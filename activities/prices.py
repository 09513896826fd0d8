"""Public prices of a symbol as activities: the long one that follows them, and the market's volume.

What following means is in `price_follower`.
"""

import asyncio
import time
from collections.abc import Iterable
from fractions import Fraction

from temporalio import activity
from temporalio.client import Client

from activities.gateways import Gateways, try_again
from activities.ledger.watch_store import WatchStore
from activities.price_follower import Follower
from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
from workflows.domain.exact import rounded
from workflows.domain.prices import Candle
from workflows.ports import (
    FollowedPrices,
    FollowPrices,
    MarketVolume,
    PricesPort,
    VolumeRequest,
)

_HEARTBEAT_EVERY_S = 1
_HANGS_AFTER_S = 60


class PricesActivities(PricesPort):
    """Follows symbols; one activity at a time per symbol and venue, anywhere in the fleet."""

    def __init__(self, gateways: Gateways, store: WatchStore, client: Client) -> None:
        self._gateways, self._store, self._client = gateways, store, client

    @activity.defn(name="follow_prices")
    async def follow_prices(self, request: FollowPrices) -> FollowedPrices:
        """See PricesPort. Ends after its turn, at worker shutdown, or when nobody waits."""
        gateway = self._gateways[request.venue, request.account]
        follower = Follower(gateway, self._store, self._client, request.symbol)
        heartbeat = asyncio.create_task(_beat(follower))
        try:
            return FollowedPrices(is_idle=await follower.follow())
        finally:
            heartbeat.cancel()

    @activity.defn(name="read_volume")
    async def read_volume(self, request: VolumeRequest) -> MarketVolume:
        """See PricesPort. The volume of a candle is spread evenly over its time."""
        gateway = self._gateways[request.venue, request.account]
        try:
            now_ms = time.time_ns() // 1_000_000 + await gateway.clock_offset_ms()
            candles = await gateway.candles(request.symbol, request.since_ms, request.until_ms)
        except (VenueUnavailableError, SymbolUnknownError) as error:
            raise try_again(error) from error
        return MarketVolume(
            volume=rounded(volume_within(candles, request.since_ms, request.until_ms, now_ms))
        )


def volume_within(candles: Iterable[Candle], since_ms: int, until_ms: int, now_ms: int) -> Fraction:
    """Base units traded in [since_ms, until_ms); of a candle that is cut, its share by time."""
    total = Fraction(0)
    for candle in candles:
        ends_ms = min(candle.opened_ms + candle.length_ms, max(now_ms, candle.opened_ms + 1))
        within_ms = min(ends_ms, until_ms) - max(candle.opened_ms, since_ms)
        if within_ms > 0:
            total += Fraction(candle.volume) * within_ms / (ends_ms - candle.opened_ms)
    return total


async def _beat(follower: Follower) -> None:
    """Heartbeat while the follower moves; one that hangs is taken over by another worker."""
    while time.monotonic() - follower.moved_at < _HANGS_AFTER_S:
        activity.heartbeat()
        await asyncio.sleep(_HEARTBEAT_EVERY_S)
