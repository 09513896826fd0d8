"""The only reader of risk for those who ask: limits, overrides, strategies, denials.

Rule: nothing here writes or locks. Amounts are exact, times are UTC.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.control_models import RiskLimit, RiskOverride, StrategyCounter
from activities.ledger.models import RiskCheck
from activities.ledger.risk_locks import today
from workflows.domain.limits import (
    GLOBAL,
    RULES,
    LimitName,
    account_scope,
    binding,
    defaults_of,
    strategy_scope,
    symbol_scope,
)
from workflows.domain.risk import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """One limit that somebody set."""

    scope: str
    name: str
    value: Decimal
    unit: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLimit:
    """What binds an order; `value` is None where the limit is off.

    `source`: the scope that it comes from, or 'default'.
    """

    name: str
    value: Decimal | None
    unit: str
    source: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideView:
    """A control that two people let pass; `status`: requested, in_force, expired or revoked."""

    id: int
    scope: str
    code: str
    reason: str
    status: str
    requested_by: str
    requested_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRiskView:
    """What is counted of a strategy. `disabled`: why it may enlarge nothing until re-armed."""

    strategy_id: str
    parents_today: int
    rejects_in_row: int
    disabled: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DenialCount:
    """How often checks denied with a code; `kind`: parent, child or execution."""

    kind: str
    code: str
    count: int


class RiskViews:
    """Reads; `limits` hold where nothing is set."""

    def __init__(self, engine: AsyncEngine, limits: Limits) -> None:
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._limits = limits

    async def limits(self) -> list[LimitView]:
        """Every limit that is set, by scope and name."""
        columns: list[Any] = list(RiskLimit.__table__.columns)
        query = select(*columns).order_by(RiskLimit.scope, RiskLimit.name)
        async with self._reader.connect() as connection:
            rows = (await connection.execute(query)).all()
        known = [row for row in rows if row.name in list(LimitName)]
        return [LimitView(**row._mapping, unit=RULES[LimitName(row.name)].unit) for row in known]

    async def effective(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        account: str | None = None,
        symbol: str | None = None,
    ) -> list[EffectiveLimit]:
        """What binds an order of this strategy, account and symbol, by the names of the limits.

        What is left out is no scope: without all of them, the limits of everything.
        """
        stored = {(each.scope, LimitName(each.name)): each.value for each in await self.limits()}
        scopes = _scopes(strategy_id, exchange, account, symbol)
        defaults = defaults_of(self._limits, exchange or "", symbol or "")
        found = []
        for name in LimitName:
            value, source = binding(stored, name, scopes), "default"
            if value is not None:
                source = next(each for each in scopes if stored.get((each, name)) == value)
            rule = RULES[name]
            found.append(
                EffectiveLimit(
                    name=name.value,
                    value=defaults.get(name) if value is None else value,
                    unit=rule.unit,
                    source=source,
                    meaning=rule.meaning,
                )
            )
        return found

    async def overrides(self, *, limit: int = 100) -> list[OverrideView]:
        """The newest overrides first."""
        row = RiskOverride
        status = case(
            (row.revoked_at.is_not(None), "revoked"),
            (row.expires_at <= func.clock_timestamp(), "expired"),
            (row.approved_at.is_(None), "requested"),
            else_="in_force",
        )
        columns: list[Any] = [*row.__table__.columns, status.label("status")]
        query = select(*columns).order_by(row.id.desc()).limit(limit)
        async with self._reader.connect() as connection:
            return [OverrideView(**each._mapping) for each in await connection.execute(query)]

    async def strategies(self, *, only_disabled: bool = False) -> list[StrategyRiskView]:
        """What is counted of every strategy that traded, by its name."""
        row = StrategyCounter
        of_today = case((row.day == today(), row.parents_today), else_=0).label("parents_today")
        columns: list[Any] = [row.strategy_id, of_today, row.rejects_in_row, row.disabled]
        query = select(*columns).order_by(row.strategy_id)
        if only_disabled:
            query = query.where(row.disabled.is_not(None))
        async with self._reader.connect() as connection:
            return [StrategyRiskView(**each._mapping) for each in await connection.execute(query)]

    async def denials(self) -> list[DenialCount]:
        """How often each code denied since the ledger began."""
        columns: list[Any] = [RiskCheck.kind, RiskCheck.code]
        query = (
            select(*columns, func.count().label("count"))
            .where(RiskCheck.verdict == "denied")
            .group_by(*columns)
            .order_by(*columns)
        )
        async with self._reader.connect() as connection:
            return [DenialCount(**each._mapping) for each in await connection.execute(query)]


def _scopes(
    strategy_id: str | None, exchange: str | None, account: str | None, symbol: str | None
) -> list[str]:
    scopes = [GLOBAL]
    if exchange is not None and account is not None:
        scopes.append(account_scope(exchange, account))
    if exchange is not None and symbol is not None:
        scopes.append(symbol_scope(exchange, symbol))
    if strategy_id is not None:
        scopes.append(strategy_scope(strategy_id))
    return scopes
