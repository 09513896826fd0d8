"""The port of price watches: the ledger keeps them, one workflow per symbol follows the prices.

Rule: the ledger first. A watch that is armed and that nobody follows is found by whoever follows
next; so arming, and each look at an armed watch, makes sure that somebody does.
"""

import asyncio
from collections import defaultdict
from time import monotonic

from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from activities.ledger.results import LedgerError
from activities.ledger.watch_store import WatchStore
from activities.ledger_activities import broken_protocol
from workflows import names
from workflows.ports import (
    ArmWatch,
    FollowPrices,
    WatchName,
    WatchPort,
    WatchStatus,
    WatchView,
)

FOLLOWER = "PriceWatch"
TOLD_FOR_S = 2
"""How long a follower that was told of an armed watch needs no word of another one: shorter than
the time for which it goes on without any. It bounds the signals that one workflow collects."""


class WatchActivities(WatchPort):
    """Arms and disarms, and starts whoever follows the prices."""

    def __init__(self, store: WatchStore, client: Client) -> None:
        self._store = store
        self._client = client
        self._told_at: dict[str, float] = {}
        self._telling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @activity.defn(name="arm_watch")
    async def arm_watch(self, request: ArmWatch) -> WatchView:
        """See WatchPort."""
        try:
            view = await self._store.arm(request)
        except LedgerError as error:
            raise broken_protocol(error) from error
        if view.status is WatchStatus.ARMED:
            await self._tell(
                FollowPrices(venue=request.venue, account=request.account, symbol=request.symbol)
            )
        return view

    @activity.defn(name="disarm_watch")
    async def disarm_watch(self, request: WatchName) -> WatchView:
        """See WatchPort."""
        return await self._store.disarm(request.watch_id)

    @activity.defn(name="read_watch")
    async def read_watch(self, request: WatchName) -> WatchView:
        """See WatchPort. A follower that was lost is begun again."""
        view = await self._store.read(request.watch_id)
        if view.status is WatchStatus.ARMED:
            place = await self._store.place_of(request.watch_id)
            if place is not None:
                await self.follow(place)
        return view

    async def follow(self, place: FollowPrices) -> None:
        """Start the follower of a symbol, unless it runs."""
        await self._client.start_workflow(
            FOLLOWER,
            place,
            id=names.price_watch_id(place.venue, place.symbol),
            task_queue=names.ORDERS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"prices of {place.symbol} at {place.venue}",
        )

    async def _tell(self, place: FollowPrices) -> None:
        """As `follow`, and one that is about to end goes on."""
        name = names.price_watch_id(place.venue, place.symbol)
        async with self._telling[name]:
            now = monotonic()
            if now - self._told_at.get(name, -TOLD_FOR_S) < TOLD_FOR_S:
                return
            await self._client.start_workflow(
                FOLLOWER,
                place,
                id=name,
                task_queue=names.ORDERS_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal=names.WATCH_ARMED,
                static_summary=f"prices of {place.symbol} at {place.venue}",
            )
            self._told_at[name] = now
