"""The option `--version` of both command lines."""

import sys
from typing import Annotated

import typer

from workers.version import version


def _show(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"delta-executor {version()}\n")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", help="Print the version.", callback=_show, is_eager=True)
]
