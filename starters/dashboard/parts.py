"""The small pieces that pages are made of: text, badges, bars, facts, tiles, empty states.

Rule: real elements of HTML with their own meaning (headings, lists of terms, links), so that a
screen reader and a keyboard need nothing else. Every value is set as text or as an attribute, never
as markup. It must not know orders, or where a page's data comes from.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from starters.dashboard.words import Badge


class Text(TextElement):
    """An element of HTML that holds one text, which can change."""

    def __init__(self, tag: str, text: str = "", classes: str = "", **attributes: str) -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)
        described(self, **attributes)

    def show(self, text: str, title: str | None = None) -> None:
        """Change it, if it is another one."""
        if text != self.text:
            self.set_text(text)
        if title is not None and self.props.get("title") != title:
            self.props["title"] = title


def box(tag: str = "div", classes: str = "", **attributes: str) -> ui.element:
    """An element of HTML that holds others."""
    return described(ui.element(tag).classes(classes), **attributes)


def described(element: ui.element, **attributes: str) -> ui.element:
    """With these attributes; `aria_label` stands for aria-label, `for_` for `for`."""
    element.props.update({_name(name): value for name, value in attributes.items()})
    return element


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def tone_of(element: ui.element, before: str, now: str) -> None:
    """Change the one class that tells the tone."""
    if before != now:
        element.classes(remove=before, add=now)


class Pill:
    """A state: symbol and word on their tone."""

    def __init__(self, badge: Badge) -> None:
        self._badge = badge
        with box("span", f"pill {badge.tone}") as self.element:
            self._icon = ui.icon(badge.icon)
            self._word = Text("span", badge.word)

    def show(self, badge: Badge) -> None:
        """Change it, if it is another one."""
        if badge == self._badge:
            return
        tone_of(self.element, self._badge.tone, badge.tone)
        if badge.icon != self._badge.icon:
            self._icon.props["name"] = badge.icon
        self._word.show(badge.word)
        self._badge = badge


class Bar:
    """How much of something is done, as a bar with its percent beside it."""

    def __init__(self, share: int, label: str, *, is_large: bool = False) -> None:
        self._share = -1
        with box("div", "barline"):
            self._bar = box("div", "bar large" if is_large else "bar", role="progressbar")
            described(self._bar, aria_label=label, aria_valuemin="0", aria_valuemax="100")
            with self._bar:
                self._full = box("div", "full")
            self._word = Text("span", "", "share small")
        self.show(share)

    def show(self, share: int) -> None:
        """Change it, if it is another one. Whole percent."""
        if share == self._share:
            return
        self._share = share
        self._full.style(f"width: {share}%")
        self._bar.props["aria-valuenow"] = str(share)
        self._word.show(f"{share} %")


class Facts:
    """Terms and what they are now, in a grid."""

    def __init__(self, terms: Sequence[str], classes: str = "facts") -> None:
        self._values: dict[str, Text] = {}
        with box("dl", classes) as self.element:
            for term in terms:
                with box("div", "tile" if classes == "tiles" else ""):
                    Text("dt", term)
                    self._values[term] = Text("dd", "–")

    def show(self, values: dict[str, str], titles: dict[str, str] | None = None) -> None:
        """Change those that are others."""
        for term, value in values.items():
            self._values[term].show(value, (titles or {}).get(term))


def link(
    text: str, target: str, classes: str = "", *, label: str = "", is_outside: bool = False
) -> Text:
    """A link; `label` names it where its text alone does not. One that leads out opens beside this
    page, and says so."""
    shown = Text("a", text, classes, href=target)
    if label:
        described(shown, aria_label=f"{text}, {label}")
    if is_outside:
        described(shown, target="_blank", rel="noopener noreferrer")
        with shown:
            Text("span", " (opens a new tab)", "sr-only")
    return shown


def lead(to: Text, address: str | None) -> None:
    """A link there; with None it leads nowhere, and says so."""
    if address is None:
        to.props.pop("href", None)
        described(to, aria_disabled="true", role="link")
    elif to.props.get("href") != address:
        to.props.pop("aria-disabled", None)
        to.props.pop("role", None)
        described(to, href=address)


@contextmanager
def card(title: str = "", classes: str = "") -> Iterator[ui.element]:
    """A surface with its heading."""
    with box("div", f"card {classes}") as surface:
        if title:
            Text("h2", title, "title")
        yield surface


def empty(icon: str, title: str, hint: str = "", *, heading: str = "h2") -> ui.element:
    """What stands where there is nothing to show; `heading` is h1 where that is the whole page."""
    with box("div", "empty") as shown:
        ui.icon(icon)
        Text(heading, title)
        if hint:
            Text("p", hint)
    return shown


class Notice:
    """One line about something that is not as it should be; hidden while all is well."""

    def __init__(self, tone: str = "bad", icon: str = "error") -> None:
        with box("div", f"notice {tone}", role="status") as self.element:
            ui.icon(icon)
            self._text = Text("span", "")
        self.element.set_visibility(False)

    def show(self, text: str) -> None:
        """Say it; nothing hides the line."""
        self._text.show(text)
        if self.element.visible != bool(text):
            self.element.set_visibility(bool(text))


def attribute(element: ui.element, name: str, value: Any) -> None:
    """Set one attribute, if it is another one."""
    if element.props.get(name) != value:
        element.props[name] = value
