"""The prices of one symbol as the venue tells them: pushed, and asked by REST where that lacks.

Theory. The stream has no replay. What happened before it was entered, or while it was lost, is a
gap of every armed trigger; the path is then read from the venue and run over them, while live
prices go on being shown. As long as the stream is lost, both are done once a second.

A stream may also lie by silence. In a market that seems quiet the price is asked once a second,
and where the answer contradicts the stream, the stream is entered anew. One that tells old news is
as bad: its next price may be older than what a trigger knows.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from activities.price_firing import Firing
from activities.price_recovery import fill_gaps
from activities.price_sight import Sight
from activities.together import until_first
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from activities.watch_table import WatchTable
from workflows.domain.triggers import Tick, TriggerSource

log = structlog.get_logger(__name__)

ASK_EVERY_S = 1.0
LAGS_AFTER_MS = 5_000
"""Pushed prices that are older are not believed, even where every trigger is more patient."""
_SECOND_LOOK_AFTER_S = 0.25
_REMEMBERED = 5_000
"""Ticks kept for triggers that are armed meanwhile."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_LIVED_S = 10.0
"""A stream that lived so long is entered again at once."""
GIVE_UP_AFTER_S = 60.0
"""A missing path that the venue does not tell for so long is given up."""
_ASKS_WITHIN_PATIENCE = 4
_LISTED_AFTER_MS = 1_000
"""A venue may list a trade so late: a path that was read sooner may lack one."""
_MS = 1_000
_UNPUSHED = (TriggerSource.MARK, TriggerSource.INDEX)


