"""A list that stays where it is while its rows change: rows by key, and only what differs is sent.

Rule: a row keeps its element as long as its key is on the page, so that the focus and the eye stay
on it; new rows come in at their place. On a phone each row is a card whose cells bear their
column's name. It must not know what the rows are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from nicegui import ui

from starters.dashboard.parts import Bar, Pill, Text, box, described, link, tone_of
from starters.dashboard.words import Badge

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Text with what else is to say about it. `href` makes it a link, which `title` then names."""

    text: str
    under: str | None = None
    title: str = ""
    href: str = ""
    tone: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A bar of whole percent."""

    percent: int
    label: str


Content = Words | Badge | Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[RowT]):
    """A column: its name, what a row shows in it, and the classes of its cells."""

    name: str
    content: Callable[[RowT], Content]
    classes: str = ""


class _Cell(Protocol):
    def show(self, content: Content) -> None:
        """Change what differs."""


class _WordsCell:
    def __init__(self, content: Content) -> None:
        assert isinstance(content, Words)
        self._tone = content.tone
        self._text = (
            link(content.text, content.href, self._tone, label=content.title)
            if content.href
            else Text("span", content.text, self._tone, title=content.title)
        )
        self._under = None if content.under is None else Text("span", content.under, "under")

    def show(self, content: Content) -> None:
        assert isinstance(content, Words)
        self._text.show(content.text, None if content.href else content.title)
        tone_of(self._text, self._tone, content.tone)
        self._tone = content.tone
        if self._under is not None:
            self._under.show(content.under or "")


class _BadgeCell:
    def __init__(self, content: Content) -> None:
        assert isinstance(content, Badge)
        self._pill = Pill(content)

    def show(self, content: Content) -> None:
        assert isinstance(content, Badge)
        self._pill.show(content)


class _ShareCell:
    def __init__(self, content: Content) -> None:
        assert isinstance(content, Share)
        self._bar = Bar(content.percent, content.label)

    def show(self, content: Content) -> None:
        assert isinstance(content, Share)
        self._bar.show(content.percent)


_CELLS: dict[type, Callable[[Content], _Cell]] = {
    Words: _WordsCell,
    Badge: _BadgeCell,
    Share: _ShareCell,
}


@dataclass(slots=True)
class _Row:
    element: ui.element
    shown: list[Content]
    cells: list[_Cell] = field(default_factory=list)


class Table(Generic[RowT]):
    """Rows of a page; `limit` of them at most are ever held."""

    def __init__(
        self,
        caption: str,
        columns: Sequence[Column[RowT]],
        *,
        key: Callable[[RowT], str],
        limit: int = 200,
    ) -> None:
        self._columns, self._key, self._limit = columns, key, limit
        self._rows: dict[str, _Row] = {}
        self._order: list[str] = []
        # focusable: whoever has no mouse must be able to scroll it
        with (
            box("div", "scroll", tabindex="0", role="region", aria_label=caption) as self.element,
            box("table", "list"),
        ):
            Text("caption", caption, "sr-only")
            with box("thead"), box("tr"):
                for column in columns:
                    described(Text("th", column.name, column.classes), scope="col")
            self._body = box("tbody")

    def show(self, rows: Sequence[RowT]) -> None:
        """These rows, in this order."""
        rows = rows[: self._limit]
        keys = [self._key(row) for row in rows]
        for gone in set(self._order) - set(keys):
            self._rows.pop(gone).element.delete()
        self._order = [key for key in self._order if key in self._rows]
        for place, (key, row) in enumerate(zip(keys, rows, strict=True)):
            contents = [column.content(row) for column in self._columns]
            if key in self._rows:
                self._change(key, contents)
            else:
                self._rows[key] = self._make(contents)
                self._order.append(key)
            if self._order[place] != key:
                self._rows[key].element.move(target_index=place)
                self._order.remove(key)
                self._order.insert(place, key)

    def _make(self, contents: list[Content]) -> _Row:
        with self._body, box("tr") as element:
            made = _Row(element, contents)
            for column, content in zip(self._columns, contents, strict=True):
                with box("td", column.classes, data_label=column.name):
                    made.cells.append(_CELLS[type(content)](content))
        return made

    def _change(self, key: str, contents: list[Content]) -> None:
        row = self._rows[key]
        for cell, before, now in zip(row.cells, row.shown, contents, strict=True):
            if before != now:
                cell.show(now)
        row.shown = contents
