"""What a visitor does from a page: asked for with a reason, confirmed, checked again, written down.

Rule: a button that the key has no scope for is disabled and says why; that is courtesy. What counts
is checked when the visitor confirms: that the session still stands, that its key has the scope and
is good for the account. Done or refused, it is a row of the audit trail. It must not know what a
page shows.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nicegui import ui
from pydantic import ValidationError

from starters.dashboard import who
from starters.dashboard.board import Board
from starters.dashboard.parts import Text, attribute, box, described, tone_of
from starters.errors import DeltaError, EffectPending
from workflows.domain.access import Caller, Scope
from workflows.domain.denials import Denied
from workflows.fields import denial_of

MAX_REASON = 200
"""Characters of a reason."""
_SHOWN_MS = 8_000


class RefusedError(Exception):
    """It was not done; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that can be done. `do` gets who does it and why, and tells what came of it."""

    name: str
    about: str
    label: str
    icon: str
    title: str
    text: str
    scopes: tuple[Scope, ...]
    do: Callable[[Caller, str], Awaitable[str]]
    tone: str = "plain"
    account: str | None = None


def settled(answer: object) -> None:
    """Raise RefusedError for a denial."""
    if isinstance(answer, Denied):
        raise RefusedError(f"{answer.code}: {answer.detail}" if answer.detail else str(answer.code))


class Actions:
    """The buttons of one page, and the dialog that they share."""

    def __init__(
        self, board: Board, visitor: who.Visitor, after: Callable[[], Awaitable[None]]
    ) -> None:
        self._board, self._visitor, self._after = board, visitor, after
        with ui.dialog() as self._dialog:
            self._card = box("div", "ask")

    @property
    def accounts(self) -> frozenset[str] | None:
        """Whose things the visitor sees; None: all."""
        return self._visitor.accounts

    def button(self, action: Callable[[], Action]) -> "ActionButton":
        """A button for an action that may change while the page is open."""
        return ActionButton(action, self._visitor.caller, self._ask)

    def _ask(self, action: Action) -> None:
        """Open the dialog for it."""
        self._card.clear()
        described(self._dialog, aria_label=action.title)
        with self._card:
            Text("h2", action.title)
            Text("p", action.text)
            reason = ui.input("Reason, kept in the audit trail").props(
                f'outlined autofocus maxlength={MAX_REASON} aria-required="true"'
            )
            with box("div", "actions"):
                ui.button("Back", on_click=self._dialog.close, color=None).classes("plain").props(
                    _FLAT
                )
                done = ui.button(action.label, icon=action.icon, color=None).classes(
                    "danger" if action.tone == "danger" else "first"
                )
                done.props(_FLAT)

        async def confirm() -> None:
            if not str(reason.value or "").strip():
                reason.props('error error-message="Say why, in a few words."')
                return
            done.props("loading")
            try:
                await self._carry_out(action, str(reason.value).strip())
            finally:
                self._dialog.close()

        done.on_click(confirm)
        reason.on("keydown.enter", confirm)
        self._dialog.open()

    async def _carry_out(self, action: Action, reason: str) -> None:
        try:
            caller = await who.again(self._board.connections, self._visitor)
        except (who.SignedOutError, DeltaError) as error:
            _say(str(error), is_good=False)
            return
        outcome, is_good = "INTERNAL", False  # what stays of a bug, which may have done something
        try:
            outcome, is_good = await _outcome(action, caller, reason)
        finally:
            after = {"reason": reason, "outcome": "done" if is_good else outcome}
            after["key"], after["peer"] = caller.key_id, self._visitor.peer
            await who.tell(self._board.connections, caller, action.name, action.about, after)
        self._board.answers.forget()
        _say(outcome, is_good=is_good)
        await self._after()


_FLAT = "unelevated no-caps"


class ActionButton:
    """Enabled where the visitor's key has the scope; hidden while there is nothing to do."""

    def __init__(
        self, action: Callable[[], Action], caller: Caller, ask: Callable[[Action], None]
    ) -> None:
        self._action, self._caller = action, caller
        first = action()
        self._element = ui.button(on_click=lambda: ask(self._action()), color=None)
        self._element.props(_FLAT).classes(first.tone)
        self._tone = first.tone
        with self._element, box("span", "line"):
            self._icon = ui.icon(first.icon)
            self._label = Text("span", first.label)
        self.show()

    def show(self, *, is_there: bool = True) -> None:
        """What it does now."""
        action = self._action()
        why = who.missing(self._caller, *action.scopes)
        if self._element.visible != is_there:
            self._element.set_visibility(is_there)
        tone_of(self._element, self._tone, action.tone)
        self._tone = action.tone
        self._label.show(action.label)
        attribute(self._icon, "name", action.icon)
        attribute(self._element, "title", why or action.title)
        if self._element.enabled == bool(why):
            self._element.set_enabled(not why)


async def _outcome(action: Action, caller: Caller, reason: str) -> tuple[str, bool]:
    """What came of it in words, and whether it was done."""
    try:
        _check(action, caller)
        return await action.do(caller, reason), True
    except EffectPending as error:
        return f"Accepted: {error}.", True
    except ValidationError as error:
        return str(denial_of(error).detail), False
    except (RefusedError, DeltaError) as error:
        return str(error), False


def _check(action: Action, caller: Caller) -> None:
    if why := who.missing(caller, *action.scopes):
        raise RefusedError(why)
    if action.account is not None and not caller.sees(action.account):
        raise RefusedError(f"Your key “{caller.name}” is not good for this account.")


def _say(text: str, *, is_good: bool) -> None:
    """A line that stays for a while, as text."""
    ui.notify(
        text,
        icon="check_circle" if is_good else "error",
        classes="told good" if is_good else "told bad",
        position="top",
        timeout=_SHOWN_MS,
        close_button="Close",
    )
