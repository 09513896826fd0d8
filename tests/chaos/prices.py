"""Where the market was during a run: what anybody could see, to hold fired triggers against.

Rule: seen with other eyes than the engine's, by plain reads of each exchange's book and from its
log. A price that was there for a moment only may be missed, so a trigger is judged by the range of
some seconds around it; where nothing was seen nothing is judged.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import httpx

from activities.venues.simulator.judge import VenueLog
from starters.demo_gap import Touches
from tests.e2e.world import MOVING, STILL, World
from workers.checker_ledger import WatchFacts
from workflows.domain.triggers import Flag

LOOK_EVERY_S = 0.1
WITHIN_MS = 4_000
SLACK = Decimal("0.0005")
"""How far, as a share of the price, the market may have been beyond what was seen of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The market was between the two (quote units) at that moment (ms since 1970)."""

    at_ms: int
    low: Decimal
    high: Decimal


class PriceDiary:
    """What was seen of each symbol at each venue."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[Seen]] = {}

    def note(self, venue: str, symbol: str, low: Decimal, high: Decimal) -> None:
        """The market of this moment."""
        seen = Seen(at_ms=time.time_ns() // 1_000_000, low=low, high=high)
        self._seen.setdefault((venue, symbol), []).append(seen)

    async def keep(self, world: World) -> None:
        """Look at all books, for ever; an exchange that is away is not seen."""
        urls = {venue: world.stack.paper_url(venue) or "" for venue in world.controls}
        async with asyncio.TaskGroup() as tasks:
            for venue, url in urls.items():
                for symbol in (STILL, MOVING):
                    tasks.create_task(self._look(venue, url, symbol))

    async def _look(self, venue: str, url: str, symbol: str) -> None:
        async with Touches.open({venue: url}, symbol) as touches:
            while True:
                # a fault may break the answer in every way
                with suppress(httpx.HTTPError, ArithmeticError, LookupError, TypeError, ValueError):
                    quote = (await touches.quotes())[venue]
                    if quote.mid.is_finite():
                        self.note(venue, symbol, quote.bid, quote.ask)
                await asyncio.sleep(LOOK_EVERY_S)

    def unreached(
        self, watches: Iterable[WatchFacts], logs: Mapping[str, VenueLog]
    ) -> Iterator[tuple[str, str]]:
        """Triggers that fired at a price where the market never was, with a sentence."""
        for watch in watches:
            fired = watch.fired
            if fired is None or Flag.BLIND in fired.flags:
                continue
            near = [
                each
                for each in self._all(watch.exchange, watch.symbol, logs)
                if abs(each.at_ms - fired.at_ms) <= WITHIN_MS
            ]
            if not near:
                continue
            low = min(each.low for each in near) * (1 - SLACK)
            high = max(each.high for each in near) * (1 + SLACK)
            if not low <= fired.price <= high:
                yield (
                    watch.watch_id,
                    f"fired at {fired.price:f}, the market was at {low:f} to {high:f}",
                )

    def _all(self, venue: str, symbol: str, logs: Mapping[str, VenueLog]) -> Iterator[Seen]:
        yield from self._seen.get((venue, symbol), [])
        for trade in logs[venue].trades:
            if trade.symbol == symbol:
                yield Seen(at_ms=trade.ts_ms, low=trade.price, high=trade.price)
