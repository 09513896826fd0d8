"""Lists as CSV: the parameter that asks for it, and the answer.

Rule: the same page as in JSON, one line for each entry; what does not fit into one cell (children,
lots, links) is left out. The next cursor is in the header `X-Next-Cursor`.
"""

from collections.abc import Collection, Sequence
from typing import Annotated, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel

from starters.books import Shape, as_csv

RowT = TypeVar("RowT", bound=BaseModel)

AskedShape = Annotated[
    Shape, Query(alias="format", description="csv: the page as text/csv, without what is nested")
]
CSV_TOO: dict[int | str, dict[str, object]] = {200: {"content": {"text/csv": {}}}}


def csv_answer(
    kind: type[RowT],
    rows: Sequence[RowT],
    *,
    next_cursor: str | None = None,
    without: Collection[str] = (),
) -> Response:
    """The rows as text/csv."""
    headers = {"X-Next-Cursor": next_cursor} if next_cursor else {}
    text = as_csv(kind, rows, without=without)
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
