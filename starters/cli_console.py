"""Where the command line writes: stdout for data, stderr for complaints.

Rule: text of others (reasons, ids, answers of exchanges) is shown as text: never read as markup,
and never able to steer the terminal. Colours are for terminals that have them, and for readers
who have not set NO_COLOR.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

if TYPE_CHECKING:
    from pydantic import BaseModel

UNCUT = 10_000
"""Columns of a pipe, which has no width: nothing is cut or folded there."""
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class PlainConsole(Console):
    """A console on which text cannot move the cursor, ring, recolour, or turn itself around."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is drawn, without the control characters that were in the text."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(plain_text(text), style)

    def on_broken_pipe(self) -> None:
        """Let whoever runs the command know that its reader has gone."""
        raise BrokenPipeError("the reader has gone")


def out() -> PlainConsole:
    """Stdout as it is now; a pipe is as wide as COLUMNS says, or without end."""
    return _console(is_error=False)


def err() -> PlainConsole:
    """Stderr, for a person."""
    return _console(is_error=True)


def _console(*, is_error: bool) -> PlainConsole:
    stream = sys.stderr if is_error else sys.stdout
    is_free = not stream.isatty() and not os.environ.get("COLUMNS", "").isdigit()
    return PlainConsole(highlight=False, stderr=is_error, width=UNCUT if is_free else None)


def is_live() -> bool:
    """Whether a picture on stdout can be drawn over: a terminal, and not a dumb one."""
    console = out()
    return console.is_terminal and not console.is_dumb_terminal


def is_attended() -> bool:
    """Whether a person can be asked: the question is on stderr, the answer from stdin."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def complain(message: str) -> None:
    """One line for a person, on stderr."""
    sys.stderr.write(f"{plain_text(message)}\n")
    sys.stderr.flush()


def put_json(answer: "BaseModel") -> None:
    """One line of JSON on stdout."""
    put_line(answer.model_dump_json())


def put(fields: Mapping[str, Any]) -> None:
    """The same for an answer that has no model of its own."""
    put_line(json.dumps(fields))


def put_line(line: str) -> None:
    """One line on stdout, at once: whoever reads a pipe is told of each change."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def plain_text(text: str) -> str:
    """The text with each control character as its escape."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
