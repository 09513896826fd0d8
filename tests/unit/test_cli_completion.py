"""What the shell is proposed, as the three scripts ask for it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from starters import cli, cli_actions
from tests.unit import operator_samples as samples
from tests.unit.execution_samples import arbitrage, stored
from tests.unit.starters_fakes import FakeConnections, snapshot
from workers import __main__ as workers_cli
from workers.shells import COMPLETE, Shell, script
from workflows.domain.lifecycle import OrderStatus

ORDERS = (snapshot("old-1", status=OrderStatus.FILLED), snapshot("new-1"), snapshot("new-2"))
ALARMS = {"alarms": [samples.alarm(17)]}
Proposing = Callable[..., dict[str, str]]


@pytest.fixture
def proposed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Proposing:
    """The proposals for the words until the cursor, each with the word about it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXCHANGES", "binance,okx")
    monkeypatch.setenv("SYMBOLS", "BTC/USDT,ETH/USDT")
    monkeypatch.setenv(COMPLETE, "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")

    def ask(words: str, main: Callable[[list[str]], int] = cli.main) -> dict[str, str]:
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"delta {words}")
        assert main([]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        lines = (line.partition("\t") for line in shown.out.splitlines() if line)
        return {value: about for value, _, about in lines}

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("orders c", {"cancel", "cancel-all"}),
        ("order market --si", {"--side"}),
        ("order market --side ", {"buy", "sell"}),
        ("order limit --time-in-force ", {"GTC", "IOC", "FOK"}),
        ("order market --exchange o", {"okx"}),
        ("order market --symbol ", {"BTC/USDT", "ETH/USDT"}),
        ("order market --quantity ", set()),
        ("arbitrage run --buy-exchange ", {"binance", "okx"}),
        ("orders list --status can", {"cancelled", "cancelling"}),
        ("rebalance list --status residual", {"residual_held"}),
        ("completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_commands_options_and_choices_are_proposed(
    words: str, expected: set[str], proposed: Proposing
) -> None:
    assert set(proposed(words)) == expected


def test_the_processes_are_completed_too(proposed: Proposing) -> None:
    assert set(proposed("pa", workers_cli.main)) == {"paper-exchange"}


def test_ids_are_proposed_with_what_they_are(
    proposed: Proposing, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = [stored(arbitrage(execution_id="arb-7"))]
    monkeypatch.setattr(
        cli_actions,
        "Connections",
        lambda _settings: FakeConnections(orders=ORDERS, executions=executions, rows=ALARMS),
    )
    every = proposed("orders show ")
    assert list(every) == ["new-1", "new-2", "old-1"]
    assert every["old-1"] == "market buy BTC/USDT filled"
    assert list(proposed("orders cancel n")) == ["new-1", "new-2"]
    assert list(proposed("arbitrage cancel ")) == ["arb-7"]
    assert list(proposed("alarms ack ")) == ["17"]


def test_without_a_stack_nothing_is_proposed_and_nothing_is_said(
    proposed: Proposing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DELTA_HOME", str(tmp_path / "home"))
    assert proposed("orders show ") == {}


@pytest.mark.parametrize("shell", list(Shell))
def test_the_script_is_one_that_its_shell_can_read(shell: Shell, tmp_path: Path) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed here")
    file = tmp_path / "completion"
    file.write_text(script(shell))
    read = subprocess.run([program, "-n", file], capture_output=True, text=True, timeout=20)
    assert (read.returncode, read.stderr) == (0, "")
