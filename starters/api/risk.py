"""The routes of risk: limits, overrides that take two people, strategies that were stopped."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request

from starters import risk
from starters.api.access import (
    Asking,
    check_account,
    check_scope_text,
    check_unbound,
    needs,
    sees_scope,
    unbound,
)
from starters.api.bodies import read_decision
from starters.api.decision_bodies import (
    DECISION_CODES,
    LIMIT_BODY,
    OVERRIDE_APPROVAL_BODY,
    OVERRIDE_BODY,
    OVERRIDE_DECISION_BODY,
    REARM_BODY,
)
from starters.api.documentation import PAGE_CODES, QUERY_CODES, error_answers
from starters.api.models import RISK_PATH
from starters.api.parameters import (
    AccountFilter,
    Configured,
    Connected,
    ExchangeFilter,
    StrategyFilter,
    SymbolFilter,
    WholeId,
    answered,
    only,
)
from starters.decisions import (
    LimitRequest,
    OverrideApproval,
    OverrideDecision,
    OverrideRequest,
    RearmRequest,
)
from starters.risk import LimitPage, OverrideEntry, OverridePage, StrategyEntry, StrategyPage
from workers.settings import DEFAULT_ACCOUNT
from workflows.domain.access import Caller, Scope
from workflows.domain.denials import DenialCode

router = APIRouter(prefix=RISK_PATH, tags=["control"])

_NOT_A_LIMIT = (
    DenialCode.UNKNOWN_ENUM,
    DenialCode.UNKNOWN_LIMIT,
    DenialCode.INCONSISTENT_LIMITS,
    DenialCode.INVALID_DECIMAL,
    DenialCode.OUT_OF_RANGE,
    DenialCode.PRECISION,
)


@router.get(
    "/limits",
    responses=error_answers(*PAGE_CODES),
    dependencies=[
        Depends(needs(Scope.READ)),
        Depends(only("strategy_id", "exchange", "account", "symbol")),
    ],
)
async def read_limits(
    connections: Connected,
    settings: Configured,
    caller: Asking,
    strategy_id: StrategyFilter = None,
    exchange: ExchangeFilter = None,
    account: AccountFilter = DEFAULT_ACCOUNT,
    symbol: SymbolFilter = None,
) -> LimitPage:
    """What is set, and what binds an order of this strategy, exchange, account and symbol."""
    if exchange is not None:
        check_account(caller, account)
    page = await risk.read_limits(
        connections,
        settings,
        strategy_id=strategy_id,
        exchange=exchange,
        account=account,
        symbol=symbol,
    )
    return _seen_by(caller, page)


def _seen_by(caller: Caller, page: LimitPage) -> LimitPage:
    seen = [each for each in page.limits if sees_scope(caller, each.scope)]
    return page.model_copy(update={"limits": seen})


@router.put(
    "/limits",
    openapi_extra=LIMIT_BODY,
    responses=error_answers(*DECISION_CODES, *QUERY_CODES, *_NOT_A_LIMIT),
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def set_limit(
    request: Request, connections: Connected, settings: Configured, caller: Asking
) -> LimitPage:
    """Set one limit of a scope, or unset it with `value` null; it binds from then on.

    Of the limits set in the scopes of an order the strictest binds. One that is looser than the
    same limit of `global` would never bind, and is refused.
    """
    asked = await read_decision(request, LimitRequest)
    check_scope_text(caller, asked.scope)
    return _seen_by(caller, answered(await risk.set_limit(connections, settings, asked)))


@router.get(
    "/overrides",
    responses=error_answers(*QUERY_CODES, DenialCode.UNAVAILABLE),
    dependencies=[Depends(needs(Scope.READ)), Depends(only())],
)
async def list_overrides(
    connections: Connected, settings: Configured, caller: Asking
) -> OverridePage:
    """The newest overrides first."""
    page = await risk.read_overrides(connections, settings)
    seen = [each for each in page.overrides if sees_scope(caller, each.scope)]
    return OverridePage(overrides=seen)


@router.post(
    "/overrides",
    status_code=HTTPStatus.CREATED,
    openapi_extra=OVERRIDE_BODY,
    responses=error_answers(
        *DECISION_CODES, *QUERY_CODES, DenialCode.UNKNOWN_ENUM, DenialCode.OUT_OF_RANGE
    ),
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def request_override(
    request: Request, connections: Connected, settings: Configured, caller: Asking
) -> OverrideEntry:
    """Ask that one control may pass in a scope, for 15 minutes at most; another must approve."""
    asked = await read_decision(request, OverrideRequest)
    check_scope_text(caller, asked.scope)
    return answered(await risk.request_override(connections, settings, asked))


_DECIDED = error_answers(
    *DECISION_CODES, *QUERY_CODES, DenialCode.NEEDS_ANOTHER, DenialCode.ALREADY_TERMINAL
)


@router.post(
    "/overrides/{override_id}/approve",
    openapi_extra=OVERRIDE_APPROVAL_BODY,
    responses=_DECIDED,
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def approve_override(
    override_id: WholeId,
    request: Request,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> OverrideEntry:
    """Put an override in force; not by the person who asked for it: that takes two keys."""
    check_unbound(caller)
    asked = await read_decision(request, OverrideApproval)
    return answered(await risk.approve_override(connections, settings, override_id, asked))


@router.post(
    "/overrides/{override_id}/revoke",
    openapi_extra=OVERRIDE_DECISION_BODY,
    responses=_DECIDED,
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def revoke_override(
    override_id: WholeId,
    request: Request,
    connections: Connected,
    settings: Configured,
    caller: Asking,
) -> OverrideEntry:
    """End an override at once."""
    check_unbound(caller)
    asked = await read_decision(request, OverrideDecision, is_optional=True)
    return answered(await risk.revoke_override(connections, settings, override_id, asked))


@router.get(
    "/strategies",
    responses=error_answers(*QUERY_CODES, DenialCode.UNAVAILABLE),
    dependencies=[Depends(needs(Scope.READ)), Depends(unbound), Depends(only())],
)
async def list_strategies(connections: Connected, settings: Configured) -> StrategyPage:
    """What is counted of every strategy: orders today, rejections in a row, why it is stopped."""
    return await risk.read_strategies(connections, settings)


@router.post(
    "/rearm",
    openapi_extra=REARM_BODY,
    responses=error_answers(*DECISION_CODES, *QUERY_CODES),
    dependencies=[Depends(needs(Scope.ADMIN)), Depends(only())],
)
async def rearm_strategy(
    request: Request, connections: Connected, settings: Configured, caller: Asking
) -> StrategyEntry:
    """Let a strategy trade again that was stopped by its counters."""
    check_unbound(caller)
    asked = await read_decision(request, RearmRequest)
    return answered(await risk.rearm(connections, settings, asked))
