"""Where operators decide: limits, overrides, re-arming, alarms, transfers, API keys.

Rule: each decision is one transaction of the ledger with its row of the audit trail, and each says
who decides. It needs neither Temporal nor a worker. What cannot be decided so is a denial.

It must not know who asks: the command line and the HTTP API use it alike.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from activities.ledger.alarm_store import AlarmStore
from activities.ledger.engine import open_engine
from activities.ledger.key_store import KeyStore
from activities.ledger.key_text import KeyText
from activities.ledger.risk_store import MAX_MINUTES, RiskStore
from activities.ledger.sync_store import SyncStore
from workers.settings import Settings
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.limits import ScopeKind

MAX_OVERRIDE_MINUTES = MAX_MINUTES
POOL_SIZE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Every method raises what the database raises; `by` is kept in the audit trail."""

    settings: Settings
    risk: RiskStore
    sync: SyncStore
    alarms: AlarmStore
    keys: KeyStore

    async def set_limit(
        self, scope: str, name: str, value: Decimal | None, *, by: str, reason: str
    ) -> Denied | None:
        """Set one limit of a scope in the limit's own unit; None unsets it.

        UNKNOWN_ENUM for an exchange or account that is not configured: it would bind nothing.
        """
        denied = None if value is None else _unknown_place(self.settings, scope)
        return denied or await self.risk.set_limit(scope, name, value, by=by, reason=reason)

    async def rearm(self, strategy_id: str, *, by: str, reason: str) -> Denied | None:
        """Let a strategy trade again that was stopped by its counters."""
        return await self.risk.rearm(strategy_id, by=by, reason=reason)

    async def request_override(
        self, scope: str, code: str, *, reason: str, minutes: int, by: str
    ) -> int | Denied:
        """Ask that one control may pass for a while; the id that another person approves."""
        denied = _unknown_place(self.settings, scope)
        return denied or await self.risk.request_override(
            scope, code, reason=reason, minutes=minutes, by=by
        )

    async def approve_override(self, override_id: int, *, by: str) -> Denied | None:
        """Put an override in force; NEEDS_ANOTHER for the person who asked for it."""
        return await self.risk.approve_override(override_id, by=by)

    async def revoke_override(self, override_id: int, *, by: str) -> Denied | None:
        """End an override at once."""
        return await self.risk.revoke_override(override_id, by=by)

    async def acknowledge(self, alarm_id: int, *, by: str, note: str) -> Denied | None:
        """Somebody has taken the alarm up."""
        return await self.alarms.acknowledge(alarm_id, by, note)

    async def create_key(
        self,
        key: KeyText,
        name: str,
        scopes: Collection[Scope],
        *,
        accounts: Collection[str] | None,
        days: int,
        by: str,
    ) -> Denied | None:
        """Make an API key known. UNKNOWN_ENUM for an account that is not configured."""
        known = tuple(
            dict.fromkeys(
                account
                for exchange in self.settings.exchanges
                for account in self.settings.accounts(exchange)
            )
        )
        if any(account not in known for account in accounts or ()):
            return _unknown("account", known)
        return await self.keys.create(key, name, scopes, accounts=accounts, days=days, by=by)

    async def revoke_key(self, key: str, *, by: str) -> str | Denied:
        """End an API key, named by its id or its name; its id."""
        return await self.keys.revoke(key, by=by)

    async def book_transfer(
        self, exchange: str, account: str, asset: str, amount: Decimal, *, reason: str, by: str
    ) -> Denied | None:
        """A deposit (> 0) or withdrawal (< 0) that no trade explains, in units of the asset."""
        if exchange not in self.settings.exchanges:
            return _unknown("exchange", self.settings.exchanges)
        accounts = self.settings.accounts(exchange)
        if account not in accounts:
            return _unknown("account", accounts)
        return await self.sync.book_transfer(exchange, account, asset, amount, reason=reason, by=by)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """On connections of its own. Raises SettingsError where there is no ledger."""
    engine = open_engine(settings.dsn(), pool_size=POOL_SIZE)
    try:
        yield Desk(
            settings=settings,
            risk=RiskStore(engine),
            sync=SyncStore(engine),
            alarms=AlarmStore(engine),
            keys=KeyStore(engine),
        )
    finally:
        await engine.dispose()


def _unknown_place(settings: Settings, scope: str) -> Denied | None:
    """Denied where the scope names what is not configured; its form is the store's to judge."""
    kind, *names = scope.split(":")
    if kind not in (ScopeKind.ACCOUNT, ScopeKind.SYMBOL) or not names:
        return None
    exchange = names[0]
    if exchange not in settings.exchanges:
        return _unknown("scope", settings.exchanges, "exchange of the scope")
    accounts = settings.accounts(exchange)
    if kind == ScopeKind.ACCOUNT and names[1:] and names[1] not in accounts:
        return _unknown("scope", accounts, "account of the scope")
    return None


def _unknown(field: str, known: tuple[str, ...], what: str = "") -> Denied:
    detail = f"{what or field} must be one of {', '.join(known)}"
    return Denied(code=DenialCode.UNKNOWN_ENUM, field=field, detail=detail)
