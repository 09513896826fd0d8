"""Alarms as they are shown, over HTTP and on the command line alike, and how one is taken up."""

import re
from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, Field

from activities.ledger.view_models import AlarmView
from activities.ledger.views import InvalidCursorError
from starters.connections import Connections
from starters.decisions import AlarmAcknowledgement, decide
from workflows.domain.alarms import advice_on
from workflows.domain.denials import DenialCode, Denied

_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)


class Alarm(BaseModel):
    """What a human must know; open until somebody acknowledges it."""

    id: int
    code: str
    object: str = Field(description="what it is about: an order, an account, a symbol")
    detail: str
    since: datetime
    meaning: str = Field(description="what the code means")
    action: str = Field(description="what to do about it")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str


class AlarmPage(BaseModel):
    """Alarms, newest first."""

    alarms: list[Alarm]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page")


async def list_alarms(
    connections: Connections,
    *,
    acknowledged: bool = False,
    accounts: frozenset[str] | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> AlarmPage:
    """A page of open alarms, or of all. Raises InvalidCursorError, Unavailable."""
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise InvalidCursorError
    before = None if cursor is None else int(cursor)
    async with connections.ledger() as ledger:
        found = await ledger.alarms(
            include_acknowledged=acknowledged,
            before_id=before,
            accounts=accounts,
            limit=limit + 1,
        )
    following = str(found[limit - 1].id) if len(found) > limit else None
    return AlarmPage(alarms=[shown(each) for each in found[:limit]], next_cursor=following)


async def acknowledge(
    connections: Connections,
    alarm_id: int,
    asked: AlarmAcknowledgement,
    *,
    accounts: frozenset[str] | None = None,
) -> Alarm | Denied:
    """The alarm, taken up; denied where there is none or another has it. Raises Unavailable."""
    if accounts is not None and await _find(connections, alarm_id, accounts) is None:
        return _absent(alarm_id)
    denied = await decide(
        connections, lambda desk: desk.acknowledge(alarm_id, by=asked.requested_by, note=asked.note)
    )
    if denied is not None:
        return denied
    found = await _find(connections, alarm_id, accounts)
    return _absent(alarm_id) if found is None else shown(found)


async def _find(
    connections: Connections, alarm_id: int, accounts: frozenset[str] | None
) -> AlarmView | None:
    async with connections.ledger() as ledger:
        found = await ledger.alarms(
            include_acknowledged=True, before_id=alarm_id + 1, accounts=accounts, limit=1
        )
    return found[0] if found and found[0].id == alarm_id else None


def _absent(alarm_id: int) -> Denied:
    return Denied(code=DenialCode.NOT_FOUND, field="alarm_id", detail=f"no alarm {alarm_id}")


def shown(alarm: AlarmView) -> Alarm:
    """The alarm with what its code means and asks for."""
    advice = advice_on(alarm.code)
    return Alarm(**asdict(alarm), meaning=advice.meaning, action=advice.action)
