"""The line to one account at one venue: asking, the venue's clock, and its list of symbols.

Every answer is parsed inside the asking, so that whatever is wrong with it becomes one of the
gateway's errors. Clock and symbols are shared by all callers and refreshed when old. It must
not know what is asked.
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import ccxt

from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_call import (
    MAX_ANSWER_BYTES,
    MAX_LISTING_BYTES,
    VenueCall,
    venue_call,
)
from activities.venues.ccxt_client import (
    Credentials,
    PinnedClock,
    StreamClient,
    build_client,
    close_client,
)
from activities.venues.ccxt_errors import ANSWER_ERRORS, Redactor, read_error
from activities.venues.ccxt_fields import UnreadableAnswerError
from activities.venues.ccxt_session import GuardedSession
from activities.venues.dialects import Dialect
from activities.venues.gateway import SymbolUnknownError
from activities.venues.refreshed import Refreshed

T = TypeVar("T")

MARKETS_MAX_AGE_S = 30 * 60
DOUBTED_MARKETS_MAX_AGE_S = 10
"""The list is long: however often it is doubted, it is read no more often than this."""
CLOCK_MAX_AGE_S = 30
MAX_SKEW_MS = 500
"""How far this machine's clock may move against its own monotonic one before it is doubted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """One account at one venue. `venue` is a row of the dialect table.

    `paper_url`: base URL of the paper exchange; None trades at the venue, or in its sandbox.
    """

    venue: str
    account: str
    api_key: str
    secret: str
    passphrase: str = ""
    paper_url: str | None = None
    sandbox: bool = False
    cancel_on_disconnect_s: int | None = None
    validity_window_ms: int = 5000
    http_deadline_s: Decimal = Decimal(6)

    def __repr__(self) -> str:
        where = self.paper_url or ("sandbox" if self.sandbox else "live")
        return f"VenueConfig({self.venue}, {self.account}, {where})"


class CcxtLink:
    """Owns the ccxt instance, the session, the clock offset and the symbols."""

    def __init__(self, config: VenueConfig, dialect: Dialect, session: GuardedSession) -> None:
        self.config = config
        self.dialect = dialect
        self.redactor = Redactor((config.secret, config.passphrase, config.api_key))
        self._session = session
        self.client = self._build_client(PinnedClock)
        self._markets = Refreshed(self._load_markets, max_age_s=MARKETS_MAX_AGE_S)
        self._sampled_at = _wall_over_monotonic_ms()
        self._clock = Refreshed(self._sample_clock_offset, max_age_s=CLOCK_MAX_AGE_S)

    async def ask(
        self,
        request: Callable[[], Awaitable[T]],
        *,
        expected: Callable[[object], bool] | None = None,
        is_of_order: bool = False,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> T:
        """The parsed answer of a read or cancel; its errors become the gateway's.

        `expected` judges the decoded answer of the one HTTP request that `request` makes. Only
        where it `is_of_order`, one single order, the venue's words may mean that it is absent.
        """
        with venue_call(max_answer_bytes=max_answer_bytes) as call:
            try:
                return await _of_shape(request, expected, call)
            except ANSWER_ERRORS as error:
                if isinstance(error, ccxt.InvalidNonce):
                    self.expire_clock()
                told = read_error(error, call, self.dialect, self.redactor, is_of_order=is_of_order)
                raise told from None  # the cause's text may hold a signed URL

    async def ask_signed(
        self,
        request: Callable[[], Awaitable[T]],
        *,
        expected: Callable[[object], bool] | None = None,
        is_of_order: bool = False,
    ) -> T:
        """`ask`, signed with this machine's clock moved to the venue's."""
        await self.clock_offset_ms()
        return await self.ask(request, expected=expected, is_of_order=is_of_order)

    async def venue_time_ms(self) -> int:
        """The venue's clock, read now."""

        async def request() -> int:
            return reports.time_ms(await self.client.fetch_time())

        return await self.ask(request)

    async def estimated_venue_time_ms(self) -> int:
        """The venue's clock by the offset that is known."""
        return reports.now_ms() + await self.clock_offset_ms()

    async def clock_offset_ms(self) -> int:
        """Venue clock minus this machine's, sampled at most CLOCK_MAX_AGE_S ago.

        A constant difference is harmless, since signatures carry the venue's time. A sample from
        before this machine's clock was moved is not: nothing is signed until there is a new one.
        """
        if abs(_wall_over_monotonic_ms() - self._sampled_at) > MAX_SKEW_MS:
            self.expire_clock()
        return await self._clock.get()

    def expire_clock(self) -> None:
        """The venue refused a timestamp: sample the offset anew before it is used again."""
        self._clock.expire()

    def doubt_markets(self) -> None:
        """An order was refused by a rule, or a symbol does not trade: read the rules again soon."""
        self._markets.expire(min_age_s=DOUBTED_MARKETS_MAX_AGE_S)

    async def need_markets(self) -> None:
        """Load the symbols if that never happened; parsing does not need fresh rules."""
        if not self.client.markets:
            await self._markets.get()

    async def market(self, symbol: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """ccxt's market; `fresh`: at most MARKETS_MAX_AGE_S old. SymbolUnknownError."""
        if fresh:
            await self._markets.get()
        await self.need_markets()
        market: Mapping[str, Any] | None = self.client.markets.get(symbol)
        if market is None:
            raise SymbolUnknownError(f"{self.config.venue} does not list {symbol}")
        if market.get("active") is not True:
            self.doubt_markets()
        return market

    async def spot_markets(self, *, max_age_s: float) -> list[Mapping[str, Any]]:
        """Every spot market of ccxt's, at most that old."""
        self._markets.expire(min_age_s=max_age_s)
        await self._markets.get()
        return [each for each in self.client.markets.values() if each.get("spot") is True]

    def venue_now_ms(self) -> int:
        """The venue's clock by the offset that was sampled last; nothing is asked."""
        return reports.now_ms() - int(self.client.options.get("timeDifference") or 0)

    async def stream_client(self, mixin: type[StreamClient]) -> Any:
        """A ccxt instance for one stream, with the symbols and clock of this one."""
        await self.need_markets()
        offset_ms = await self.clock_offset_ms()
        client = self._build_client(mixin)
        client.set_markets_from_exchange(self.client)
        client.options["timeDifference"] = -offset_ms
        return client

    async def close(self) -> None:
        """Release everything; streams are closed by whoever entered them."""
        await self._markets.aclose()
        await self._clock.aclose()
        await close_client(self.client)
        await self._session.close()

    async def _sample_clock_offset(self) -> int:
        before_ms, self._sampled_at = reports.now_ms(), _wall_over_monotonic_ms()
        venue_ms = await self.venue_time_ms()
        offset_ms = venue_ms - (before_ms + reports.now_ms()) // 2
        self.client.options["timeDifference"] = -offset_ms
        return offset_ms

    async def _load_markets(self) -> Mapping[str, Any]:
        async def request() -> Mapping[str, Any]:
            params = dict(self.dialect.market_params)
            markets: Mapping[str, Any] = await self.client.load_markets(True, params)
            return markets

        return await self.ask(request, max_answer_bytes=MAX_LISTING_BYTES)

    def _build_client(self, mixin: type) -> Any:
        config = self.config
        credentials = Credentials(
            api_key=config.api_key, secret=config.secret, passphrase=config.passphrase
        )
        return build_client(
            config.venue,
            self.dialect,
            credentials,
            self._session,
            sandbox=config.sandbox,
            http_deadline_s=config.http_deadline_s,
            validity_window_ms=config.validity_window_ms,
            mixin=mixin,
        )


def _wall_over_monotonic_ms() -> int:
    """The same at any time, unless somebody moves the wall clock."""
    return reports.now_ms() - time.monotonic_ns() // 1_000_000


async def _of_shape(
    request: Callable[[], Awaitable[T]],
    expected: Callable[[object], bool] | None,
    call: VenueCall,
) -> T:
    parsed = await request()
    if expected is not None and not expected(json.loads(call.body)):
        raise UnreadableAnswerError("an answer of another shape")
    return parsed
