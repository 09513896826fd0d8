"""The armed triggers of one symbol in memory, and what each price does to them.

Theory. Between two prices almost nothing happens to a thousand triggers, so each keeps the range
in which it need not look (`Quiet`), and each group of triggers that look at the same price keeps
the range in which none of them need. A price inside it costs two comparisons.

`state` is what live prices made of a trigger. While a part of the past is missing (a *gap*: the
follower was away, or the stream was lost), `sure` is the state before the gap and `sure_ms` its
moment: the missing path is later run from there. Only what is sure may be stored beside the moment
until which the market was watched, or a restart would compare old prices with a newer extreme.
It must not know who stores it, venues or Temporal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from activities.ledger.watch_rows import StoredWatch
from workflows.domain.orders import Side
from workflows.domain.triggers import (
    Fired,
    Quiet,
    Tick,
    TriggerSource,
    TriggerSpec,
    TriggerState,
    advance_to,
    further,
    quiet_range,
    source_price,
)

_NOTHING, _EVERYTHING = Decimal("-Infinity"), Decimal("Infinity")
_Looks = tuple[TriggerSource, Side]
"""Triggers of one side and source look at the same price."""


@dataclass(slots=True, kw_only=True)
class Armed:
    """One armed trigger, as the follower keeps it."""

    watch_id: str
    order_id: str
    spec: TriggerSpec
    state: TriggerState
    armed_ms: int
    quiet: Quiet
    sure: TriggerState | None = None
    """Present exactly while there is a gap."""
    sure_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A trigger that fired, taken out of the table."""

    watch_id: str
    order_id: str
    fired: Fired


@dataclass(slots=True)
class _Group:
    members: dict[str, Armed] = field(default_factory=dict)
    low: Decimal = _NOTHING
    high: Decimal = _EVERYTHING

    def heed(self, quiet: Quiet) -> None:
        """Be no quieter than this one member. Too little quiet only costs time."""
        self.low, self.high = max(self.low, quiet.low), min(self.high, quiet.high)

    def measure(self) -> None:
        """Where all members are quiet."""
        quiets = [armed.quiet for armed in self.members.values()]
        self.low = max((quiet.low for quiet in quiets), default=_NOTHING)
        self.high = min((quiet.high for quiet in quiets), default=_EVERYTHING)


