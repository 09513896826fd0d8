"""Markdown for the current details in Temporal's UI. Pure.

Rule: what somebody else wrote (a reason, a venue's words) is shown as the text that it is: it can
make no link, no image that the reader's browser would fetch, no line of its own.
"""

import re
from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@:])")


def as_text(words: str) -> str:
    """The words so that Markdown shows them as they are, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(words.split()))


def number(digits: str) -> str:
    """As code: Temporal's UI gives cells no margin, and two prices would read as one number."""
    return f"`{digits}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown themselves."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
