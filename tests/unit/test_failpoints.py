"""Failpoints: what a specification says, when a point acts, and where none may be armed."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from activities import failpoints
from activities.failpoints import POINTS, Action, FailpointError, fp, parse_failpoints
from workers.failpoint_rules import arm_failpoints
from workers.settings import SettingsError, load_settings

ROOT = Path(__file__).resolve().parents[2]
A_POINT = "submit.enter"


@pytest.fixture
def disarmed(tmp_path):
    """The folder that counts passages; nothing stays armed after the test."""
    yield tmp_path
    failpoints.arm(None, tmp_path)


def test_a_list_names_points_targets_actions_and_passages():
    kill, stop, pause = parse_failpoints(
        "submit.enter:kill@2, api.before_start[o-1]:stop\nsubmit.before_send:sleep:0.5"
    )
    assert (kill.key, kill.action, kill.passage) == ("submit.enter", Action.KILL, 2)
    assert (stop.key, stop.action, stop.passage) == ("api.before_start[o-1]", Action.STOP, 1)
    assert (pause.action, pause.pause_s) == (Action.SLEEP, 0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        "submit.enterr:kill",
        "submit.enter",
        "submit.enter:explode",
        "submit.enter:kill@0",
        "submit.enter:sleep",
        "submit.enter[a b]:kill",
        "submit.enter[../x]:kill",
        "=kill",
    ],
)
def test_what_is_not_understood_stops_the_start_with_one_line(wrong):
    with pytest.raises(SettingsError, match=r"\AEXEC_FAILPOINTS: [^\n]+\Z"):
        load_settings({"EXEC_FAILPOINTS": wrong})


@pytest.mark.parametrize(
    "production",
    [
        {"EXCHANGE_BINANCE_API_KEY": "k", "EXCHANGE_BINANCE_SECRET": "s"},
        {
            "EXCHANGE_BINANCE_API_KEY": "k",
            "EXCHANGE_BINANCE_SECRET": "s",
            "EXCHANGE_BINANCE_SANDBOX": "true",
        },
        {"EXCHANGE_OKX_PAPER_URL": "http://exchange.example:8101"},
        {"TEMPORAL_ADDRESS": "temporal.example:7233"},
        {"DATABASE_URL": "postgresql://u:p@db.example/x"},
        {"ALLOW_REMOTE": "true"},
    ],
)
def test_failpoints_are_refused_as_soon_as_anything_is_live_or_elsewhere(production):
    load_settings(production)
    with pytest.raises(SettingsError, match=r"\AEXEC_FAILPOINTS: [^\n]+\Z"):
        load_settings({**production, "EXEC_FAILPOINTS": "submit.enter:kill"})


def test_failpoints_are_allowed_where_all_addresses_are_on_this_machine():
    here = {
        "EXCHANGES": "binance",
        "EXCHANGE_BINANCE_PAPER_URL": "http://127.0.0.1:1",
        "TEMPORAL_ADDRESS": "localhost:1",
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
    }
    assert load_settings({**here, "EXEC_FAILPOINTS": "submit.enter:kill"}).exec_failpoints


def test_without_the_setting_nothing_is_armed(disarmed):
    arm_failpoints(load_settings({"DELTA_HOME": str(disarmed)}))
    for name in POINTS:
        fp(name, "anything")
    assert list(disarmed.iterdir()) == []


def test_a_point_acts_at_its_passage_only_and_counts_the_others(disarmed):
    failpoints.arm("submit.enter:raise@2", disarmed)
    fp(A_POINT, "c-1")
    with pytest.raises(FailpointError):
        fp(A_POINT, "c-2")
    fp(A_POINT, "c-1")
    assert passages(disarmed, A_POINT) == 3


def test_a_target_is_hit_by_its_own_id_and_by_no_other(disarmed):
    failpoints.arm("submit.enter[c-1]:raise", disarmed)
    fp(A_POINT, "c-2", "o-2")
    fp("submit.before_send", "c-1")
    with pytest.raises(FailpointError):
        fp(A_POINT, "c-1", "o-1")
    assert passages(disarmed, f"{A_POINT}[c-1]") == 1


def test_a_file_of_points_is_read_again_when_it_changed(disarmed):
    listed = disarmed / "points"
    failpoints.arm(f"@{listed}", disarmed / "counted")
    fp(A_POINT)
    listed.write_text("submit.enter:raise\n")
    with pytest.raises(FailpointError):
        fp(A_POINT)
    listed.unlink()
    fp(A_POINT)
    assert passages(disarmed / "counted", A_POINT) == 1


def test_a_kill_ends_the_process_there_and_does_not_repeat_in_the_next_one(disarmed):
    assert [run_through(disarmed, "kill") for _ in range(2)] == [-signal.SIGKILL, 0]
    assert passages(disarmed, A_POINT) == 2


def test_a_stopped_process_goes_on_where_it_was(disarmed):
    process = start_through(disarmed, "stop")
    _pid, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.wait(10) == 0


def test_every_point_is_passed_somewhere_and_no_other_is():
    passed = {
        str(node.args[0].value)
        for folder in ("activities", "workers", "starters")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("fp", "_pass")
        and isinstance(node.args[0], ast.Constant)
    }
    assert passed == POINTS


def run_through(folder: Path, action: str) -> int:
    return start_through(folder, action).wait(10)


def start_through(folder: Path, action: str) -> "subprocess.Popen[bytes]":
    code = (
        "import pathlib; from activities import failpoints;"
        f"failpoints.arm('submit.enter:{action}', pathlib.Path({str(folder)!r}));"
        "failpoints.fp('submit.enter')"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


def passages(folder: Path, key: str) -> int:
    return len((folder / key).read_text().splitlines())
