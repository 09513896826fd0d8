"""How the demo chooses its arbitrages, what it says when none pays, and what it counts as held."""

from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from starters import demo_executions
from starters.demo_executions import ExecutionDesk
from starters.demo_gap import Gap, Touches
from starters.demo_market import Rules
from starters.demo_result import ArbitrageOutcome, DemoFailed, DemoResult, RebalanceOutcome
from starters.demo_show import Screen
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus
from workflows.execution_messages import (
    ArbitragePlan,
    ArbitrageSnapshot,
    LegOrderView,
    RebalanceSnapshot,
    SkippedTrade,
)
from workflows.plans import validate_plan

NOW = "2026-01-01T00:00:00+00:00"
LEG = {
    "order_id": "x:1-sell-okx-BTC",
    "leg": "1-sell-okx-BTC",
    "exchange": "okx",
    "symbol": "BTC/USDT",
    "side": "sell",
    "type": "limit",
    "amount": "1",
    "status": "filled",
    "created_at": NOW,
    "updated_at": NOW,
}


def gap(buy: str, sell: str) -> Gap:
    return Gap(
        buy_exchange="binance",
        sell_exchange="okx",
        buy_price=Decimal(buy),
        sell_price=Decimal(sell),
    )


class Prices:
    """Touches that are told."""

    def __init__(self, *gaps: Gap) -> None:
        self._gaps = list(gaps)

    async def best(self) -> Gap:
        return self._gaps.pop(0) if len(self._gaps) > 1 else self._gaps[0]


class Engine:
    """A client whose first plans are denied; it keeps them all."""

    def __init__(self, denials: int = 0) -> None:
        self.plans: list[ArbitragePlan] = []
        self._denials = denials

    async def execute_arbitrage(self, plan: ArbitragePlan) -> ArbitrageSnapshot:
        self.plans.append(plan)
        return await self.arbitrage_result(str(plan.id))

    async def arbitrage_result(self, execution_id: str) -> ArbitrageSnapshot:
        if len(self.plans) <= self._denials:
            return ArbitrageSnapshot(
                execution_id=execution_id,
                status=ExecutionStatus.DENIED,
                code=DenialCode.BELOW_MIN_PROFIT,
            )
        return done(ExecutionStatus.COMPLETED, "1", execution_id)


def done(status: ExecutionStatus, profit: str | None, name: str = "x") -> ArbitrageSnapshot:
    return ArbitrageSnapshot(
        execution_id=name,
        status=status,
        symbol="BTC/USDT",
        actual_profit=None if profit is None else Decimal(profit),
    )


def desk(engine: Any, prices: Any) -> ExecutionDesk:
    return ExecutionDesk(
        client=engine,
        touches=prices,
        rules=Rules(tick=Decimal("0.01"), lot=Decimal("0.00001")),
        controls={},
        screen=Screen(as_json=True),
        result=DemoResult(market="still"),
    )


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(demo_executions, "_LOOK_EVERY_S", 0)


async def test_a_gap_that_pays_is_waited_for_and_then_nothing_may_be_lost_as_planned():
    engine = Engine()
    await desk(engine, Prices(gap("50000", "50050"), gap("50000", "50200"))).arbitrage()
    (plan,) = engine.plans
    assert (plan.sell_price, plan.min_profit) == (Decimal(50200), Decimal(0))
    assert validate_plan(plan.model_dump(mode="json", exclude_none=True), ArbitragePlan) == plan


async def test_without_a_gap_the_demo_says_so_and_names_the_loss_that_it_allows(
    monkeypatch, capsys
):
    monkeypatch.setattr(demo_executions, "GAP_WITHIN_S", 0)
    engine = Engine()
    await desk(engine, Prices(gap("50000", "50050"))).arbitrage()
    (plan,) = engine.plans
    assert plan.min_profit == plan.min_profit_worst == Decimal("-25.00")
    shown = capsys.readouterr().err
    assert "no gap paid within 0 s" in shown
    assert "min_profit of -25.00 USDT" in shown


async def test_a_denied_plan_is_made_anew_under_another_id_but_not_for_ever():
    engine = Engine(denials=2)
    trading = desk(engine, Prices(gap("50000", "50200")))
    await trading.arbitrage()
    assert len({plan.id for plan in engine.plans}) == 3
    assert [each.done.execution_id for each in trading.result.executions] == [engine.plans[-1].id]
    with pytest.raises(DemoFailed, match="no arbitrage traded"):
        await desk(Engine(denials=1_000), Prices(gap("50000", "50200"))).arbitrage()


async def test_the_better_direction_is_found_in_the_words_of_each_exchange():
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v3/ticker/bookTicker":
            assert request.url.params["symbol"] == "BTCUSDT"
            return httpx.Response(200, json={"bidPrice": "50100", "askPrice": "50101"})
        assert request.url.params["instId"] == "BTC-USDT"
        levels = {"bids": [["49999", "1", "0", "0"]], "asks": [["50000", "1", "0", "0"]]}
        return httpx.Response(200, json={"code": "0", "data": [levels]})

    async with _clients(answer) as clients:
        best = await Touches(clients, "BTC/USDT").best()
    assert (best.buy_exchange, best.sell_exchange) == ("okx", "binance")
    assert best.net(Decimal("0.1")) == Decimal("0.1") * (
        Decimal(50100) * Decimal("0.999") - Decimal(50000) * Decimal("1.001")
    )


@asynccontextmanager
async def _clients(answer):
    transport = httpx.MockTransport(answer)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://one.test") as one,
        httpx.AsyncClient(transport=transport, base_url="http://two.test") as two,
    ):
        yield {"binance": one, "okx": two}


@pytest.mark.parametrize(
    ("status", "profit", "holds"),
    [
        (ExecutionStatus.UNWOUND, "-25", True),
        (ExecutionStatus.UNWOUND, "-25.01", False),
        (ExecutionStatus.UNWOUND, None, False),
        (ExecutionStatus.COMPLETED, "1", False),
        (ExecutionStatus.RESIDUAL_HELD, "-1", False),
    ],
)
def test_an_arbitrage_holds_only_with_its_end_and_within_its_bound(status, profit, holds):
    outcome = ArbitrageOutcome(
        name="refused arbitrage",
        done=done(status, profit),
        wanted=ExecutionStatus.UNWOUND,
        bound=Decimal(25),
        took_s=1,
    )
    assert (outcome.failures() == []) is holds


def test_a_rebalancing_holds_when_it_is_completed_or_says_what_is_missing():
    leg = LegOrderView.model_validate(LEG)
    left = SkippedTrade(asset="BTC", side="sell", quantity="1", value="5", reason="why")

    def holds(status: ExecutionStatus, **more: Any) -> bool:
        snapshot = RebalanceSnapshot(execution_id="x", status=status, **more)
        return not RebalanceOutcome(name="rebalance", done=snapshot, took_s=1).failures()

    assert holds(ExecutionStatus.COMPLETED, orders=(leg,))
    assert holds(ExecutionStatus.PARTIAL, orders=(leg,), skipped=(left,))
    assert not holds(ExecutionStatus.COMPLETED)
    assert not holds(ExecutionStatus.PARTIAL, orders=(leg,))
    assert not holds(ExecutionStatus.FAILED, orders=(leg,), skipped=(left,))
