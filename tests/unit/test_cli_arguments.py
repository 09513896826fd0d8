"""What both command lines have in common: help, version, typing errors, secrets."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from starters import cli
from workers import __main__ as workers_cli
from workers.arguments import hold_secret

Main = Callable[[list[str]], int]
KEY = f"ek_abcdefgh_{'A1b2' * 10}_-z"
BOTH = pytest.mark.parametrize(
    ("main", "name"), [(cli.main, "starters"), (workers_cli.main, "workers")]
)


def commands(app: typer.Typer) -> Iterator[tuple[list[str], Any]]:
    """Every command that can be typed, hidden ones included."""
    yield from _below([], typer.main.get_command(app))


def _below(path: list[str], command: Any) -> Iterator[tuple[list[str], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, each in below.items():
        yield from _below([*path, name], each)


def named(app: typer.Typer) -> list[Any]:
    return [pytest.param(path, each, id=" ".join(path)) for path, each in commands(app)]


@pytest.mark.parametrize(("path", "command"), named(cli.app))
def test_every_command_has_an_example_that_begins_with_itself(
    path: list[str], command: Any
) -> None:
    others = {"positions fills": "fills list", "positions balances": "balances show"}
    name = " ".join(path)
    line = f"python -m starters {others.get(name, name)}"
    assert line in command.help


@pytest.mark.parametrize(("path", "command"), named(workers_cli.app))
def test_every_command_of_the_processes_has_an_example(path: list[str], command: Any) -> None:
    assert f"python -m workers {' '.join(path)}" in command.help


@pytest.mark.parametrize(("path", "command"), named(cli.app))
def test_every_command_that_answers_can_answer_in_json(path: list[str], command: Any) -> None:
    prints_its_own = (["api"], ["schema"], ["completion"])
    options = {name for each in command.params for name in each.opts}
    assert "--json" in options or path in prints_its_own


@BOTH
def test_both_tell_their_version(main: Main, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("delta-executor ")


@BOTH
@pytest.mark.parametrize(
    "argument",
    [
        "--api-key=abc",
        "--api-key",
        "--token=abc",
        "--exchange-secret=abc",
        "--binance-api-key",
        "EXCHANGE_SECRET=abc",
        "EXCHANGE_BINANCE_API_KEY=abc",
        "DATABASE_URL=abc",
        "postgresql://me:abc@db/x",
        KEY,
        f"--reason=see {KEY}",
    ],
)
def test_a_secret_as_an_argument_is_refused_and_not_repeated(
    main: Main, name: str, argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["api"] if name == "starters" else ["doctor"]
    assert main([*command, argument]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert "secrets are not taken as arguments" in shown.err
    assert argument not in shown.err
    assert "abc" not in shown.err


@pytest.mark.parametrize(
    "argument",
    ["the token has expired", "my-token", "re-pass", "secret-santa", "ek_abcdefgh", "a:b@c"],
)
def test_words_that_only_sound_like_one_are_taken(argument: str) -> None:
    assert not hold_secret(["--reason", argument])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["ordr"], "order"),
        (["orders", "cancell", "a"], "cancel"),
        (["orders", "list", "--stauts", "working"], "--status"),
    ],
)
def test_a_typing_error_is_told_what_may_have_been_meant(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(typed) == 2
    assert meant in capsys.readouterr().err


def test_a_worker_for_an_unknown_exchange_is_told_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXCHANGES", "binance,okx")
    assert workers_cli.main(["run", "--venues", "binance,kraken"]) == 2
    said = capsys.readouterr().err
    assert "kraken" in said
    assert "binance, okx" in said
