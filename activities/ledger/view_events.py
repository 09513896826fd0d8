"""Events for those who follow what happens: pages of them by number, and which are still kept.

Rule: nothing here writes or locks. Numbers have no gaps and are committed in their order, so a
reader who has seen one has missed none before it, and goes on from there. Only after a restore they
leap: who comes with a number from before must begin again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    bindparam,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.event_models import EventRow

MAX_EXAMINED = 5_000
"""Events that one page looks at, so that a page costs the same whatever its filter."""


class EventKind(StrEnum):
    """What an event is about."""

    ORDER = "order"
    FILL = "fill"
    POSITION = "position"
    EXECUTION = "execution"
    ALARM = "alarm"
    TRADING_STATE = "trading_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change. Decimals in `data` are text."""

    seq: int
    at: datetime
    kind: EventKind
    account: str | None
    strategy_id: str | None
    exchange: str | None
    symbol: str | None
    order_id: str | None
    execution_id: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The numbers of the oldest event that is kept and of the newest; 1 and 0 if there is none."""

    oldest: int
    head: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events somebody wants, and may see; None: any.

    Whoever is bound to accounts sees what is theirs, and the kill switches, which bind all.
    """

    strategy_id: str | None = None
    order_id: str | None = None
    execution_id: str | None = None
    kinds: frozenset[EventKind] | None = None
    accounts: frozenset[str] | None = None

    def accepts(self, event: Event) -> bool:
        """True for an event that passes."""
        if self.kinds is not None and event.kind not in self.kinds:
            return False
        if self.accounts is not None and event.kind is not EventKind.TRADING_STATE:
            return event.account in self.accounts and self._is_about(event)
        return self._is_about(event)

    def _is_about(self, event: Event) -> bool:
        return all(
            wanted is None or wanted == told
            for wanted, told in (
                (self.strategy_id, event.strategy_id),
                (self.order_id, event.order_id),
                (self.execution_id, event.execution_id),
            )
        )

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        found: list[ColumnElement[bool]] = [
            getattr(EventRow, name) == value
            for name in ("strategy_id", "order_id", "execution_id")
            if (value := getattr(self, name)) is not None
        ]
        if self.kinds is not None:
            found.append(EventRow.kind.in_(sorted(self.kinds)))
        if self.accounts is not None:
            is_theirs = EventRow.account.in_(sorted(self.accounts))
            found.append(or_(is_theirs, EventRow.kind == EventKind.TRADING_STATE.value))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in their order. `seq` is the last that was looked at: the next page is after it."""

    events: list[Event]
    seq: int
    kept: Kept


class SequenceGoneError(Exception):
    """What follows a number is not kept any more, or the number is from another ledger."""

    def __init__(self, since: int, kept: Kept) -> None:
        super().__init__(f"events after {since} are not kept: ask for what is now, and follow that")
        self.since = since
        self.kept = kept


class EventViews:
    """Reads; each method sees what was committed when it was called."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def kept(self) -> Kept:
        """The oldest and the newest number."""
        async with self._engine.connect() as connection:
            return await _kept(connection)

    async def after(self, seq: int, limit: int) -> list[Event]:
        """The events that follow a number, at most `limit`."""
        query = select(*_COLUMNS).where(EventRow.seq > seq).order_by(EventRow.seq).limit(limit)
        async with self._engine.connect() as connection:
            return _events((await connection.execute(query)).all())

    async def page(self, since: int | None, limit: int, wanted: EventFilter) -> EventPage:
        """At most `limit` events after `since`, of the next MAX_EXAMINED; without it the newest.

        Raises SequenceGoneError.
        """
        async with self._engine.connect() as connection:
            before = await _kept(connection)
            query, last = _page(since, limit, wanted, before)
            found = _events((await connection.execute(query)).all())
            is_known = (await connection.execute(_KNOWN, {"number": since})).scalar_one()
            kept = await _kept(connection)  # after it: nothing was taken away in between
        if since is None:
            return EventPage(events=found[::-1], seq=before.head, kept=kept)
        if not is_known and since + 1 != kept.oldest:
            raise SequenceGoneError(since, kept)
        if len(found) == limit:
            last = found[-1].seq
        return EventPage(events=found, seq=last, kept=kept)


_COLUMNS: list[Any] = list(EventRow.__table__.columns)
_KNOWN = select(exists().where(EventRow.seq == bindparam("number", type_=BigInteger)))
_KEPT = select(
    func.coalesce(func.min(EventRow.seq), 1).label("oldest"),
    func.coalesce(func.max(EventRow.seq), 0).label("head"),
)


async def _kept(connection: AsyncConnection) -> Kept:
    row = (await connection.execute(_KEPT)).one()
    return Kept(oldest=row.oldest, head=row.head)


def _page(
    since: int | None, limit: int, wanted: EventFilter, kept: Kept
) -> tuple[Select[Any], int]:
    """The query, and the last number that it looks at."""
    first = kept.head - MAX_EXAMINED if since is None else since
    last = min(first + MAX_EXAMINED, kept.head)
    query = select(*_COLUMNS).where(EventRow.seq > first, EventRow.seq <= last)
    order = EventRow.seq.desc() if since is None else EventRow.seq
    return query.where(*wanted.conditions()).order_by(order).limit(limit), last


def _events(rows: Any) -> list[Event]:
    return [_event(row) for row in rows]


def _event(row: Row[Any]) -> Event:
    values = row._mapping
    return Event(**{**values, "kind": EventKind(values["kind"])})
