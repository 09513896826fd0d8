"""Alarms after they were raised: told to the log and the webhook, and acknowledged by a human.

Rule: one process tells at a time, and what it told is stored when it is told; one that dies in
between leaves an alarm to be told once more, never one untold. An alarm that somebody has
acknowledged needs no telling; one that the engine closed before anybody heard of it does.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.audit import ENGINE, audit
from activities.ledger.control_models import Alarm
from activities.ledger.view_models import AlarmView
from workflows.domain.denials import DenialCode, Denied
from workflows.fields import utc_text

BELL_LOCK = 0x0BE11
"""Advisory lock of whoever tells now."""
BATCH = 20
"""Alarms told in one transaction; they are told at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """An alarm that somebody has yet to hear of: the log, or the webhook alone."""

    alarm: AlarmView
    is_logged: bool


Post = Callable[[Sequence[AlarmView]], Awaitable[Sequence[int]]]
"""Posts alarms and returns the ids of those that were taken; it ends within seconds."""


class AlarmStore:
    """Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def tell(self, log: Callable[[AlarmView], None], post: Post | None) -> int:
        """Tell the oldest open alarms that are not told yet; how many. `post` None: only log."""
        async with self._engine.begin() as connection:
            if not await _is_our_turn(connection):
                return 0
            found = await _untold(connection, is_posted=post is not None)
            fresh = [each.alarm for each in found if not each.is_logged]
            for alarm in fresh:
                log(alarm)
            # the rows stay free meanwhile: somebody may want to take one up
            taken = await post([each.alarm for each in found]) if post and found else ()
            await _note(connection, Alarm.told_at, [alarm.id for alarm in fresh])
            await _note(connection, Alarm.posted_at, taken)
        return len(found)

    async def acknowledge(self, alarm_id: int, by: str, note: str) -> Denied | None:
        """A human has taken it up. Twice by the same changes nothing; by another is refused."""
        async with self._engine.begin() as connection:
            query = select(*_COLUMNS).where(Alarm.id == alarm_id).with_for_update()
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return Denied(
                    code=DenialCode.NOT_FOUND, field="alarm_id", detail=f"no alarm {alarm_id}"
                )
            if row.acknowledged_at is not None:
                return _taken(row.acknowledged_by or "", by)
            await connection.execute(
                update(Alarm)
                .where(Alarm.id == alarm_id)
                .values(acknowledged_at=func.clock_timestamp(), acknowledged_by=by, note=note)
            )
            about = f"alarm:{row.code}:{row.object}"
            after = {"id": alarm_id, "detail": row.detail, "since": utc_text(row.since)}
            await connection.execute(audit(by, "acknowledge", about, after=after, reason=note))
        return None


_COLUMNS = [Alarm.__table__.c[name] for name in AlarmView.__dataclass_fields__]


def _taken(holder: str, by: str) -> Denied | None:
    if holder == by:
        return None
    detail = f"already acknowledged by {holder or 'somebody'}"
    return Denied(code=DenialCode.ALREADY_TERMINAL, field="alarm_id", detail=detail)


async def _is_our_turn(connection: AsyncConnection) -> bool:
    """In a statement of its own: the next one sees what the teller before us has stored."""
    turn = select(func.pg_try_advisory_xact_lock(cast(BELL_LOCK, BigInteger)))
    is_ours: bool = (await connection.execute(turn)).scalar_one()
    return is_ours


async def _untold(connection: AsyncConnection, *, is_posted: bool) -> list[Untold]:
    is_untold: ColumnElement[bool] = Alarm.told_at.is_(None)
    if is_posted:
        is_untold = or_(is_untold, Alarm.posted_at.is_(None))
    query: Select[tuple[object, ...]] = (
        select(*_COLUMNS, Alarm.told_at.is_not(None).label("is_logged"))
        .where(is_untold, or_(Alarm.acknowledged_at.is_(None), _was_missed()))
        # what nobody has heard of goes first: a webhook that is away must not hold it up
        .order_by(Alarm.told_at.is_not(None), Alarm.id)
        .limit(BATCH)
    )
    rows = [dict(row._mapping) for row in await connection.execute(query)]
    return [Untold(is_logged=row.pop("is_logged"), alarm=AlarmView(**row)) for row in rows]


def _was_missed() -> ColumnElement[bool]:
    return and_(Alarm.acknowledged_by == ENGINE, Alarm.told_at.is_(None))


async def _note(connection: AsyncConnection, column: object, ids: Sequence[int]) -> None:
    if ids:
        told = update(Alarm).where(Alarm.id.in_(ids))
        await connection.execute(told.values({column: func.clock_timestamp()}))
