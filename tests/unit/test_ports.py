"""A port that a stack has checked is the stack's until it ends, for all processes of a machine."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers import ports
from workers.ports import PortTakenError, WantedPort, check_ports, hold_ports
from workers.settings import SettingsError

ELSEWHERE = """
import sys
from pathlib import Path
from workers import ports
ports.LOCKS = Path(sys.argv[1])
wanted = ports.WantedPort(port=int(sys.argv[2]), setting="API_PORT", part="API")
held = ports.hold_ports([wanted])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ports, "LOCKS", tmp_path / "locks")
    return tmp_path / "locks"


@pytest.fixture
def wanted() -> list[WantedPort]:
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        numbers = [each.getsockname()[1] for each in (first, second)]
    return [WantedPort(port=n, setting="METRICS_PORT", part=f"worker {n}") for n in numbers]


@pytest.fixture
def stranger(locks: Path, wanted: list[WantedPort]) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the second port, and listens nowhere."""
    command = [sys.executable, "-c", ELSEWHERE, str(locks), str(wanted[1].port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_held_port_is_taken_until_it_is_given_back(wanted: list[WantedPort]) -> None:
    with hold_ports(wanted), pytest.raises(PortTakenError, match=f"port {wanted[0].port} "):
        check_ports(wanted)
    check_ports(wanted)
    with hold_ports(wanted):
        pass


def test_a_port_that_another_process_holds_is_taken_although_nobody_listens(
    wanted: list[WantedPort], stranger: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(PortTakenError, match=f"port {wanted[1].port} "):
        hold_ports(wanted)
    check_ports(wanted[:1])  # what was held before the failure was given back
    stranger.kill()
    stranger.wait()
    check_ports(wanted)


def test_a_port_on_which_a_stranger_listens_is_taken_and_its_lock_free_again(
    wanted: list[WantedPort],
) -> None:
    with socket.socket() as server:
        server.bind((wanted[1].host, wanted[1].port))
        server.listen()
        with pytest.raises(PortTakenError, match=f"port {wanted[1].port} "):
            hold_ports(wanted)
    check_ports(wanted)


def test_a_server_can_be_started_on_a_held_port(wanted: list[WantedPort]) -> None:
    with hold_ports(wanted), socket.socket() as server:
        server.bind((wanted[0].host, wanted[0].port))
        server.listen()


def test_one_port_for_two_parts_is_a_wrong_setting(wanted: list[WantedPort]) -> None:
    with pytest.raises(SettingsError, match="is also that of"):
        hold_ports([wanted[0], WantedPort(port=wanted[0].port, setting="API_PORT", part="API")])


def test_every_user_may_lock_and_nobody_may_remove(locks: Path, wanted: list[WantedPort]) -> None:
    check_ports(wanted)
    assert locks.stat().st_mode & 0o7777 == 0o1777
    assert {path.stat().st_mode & 0o777 for path in locks.iterdir()} == {0o644}
    # a lock file of another user's can be read, and that is enough
    (locks / str(wanted[0].port)).chmod(0o444)
    check_ports(wanted)


def test_a_link_in_the_place_of_a_lock_is_not_followed(
    locks: Path, wanted: list[WantedPort], tmp_path: Path
) -> None:
    locks.mkdir()
    (tmp_path / "precious").touch()
    (locks / str(wanted[0].port)).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        check_ports(wanted)
