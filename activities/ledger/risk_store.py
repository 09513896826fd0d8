"""What operators decide of risk: limits, re-armed strategies, and overrides that take two people.

Rule: each decision is one transaction, checked with nobody else deciding meanwhile, and leaves one
row in the audit trail. What cannot be decided so is answered with a denial, and changes nothing.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Interval, Row, cast, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.alarm_ends import OF_REARMED_STRATEGY, ended
from activities.ledger.audit import audit
from activities.ledger.control_models import RiskLimit, RiskOverride, StrategyCounter
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.limits import (
    LimitName,
    LimitSet,
    check_consistent,
    check_limit,
    kind_of_scope,
    strategy_scope,
)

MAX_MINUTES = 15
"""How long two people may let a control pass."""
OVERRIDABLE = frozenset(
    {
        DenialCode.RISK_NO_LIMIT,
        DenialCode.RISK_MAX_QTY,
        DenialCode.RISK_MAX_NOTIONAL,
        DenialCode.RISK_MAX_POSITION,
        DenialCode.RISK_MAX_EXPOSURE,
        DenialCode.RISK_PRICE_COLLAR,
        DenialCode.RISK_DUPLICATE,
        DenialCode.RISK_SELF_MATCH,
        DenialCode.RATE_LIMITED,
        DenialCode.LOSS_LIMIT,
        DenialCode.STRATEGY_DISABLED,
    }
)
"""Never what keeps an order within its parent, its funds, the venue's rules or a known market."""
_DECIDING = 0x7AD2
"""Advisory lock: one decision at a time."""


