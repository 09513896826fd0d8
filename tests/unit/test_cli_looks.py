"""How the command line looks: tables, narrow terminals, colours, and text that means harm."""

import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from rich.console import Console
from rich.text import Text

from starters import cli_console, cli_strategies, cli_tables
from starters.cli_console import PlainConsole
from starters.cli_tables import Rows
from tests.unit.starters_fakes import snapshot, twap_snapshot
from workflows.domain.lifecycle import OrderStatus

HEADINGS = ("order", "status", "filled", "average")
ROWS = [
    ("my-order-1", Text("filled", style="green"), Decimal("0.1"), Decimal("49987.5587")),
    ("my-order-22", Text("working"), Decimal("12.25"), None),
]


def drawn(width: int, **options: object) -> str:
    """The rows, on a console of this width."""
    told = io.StringIO()
    console = PlainConsole(file=told, width=width, **options)  # type: ignore[arg-type] # few of many
    console.print(Rows(HEADINGS, ROWS))
    return told.getvalue()


def test_numbers_stand_under_each_other_at_the_right() -> None:
    lines = [line for line in drawn(100).splitlines() if "my-order" in line]
    first, second = (line.split("│") for line in lines)
    assert (first[3], second[3]) == ("    0.1 ", "  12.25 ")
    assert first[1].startswith(" my-order-1")


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_narrow_terminal_gets_paragraphs_and_every_value_whole(width: int) -> None:
    told = drawn(width)
    assert ("┃" in told) is (width >= 60)
    for value in ("my-order-22", "working", "0.1", "12.25", "49987.5587"):
        assert value in told
    assert max(map(len, told.splitlines())) <= width


def test_a_pipe_has_no_width_unless_it_is_told_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    cli_console.out().print(Text("word " * 200))
    assert len(capsys.readouterr().out.splitlines()) == 1
    monkeypatch.setenv("COLUMNS", "60")
    cli_console.out().print(Text("word " * 200))
    assert len(capsys.readouterr().out.splitlines()) > 10


@pytest.mark.parametrize(
    ("variables", "has_colours"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_have_them_and_readers_who_want_them(
    variables: dict[str, str], has_colours: bool
) -> None:
    told = drawn(100, force_terminal=True, _environ=variables)
    assert ("\x1b[32mfilled" in told) is has_colours


@pytest.mark.parametrize(
    "text", ["a\x1b[2Jb", "a\x07b", "a\rb", "a\x9b31mb", "a\u202eb", "a\x08b", "a\tb"]
)
def test_text_cannot_steer_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli_tables.put(("reason",), [(text,)])
    cli_console.complain(text)
    shown = capsys.readouterr()
    assert text not in shown.out + shown.err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown.out + shown.err)
    assert "a\\" in shown.out
    assert "a\\" in shown.err


def test_text_is_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    cli_tables.put(("reason",), [("[red]all is well[/red] :smile:",)])
    assert "[red]all is well[/red] :smile:" in capsys.readouterr().out


def test_a_table_is_drawn_in_ascii_where_the_stream_has_no_more() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=stream, width=100).print(Rows(HEADINGS, ROWS))
    stream.flush()
    assert b"my-order-1" in raw.getvalue()


def test_only_an_order_with_a_plan_has_an_end_before_its_end() -> None:
    planned = twap_snapshot()
    assert planned.twap is not None
    at = datetime(2026, 1, 1, tzinfo=UTC)
    twap = planned.twap.model_copy(update={"ends_at": at.isoformat()})
    running = planned.model_copy(update={"twap": twap})
    assert cli_strategies.ends_at(running) == at
    over = running.model_copy(update={"status": OrderStatus.FILLED})
    assert cli_strategies.ends_at(over) is None
    assert cli_strategies.ends_at(snapshot()) is None


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, None, ""),
        (None, {"status": 201, "code": None, "path": ""}, "status=201"),
        ({"limit": "5", "scope": "s1"}, {"limit": "7", "scope": "s1"}, "limit=5->7 scope=s1"),
        ({"limit": "5"}, None, "limit=5->none"),
        (None, {"agent": "a who=root", "flatten": False}, 'agent="a who=root" flatten=false'),
    ],
)
def test_what_a_decision_changed_is_told_by_name_without_what_is_empty(
    before: dict[str, object] | None, after: dict[str, object] | None, told: str
) -> None:
    assert cli_tables.changes(before, after) == told
