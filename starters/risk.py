"""Risk limits, overrides and strategies as they are shown and decided, over HTTP and by command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from activities.ledger.view_risk import RiskViews
from starters.connections import Connections
from starters.decisions import (
    LimitRequest,
    OverrideDecision,
    OverrideRequest,
    RearmRequest,
    decide,
)
from workers.risk_defaults import limits_of
from workers.settings import Settings
from workflows.domain.denials import DenialCode, Denied
from workflows.fields import Amount


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LimitEntry(_View):
    """One limit that somebody set."""

    scope: str
    name: str
    value: Amount
    unit: str
    updated_at: datetime


class EffectiveEntry(_View):
    """What binds an order."""

    name: str
    value: Amount | None = Field(description="null: off")
    unit: str
    source: str = Field(description="the scope that it comes from, or default")
    meaning: str


class LimitPage(BaseModel):
    """What is set, and what binds an order of the strategy, account and symbol asked for."""

    limits: list[LimitEntry]
    effective: list[EffectiveEntry]


class OverrideEntry(_View):
    """A control that two people let pass for a while."""

    id: int
    scope: str
    code: str
    reason: str
    status: str = Field(description="requested, in_force, expired or revoked")
    requested_by: str
    requested_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


class OverridePage(BaseModel):
    """Overrides, newest first."""

    overrides: list[OverrideEntry]


class StrategyEntry(_View):
    """What is counted of a strategy."""

    strategy_id: str
    parents_today: int
    rejects_in_row: int
    disabled: str | None = Field(description="why it may enlarge nothing until it is re-armed")


class StrategyPage(BaseModel):
    """Every strategy that traded."""

    strategies: list[StrategyEntry]


@asynccontextmanager
async def _views(connections: Connections, settings: Settings) -> AsyncIterator[RiskViews]:
    async with connections.reading(lambda engine: RiskViews(engine, limits_of(settings))) as views:
        yield views


async def read_limits(
    connections: Connections,
    settings: Settings,
    *,
    strategy_id: str | None = None,
    exchange: str | None = None,
    account: str | None = None,
    symbol: str | None = None,
) -> LimitPage:
    """The limits. What is not named is no scope of the order. Raises Unavailable."""
    async with _views(connections, settings) as views:
        limits = await views.limits()
        effective = await views.effective(
            strategy_id=strategy_id, exchange=exchange, account=account, symbol=symbol
        )
    return LimitPage(
        limits=[LimitEntry.model_validate(each) for each in limits],
        effective=[EffectiveEntry.model_validate(each) for each in effective],
    )


async def set_limit(
    connections: Connections, settings: Settings, asked: LimitRequest
) -> LimitPage | Denied:
    """Set or unset it; the limits as they are then. Raises Unavailable."""
    denied = await decide(
        connections,
        lambda desk: desk.set_limit(
            asked.scope, asked.name, asked.value, by=asked.requested_by, reason=asked.reason
        ),
    )
    return denied or await read_limits(connections, settings)


async def read_overrides(connections: Connections, settings: Settings) -> OverridePage:
    """The newest overrides. Raises Unavailable."""
    async with _views(connections, settings) as views:
        found = await views.overrides()
    return OverridePage(overrides=[OverrideEntry.model_validate(each) for each in found])


async def request_override(
    connections: Connections, settings: Settings, asked: OverrideRequest
) -> OverrideEntry | Denied:
    """Ask for it; in force once another person has approved. Raises Unavailable."""
    async with connections.desk() as desk:
        number = await desk.request_override(
            asked.scope,
            asked.code,
            reason=asked.reason,
            minutes=asked.minutes,
            by=asked.requested_by,
        )
    if isinstance(number, Denied):
        return number
    return await _override(connections, settings, number)


async def approve_override(
    connections: Connections, settings: Settings, override_id: int, asked: OverrideDecision
) -> OverrideEntry | Denied:
    """Put it in force. Raises Unavailable."""
    denied = await decide(
        connections, lambda desk: desk.approve_override(override_id, by=asked.requested_by)
    )
    return denied or await _override(connections, settings, override_id)


async def revoke_override(
    connections: Connections, settings: Settings, override_id: int, asked: OverrideDecision
) -> OverrideEntry | Denied:
    """End it. Raises Unavailable."""
    denied = await decide(
        connections, lambda desk: desk.revoke_override(override_id, by=asked.requested_by)
    )
    return denied or await _override(connections, settings, override_id)


async def _override(
    connections: Connections, settings: Settings, override_id: int
) -> OverrideEntry | Denied:
    page = await read_overrides(connections, settings)
    found = next((each for each in page.overrides if each.id == override_id), None)
    if found is None:
        detail = f"override {override_id} is decided, and no longer among the newest"
        return Denied(code=DenialCode.NOT_FOUND, field="override_id", detail=detail)
    return found


async def read_strategies(connections: Connections, settings: Settings) -> StrategyPage:
    """What is counted of every strategy. Raises Unavailable."""
    async with _views(connections, settings) as views:
        found = await views.strategies()
    return StrategyPage(strategies=[StrategyEntry.model_validate(each) for each in found])


async def rearm(
    connections: Connections, settings: Settings, asked: RearmRequest
) -> StrategyEntry | Denied:
    """Let the strategy trade again. Raises Unavailable."""
    denied = await decide(
        connections,
        lambda desk: desk.rearm(asked.strategy_id, by=asked.requested_by, reason=asked.reason),
    )
    if denied is not None:
        return denied
    page = await read_strategies(connections, settings)
    found = next((each for each in page.strategies if each.strategy_id == asked.strategy_id), None)
    assert found is not None, "its counters are never deleted"
    return found