class RiskStore:
    """Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def limits(self) -> dict[tuple[str, LimitName], Decimal]:
        """Every limit that is set, by scope and name."""
        async with self._engine.connect() as connection:
            return await _limits(connection)

    async def set_limit(
        self, scope: str, name: str, value: Decimal | None, by: str, reason: str
    ) -> Denied | None:
        """Set a limit, or unset it with None; both are audited.

        Denied: UNKNOWN_ENUM or ILLEGAL_CHARS (scope), UNKNOWN_LIMIT, FIELD_NOT_ALLOWED (not for
        this kind of scope), INVALID_DECIMAL, INVALID_TYPE, PRECISION, OUT_OF_RANGE, or
        INCONSISTENT_LIMITS for one that would never bind; NOT_FOUND to unset what is not set.
        """
        limit = check_limit(scope, name, value)
        if isinstance(limit, Denied):
            return limit
        async with self._engine.begin() as connection:
            await _decide_alone(connection)
            known = await _limits(connection)
            before = known.get((scope, limit))
            denied = _fits(scope, limit, value, known)
            if denied is not None or before == value:
                return denied
            if value is None:
                await connection.execute(
                    delete(RiskLimit).where(RiskLimit.scope == scope, RiskLimit.name == limit.value)
                )
            else:
                await connection.execute(_upsert(scope, limit, value))
            told = audit(
                by,
                "risk_limit",
                f"{scope} {limit}",
                before=_shown(before),
                after=_shown(value),
                reason=reason,
            )
            await connection.execute(told)
        return None

    async def rearm(self, strategy_id: str, by: str, reason: str) -> Denied | None:
        """The strategy may trade on: its counters start again. A reason is required."""
        if not reason:
            return _missing_reason()
        mine = StrategyCounter.strategy_id == strategy_id
        async with self._engine.begin() as connection:
            columns: list[Any] = list(StrategyCounter.__table__.columns)
            found = await connection.execute(select(*columns).where(mine).with_for_update())
            counter = found.one_or_none()
            if counter is None:
                return _not_found("strategy_id", strategy_id)
            await connection.execute(
                update(StrategyCounter)
                .where(mine)
                .values(parents_today=0, rejects_in_row=0, disabled=None)
            )
            before = {
                "parents_today": counter.parents_today,
                "rejects_in_row": counter.rejects_in_row,
                "disabled": counter.disabled,
            }
            about = strategy_scope(strategy_id)
            await connection.execute(ended(OF_REARMED_STRATEGY, about))
            told = audit(by, "strategy_rearmed", about, before=before, reason=reason)
            await connection.execute(told)
        return None

    # --- overrides ---

    async def request_override(
        self, scope: str, code: str, reason: str, minutes: int, by: str
    ) -> int | Denied:
        """Ask that a denial be let pass within a scope; its id. In force once another approves."""
        denied = _check_override(scope, code, reason, minutes)
        if denied is not None:
            return denied
        async with self._engine.begin() as connection:
            lasts = literal(timedelta(minutes=minutes), Interval)
            new = insert(RiskOverride).values(
                scope=scope,
                code=code,
                reason=reason,
                requested_by=by,
                expires_at=func.now() + lasts,
            )
            found = await connection.execute(new.returning(RiskOverride.id))
            number: int = found.scalar_one()
            after = {"scope": scope, "code": code, "minutes": minutes}
            told = audit(by, "override_requested", _named(number), after=after, reason=reason)
            await connection.execute(told)
        return number

    async def approve_override(self, override_id: int, by: str) -> Denied | None:
        """Put it in force until it expires. NEEDS_ANOTHER for who asked for it."""
        async with self._engine.begin() as connection:
            known = await _open_override(connection, override_id)
            if isinstance(known, Denied):
                return known
            if _is_same_person(known.requested_by, by):
                detail = f"override={override_id} requested_by={by}"
                return Denied(code=DenialCode.NEEDS_ANOTHER, detail=detail)
            if known.approved_by is None:
                await connection.execute(
                    update(RiskOverride)
                    .where(RiskOverride.id == override_id)
                    .values(approved_by=by, approved_at=func.now())
                )
                told = audit(by, "override_approved", _named(override_id), reason=known.reason)
                await connection.execute(told)
        return None

    async def revoke_override(self, override_id: int, by: str) -> Denied | None:
        """End it at once, whoever asked for it."""
        async with self._engine.begin() as connection:
            known = await _open_override(connection, override_id)
            if isinstance(known, Denied):
                return known
            await connection.execute(
                update(RiskOverride)
                .where(RiskOverride.id == override_id)
                .values(revoked_at=func.now())
            )
            told = audit(by, "override_revoked", _named(override_id), reason=known.reason)
            await connection.execute(told)
        return None


async def _decide_alone(connection: AsyncConnection) -> None:
    await connection.execute(select(func.pg_advisory_xact_lock(cast(_DECIDING, BigInteger))))


async def _limits(connection: AsyncConnection) -> dict[tuple[str, LimitName], Decimal]:
    columns: list[Any] = [RiskLimit.scope, RiskLimit.name, RiskLimit.value]
    rows = await connection.execute(select(*columns).order_by(RiskLimit.scope, RiskLimit.name))
    return {
        (row.scope, LimitName(row.name)): row.value for row in rows if row.name in list(LimitName)
    }


def _fits(scope: str, limit: LimitName, value: Decimal | None, known: LimitSet) -> Denied | None:
    if value is not None:
        return check_consistent(scope, limit, value, known)
    return None if (scope, limit) in known else _not_found("name", f"{limit} scope={scope}")


def _upsert(scope: str, limit: LimitName, value: Decimal) -> Any:
    new = insert(RiskLimit).values(scope=scope, name=limit.value, value=value)
    return new.on_conflict_do_update(
        index_elements=[RiskLimit.scope, RiskLimit.name],
        set_={"value": value, "updated_at": func.now()},
    )


def _shown(value: Decimal | None) -> dict[str, str] | None:
    return None if value is None else {"value": f"{value:f}"}


def _named(override_id: int) -> str:
    return f"override:{override_id}"


def _check_override(scope: str, code: str, reason: str, minutes: int) -> Denied | None:
    kind = kind_of_scope(scope)
    if isinstance(kind, Denied):
        return kind
    if code not in OVERRIDABLE:
        detail = f"code must be one of {' '.join(sorted(OVERRIDABLE))}"
        return Denied(code=DenialCode.UNKNOWN_ENUM, field="code", detail=detail)
    if not 1 <= minutes <= MAX_MINUTES:
        detail = f"minutes must be between 1 and {MAX_MINUTES}"
        return Denied(code=DenialCode.OUT_OF_RANGE, field="minutes", detail=detail)
    return None if reason else _missing_reason()


async def _open_override(connection: AsyncConnection, override_id: int) -> Row[Any] | Denied:
    """One that is neither over nor revoked, held until the end."""
    is_over = (RiskOverride.expires_at <= func.clock_timestamp()).label("is_over")
    columns: list[Any] = [*RiskOverride.__table__.columns, is_over]
    query = select(*columns).where(RiskOverride.id == override_id).with_for_update()
    known = (await connection.execute(query)).one_or_none()
    if known is None:
        return _not_found("id", str(override_id))
    if known.is_over or known.revoked_at is not None:
        end = "revoked" if known.revoked_at is not None else "expired"
        detail = f"override={override_id} {end}"
        return Denied(code=DenialCode.ALREADY_TERMINAL, field="id", detail=detail)
    return known


def _is_same_person(one: str, other: str) -> bool:
    # a capital or a blank more makes nobody another person
    return one.strip().casefold() == other.strip().casefold()


def _missing_reason() -> Denied:
    return Denied(
        code=DenialCode.MISSING_FIELD, field="reason", detail="reason must say why, in words"
    )


def _not_found(field: str, what: str) -> Denied:
    return Denied(code=DenialCode.NOT_FOUND, field=field, detail=f"{field}={what}")
