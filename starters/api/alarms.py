"""The routes of alarms: what a human must know, and that somebody has taken it up."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from starters import alarms
from starters.alarms import Alarm, AlarmPage
from starters.api.access import Asking, needs
from starters.api.bodies import read_decision
from starters.api.decision_bodies import ACK_BODY, DECISION_CODES
from starters.api.documentation import PAGE_CODES, QUERY_CODES, error_answers
from starters.api.models import ALARMS_PATH
from starters.api.parameters import (
    DEFAULT_LIMIT,
    Connected,
    Cursor,
    Limit,
    TrueOrFalse,
    WholeId,
    answered,
    checked_cursor,
    only,
)
from starters.decisions import AlarmAcknowledgement
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode

router = APIRouter(prefix=ALARMS_PATH, tags=["alarms"])


@router.get(
    "",
    responses=error_answers(*PAGE_CODES),
    dependencies=[Depends(needs(Scope.READ)), Depends(only("acknowledged", "limit", "cursor"))],
)
async def list_alarms(
    connections: Connected,
    caller: Asking,
    acknowledged: Annotated[TrueOrFalse, Query(description="acknowledged ones too")] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AlarmPage:
    """Open alarms, newest first, each with its meaning and what to do about it."""
    with checked_cursor():
        return await alarms.list_alarms(
            connections,
            acknowledged=acknowledged,
            accounts=caller.accounts,
            limit=limit,
            cursor=cursor,
        )


@router.post(
    "/{alarm_id}/ack",
    openapi_extra=ACK_BODY,
    responses=error_answers(*DECISION_CODES, *QUERY_CODES, DenialCode.ALREADY_TERMINAL),
    dependencies=[Depends(needs(Scope.TRADE, Scope.ADMIN)), Depends(only())],
)
async def acknowledge_alarm(
    alarm_id: WholeId, request: Request, connections: Connected, caller: Asking
) -> Alarm:
    """Take an alarm up: it is closed, with who and a note. Twice by the same is no error."""
    asked = await read_decision(request, AlarmAcknowledgement, is_optional=True)
    return answered(
        await alarms.acknowledge(connections, alarm_id, asked, accounts=caller.accounts)
    )
