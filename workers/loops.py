"""What every worker looks after beside its queues. The ledger deals the turns, so that one process
of the fleet does it at a time, and any of them may die.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from temporalio.client import Client

from activities.adoption import Adoption
from activities.alarm_bell import AlarmBell
from activities.bookkeeping import Bookkeeper
from activities.event_keeper import EventKeeper
from activities.gateways import Gateways
from activities.loss_guard import LossGuard
from activities.order_adoption import OrderAdoption
from workers.settings import Settings
from workers.stores import Stores


class Loop(Protocol):
    """Work that is done again and again."""

    async def run(self) -> None:
        """Until cancelled. Whatever is away only costs time."""


def loops_of(client: Client, settings: Settings, gateways: Gateways, stores: Stores) -> list[Loop]:
    """All loops of one worker."""
    every_s = max(2 * settings.read_lag_s, Decimal(1))
    webhook = settings.alarm_webhook_url
    return [
        Bookkeeper(stores.books, stores.chores, gateways),
        AlarmBell(stores.alarms, None if webhook is None else webhook.get_secret_value()),
        LossGuard(stores.losses, stores.chores),
        EventKeeper(stores.events, stores.chores),
        Adoption(stores.executions, client, every_s=every_s, older_than_s=settings.read_lag_s),
        OrderAdoption(
            stores.lost, stores.chores, client, every_s=every_s, older_than_s=settings.read_lag_s
        ),
    ]


async def run_until(stop: asyncio.Event, loops: Sequence[Loop]) -> None:
    """Run the loops until told to stop. Raises what a loop did not expect."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.wait({stopped, *tasks})
