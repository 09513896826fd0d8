"""How often one key may ask: a bucket for each key and each kind of request.

Rule: a bucket holds two seconds' worth and is refilled evenly. Looking, trading and stopping have
buckets of their own, so that a key that floods us with orders can still cancel them and halt. One
key never empties another's bucket. The buckets are this process's: with several API processes a
key has as much at each.

It must not know how a key was checked.
"""

import math
import time
from collections.abc import Callable
from enum import StrEnum

from starters.api.errors import ApiError
from workers.settings import Settings
from workflows.domain.access import Caller, Scope
from workflows.domain.denials import DenialCode

BURST_S = 2.0
"""A bucket that was not used for so long is full: 40 trades at 20 a second."""
MAX_BUCKETS = 10_000
_ROUNDING_S = 1e-6


class Kind(StrEnum):
    """What a request does to the bucket that it takes from."""

    READ = "read"
    TRADE = "trade"
    STOP = "stop"


def kind_of(scopes: frozenset[Scope]) -> Kind:
    """The kind of the requests that need one of these scopes."""
    if Scope.KILL in scopes:
        return Kind.STOP
    return Kind.READ if Scope.READ in scopes else Kind.TRADE


class RateLimits:
    """The buckets of one process. Rates are requests per second; 0: no limit."""

    def __init__(
        self,
        *,
        read_per_s: int,
        trade_per_s: int,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = {Kind.READ: read_per_s, Kind.TRADE: trade_per_s, Kind.STOP: trade_per_s}
        self._clock_s = clock_s
        # when each bucket will be full again, which says all about it
        self._full_at: dict[tuple[str, Kind], float] = {}

    @classmethod
    def of(cls, settings: Settings) -> "RateLimits":
        """The limits that the settings name."""
        return cls(read_per_s=settings.api_read_rate, trade_per_s=settings.api_trade_rate)

    def take(self, caller: Caller, scopes: frozenset[Scope]) -> None:
        """Take one request out of the key's bucket. Raises ApiError RATE_LIMITED when empty."""
        kind = kind_of(scopes)
        rate = self._rates[kind]
        if rate == 0:
            return
        now, bucket = self._clock_s(), (caller.key_id, kind)
        full_at = max(self._full_at.get(bucket, now), now) + 1 / rate
        if full_at - now > BURST_S + _ROUNDING_S:
            wait_s = full_at - now - BURST_S
            raise ApiError(
                DenialCode.RATE_LIMITED,
                f"the key may make {rate} {kind} requests a second",
                headers={"Retry-After": str(max(math.ceil(wait_s), 1))},
            )
        self._full_at[bucket] = full_at
        if len(self._full_at) > MAX_BUCKETS:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
