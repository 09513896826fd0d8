"""The ledger's writer for price watches: armed once, followed by one, ended once.

Rule: each method is one transaction, and may be called again with the same arguments. Two who
follow one symbol do no harm: a watch fires once, and an extreme never becomes worse. Errors of
the database propagate (SQLAlchemyError, OSError): nothing was written, unless a COMMIT was lost,
which a second call finds out.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger import store_watches
from activities.ledger.alarm_ends import ended
from activities.ledger.notifications import Notifications
from activities.ledger.statements import alarm
from activities.ledger.watch_changes import watch_changes
from activities.ledger.watch_rows import StoredWatch, UntoldWatch
from workflows.domain.alarms import AlarmCode
from workflows.domain.triggers import Fired, TriggerState
from workflows.ports import ArmWatch, FollowPrices, WatchView


class WatchStore:
    """Writes watches for those who own them and for whoever follows the prices."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")

    # --- for the owner of an order ---

    async def arm(self, request: ArmWatch) -> WatchView:
        """Begin to watch, once per watch id; one that is known is answered as it stands.

        DISARMED for an order that has ended: nothing is stored then. Raises UnknownOrderError.
        """
        async with self._engine.begin() as connection:
            return await store_watches.arm(connection, request)

    async def disarm(self, watch_id: str) -> WatchView:
        """Stop watching, unless it fired before. One that is not known is DISARMED."""
        async with self._engine.begin() as connection:
            return await store_watches.disarm(connection, watch_id)

    async def read(self, watch_id: str) -> WatchView:
        """The watch as it stands; one that is not known is DISARMED."""
        async with self._reader.connect() as connection:
            return await store_watches.read(connection, watch_id)

    async def place_of(self, watch_id: str) -> FollowPrices | None:
        """Whose prices the watch looks at; None for one that is not known."""
        async with self._reader.connect() as connection:
            return await store_watches.place_of(connection, watch_id)

    # --- for the follower of a symbol ---

    async def armed_watches(self, venue: str, symbol: str) -> list[StoredWatch]:
        """All that wait for a price of this symbol, oldest first."""
        async with self._reader.connect() as connection:
            return await store_watches.armed_watches(connection, venue, symbol)

    async def save_watch_states(
        self,
        states: Mapping[str, TriggerState],
        *,
        venue: str,
        symbol: str,
        seen_until_ms: int | None = None,
    ) -> None:
        """How far armed watches are, by id; an extreme never becomes worse. Empty is fine.

        With `seen_until_ms` both are stored together: a path that is read again from there must
        not meet an extreme that is younger than it.
        """
        async with self._engine.begin() as connection:
            await store_watches.save_states(connection, states)
            if seen_until_ms is not None:
                await store_watches.save_seen_until(connection, venue, symbol, seen_until_ms)

    async def fire_watch(self, watch_id: str, fired: Fired) -> bool:
        """Armed becomes fired: True for the one who did it."""
        return (await self.fire_watches([(watch_id, fired)]))[0]

    async def fire_watches(self, fired: Sequence[tuple[str, Fired]]) -> list[bool]:
        """`fire_watch` for many in one statement; answers in the order of the question."""
        async with self._engine.begin() as connection:
            return await store_watches.fire(connection, fired)

    async def untold_watches(self, venue: str, symbol: str) -> list[UntoldWatch]:
        """Fired ones whose owner was not told, oldest first."""
        async with self._reader.connect() as connection:
            return await store_watches.untold(connection, venue, symbol)

    async def watch_told(self, watch_ids: Sequence[str]) -> None:
        """The owners of these fired watches know."""
        async with self._engine.begin() as connection:
            await store_watches.told(connection, watch_ids)

    async def is_over(self, order_id: str) -> bool:
        """True if the ledger holds the order as ended."""
        async with self._reader.connect() as connection:
            return await store_watches.is_over(connection, order_id)

    async def set_blind(self, watch_ids: Sequence[str], *, is_blind: bool) -> None:
        """Whether the price that these armed watches look at is known now."""
        async with self._engine.begin() as connection:
            await store_watches.set_blind(connection, watch_ids, is_blind=is_blind)

    async def seen_until(self, venue: str, symbol: str) -> int | None:
        """Up to when the prices were seen (ms since 1970, the venue's clock); None: never."""
        async with self._reader.connect() as connection:
            return await store_watches.seen_until(connection, venue, symbol)

    def watch_changes(self, venue: str, symbol: str) -> AbstractAsyncContextManager[Notifications]:
        """Hear at once when a watch of this symbol is armed or disarmed."""
        return watch_changes(self._engine, venue, symbol)

    async def raise_alarm(self, code: AlarmCode, about: str, detail: str) -> None:
        """Tell a human, once per (code, object) until it is acknowledged."""
        async with self._engine.begin() as connection:
            await connection.execute(alarm(code, about, detail))

    async def end_alarm(self, codes: Collection[AlarmCode], about: str) -> None:
        """What a human was told of is over."""
        async with self._engine.begin() as connection:
            await connection.execute(ended(codes, about))
