"""The commands of operators, against stand-ins: what is asked, shown, and said if it cannot be."""

import json
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from starters import cli, cli_decisions, cli_input
from starters.errors import AlreadyTerminal
from tests.unit import operator_samples as samples
from tests.unit.starters_fakes import FakeConnections, snapshot
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reconciliation import DifferenceKind
from workflows.ports.sync import SyncAction
from workflows.sync_messages import AccountReport, DifferenceReport, SyncReport

ROWS = {
    "positions": [samples.position()],
    "position": samples.position(),
    "fifo": samples.fifo(),
    "fills": ([samples.fill()], None),
    "balances": [samples.balance()],
    "snapshots": [samples.a_snapshot()],
    "alarms": [samples.alarm()],
    "limits": [samples.limit()],
    "effective": [samples.effective()],
    "overrides": [samples.override()],
    "strategies": [samples.strategy()],
    "order_sums": samples.statistics(),
}
REASON = ("--reason", "mended")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    for module in (cli_decisions, cli_input):
        monkeypatch.setattr(module, "user", lambda: "me")


def on(monkeypatch: pytest.MonkeyPatch, connections: FakeConnections) -> FakeConnections:
    @asynccontextmanager
    async def connected(_settings: object) -> Any:
        yield connections

    monkeypatch.setattr(cli_decisions, "connected", connected)
    return connections


@pytest.mark.parametrize(
    ("command", "path", "value"),
    [
        ("positions list", ("positions", 0, "total"), "594.7"),
        ("positions show s1 binance BTC-USDT --method fifo", ("lots", 0, "price"), "50600"),
        ("positions history s1", ("snapshots", 0, "why"), "time"),
        ("positions fills", ("fills", 0, "fee"), "-0.5"),
        ("positions balances binance", ("balances", 0, "difference"), "0.5"),
        ("alarms list", ("alarms", 0, "id"), 17),
        ("risk limits", ("limits", 0, "value"), "20000"),
        ("risk limits", ("effective", 0, "value"), None),
        ("risk overrides", ("overrides", 0, "status"), "requested"),
        ("risk strategies", ("strategies", 0, "parents_today"), 7),
        ("orders statistics", ("by_type", "market", "filled"), 3),
    ],
)
def test_what_is_shown_has_the_names_that_http_has(
    command: str,
    path: tuple[str | int, ...],
    value: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on(monkeypatch, FakeConnections(rows=ROWS))
    assert cli.main([*command.split(), "--json"]) == 0
    found: Any = json.loads(capsys.readouterr().out)
    for step in path:
        found = found[step]
    assert found == value


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("positions list", ("quantity", "594.7", "BTC/USDT")),
        ("positions show s1 binance BTC/USDT --method fifo", ("realised_net", "50600")),
        ("positions fills --csv", ("trade_id,order_id", "USDT,true")),
        ("alarms list", ("17", "o-1", "orders resolve")),
        ("risk limits", ("max_order_value", "strategy:s1", "20000")),
        ("orders statistics", ("fill_ratio", "0.75", "15000 USDT", "market: 3 filled")),
    ],
)
def test_people_see_a_table_of_the_same_fields(
    command: str,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on(monkeypatch, FakeConnections(rows=ROWS))
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(command.split()) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in words), shown