class PriceFeed:
    """Shows every trigger of a table the prices of its symbol, for as long as it is run."""

    def __init__(
        self,
        gateway: VenueGateway,
        symbol: str,
        table: WatchTable,
        sight: Sight,
        firing: Firing,
        on_path_lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._gateway, self._symbol = gateway, symbol
        self._table, self._sight, self._firing = table, sight, firing
        self.seen_ms = 0
        """Until when every price was shown to the triggers that have no gap (venue's clock)."""
        self.patience_ms = LAGS_AFTER_MS
        """How old a pushed price may be."""
        self._recent: deque[Tick] = deque(maxlen=_REMEMBERED)
        self._entered_ms = 0
        self._is_live = False
        self._ticks, self._pushed_at = 0, 0.0
        self._offset_ms = 0
        self._doubt, self._must_ask = asyncio.Event(), asyncio.Event()
        self._asks_at = 0.0
        self._on_path_lost = on_path_lost
        self._missing_since: float | None = None

    def ask_soon(self) -> None:
        """There are gaps: read what is missing now."""
        self._must_ask.set()

    def ticks_since(self, moment_ms: int) -> list[Tick] | None:
        """Every pushed price since then; None if some may be missing."""
        is_full = len(self._recent) == _REMEMBERED
        known_from_ms = self._recent[0].at_ms + 1 if is_full else self._entered_ms
        if not self._is_live or moment_ms < known_from_ms:
            return None
        found: deque[Tick] = deque()
        for tick in reversed(self._recent):
            if tick.at_ms < moment_ms:
                break
            found.appendleft(tick)
        return list(found)

    # --- what is pushed -------------------------------------------------------------------------

    async def keep_streaming(self) -> None:
        """Be in the stream, for ever; the pause between two tries grows while it cannot be kept."""
        pause_s = _FIRST_PAUSE_S
        while True:
            began_at = time.monotonic()
            try:
                await self._read_clock()
                async with self._gateway.prices(self._symbol) as ticks:
                    self._enter()
                    await until_first(self._read(ticks), self._doubt.wait())
            except (VenueUnavailableError, SymbolUnknownError) as error:
                log.warning("prices_lost", symbol=self._symbol, why=str(error))
            finally:
                self._leave()
            lived = time.monotonic() - began_at > _LIVED_S
            pause_s = _FIRST_PAUSE_S if lived else min(2 * pause_s, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    def _enter(self) -> None:
        self._doubt.clear()
        self._is_live = True
        self._entered_ms = self._venue_now_ms()
        self.seen_ms = max(self.seen_ms, self._entered_ms)
        self.ask_soon()

    def _leave(self) -> None:
        if self._is_live:
            self._is_live = False
            self._recent.clear()
            self._table.open_gaps(self.seen_ms)
        self.ask_soon()

    async def _read(self, ticks: AsyncIterator[Tick]) -> None:
        begun_ms = 0
        async for tick in ticks:
            # the first one may have been asked for, and what was pushed meanwhile be older
            begun_ms = begun_ms or tick.at_ms
            if tick.at_ms < begun_ms:
                continue
            if self._venue_now_ms() - tick.at_ms > self.patience_ms:
                raise VenueUnavailableError("the stream of prices tells old news")
            self._ticks, self._pushed_at = self._ticks + 1, time.monotonic()
            self._recent.append(tick)
            self.seen_ms = max(self.seen_ms, tick.at_ms)
            self._show(tick)

    def _show(self, tick: Tick) -> None:
        self._sight.saw(tick)
        self._firing.fire(self._table.take(tick))

    # --- what is asked --------------------------------------------------------------------------

    async def keep_asking(self) -> None:
        """Read what is missing: at once where `ask_soon` was called, else once a second."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace_s):
                    await self._must_ask.wait()
            self._must_ask.clear()
            await asyncio.sleep(max(0.0, self._asks_at - time.monotonic()))
            for ask in (self._read_clock, self._fill_gaps, self._ask_if_quiet):
                if len(self._table) and time.monotonic() >= self._asks_at:
                    await self._try(ask)

    @property
    def _pace_s(self) -> float:
        """Time between two questions: several within the patience of every trigger."""
        return min(ASK_EVERY_S, self.patience_ms / _ASKS_WITHIN_PATIENCE / _MS)

    async def _try(self, ask: Callable[[], Awaitable[None]]) -> None:
        """A venue that cannot be asked now is asked again: not before the time that it wishes."""
        try:
            await ask()
        except (VenueUnavailableError, SymbolUnknownError) as error:
            log.warning("price_not_asked", symbol=self._symbol, why=str(error))
            if isinstance(error, VenueUnavailableError) and error.retry_after_s is not None:
                self._asks_at = time.monotonic() + float(error.retry_after_s)

    async def _read_clock(self) -> None:
        self._offset_ms = await self._gateway.clock_offset_ms()

    async def _fill_gaps(self) -> None:
        asked_ms, entered_ms = self._venue_now_ms(), self._entered_ms
        try:
            recovered = await fill_gaps(
                self._table,
                self._gateway,
                self._symbol,
                now_ms=asked_ms,
                is_live=lambda: (
                    self._is_live
                    and self._entered_ms == entered_ms
                    and asked_ms - entered_ms >= _LISTED_AFTER_MS
                ),
            )
        except VenueUnavailableError:
            await self._give_up_the_path()
            raise
        self._missing_since = None
        self._firing.fire(recovered.hits)
        self.seen_ms = max(self.seen_ms, recovered.until_ms)

    async def _give_up_the_path(self) -> None:
        """A venue may never tell it, after a long outage: say so, and go on with what is pushed."""
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        if self._is_live and now - self._missing_since > GIVE_UP_AFTER_S:
            self._missing_since = None
            self._table.forget_gaps()
            await self._on_path_lost()

    async def _ask_if_quiet(self) -> None:
        """Ask for the price where no push brings it."""
        is_pushed = self._is_live and time.monotonic() - self._pushed_at < self._pace_s
        if not is_pushed or any(each.spec.source in _UNPUSHED for each in self._table):
            await self._ask()

    async def _ask(self) -> None:
        """Show the triggers an asked price, unless a younger one was pushed meanwhile.

        One that contradicts a stream which stays silent is younger than a path that nobody told.
        """
        pushed = self._ticks
        tick = await self._gateway.tick(self._symbol)
        if self._is_live and (self._sight.contradicts(tick) or not self._ticks):
            await asyncio.sleep(_SECOND_LOOK_AFTER_S)  # what was pushed before may be on its way
        if self._ticks != pushed:
            self._show(replace(tick, bid=None, ask=None, last=None))
            return
        if self._is_live and self._sight.contradicts(tick):
            log.warning("prices_silent", symbol=self._symbol)
            self._table.open_gaps(self.seen_ms)
            self._doubt.set()
        self._show(tick)

    def _venue_now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset_ms
