"""The control port of a paper exchange is there only when asked for, one for each venue."""

from pathlib import Path

import pytest

from workers.ports import check_ports
from workers.settings import Settings, SettingsError, load_settings
from workers.stack_parts import StackParts

FIRST = 9101


def settings(tmp_path: Path, **given: str) -> Settings:
    made = load_settings({"DELTA_HOME": str(tmp_path / "home"), **given})
    made.home.make()
    return made


def commands(settings: Settings) -> list[tuple[str, ...]]:
    return [tuple(part.argv) for part in StackParts(settings, ("paper",)).parts()]


def test_without_the_setting_no_exchange_has_one(tmp_path):
    plain = settings(tmp_path)
    assert plain.paper_control_port_of("binance") is None
    assert all("--control-port" not in command for command in commands(plain))


def test_each_exchange_has_one_of_its_own(tmp_path):
    given = settings(tmp_path, PAPER_CONTROL_PORT=str(FIRST))
    ports = [command[command.index("--control-port") + 1] for command in commands(given)]
    assert ports == [str(FIRST), str(FIRST + 1)]
    wanted = {(each.port, each.setting) for each in StackParts(given, ("paper",)).ports()}
    assert wanted >= {(FIRST, "PAPER_CONTROL_PORT"), (FIRST + 1, "PAPER_CONTROL_PORT")}


def test_a_port_that_another_part_has_is_refused(tmp_path):
    given = settings(tmp_path, PAPER_CONTROL_PORT="8101", PAPER_PORT="8101")
    with pytest.raises(SettingsError, match="8101"):
        check_ports(StackParts(given, ("paper",)).ports())
