"""A stand-in for the kill switch behind the starters: it remembers what was asked of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.results import TradingState
from activities.ledger.state_store import Holding
from workers import emergency
from workers.emergency import SwitchReport
from workers.settings import Settings
from workflows.domain.scopes import Scope

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
HELD = Holding(
    strategy_id="s1",
    account="main",
    exchange="binance",
    symbol="BTC/USDT",
    quantity=Decimal("0.5"),
)


class FakeEmergency:
    """Remembers what was asked of it; `swept` is what a sweep came to."""

    def __init__(self, **swept: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.swept = swept
        self.held = [HELD]
        self.error: Exception | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeEmergency":
        for name in ("halt", "reduce", "resume", "holdings"):
            monkeypatch.setattr(emergency, name, getattr(self, name))
        return self

    def _told(self, state: TradingState, scope: Scope, reason: str, by: str) -> SwitchReport:
        if self.error is not None:
            raise self.error
        swept = self.swept if state is TradingState.HALTED else {}
        return SwitchReport(scope=scope, state=state, reason=reason, by=by, set_at=AT, **swept)

    async def halt(
        self,
        _settings: Settings,
        scope: Scope,
        reason: str,
        by: str,
        *,
        cancel_open: bool = True,
        within_s: Decimal,
    ) -> SwitchReport:
        self.asked.append(("halt", str(scope), reason, by, cancel_open, within_s))
        return self._told(TradingState.HALTED, scope, reason, by)

    async def reduce(
        self, _settings: Settings, scope: Scope, reason: str, by: str, **more: Any
    ) -> SwitchReport:
        self.asked.append(("reduce", str(scope), reason, by, more.get("cancel_open", False)))
        return self._told(TradingState.REDUCING, scope, reason, by)

    async def resume(self, _settings: Settings, scope: Scope, reason: str, by: str) -> SwitchReport:
        self.asked.append(("resume", str(scope), reason, by))
        return self._told(TradingState.ACTIVE, scope, reason, by)

    async def holdings(self, _settings: Settings, _scope: Scope) -> list[Holding]:
        return self.held
