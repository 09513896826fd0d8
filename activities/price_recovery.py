"""The part of a price path that nobody watched, read from the venue and run over the triggers.

It is read from the market's trades, or from candles where those are not to be had. It must not
know the ledger or Temporal.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from activities.venues.gateway import VenueGateway
from activities.watch_table import Hit, WatchTable
from workflows.domain.price_paths import Path, run_path, span_of
from workflows.domain.prices import PublicTrade

_AT_A_TIME = 50
"""Triggers run between two looks at live prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the missing path fired, and until when it is known now (ms since 1970)."""

    hits: list[Hit] = field(default_factory=list)
    until_ms: int = 0


async def read_path(gateway: VenueGateway, symbol: str, since_ms: int, until_ms: int) -> Path:
    """The market's path, oldest first. VenueUnavailableError."""
    trades = await gateway.public_trades(symbol, since_ms)
    if trades is not None:
        return trades
    return await gateway.candles(symbol, since_ms, until_ms)


async def fill_gaps(
    table: WatchTable,
    gateway: VenueGateway,
    symbol: str,
    *,
    now_ms: int,
    is_live: Callable[[], bool],
) -> Recovered:
    """Run what is missing over every trigger with a gap. VenueUnavailableError: nothing changed.

    `is_live`: live prices have been coming in since before this was called, so that no part is
    missing any more. `now_ms` by the venue's clock.
    """
    gaps = table.gaps
    if not gaps:
        return Recovered()
    path = await read_path(gateway, symbol, min(gap.sure_ms for gap in gaps), now_ms)
    span = span_of(path)
    until_ms = max(_end_of(path, now_ms), *(gap.sure_ms for gap in gaps))
    hits: list[Hit] = []
    for number, gap in enumerate(gaps):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        if gap.sure is None or gap.watch_id not in table:
            continue  # it fired or was disarmed meanwhile
        sure, fired = run_path(
            gap.spec, gap.sure, path, span, armed_ms=gap.armed_ms, since_ms=gap.sure_ms
        )
        if fired is None:
            table.fill_gap(gap, sure, until_ms, is_closed=is_live())
        elif table.drop(gap.watch_id):
            hits.append(Hit(watch_id=gap.watch_id, order_id=gap.order_id, fired=fired))
    return Recovered(hits=hits, until_ms=until_ms)


def _end_of(path: Path, now_ms: int) -> int:
    """The last trade's moment: what is listed later is read the next time."""
    if not path:
        return 0
    last = path[-1]
    return last.at_ms if isinstance(last, PublicTrade) else now_ms
