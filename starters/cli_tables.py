"""How the command line shows rows: tables whose columns are named as the fields are over HTTP.

Rule: data goes to stdout, and text of others is shown as text, never read as markup.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel
from rich.table import Column, Table
from rich.text import Text

from starters import cli_show
from starters.cli_numbers import number


def rows(found: Sequence[BaseModel], columns: Sequence[str], *, none: str) -> None:
    """A table of these fields of each, the first column whole; `none` where there is none."""
    if not found:
        cli_show.out().print(Text(none))
        return
    first, *others = columns
    table = Table(Column(first, no_wrap=True, overflow="fold"), *others)
    for each in found:
        table.add_row(*(Text(cell(getattr(each, name))) for name in columns))
    cli_show.out().print(table)


def facts(one: BaseModel) -> None:
    """Every field that has a value, one a line."""
    table = Table.grid(padding=(0, 2))
    for name in type(one).model_fields:
        if text := cell(getattr(one, name)):
            table.add_row(name, Text(text))
    cli_show.out().print(table)


def more(next_cursor: str | None) -> None:
    """Where the next page begins, if there is one."""
    if next_cursor:
        cli_show.out().print(Text(f"more: --cursor {next_cursor}"))


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
