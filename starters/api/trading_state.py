"""The routes of the kill switch: read every scope's, and set one.

Setting goes straight to the ledger and the exchanges, so it works while Temporal is away; what is
told of an order is the exchange's word.
"""

from decimal import Decimal
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from starters.api.access import Asking, check_unbound, lacks, needs, sees_scope
from starters.api.bodies import asked_by, read_json, refuse
from starters.api.documentation import QUERY_CODES, SWITCH_BODY, SWITCH_CODES, error_answers
from starters.api.models import TRADING_STATE_PATH
from starters.api.parameters import Configured, Connected, only
from starters.connections import Connections
from starters.trading_state import (
    StatePage,
    SwitchAnswer,
    SwitchRequest,
    change,
    loosens,
    read_states,
    validate_switch,
)
from workflows.domain.access import Caller, Scope
from workflows.domain.denials import DenialCode, Denied

WITHIN_S = Decimal(20)
"""Longer than it takes to prove that an order never arrived."""

router = APIRouter(prefix=TRADING_STATE_PATH, tags=["control"])


@router.get(
    "",
    responses=error_answers(*QUERY_CODES, DenialCode.UNAVAILABLE),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def read_trading_state(connections: Connected, caller: Asking) -> StatePage:
    """Every kill switch that was ever set. What binds an order is the strictest of its scopes."""
    page = await read_states(connections)
    seen = [each for each in page.states if sees_scope(caller, each.scope)]
    return page.model_copy(update={"states": seen})


@router.put(
    "",
    openapi_extra=SWITCH_BODY,
    responses={
        HTTPStatus.ACCEPTED: {
            "model": SwitchAnswer,
            "description": "It is set; something is unproven or left. Ask again to sweep again.",
        },
        **error_answers(*SWITCH_CODES, *QUERY_CODES),
    },
    dependencies=[Depends(needs(Scope.KILL, Scope.ADMIN)), Depends(only())],
)
async def set_trading_state(
    request: Request,
    response: Response,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> SwitchAnswer:
    """Set the kill switch of one scope. `halted` also takes what rests off the exchanges.

    The state holds before anything is cancelled: no order of the scope is sent from then on. The
    answer comes after at most 20 s (with `flatten` a minute): 200 when the exchanges have
    confirmed all of it, else 202. Orders that were stopped are paused; they go on only after
    `active` and their own `resume`. `active`, and `reducing` in place of `halted`, need the scope
    admin, `flatten` trade or admin.
    """
    asked = validate_switch(await read_json(request))
    if isinstance(asked, Denied):
        raise refuse(asked)
    asked = asked_by(caller, asked)
    await _check_may(caller, asked, connections)
    # between the look of _check_may and the change, somebody may halt
    only_tighter = not caller.may(Scope.ADMIN)
    answer = await change(
        connections, settings, asked, within_s=WITHIN_S, only_tighter=only_tighter
    )
    if isinstance(answer, Denied):
        raise refuse(answer)
    if not answer.confirmed:
        response.status_code = HTTPStatus.ACCEPTED
    return answer


async def _check_may(caller: Caller, asked: SwitchRequest, connections: Connections) -> None:
    """Stopping is what `kill` is for; the way back and new orders are not. Raises ApiError."""
    check_unbound(caller, "scope")
    if not caller.may(Scope.ADMIN) and await loosens(connections, asked):
        raise lacks(Scope.ADMIN)
    if asked.flatten and not (caller.may(Scope.TRADE) or caller.may(Scope.ADMIN)):
        raise lacks(Scope.TRADE, Scope.ADMIN)
