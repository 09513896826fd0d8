"""Events are kept for a week, then taken away in small batches.

A loop of every worker; the ledger deals the turns. It must not know what an event tells.
"""

import asyncio
import logging
from datetime import timedelta
from decimal import Decimal

from activities.ledger.chores import Chores
from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.event_store import EventStore

KEPT_S = Decimal(7 * 24 * 3_600)
EVERY_S = Decimal(60)
BATCH = 5_000
MAX_BATCHES = 20
"""In one turn: 100,000 events a minute are more than the engine can make."""

log = logging.getLogger(__name__)


class EventKeeper:
    """Prunes once per EVERY_S in the whole fleet. `kept_s`: how long an event stays."""

    def __init__(self, store: EventStore, chores: Chores, *, kept_s: Decimal = KEPT_S) -> None:
        self._store = store
        self._chores = chores
        self._kept_s = kept_s

    async def run(self) -> None:
        """Until cancelled. A ledger that is away only costs time."""
        while True:
            try:
                if await self._chores.is_mine("events", EVERY_S * Decimal("0.9")):
                    await self.prune()
            except LEDGER_AWAY as error:
                log.warning("old events were not taken away: %s", error)
            await asyncio.sleep(timedelta(seconds=int(EVERY_S)).total_seconds())

    async def prune(self) -> int:
        """Take away what is too old, at most MAX_BATCHES of BATCH; how many."""
        total = 0
        for _ in range(MAX_BATCHES):
            gone = await self._store.prune(older_than_s=self._kept_s, limit=BATCH)
            total += gone
            if gone < BATCH:
                break
        return total