@pytest.mark.parametrize(
    ("command", "decided"),
    [
        (
            ["alarms", "ack", "17", "--note", "on it"],
            ("acknowledge", (17,), {"by": "cli:me", "note": "on it"}),
        ),
        (
            ["risk", "set", "global", "max_order_value", "2e4", *REASON],
            None,
        ),
        (
            ["risk", "set", "global", "max_order_value", "20000", *REASON],
            (
                "set_limit",
                ("global", "max_order_value", Decimal(20000)),
                {"by": "cli:me", "reason": "mended"},
            ),
        ),
        (
            ["risk", "unset", "global", "max_order_value", *REASON],
            (
                "set_limit",
                ("global", "max_order_value", None),
                {"by": "cli:me", "reason": "mended"},
            ),
        ),
        (
            ["risk", "rearm", "s1", *REASON, "--requested-by", "desk-2"],
            ("rearm", ("s1",), {"by": "desk-2", "reason": "mended"}),
        ),
        (["risk", "override", "approve", "3"], ("approve_override", (3,), {"by": "cli:me"})),
        (["risk", "override", "revoke", "3"], ("revoke_override", (3,), {"by": "cli:me"})),
        (
            ["positions", "transfer", "binance", "USDT", "--amount", "-50", *REASON],
            (
                "book_transfer",
                ("binance", "main", "USDT", Decimal(-50)),
                {"by": "cli:me", "reason": "mended"},
            ),
        ),
    ],
)
def test_a_decision_is_asked_for_by_whoever_runs_the_command(
    command: list[str], decided: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = on(monkeypatch, FakeConnections(rows=ROWS))
    assert cli.main(command) == (0 if decided else 2)
    assert connections.asked == ([decided] if decided else [])


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (DenialCode.NOT_FOUND, 1),
        (DenialCode.NEEDS_ANOTHER, 1),
        (DenialCode.INCONSISTENT_LIMITS, 2),
    ],
)
def test_a_decision_that_cannot_be_is_its_code_in_one_line(
    code: DenialCode,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    denied = Denied(code=code, field="value", detail="because")
    on(monkeypatch, FakeConnections(rows=ROWS, decided=denied))
    assert cli.main(["risk", "rearm", "s1", *REASON]) == exit_code
    assert capsys.readouterr().err == f"{code}: value: because\n"


@pytest.mark.parametrize(
    "command",
    [
        ["risk", "rearm", "s1"],
        ["risk", "rearm", "s1", "--reason", " "],
        ["risk", "override", "request", "global", "RISK_MAX_QTY", "--minutes", "16", *REASON],
        ["alarms", "ack", "seventeen"],
        ["alarms", "list", "--limit", "0"],
        ["alarms", "list", "--cursor", "x"],
        ["positions", "list", "--group-by", "side"],
        ["positions", "list", "--group-by", "symbol", "--method", "fifo"],
        ["positions", "history", "s1", "--since", "yesterday"],
        ["positions", "sync", "nowhere"],
        ["positions", "balances", "binance", "--account", "other"],
        ["orders", "resolve", "a", "0", *REASON],
        ["orders", "resolve", "a", "0", "--absent", "--adopt", "7", *REASON],
        ["orders", "resolve", "a", "-1", "--absent", *REASON],
    ],
)
def test_wrong_usage_exits_2_and_asks_nothing(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connections = on(monkeypatch, FakeConnections(snapshot(), rows=ROWS))
    assert cli.main(command) == 2
    assert connections.asked == []
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("action", "exit_code"), [(SyncAction.BOOKED, 0), (SyncAction.OPEN, 1)])
def test_a_comparison_exits_1_while_something_is_open(
    action: SyncAction,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = DifferenceReport(
        kind=DifferenceKind.BALANCE, object="USDT", action=action, age_s=Decimal(3)
    )
    account = AccountReport(account="main", settled=True, differences=(found,), differences_total=1)
    report = SyncReport(exchange="binance", accounts=(account,))
    connections = on(monkeypatch, FakeConnections(report))
    assert cli.main(["positions", "sync", "binance"]) == exit_code
    assert connections.asked == [("binance", "cli:me")]
    assert "USDT" in capsys.readouterr().out


def test_failed_orders_say_what_may_be_live_and_which_alarm_is_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = snapshot("o-1", status=OrderStatus.FAILED, reason="a bug")
    rows = {"alarms": [samples.alarm(17, code="ORDER_FAILED"), samples.alarm(16)]}
    on(monkeypatch, FakeConnections(orders=[order], rows=rows))
    assert cli.main(["orders", "failed", "--json"]) == 0
    (failed,) = json.loads(capsys.readouterr().out)["orders"]
    assert (failed["reason"], failed["may_be_live"], failed["alarm_id"]) == ("a bug", [], 17)
    assert failed["action"]


def test_an_order_that_has_ended_says_so_by_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = AlreadyTerminal(snapshot(status=OrderStatus.FILLED))
    on(monkeypatch, FakeConnections(ended, rows=ROWS))
    assert cli.main(["orders", "resolve", "a", "0", "--absent", *REASON]) == 1
    assert capsys.readouterr().err == "ALREADY_TERMINAL: order a is filled\n"
