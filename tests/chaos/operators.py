"""Carries out what people do during a chaos run: the kill switch, limits, transfers.

Rule: whoever does something asks until it is done, and takes it back before the run is judged. What
was moved at an exchange without a trade is booked with its reason, as an operator would.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import TypeVar

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from activities.ledger.book_models import Transfer
from activities.ledger.results import TradingState
from tests.chaos.control_plan import Deed, PlannedDeed
from tests.e2e.world import World
from workers import emergency
from workers.desk import Desk, open_desk
from workers.emergency import LedgerAwayError
from workflows.domain.scopes import Scope

BY, WHY = "chaos", "a run of chaos"
PATIENCE_S, ASK_AGAIN_S = 60.0, 0.3
SWEEP_WITHIN_S = Decimal(5)
_AWAY = (LedgerAwayError, SQLAlchemyError, OSError, TimeoutError, asyncpg.PostgresError)
_Key = tuple[str, str, str]
T = TypeVar("T")


class Operators:
    """The people of one run."""

    def __init__(self, world: World, deeds: tuple[PlannedDeed, ...]) -> None:
        self._world, self._settings = world, world.stack.settings
        self._deeds = deeds

    async def work(self) -> None:
        """Do what is planned at its time; returns when all of it was taken back.

        Raises what the ledger raises if it does not come back.
        """
        await asyncio.gather(*(self._do(deed) for deed in self._deeds))

    async def _do(self, deed: PlannedDeed) -> None:
        await asyncio.sleep(deed.at_s)
        if deed.deed is Deed.SWITCH:
            await self._throw_switch(deed)
        else:
            await self._limit(deed.scope, deed.value)
            await asyncio.sleep(deed.lasts_s)
            await self._limit(deed.scope, None)

    async def _throw_switch(self, deed: PlannedDeed) -> None:
        scope = emergency.read_scope(self._settings, deed.scope)
        assert isinstance(scope, Scope), scope
        settings = self._settings
        if deed.state is TradingState.HALTED:
            await _answered(
                lambda: emergency.halt(settings, scope, WHY, BY, within_s=SWEEP_WITHIN_S)
            )
        else:
            await _answered(lambda: emergency.reduce(settings, scope, WHY, BY))
        await asyncio.sleep(deed.lasts_s)
        await _answered(lambda: emergency.resume(settings, scope, WHY, BY))

    async def _limit(self, scope: str, value: Decimal | None) -> None:
        async def change(desk: Desk) -> None:
            denied = await desk.set_limit(scope, "max_order_value", value, by=BY, reason=WHY)
            assert denied is None, denied

        await self._at_desk(change)

    async def book_transfers(self) -> int:
        """Book what the exchanges' logs say was paid in or out, and nobody has booked yet.

        How many balances it moved.
        """
        booked = await _answered(self._booked)
        paid_in = self._paid_in()
        missing = {place: paid - booked.get(place, Decimal(0)) for place, paid in paid_in.items()}
        for place, amount in missing.items():
            if amount:
                await self._book(place, amount)
        return sum(1 for amount in missing.values() if amount)

    async def _book(self, place: _Key, amount: Decimal) -> None:
        async def book(desk: Desk) -> None:
            denied = await desk.book_transfer(*place, amount, reason=WHY, by=BY)
            assert denied is None, denied

        await self._at_desk(book)

    def _paid_in(self) -> dict[_Key, Decimal]:
        return {
            (venue, account, asset): amount
            for venue in self._world.controls
            for account, by_asset in self._world.log(venue).deposits.items()
            for asset, amount in by_asset.items()
        }

    async def _booked(self) -> Mapping[_Key, Decimal]:
        place = (Transfer.exchange, Transfer.account, Transfer.asset)
        query = select(*place, func.sum(Transfer.amount)).group_by(*place)
        async with self._world.database.connect() as connection:
            rows = await connection.execute(query)
            return {(row[0], row[1], row[2]): row[3] for row in rows}

    async def _at_desk(self, use: Callable[[Desk], Awaitable[None]]) -> None:
        async def once() -> None:
            async with open_desk(self._settings) as desk:
                await use(desk)

        await _answered(once)


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the ledger answers; not for ever."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except _AWAY:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(ASK_AGAIN_S)
