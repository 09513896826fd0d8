"""The loss limit: a strategy or an account that lost too much today only reduces, then stops.

Every worker runs it; the ledger deals the turns. It knows neither how positions are counted nor
what a kill switch does.
"""

import asyncio
import logging
from datetime import timedelta
from decimal import Decimal

from activities.ledger.chores import Chores
from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.loss_store import LossStore

EVERY_S = Decimal(2)
_TURN = "loss limits"

log = logging.getLogger(__name__)


class LossGuard:
    """Looks at all losses that are limited, every `EVERY_S`."""

    def __init__(self, store: LossStore, chores: Chores) -> None:
        self._store = store
        self._chores = chores

    async def run(self) -> None:
        """Until cancelled. A ledger that is away only costs time."""
        pause = timedelta(milliseconds=int(EVERY_S * 1000)).total_seconds()
        while True:
            try:
                # whoever asks is a little late, so a turn is a little short
                if await self._chores.is_mine(_TURN, EVERY_S * Decimal("0.9")):
                    await self.look()
            except LEDGER_AWAY as error:
                log.warning("losses were not looked at: %s", error)
            await asyncio.sleep(pause)

    async def look(self) -> list[str]:
        """Act on every loss that is beyond its limit; the scopes. Raises what the database does."""
        losses = await self._store.losses()
        return [each.scope for each in losses if await self._store.act_on(each) is not None]
