"""What is known of a symbol's prices now, how old that is, and who is blind for it.

A quiet market is not a blind one: an answer by REST proves the price as well as a pushed tick does.
Of mark and index prices only those themselves are a proof. It must not know venues or Temporal.
"""

import time
from collections.abc import Iterable

from activities.ledger.alarm_ends import OF_SEEN_PRICE
from activities.ledger.watch_rows import StoredWatch
from activities.ledger.watch_store import WatchStore
from activities.price_firing import Firing
from activities.watch_table import Armed, Hit, WatchTable
from workflows.domain.alarms import AlarmCode
from workflows.domain.triggers import (
    Fired,
    Flag,
    OnBlind,
    Tick,
    TriggerSource,
    source_price,
    trigger_price_of,
)

_MS = 1000
_TRADED = (TriggerSource.BID_ASK, TriggerSource.LAST, TriggerSource.MID)


class Sight:
    """The newest price of each kind. Ages count from the start while none is known."""

    def __init__(self) -> None:
        self.known = Tick(at_ms=0)
        self._at = dict.fromkeys(TriggerSource, time.monotonic())
        self._is_seen = dict.fromkeys(TriggerSource, False)

    def saw(self, tick: Tick) -> None:
        """Remember what this tick tells; it is as fresh as can be."""
        now, known = time.monotonic(), self.known
        self.known = Tick(
            at_ms=tick.at_ms,
            bid=known.bid if tick.bid is None else tick.bid,
            ask=known.ask if tick.ask is None else tick.ask,
            last=known.last if tick.last is None else tick.last,
            mark=known.mark if tick.mark is None else tick.mark,
            index=known.index if tick.index is None else tick.index,
        )
        seen = [] if tick.bid is tick.ask is tick.last is None else [*_TRADED]
        seen += [TriggerSource.MARK] if tick.mark is not None else []
        seen += [TriggerSource.INDEX] if tick.index is not None else []
        for source in seen:
            self._at[source], self._is_seen[source] = now, True

    def age_ms(self, source: TriggerSource) -> float:
        """How long ago the price of this kind was last known."""
        return (time.monotonic() - self._at[source]) * _MS

    def sees(self, armed: Armed) -> bool | None:
        """Whether the price that it looks at is fresh; None while there was no time to tell."""
        if self.age_ms(armed.spec.source) > armed.spec.stale_after_ms:
            return False
        return True if self._is_seen[armed.spec.source] else None

    def contradicts(self, tick: Tick) -> bool:
        """True if this tick's trade or touch is another than the one that is known."""
        pairs = zip(
            (self.known.bid, self.known.ask, self.known.last),
            (tick.bid, tick.ask, tick.last),
            strict=True,
        )
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


class Blindness:
    """Says who cannot see the price, in the ledger and to a human; acts where that was asked."""

    def __init__(
        self, sight: Sight, table: WatchTable, firing: Firing, store: WatchStore, about: str
    ) -> None:
        self._sight, self._table, self._firing = sight, table, firing
        self._store, self._about = store, about
        self._marked: dict[str, bool] = {}
        self._is_alarmed: bool | None = None

    def stored(self, watches: Iterable[StoredWatch]) -> None:
        """These came from the ledger, with what was said of them there."""
        self._marked |= {watch.watch_id: watch.is_blind for watch in watches}

    async def look(self) -> None:
        """Compare ages with what each trigger allows; tell the ledger what changed."""
        seeing = {armed.watch_id: self._sight.sees(armed) for armed in self._table}
        self._marked = {name: self._marked.get(name, False) for name in seeing}
        blind = {name for name, sees in seeing.items() if sees is False}
        await self._alarm(blind, is_seen=all(seeing.values()))
        for is_blind in (True, False):
            names = [
                name
                for name, sees in seeing.items()
                if sees is (not is_blind) and self._marked[name] is not is_blind
            ]
            if names:
                await self._store.set_blind(names, is_blind=is_blind)
                self._marked |= dict.fromkeys(names, is_blind)
        self._exit(blind)

    async def _alarm(self, blind: set[str], *, is_seen: bool) -> None:
        """Once per episode; closed at its end."""
        if blind and not self._is_alarmed:
            detail = f"{len(blind)} triggers cannot see the price"
            await self._store.raise_alarm(AlarmCode.PRICE_FEED_STALE, self._about, detail)
        elif is_seen and self._is_alarmed is not False:  # maybe by whoever followed it before
            await self._store.end_alarm(OF_SEEN_PRICE, self._about)
        if blind or is_seen:
            self._is_alarmed = bool(blind)

    def _exit(self, blind: set[str]) -> None:
        """Fire what must not wait for a price that nobody knows, at the last known one."""
        for armed in self._table:
            if armed.spec.on_blind is not OnBlind.EXIT or armed.watch_id not in blind:
                continue
            known = self._sight.known
            price = (
                source_price(armed.spec, known)
                or trigger_price_of(armed.spec, armed.state)
                or armed.spec.activation_price
            )
            if price is None or not self._table.drop(armed.watch_id):
                continue  # a price that was never known: there is nothing to bound an exit by
            now_ms = time.time_ns() // 1_000_000
            fired = Fired(
                price=price, at_ms=now_ms, extreme=armed.state.extreme, flags=(Flag.BLIND,)
            )
            self._firing.fire([Hit(watch_id=armed.watch_id, order_id=armed.order_id, fired=fired)])