class WatchTable:
    """Every armed trigger of one symbol. Within one price they fire in the order of arming."""

    def __init__(self) -> None:
        self._armed: dict[str, Armed] = {}
        self._groups: dict[_Looks, _Group] = {}
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._armed)

    def __contains__(self, watch_id: object) -> bool:
        return watch_id in self._armed

    def __iter__(self) -> Iterator[Armed]:
        return iter(list(self._armed.values()))

    @property
    def gaps(self) -> list[Armed]:
        """Those of whose past a part is missing."""
        return [armed for armed in self._armed.values() if armed.sure is not None]

    def retain(self, stored: Iterable[StoredWatch]) -> list[StoredWatch]:
        """Drop what is no longer armed; what is armed and not here is returned."""
        known = {watch.watch_id: watch for watch in stored}
        for watch_id in [name for name in self._armed if name not in known]:
            self.drop(watch_id)
        return [watch for name, watch in known.items() if name not in self._armed]

    def add(self, watch: StoredWatch, *, sure_ms: int) -> Armed:
        """Take a trigger in: of its past, everything since `sure_ms` is missing."""
        armed = Armed(
            watch_id=watch.watch_id,
            order_id=watch.order_id,
            spec=watch.spec,
            state=watch.state,
            armed_ms=watch.armed_at_ms,
            quiet=quiet_range(watch.spec, watch.state),
            sure=watch.state,
            sure_ms=sure_ms,
        )
        self._armed[armed.watch_id] = armed
        group = self._group_of(armed)
        group.members[armed.watch_id] = armed
        group.heed(armed.quiet)
        return armed

    def drop(self, watch_id: str) -> bool:
        """Take a trigger out; False if it is not here."""
        armed = self._armed.pop(watch_id, None)
        if armed is None:
            return False
        self._changed.discard(watch_id)
        del self._group_of(armed).members[watch_id]
        return True

    def take(self, tick: Tick) -> list[Hit]:
        """Show every trigger this tick; those that fire are taken out."""
        hits: list[Hit] = []
        for group in self._groups.values():
            hits += self._take(group, tick)
        return hits

    def _take(self, group: _Group, tick: Tick) -> list[Hit]:
        if not group.members:
            return []
        price = source_price(next(iter(group.members.values())).spec, tick)
        if price is None or group.low < price < group.high:
            return []
        hits = []
        for armed in list(group.members.values()):
            if armed.quiet.low < price < armed.quiet.high:
                continue
            fired = self._show(armed, price, tick.at_ms)
            if fired is not None:
                del self._armed[armed.watch_id], group.members[armed.watch_id]
                self._changed.discard(armed.watch_id)
                hits.append(_hit(armed, fired))
        group.measure()
        return hits

    def replay(self, armed: Armed, ticks: Iterable[Tick]) -> Hit | None:
        """Close a trigger's gap with the ticks that are its whole past since then."""
        for tick in ticks:
            price = source_price(armed.spec, tick)
            fired = None if price is None else self._show(armed, price, tick.at_ms)
            if fired is not None:
                self.drop(armed.watch_id)
                return _hit(armed, fired)
        armed.sure = None
        self._group_of(armed).heed(armed.quiet)
        return None

    def open_gaps(self, sure_ms: int) -> None:
        """From this moment on (ms since 1970) something may have been missed."""
        for armed in self._armed.values():
            if armed.sure is None:
                armed.sure, armed.sure_ms = armed.state, sure_ms

    def forget_gaps(self) -> None:
        """What is missing will never be known: what live prices made of the triggers counts."""
        for armed in self.gaps:
            armed.sure = None
            self._changed.add(armed.watch_id)

    def fill_gap(self, armed: Armed, sure: TriggerState, sure_ms: int, *, is_closed: bool) -> None:
        """The missing path was run until `sure_ms`, to this state.

        `is_closed`: live prices tell the rest. Whichever of the two followed further goes on.
        """
        reached = further(armed.spec, armed.state, sure)
        if reached is not armed.state:
            armed.state, armed.quiet = reached, quiet_range(armed.spec, reached)
            self._group_of(armed).heed(armed.quiet)
        self._changed.add(armed.watch_id)
        armed.sure, armed.sure_ms = (None, 0) if is_closed else (sure, sure_ms)

    def snapshot(self, seen_ms: int) -> tuple[dict[str, TriggerState], int] | None:
        """States that changed, and the one moment until which they are sure.

        `seen_ms` is that moment where nothing is missing. None: gaps begin at several moments.
        """
        moments = {seen_ms if each.sure is None else each.sure_ms for each in self._armed.values()}
        if len(moments) > 1:
            return None
        states = {name: self._armed[name].sure or self._armed[name].state for name in self._changed}
        return states, min(moments, default=seen_ms)

    def stored(self, states: Mapping[str, TriggerState]) -> None:
        """These were stored; what moved since then is still to be."""
        for name, state in states.items():
            armed = self._armed.get(name)
            if armed is not None and (armed.sure or armed.state) is state:
                self._changed.discard(name)

    def _show(self, armed: Armed, price: Decimal, at_ms: int) -> Fired | None:
        state, fired = advance_to(armed.spec, armed.state, price, at_ms)
        if state is not armed.state:
            armed.state, armed.quiet = state, quiet_range(armed.spec, state)
            self._changed.add(armed.watch_id)
        return fired

    def _group_of(self, armed: Armed) -> _Group:
        return self._groups.setdefault((armed.spec.source, armed.spec.side), _Group())


def _hit(armed: Armed, fired: Fired) -> Hit:
    return Hit(watch_id=armed.watch_id, order_id=armed.order_id, fired=fired)
