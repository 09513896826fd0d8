"""The tables of the page of the contract, made from the contract itself.

Rule: what stands between `<!-- made: NAME -->` and `<!-- end -->` on the page is made here, and all
else is written by people. A test holds the page to it.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from starters.api.errors import ApiCode, status_of
from starters.contract import WORKFLOWS, Handler, Workflow
from workflows import names
from workflows.domain.denials import DenialCode

_PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def remade(page: str) -> str:
    """The page with its tables as they are now. KeyError for a table that is unknown."""
    return _PART.sub(lambda part: part[1] + _TABLES[part[2]]() + part[3], page)


def write(path: Path) -> None:
    """Make the tables of the page anew."""
    path.write_text(remade(path.read_text(encoding="utf-8")), encoding="utf-8")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = tuple(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _schema(model: type | None) -> str:
    return "" if model is None else f"[{model.__name__}](../schemas/{model.__name__}.json)"


def _workflows() -> str:
    rows = (
        (
            " ".join(f"`{kind}`" for kind in workflow.types),
            _schema(workflow.takes),
            _schema(workflow.answers),
            workflow.meaning,
        )
        for workflow in WORKFLOWS
    )
    return _table(("workflow type", "input", "result", "what it is"), rows)


def _handlers() -> str:
    shared: dict[tuple[str, ...], list[str]] = {}
    for workflow in WORKFLOWS:
        for handler in workflow.handlers:
            shared.setdefault(_row(handler, workflow), []).extend(workflow.types)
    rows = ((*row[:3], _served(kinds), row[3]) for row, kinds in shared.items())
    return _table(("kind", "name", "takes", "of", "meaning"), rows)


def _row(handler: Handler, workflow: Workflow) -> tuple[str, ...]:
    is_input = handler.takes is workflow.takes
    takes = "the input" if is_input else _schema(handler.takes)
    if handler.takes is not None and handler.is_optional:
        takes += ", or nothing"
    return handler.kind.value, f"`{handler.name}`", takes, handler.meaning


def _served(kinds: list[str]) -> str:
    orders = WORKFLOWS[0].types
    rest = [f"`{kind}`" for kind in kinds if kind not in orders]
    return ", ".join((["orders"] if set(orders) <= set(kinds) else []) + rest)


def _attributes() -> str:
    return ", ".join(f"`{key.name}`" for key in names.SEARCH_ATTRIBUTES) + "\n"


def _codes() -> str:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*map(str, DenialCode), *map(str, ApiCode))):
        known = DenialCode(code) if code in DenialCode.__members__ else ApiCode(code)
        by_status.setdefault(status_of(known), []).append(f"`{code}`")
    rows = ((str(status), " ".join(codes)) for status, codes in sorted(by_status.items()))
    return _table(("HTTP", "codes"), rows)


_TABLES: dict[str, Callable[[], str]] = {
    "workflows": _workflows,
    "handlers": _handlers,
    "attributes": _attributes,
    "codes": _codes,
}
