"""The arbitrage and rebalance commands against stand-ins: what is asked, shown, and answered."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from starters import cli_actions
from starters.cli import main
from starters.errors import ExecutionEnded, ExecutionNotFound, OutcomeUnknown
from tests.unit.execution_samples import (
    ARBITRAGE_PLAN,
    arbitrage,
    leg,
    rebalance,
    stored,
)
from tests.unit.starters_fakes import FakeConnections, snapshot
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.execution_messages import (
    CompensationView,
    NeededTransfer,
    PlannedTrade,
    SkippedTrade,
)

RUN = ["arbitrage", "run", "--symbol", "BTC/USDT", "--buy-exchange", "binance"]
RUN += ["--sell-exchange", "okx", "--buy-price", "50000", "--sell-price", "50300"]
RUN += ["--amount", "0.1"]
REBALANCE = ["rebalance", "run", "--target", "BTC=0.5", "--target", "ETH=0.3"]

Answering = Callable[..., FakeConnections]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answering:
    """Connects the commands to a stand-in that answers so."""
    monkeypatch.chdir(tmp_path)

    def connect(*arguments: Any, **options: Any) -> FakeConnections:
        connections = FakeConnections(*arguments, **options)
        monkeypatch.setattr(cli_actions, "Connections", lambda _settings: connections)
        return connections

    return connect


def test_the_options_are_the_plan(answering: Answering) -> None:
    connections = answering()
    more = ["--mode", "sequential", "--timeout", "5", "--id", "arb-1", "--priority", "1"]
    assert main([*RUN, *more]) == 0
    (plan,) = connections.asked
    assert (plan.id, plan.mode, plan.timeout, plan.priority) == ("arb-1", "sequential", 5, 1)
    assert (plan.buy_exchange, plan.sell_price) == ("binance", Decimal(50300))


def test_a_plan_comes_from_a_file_and_options_win_over_it(
    answering: Answering, tmp_path: Path
) -> None:
    connections = answering()
    (tmp_path / "plan.json").write_text(json.dumps(ARBITRAGE_PLAN | {"id": "in-file"}))
    assert main(["arbitrage", "run", "--plan", "plan.json", "--amount", "0.2"]) == 0
    assert (connections.asked[0].id, connections.asked[0].amount) == ("in-file", Decimal("0.2"))


def test_a_plan_without_an_id_gets_one_before_it_is_started(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    connections = answering(OutcomeUnknown("x", "arbitrage"))
    assert main(RUN) == 1
    assert connections.asked[0].id
    shown = capsys.readouterr()
    assert shown.err.startswith("OUTCOME_UNKNOWN: ")
    assert "python -m starters arbitrage show x" in shown.err


def test_targets_and_exchanges_are_repeated_and_all_venues_are_the_default(
    answering: Answering,
) -> None:
    connections = answering()
    assert main([*REBALANCE, "--exchange", "okx"]) == 0
    assert main(["rebalance", "preview", "--target", "BTC=0.5", "--asset", "BTC"]) == 0
    named, default = connections.asked
    assert named.targets == {"BTC": Decimal("0.5"), "ETH": Decimal("0.3")}
    assert (named.exchanges, named.preview) == (("okx",), False)
    assert (len(default.exchanges), default.preview, default.assets) == (2, True, ("BTC",))


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ExecutionStatus.COMPLETED, 0),
        (ExecutionStatus.PARTIAL, 1),
        (ExecutionStatus.UNWOUND, 1),
        (ExecutionStatus.RESIDUAL_HELD, 1),
        (ExecutionStatus.FAILED, 1),
        (ExecutionStatus.CANCELLED, 1),
    ],
)
@pytest.mark.parametrize("command", [[*RUN, "--watch"], RUN, [*REBALANCE, "--watch"]])
def test_only_what_completed_is_exit_0(
    answering: Answering, command: list[str], status: ExecutionStatus, code: int
) -> None:
    answering(arbitrage(status) if command[0] == "arbitrage" else rebalance(status))
    assert main([*command, "--json"]) == code


@pytest.mark.parametrize(
    ("denial", "code"),
    [
        (DenialCode.UNKNOWN_SYMBOL, 2),
        (DenialCode.UNKNOWN_ENUM, 2),
        (DenialCode.MIN_NOTIONAL, 2),
        (DenialCode.MISSING_PRICE, 1),  # well formed: at another moment it may be accepted
        (DenialCode.BELOW_MIN_PROFIT, 1),
        (DenialCode.INSUFFICIENT_FUNDS, 1),
        (DenialCode.PAIR_BUSY, 1),
        (DenialCode.RECONCILING, 1),
    ],
)
def test_a_denied_plan_is_its_code_in_one_line(
    answering: Answering, denial: DenialCode, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    denied = {"code": denial, "error": "asked=2 limit=1"}
    answering(arbitrage(ExecutionStatus.DENIED, **denied))
    assert main([*RUN, "--watch"]) == code
    assert capsys.readouterr() == ("", f"{denial}: asked=2 limit=1\n")


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (arbitrage(ExecutionStatus.CANCELLED), 0),
        (arbitrage(ExecutionStatus.CANCELLING), 0),
        (arbitrage(ExecutionStatus.COMPLETED), 1),
        (ExecutionEnded(arbitrage(ExecutionStatus.UNWOUND)), 1),
        (ExecutionNotFound("arb-1", "arbitrage"), 1),
    ],
)
def test_a_cancel_is_exit_0_when_it_took_hold(
    answering: Answering, told: Any, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(told)
    assert main(["arbitrage", "cancel", "arb-1", "--reason", "enough"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_leg_is_not_cancelled_alone(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(orders=[snapshot("arb-1:buy")])
    assert main(["orders", "cancel", "arb-1:buy"]) == 1
    assert capsys.readouterr().err.startswith("PART_OF_EXECUTION: ")
    assert main(["orders", "show", "arb-1:buy"]) == 0


# --- what is shown --------------------------------------------------------------------------------


def test_both_legs_stand_side_by_side_with_fills_fees_and_profit(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(arbitrage())
    assert main(["arbitrage", "show", "arb-1"]) == 0
    shown = capsys.readouterr().out
    lines = {cells[0]: cells[1:] for line in shown.splitlines() if (cells := _cells(line))}
    assert lines["status"] == ["filled", "working"]
    assert lines["price"] == ["50000"]
    assert lines["filled"] == ["0.1", "0"]
    assert lines["fees"] == ["0.0001 BTC"]
    assert "buy binance" in shown
    assert "sell okx" in shown
    assert "12.5 USDT" in shown


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│") if cell.strip()]


def test_what_compensated_and_why_is_shown_below_the_legs(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    at = "2026-01-01T00:00:00+00:00"
    unwind = leg("unwind-1", side=Side.SELL, status=OrderStatus.FILLED, exchange="binance")
    why = CompensationView(at=at, action="unwind", residual=Decimal("0.1"), reason="cheaper")
    ended = arbitrage(
        ExecutionStatus.UNWOUND,
        outcome=Outcome.UNWOUND,
        orders=(leg("buy"), unwind),
        compensation=(why,),
        compensation_cost=Decimal("149.95"),
        actual_profit=Decimal("-149.95"),
        naked_seconds=Decimal("0.4"),
    )
    answering(ended)
    assert main([*RUN, "--watch"]) == 1
    shown = capsys.readouterr().out
    for text in ("unwind-1", "-149.95 USDT", "unwind 0.1 BTC (cheaper)", "0.4 s", "UNWOUND"):
        assert text in shown


def test_a_rebalancing_shows_weights_trades_and_what_is_left_out(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    trade = {"exchange": "okx", "asset": "BTC", "side": Side.SELL, "price": Decimal(50000)}
    left = {"asset": "DOGE", "side": Side.BUY, "quantity": Decimal(7), "value": Decimal(6)}
    answering(
        rebalance(
            ExecutionStatus.COMPLETED,
            preview=True,
            weights_before={"BTC": Decimal("0.75"), "USDT": Decimal("0.25")},
            sells=(PlannedTrade(quantity=Decimal("0.5"), value=Decimal(25000), **trade),),
            skipped=(SkippedTrade(reason="below the minimum", **left),),
            needs_transfer=(NeededTransfer(**left),),
        )
    )
    assert main(["rebalance", "preview", "--target", "BTC=0.5"]) == 0
    shown = capsys.readouterr().out
    shares = ("weight %", "75", "50")
    for text in (*shares, "sell BTC", "25000", "below the minimum", "7 DOGE to buy"):
        assert text in shown


def test_an_asset_without_a_target_is_shown_as_going_to_nothing(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {"BTC": Decimal("0.6"), "ETH": Decimal("0.3"), "USDT": Decimal("0.1")}
    targets = {"BTC": Decimal("0.45")}
    answering(rebalance(preview=True, weights_before=weights, targets=targets))
    assert main(["rebalance", "preview", "--target", "BTC=0.45"]) == 0
    lines = {cells[0]: cells[1:] for line in _lines(capsys) if (cells := _cells(line))}
    assert lines["BTC"] == ["60", "45"]
    assert lines["ETH"] == ["30", "0"]
    assert lines["USDT"] == ["10", "55"]


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_history_of_a_leg_is_its_executions(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(orders=[snapshot("arb-1:buy")])
    assert main(["orders", "show", "arb-1:buy"]) == 0
    (history,) = (line.strip() for line in _lines(capsys) if line.startswith("history"))
    assert history.endswith("/workflows/arb-1")


def test_a_denial_names_the_field_at_fault(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    denied = {"code": DenialCode.UNKNOWN_SYMBOL, "field": "symbol", "error": "exchange=okx"}
    answering(arbitrage(ExecutionStatus.DENIED, **denied))
    assert main(RUN) == 2
    assert capsys.readouterr().err == "UNKNOWN_SYMBOL: symbol: exchange=okx\n"


def test_json_is_the_message_itself_one_line_for_each_change(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(arbitrage(ExecutionStatus.COMPLETED))
    assert main([*RUN, "--watch", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["status"], told["actual_profit"]) == ("completed", "12.5")
    assert [each["leg"] for each in told["orders"]] == ["buy", "sell"]


def test_a_page_of_arbitrages_is_a_table_or_json_with_the_next_cursor(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(executions=[stored(arbitrage(ExecutionStatus.COMPLETED, name)) for name in "ab"])
    assert main(["arbitrage", "list", "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    assert "more: --cursor 1" in shown
    assert "completed" in shown
    assert main(["arbitrage", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["execution_id"] for each in found["arbitrages"]] == ["a", "b"]
    assert main(["arbitrage", "list", "--cursor", "garbage"]) == 2


def test_text_of_others_is_shown_as_text(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(arbitrage(ExecutionStatus.FAILED, error="[red]no[/red]", orders=()))
    main(["arbitrage", "show", "arb-1"])
    assert "[red]no[/red]" in capsys.readouterr().out


def test_every_field_of_a_plan_has_its_option_or_stands_in_a_file_only() -> None:
    from starters.cli_arbitrage import run as run_arbitrage
    from starters.cli_rebalance import run as run_rebalance
    from workflows.execution_messages import ArbitragePlan, RebalancePlan

    in_files = {"orders", "created_at", "preview"}
    plural = {"target": "targets", "exchange": "exchanges", "asset": "assets"}
    for command, plan in ((run_arbitrage, ArbitragePlan), (run_rebalance, RebalancePlan)):
        names = {plural.get(name, name) for name in command.__annotations__}
        assert names >= set(plan.model_fields) - in_files
