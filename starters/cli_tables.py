"""How the command line shows rows: tables whose columns are named as the fields are over HTTP.

Rule: numbers stand at the right, under each other. Where the terminal is too narrow for a table,
each row is a paragraph: nothing is cut, and no number is broken.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeGuard

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from starters.cli_console import UNCUT, out, plain_text
from starters.cli_numbers import number

_INDENT = 2
_AMBIGUOUS = re.compile(r"[\s=\"]|->")

Cell = str | Text | Decimal | int | None


class Rows:
    """Rows under their headings, drawn as the width allows."""

    def __init__(
        self, headings: Sequence[str], rows: Sequence[Sequence[Cell]], *, title: str | None = None
    ) -> None:
        self._headings, self._title = headings, title
        self._rows = [[_text(each) for each in row] for row in rows]
        self._is_number = [
            any(_is_number(row[place]) for row in rows)
            and all(_is_number(row[place]) or not row[place] for row in rows)
            for place in range(len(headings))
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table if it fits, else the paragraphs."""
        table = self._table()
        wide = options.update(width=UNCUT)
        if Measurement.get(console, wide, table).minimum <= options.max_width:
            yield table
            return
        if self._title:
            yield Text(self._title, style="bold")
        for row in self._rows:
            first = (f"{self._headings[0]} ", "dim"), (row[0].plain, "bold")
            yield Text.assemble(*first, overflow="fold")
            yield Padding(self._paragraph(row, options.max_width - _INDENT), (0, 0, 0, _INDENT))

    def _table(self) -> Table:
        table = Table(title=self._title)
        for place, heading in enumerate(self._headings):
            whole = not any(" " in row[place].plain for row in self._rows)
            table.add_column(Text(heading), no_wrap=whole, overflow="fold")
            table.columns[-1].justify = "right" if self._is_number[place] else "left"
        for row in self._rows:
            table.add_row(*row)
        return table

    def _paragraph(self, row: Sequence[Text], width: int) -> Text:
        """The other cells, each behind its name; a line breaks between them, not within."""
        lines = [Text(overflow="fold")]
        for heading, value in zip(self._headings[1:], row[1:], strict=True):
            if not value.plain:
                continue
            named = Text.assemble((f"{heading} ", "dim"), value, "  ")
            if lines[-1].plain and lines[-1].cell_len + named.cell_len > width:
                lines.append(Text(overflow="fold"))
            lines[-1].append_text(named)
        return Text("\n").join(lines)


def put(
    headings: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str | None = None,
    none: str = "",
) -> None:
    """Print rows; `none` where there are none."""
    out().print(Rows(headings, rows, title=title) if rows else Text(none))


def rows(found: Sequence[BaseModel], columns: Sequence[str], *, none: str) -> None:
    """A table of these fields of each; `none` where there is none."""
    cells = [[_cell(getattr(each, name)) for name in columns] for each in found]
    put(columns, cells, none=none)


def facts(one: BaseModel) -> None:
    """Every field that has a value, one a line."""
    out().print(grid({name: cell(getattr(one, name)) for name in type(one).model_fields}))


def grid(named: Mapping[str, str | Text]) -> Table:
    """What has a value, one a line behind its name."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in named.items():
        if value:
            table.add_row(Text(name), _text(value))
    return table


def more(next_cursor: str | None) -> None:
    """Where the next page begins, if there is one."""
    if next_cursor:
        out().print(Text(f"more: --cursor {next_cursor}"))


def cell(value: object) -> str:
    """One value for people; amounts are plain, times are UTC to the second."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, BaseModel):
        return " ".join(f"{name}={cell(each)}" for name, each in value if each is not None)
    if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
        return "; ".join(f"{name}: {cell(each)}" for name, each in value.items())
    if isinstance(value, dict):
        return ", ".join(f"{cell(each)} {name}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(each) for each in value)
    return str(value)


def changes(before: Mapping[str, object] | None, after: Mapping[str, object] | None) -> str:
    """What was set, as `limit=5 mode=old->new`; what has no value is left out."""
    was, now = before or {}, after or {}
    names = dict.fromkeys([*was, *now])
    told = [(name, _plain(was.get(name)), _plain(now.get(name))) for name in names]
    return " ".join(_change(*each) for each in told if any(each[1:]))


def _change(name: str, was: str, now: str) -> str:
    if not was or was == now:
        return f"{name}={now}"
    return f"{name}={was}->{now or 'none'}"


def _plain(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, str) and not _AMBIGUOUS.search(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _cell(value: object) -> Cell:
    return value if _is_number(value) else cell(value)


def _is_number(value: object) -> TypeGuard[Decimal | int]:
    return isinstance(value, Decimal | int) and not isinstance(value, bool)


def _text(value: Cell) -> Text:
    return value.copy() if isinstance(value, Text) else Text(plain_text(cell(value)))
