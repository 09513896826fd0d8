"""One turn of following a symbol's prices for every trigger that waits for them.

Theory of operation. Armed triggers are held in memory (`watch_table`) and shown every price as the
venue tells it (`price_feed`); what fires is marked in the ledger and told (`price_firing`). Beside
that, what was armed or disarmed is loaded, and it is looked whether somebody is blind
(`price_sight`).

Stored together are the states and the moment until which they know the whole path, so that the
next turn begins exactly there. Nothing is stored while a trigger that fired is not marked yet: a
crash then runs the same path again, and fires the same trigger.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from temporalio import activity
from temporalio.client import Client

from activities.ledger.watch_rows import StoredWatch
from activities.ledger.watch_store import WatchStore
from activities.price_feed import LAGS_AFTER_MS, PriceFeed
from activities.price_firing import Firing
from activities.price_sight import Blindness, Sight
from activities.together import every, until_first
from activities.venues.gateway import VenueGateway
from activities.watch_table import WatchTable
from workflows.domain.alarms import AlarmCode
from workflows.domain.triggers import source_price
from workflows.ports.prices import PRICES_TURN

IDLE_AFTER_S = 30.0
"""A follower without triggers waits this long for the next one."""
RELOAD_EVERY_S = 2.0
STORE_EVERY_S = 0.1
_STORE_MOMENT_EVERY_S = 1.0
_LOOK_EVERY_S = 0.2
_REST_BETWEEN_LOADS = 2
"""Pause after a load, in multiples of its own time."""


class Follower:
    """Follows one symbol, with one account's gateway."""

    def __init__(
        self, gateway: VenueGateway, store: WatchStore, client: Client, symbol: str
    ) -> None:
        self._store, self._venue, self._symbol = store, gateway.venue, symbol
        self._table, self._sight = WatchTable(), Sight()
        self._firing = Firing(store, client, self._venue, symbol)
        self._about = f"{self._venue}:{symbol}"
        self._feed = PriceFeed(
            gateway, symbol, self._table, self._sight, self._firing, self._path_lost
        )
        self._blindness = Blindness(self._sight, self._table, self._firing, store, self._about)
        self._seen_before_ms = 0
        """Until when an earlier turn saw every price."""
        self._stored_ms, self._stored_at = 0, 0.0
        self._empty_since: float | None = None
        self.moved_at = time.monotonic()

    async def follow(self) -> bool:
        """Follow until the turn is over; True if nobody waits for a price any more.

        SQLAlchemyError, OSError when the ledger is away; trouble with the venue is lived with.
        """
        self._seen_before_ms = await self._store.seen_until(self._venue, self._symbol) or 0
        await until_first(
            self._until_the_turn_ends(),
            self._load_changes(),
            self._firing.run(),
            self._feed.keep_streaming(),
            self._feed.keep_asking(),
            every(STORE_EVERY_S, self._keep),
            every(_LOOK_EVERY_S, self._blindness.look),
        )
        await self._firing.finish()
        await self._keep()
        return self._is_idle

    async def _until_the_turn_ends(self) -> None:
        ends_at = time.monotonic() + PRICES_TURN.total_seconds()
        while time.monotonic() < ends_at and not activity.is_worker_shutdown():
            if self._is_idle:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    @property
    def _is_idle(self) -> bool:
        since = self._empty_since
        return since is not None and time.monotonic() - since > IDLE_AFTER_S

    # --- what is armed --------------------------------------------------------------------------

    async def _load_changes(self) -> None:
        """Load at every change, and now and then in case one was not heard."""
        while True:
            async with self._store.watch_changes(self._venue, self._symbol) as changes:
                while not changes.is_lost:
                    changes.happened.clear()
                    began_at = time.monotonic()
                    await self._load()
                    # a thousand that are armed one by one are not a thousand loads of all
                    await asyncio.sleep(_REST_BETWEEN_LOADS * (time.monotonic() - began_at))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(RELOAD_EVERY_S):
                            await changes.happened.wait()

    async def _load(self) -> None:
        stored = await self._store.armed_watches(self._venue, self._symbol)
        fired = self._firing.in_progress
        new = self._table.retain(watch for watch in stored if watch.watch_id not in fired)
        self._blindness.stored(new)
        for watch in new:
            self._admit(watch)
        if self._table.gaps:
            self._feed.ask_soon()
        patience = [armed.spec.stale_after_ms for armed in self._table]
        self._feed.patience_ms = min([LAGS_AFTER_MS, *patience])
        if stored or not self._firing.is_idle:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = time.monotonic()
        self.moved_at = time.monotonic()

    def _admit(self, watch: StoredWatch) -> None:
        """Take a trigger in. If the stream told all since it was armed, it has no gap."""
        since_ms = max(watch.armed_at_ms, self._seen_before_ms)
        armed = self._table.add(watch, sure_ms=since_ms)
        ticks = self._feed.ticks_since(since_ms)
        if ticks is None:
            return
        if all(source_price(watch.spec, tick) is None for tick in ticks):
            if not self._sight.sees(armed):
                return
            known = self._sight.known  # it may be through already
            ticks.append(replace(known, at_ms=max(known.at_ms, since_ms)))
        hit = self._table.replay(armed, ticks)
        self._firing.fire([] if hit is None else [hit])

    async def _path_lost(self) -> None:
        detail = "what the price did while it was not followed cannot be read"
        await self._store.raise_alarm(AlarmCode.PRICE_PATH_LOST, self._about, detail)

    # --- what is stored -------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Store what moved, and from time to time the moment until which it is known."""
        snapshot = self._table.snapshot(self._feed.seen_ms) if self._firing.is_idle else None
        if snapshot is None or not len(self._table):
            return
        states, until_ms = snapshot
        is_due = time.monotonic() - self._stored_at >= _STORE_MOMENT_EVERY_S
        if not until_ms or not (states or (is_due and until_ms != self._stored_ms)):
            return
        await self._store.save_watch_states(
            states, venue=self._venue, symbol=self._symbol, seen_until_ms=until_ms
        )
        self._table.stored(states)
        self._stored_ms, self._stored_at = until_ms, time.monotonic()
