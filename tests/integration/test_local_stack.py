"""`python -m workers`: the local stack and its commands, as a user runs them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.world import free_ports
from workers.local_stack import LocalStack, delete_data
from workers.paper_dialects import PAPER_DIALECTS
from workers.pidfile import read_records
from workers.settings import Settings, is_setting, load_settings
from workers.stack_parts import embedded_venues
from workers.venue_settings import credentials_of

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90.0
PORTS = ("POSTGRES_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "API_PORT")
ROWS = ("PAPER_PORT", "METRICS_PORT")  # the first of several neighbours


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what only waits out an old connection is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True


@pytest.fixture
def environ(tmp_path) -> Iterator[dict[str, str]]:
    first = free_ports(len(PORTS) + 3 * len(ROWS))
    ports = {name: str(first + n) for n, name in enumerate(PORTS)}
    ports |= {name: str(first + len(PORTS) + 3 * n) for n, name in enumerate(ROWS)}
    environ = {"DELTA_HOME": str(tmp_path / "home"), "WORKER_COUNT": "1", **ports}
    yield environ
    delete_data(load_settings(environ))


@pytest.fixture
def settings(environ) -> Settings:
    return load_settings(environ)


def start(environ: dict[str, str], *command: str) -> "subprocess.Popen[str]":
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return subprocess.Popen(
        [sys.executable, "-m", "workers", *command],
        env={**inherited, **environ, "ENV_FILE": os.devnull, "COLUMNS": "200"},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(environ: dict[str, str], *command: str) -> tuple[int, str]:
    process = start(environ, *command)
    out, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    seen = ""
    assert process.stdout is not None
    while text not in seen:
        line = process.stdout.readline()
        assert line, f"it ended before it said {text!r}:\n{seen}"
        seen += line
    return seen


def recorded(settings: Settings) -> list[psutil.Process]:
    found = [record.process() for record in read_records(settings.home.run)]
    return [process for process in found if process is not None]


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_paper_exchanges_and_ledger_come_up_and_share_their_credentials(settings):
    kinds = ("postgres", "paper", "migrate")
    async with LocalStack(settings, kinds=kinds) as stack:
        for venue in embedded_venues(settings):
            found = settings.venue(venue)
            secrets = (found.api_key, found.secret, found.passphrase)
            given = [each.get_secret_value() for each in secrets if each is not None]
            assert len(given) == len(credentials_of(venue))
            dialect = PAPER_DIALECTS[venue]
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"{found.paper_url}{dialect.time_path}")
            assert dialect.read_time_ms(answer.json()) > 0
            command = psutil.Process(stack.parts[f"paper-{venue}"].pid).cmdline()
            assert not [each for each in given if each in " ".join(command)]
        assert stack.parts["migrate"].healthy.is_set()


def test_the_whole_stack_comes_up_is_taken_over_after_sigkill_and_stops_on_ctrl_c(
    environ, settings
):
    first = start(environ, "up")
    said = read_until(first, "Ctrl-C stops everything")
    for address in (settings.api_url, settings.temporal_ui, f"{settings.api_url}/docs"):
        assert address in said
    assert httpx.get(f"{settings.api_url}/health/live", trust_env=False).status_code == 200
    code, text = run(environ, "up")
    assert (code, text.count("\n")) == (1, 1)
    assert "already running" in text
    code, text = run(environ, "doctor")
    assert code == 0, text

    left = recorded(settings)
    assert {"postgres", "temporal", "api", "worker-0"} <= {
        record.name for record in read_records(settings.home.run)
    }
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not any(gone(process) for process in left)
    second = start(environ, "up")
    assert "left behind" in read_until(second, "Ctrl-C stops everything")
    assert all(gone(process) for process in left)

    left = recorded(settings)
    below = [child for process in left for child in process.children(recursive=True)]
    second.send_signal(signal.SIGINT)
    out, _ = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 0, out
    until(lambda: all(gone(process) for process in left + below))
    for name in (*PORTS, *ROWS):
        assert is_free(int(environ[name]))


def test_stopping_in_the_middle_of_the_start_leaves_nothing(environ, settings):
    process = start(environ, "up")
    until(lambda: len(recorded(settings)) >= 2)
    left = recorded(settings)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    until(lambda: all(gone(each) for each in left))
    assert recorded(settings) == []


def test_a_taken_port_ends_up_with_one_line_and_exit_code_2(environ):
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(environ["API_PORT"])))
        other.listen()
        code, text = run(environ, "up")
    assert code == 2
    assert text == f"error: port {environ['API_PORT']} (API_PORT, API) is taken\n"


@pytest.mark.parametrize("command", ["up", "migrate", "doctor", "paper-exchange"])
def test_a_wrong_setting_ends_every_command_with_one_line_and_exit_code_2(environ, command):
    code, text = run({**environ, "METRICS_PORT": "many"}, command)
    assert code == 2
    assert re.fullmatch(r"error: METRICS_PORT: [^\n]*\n", text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--api-key", "abc"),
        ("paper-exchange", "--secret=abc"),
        ("migrate", "postgresql://user:pw@host/db"),
    ],
)
def test_secrets_are_refused_as_arguments(environ, arguments):
    code, text = run(environ, *arguments)
    assert code == 2
    assert "secrets are not taken as arguments" in text
    assert "abc" not in text


def test_bad_usage_ends_with_exit_code_2_and_help_with_0(environ):
    assert run(environ, "fly")[0] == 2
    assert run(environ, "paper-exchange", "--port", "many")[0] == 2
    code, text = run(environ, "--help")
    assert code == 0
    for command in ("up", "run", "paper-exchange", "migrate", "doctor", "clean"):
        assert command in text


def test_the_doctor_says_what_is_wrong_and_how_to_put_it_right(environ):
    code, text = run(environ, "doctor")
    assert code == 1
    for what in ("PostgreSQL", "Temporal", "venue binance", "venue okx"):
        assert re.search(rf"wrong.*{what}.*python -m workers up", text), text
    assert re.search(r"ok.*ports.*free", text)


def test_a_migration_that_cannot_connect_says_so_in_one_line(environ):
    url = f"postgresql://u:pw@127.0.0.1:{free_ports(1)}/x"
    code, text = run({**environ, "DATABASE_URL": url, "LOG_FORMAT": "json"}, "migrate")
    assert code == 1
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in text
    assert "pw@" not in text
    for line in text.splitlines():
        assert line in errors or json.loads(line)
