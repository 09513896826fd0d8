"""The HTTP client's calls for books, controls and health. Every one raises ApiError, NoAnswer."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starters.alarms import Alarm, AlarmPage
from starters.api.health import Alive, Health
from starters.api.models import (
    ALARMS_PATH,
    AUDIT_PATH,
    BALANCES_PATH,
    BREAKS_PATH,
    FILLS_PATH,
    POSITIONS_PATH,
    RISK_PATH,
    SYMBOLS_PATH,
    TRADING_STATE_PATH,
)
from starters.audit_trail import AuditPage
from starters.books import (
    Balances,
    Fill,
    FillPage,
    GroupBy,
    HistoryPage,
    Method,
    Position,
    PositionPage,
)
from starters.breaks import Breaks
from starters.decisions import (
    AlarmAcknowledgement,
    LimitRequest,
    OverrideApproval,
    OverrideDecision,
    OverrideRequest,
    RearmRequest,
    TransferRequest,
)
from starters.http_transport import ApiError, Transport, parsed
from starters.risk import LimitPage, OverrideEntry, OverridePage, StrategyEntry, StrategyPage
from starters.symbols import Symbols
from starters.trading_state import StatePage, SwitchAnswer, SwitchRequest
from workflows.sync_messages import SyncReport

Body = Mapping[str, Any]
SWITCH_WITHIN_S = 90.0
"""A halt that closes positions too takes a minute."""


class BookCalls(Transport):
    """Positions, fills, balances, symbols, and what differs from the exchanges."""

    async def positions(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        group_by: GroupBy | None = None,
        method: Method | None = None,
    ) -> PositionPage:
        """Positions, or their sums by symbol."""
        return await self.get(
            PositionPage,
            POSITIONS_PATH,
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
            group_by=group_by,
            method=method,
        )

    async def position(
        self,
        strategy_id: str,
        exchange: str,
        symbol: str,
        *,
        account: str | None = None,
        method: Method | None = None,
    ) -> Position:
        """One position; ApiError NOT_FOUND where nothing was ever traded."""
        path = f"{POSITIONS_PATH}/{quote(strategy_id)}/{quote(exchange)}/{symbol.replace('/', '-')}"
        return await self.get(Position, path, account=account, method=method)

    async def position_history(
        self,
        strategy_id: str,
        *,
        exchange: str | None = None,
        symbol: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> HistoryPage:
        """Snapshots of positions over time, oldest first."""
        return await self.get(
            HistoryPage,
            f"{POSITIONS_PATH}/history",
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
            since=since,
            until=until,
            limit=limit,
        )

    async def sync_positions(self, exchange: str) -> SyncReport:
        """Compare the exchange with the ledger now."""
        path = f"{POSITIONS_PATH}/sync/{quote(exchange)}"
        return await self.ask(SyncReport, "POST", path, is_repeatable=True)

    async def fills(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        order_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> FillPage:
        """A page of fills, newest first."""
        return await self.get(
            FillPage,
            FILLS_PATH,
            strategy_id=strategy_id,
            exchange=exchange,
            symbol=symbol,
            order_id=order_id,
            limit=limit,
            cursor=cursor,
        )

    async def all_fills(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        order_id: str | None = None,
    ) -> AsyncIterator[Fill]:
        """Every fill that fits, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = await self.fills(
                strategy_id=strategy_id,
                exchange=exchange,
                symbol=symbol,
                order_id=order_id,
                cursor=cursor,
            )
            for each in page.fills:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return

    async def fills_csv(self, **filters: str | int | None) -> tuple[str, str | None]:
        """A page as CSV, and the next page's cursor; `filters` as of `fills`."""
        return await self.get_csv(FILLS_PATH, **filters)

    async def positions_csv(self, **filters: str | int | None) -> str:
        """The positions as CSV; `filters` as of `positions`."""
        return (await self.get_csv(POSITIONS_PATH, **filters))[0]

    async def balances(self, exchange: str, *, account: str | None = None) -> Balances:
        """What the account holds, by our books and by the exchange."""
        return await self.get(Balances, f"{BALANCES_PATH}/{quote(exchange)}", account=account)

    async def book_transfer(self, exchange: str, transfer: TransferRequest | Body) -> Balances:
        """Book a deposit or withdrawal; admin. Never sent twice by itself: both would count."""
        path = f"{BALANCES_PATH}/{quote(exchange)}/transfers"
        return await self.ask(Balances, "POST", path, body=transfer)

    async def symbols(
        self,
        exchange: str,
        *,
        symbol: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Symbols:
        """The exchange's symbols with tick, lot and minimums."""
        path = f"{SYMBOLS_PATH}/{quote(exchange)}"
        return await self.get(Symbols, path, symbol=symbol, limit=limit, cursor=cursor)

    async def breaks(self, *, exchange: str | None = None) -> Breaks:
        """Where our books and the exchanges differ now."""
        return await self.get(Breaks, BREAKS_PATH, exchange=exchange)


class ControlCalls(Transport):
    """Alarms, trading state, limits, audit, health."""

    async def alarms(
        self, *, acknowledged: bool = False, limit: int | None = None, cursor: str | None = None
    ) -> AlarmPage:
        """Open alarms, or all."""
        return await self.get(
            AlarmPage, ALARMS_PATH, acknowledged=acknowledged, limit=limit, cursor=cursor
        )

    async def acknowledge_alarm(self, alarm_id: int, *, note: str = "") -> Alarm:
        """Take an alarm up."""
        path = f"{ALARMS_PATH}/{alarm_id}/ack"
        body = AlarmAcknowledgement(note=note)
        return await self.ask(Alarm, "POST", path, body=body, is_repeatable=True)

    async def trading_state(self) -> StatePage:
        """Every kill switch that was set."""
        return await self.get(StatePage, TRADING_STATE_PATH)

    async def set_trading_state(self, switch: SwitchRequest | Body) -> SwitchAnswer:
        """Set one; the answer may take 20 s, with `flatten` a minute."""
        return await self.ask(
            SwitchAnswer, "PUT", TRADING_STATE_PATH, body=switch, timeout_s=SWITCH_WITHIN_S
        )

    async def risk_limits(
        self,
        *,
        strategy_id: str | None = None,
        exchange: str | None = None,
        account: str | None = None,
        symbol: str | None = None,
    ) -> LimitPage:
        """What is set, and what binds an order of these."""
        return await self.get(
            LimitPage,
            f"{RISK_PATH}/limits",
            strategy_id=strategy_id,
            exchange=exchange,
            account=account,
            symbol=symbol,
        )

    async def set_risk_limit(self, limit: LimitRequest | Body) -> LimitPage:
        """Set or unset one limit; admin."""
        path = f"{RISK_PATH}/limits"
        return await self.ask(LimitPage, "PUT", path, body=limit, is_repeatable=True)

    async def overrides(self) -> OverridePage:
        """The newest overrides."""
        return await self.get(OverridePage, f"{RISK_PATH}/overrides")

    async def request_override(self, override: OverrideRequest | Body) -> OverrideEntry:
        """Ask that a control may pass; another key must approve it."""
        return await self.ask(OverrideEntry, "POST", f"{RISK_PATH}/overrides", body=override)

    async def approve_override(self, override_id: int) -> OverrideEntry:
        """Put another's override in force."""
        return await self._override(override_id, "approve", OverrideApproval)

    async def revoke_override(self, override_id: int) -> OverrideEntry:
        """End an override at once."""
        return await self._override(override_id, "revoke", OverrideDecision)

    async def _override(
        self, override_id: int, action: str, kind: type[OverrideDecision]
    ) -> OverrideEntry:
        path = f"{RISK_PATH}/overrides/{override_id}/{action}"
        body = kind.model_construct(_fields_set=set())
        return await self.ask(OverrideEntry, "POST", path, body=body)

    async def strategies(self) -> StrategyPage:
        """What is counted of each strategy."""
        return await self.get(StrategyPage, f"{RISK_PATH}/strategies")

    async def rearm(self, asked: RearmRequest | Body) -> StrategyEntry:
        """Let a strategy trade again that its counters stopped; admin."""
        path = f"{RISK_PATH}/rearm"
        return await self.ask(StrategyEntry, "POST", path, body=asked)

    async def audit(
        self,
        *,
        who: str | None = None,
        action: str | None = None,
        about: str | None = None,
        verify: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AuditPage:
        """Who decided what; admin."""
        query = {"who": who, "action": action, "object": about, "verify": verify}
        return await self.get(AuditPage, AUDIT_PATH, **query, limit=limit, cursor=cursor)

    async def live(self) -> Alive:
        """Does the process answer?"""
        return await self.get(Alive, "/health/live")

    async def ready(self) -> Health:
        """Can an order be taken now? Not ready is an answer, no error."""
        return await self._health("/health/ready")

    async def health(self) -> Health:
        """Every dependency's state."""
        return await self._health("/health")

    async def _health(self, path: str) -> Health:
        try:
            return parsed(Health, await self.send("GET", path))
        except ApiError as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return parsed(Health, error.response)

    async def metrics(self) -> str:
        """The text that Prometheus reads."""
        return (await self.send("GET", "/metrics", is_repeatable=True)).text
