"""Alarms: what a human must know, what each means, what to do, and taking one up.

Rule: an open alarm stays until somebody says that they have it. It must not know what raises one.
"""

from urllib.parse import urlencode

from nicegui import ui
from starlette.requests import Request

from activities.ledger.views import InvalidCursorError
from starters import alarms
from starters.alarms import Alarm
from starters.dashboard import words
from starters.dashboard.actions import Action, ActionButton, settled
from starters.dashboard.board import Board
from starters.dashboard.frame import Page, framed
from starters.dashboard.parts import Notice, Pill, Text, box, empty, lead, link
from starters.dashboard.words import Badge
from starters.decisions import AlarmAcknowledgement
from workflows.domain.access import Caller, Scope

PAGE_SIZE = 20
_OPEN = Badge(word="open", icon="notification_important", tone="bad")
_TAKEN = Badge(word="taken up", icon="check_circle", tone="good")


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/alarms")
    async def page(request: Request) -> None:
        is_all = request.query_params.get("all") == "1"
        cursor = request.query_params.get("cursor") or None
        with framed(board, request, "Alarms", "Alarms") as shown:
            with box("div", "head"):
                with box("div", "words"):
                    Text("h1", "Alarms, also those taken up" if is_all else "Open alarms")
                with box("div", "actions"):
                    other = "Only open ones" if is_all else "Show those taken up, too"
                    link(other, "/alarms" if is_all else "/alarms?all=1", "button")
            await shown.follow(_Alarms(shown, cursor, is_all=is_all).read, "alarm")


class _Alarms:
    """The list: few enough to be drawn anew when one changes."""

    def __init__(self, page: Page, cursor: str | None, *, is_all: bool) -> None:
        self._page, self._cursor, self._is_all = page, cursor, is_all
        self._shown: list[Alarm] = []
        self._buttons: list[ActionButton] = []
        self._wrong = Notice("warn", "info")
        self._list = box("ul", "alarms", aria_label="Alarms")
        self._empty = empty("task_alt", "No open alarm", "Nothing needs a human now.")
        with box("nav", "pages", aria_label="Pages of alarms"):
            lead(Text("a", "Newest", "button"), self._address(None) if cursor else None)
            self._older = Text("a", "Older", "button")

    def _address(self, cursor: str | None) -> str:
        given = {"all": "1" if self._is_all else None, "cursor": cursor}
        chosen = {name: value for name, value in given.items() if value}
        return f"/alarms?{urlencode(chosen)}" if chosen else "/alarms"

    async def read(self) -> None:
        """This page of them, as it is now."""
        board, accounts = self._page.board, self._page.visitor.accounts
        try:
            found = await board.answers.get(
                ("alarms", self._is_all, self._cursor, accounts),
                lambda: alarms.list_alarms(
                    board.connections,
                    acknowledged=self._is_all,
                    limit=PAGE_SIZE,
                    cursor=self._cursor,
                    accounts=accounts,
                ),
            )
        except InvalidCursorError:
            self._wrong.show("This page of alarms does not exist.")
            return
        self._empty.set_visibility(not found.alarms)
        self._list.set_visibility(bool(found.alarms))
        lead(self._older, self._address(found.next_cursor) if found.next_cursor else None)
        if found.alarms != self._shown:
            self._shown = found.alarms
            self._list.clear()
            with self._list:
                for alarm in found.alarms:
                    self._draw(alarm)

    def _draw(self, alarm: Alarm) -> None:
        is_open = alarm.acknowledged_at is None
        with box("li", "card"):
            with box("div", "head"):
                with box("div", "words"):
                    Text("h2", alarm.code.replace("_", " ").capitalize())
                    with box("div", "line small"):
                        Pill(_OPEN if is_open else _TAKEN)
                        Text("span", alarm.object, "mono")
                        since = words.clock(alarm.since, self._page.board.now())
                        Text("span", f"since {since}", "muted")
                if is_open:
                    self._page.actions.button(lambda: self._to_take_up(alarm))
            Text("p", alarm.meaning)
            if alarm.detail:
                Text("p", alarm.detail, "mono")
            Text("p", f"What to do: {alarm.action}")
            if not is_open:
                note = f": {alarm.note}" if alarm.note else ""
                Text("p", f"Taken up by {alarm.acknowledged_by}{note}", "muted")

    def _to_take_up(self, alarm: Alarm) -> Action:
        board, accounts = self._page.board, self._page.visitor.accounts

        async def do(caller: Caller, reason: str) -> str:
            asked = AlarmAcknowledgement(requested_by=caller.name, note=reason)
            answer = await alarms.acknowledge(board.connections, alarm.id, asked, accounts=accounts)
            settled(answer)
            return f"Alarm {alarm.id} is yours."

        return Action(
            name="alarm_ack",
            about=f"alarm:{alarm.id}",
            label="Take it up",
            icon="assignment_turned_in",
            title=f"Take up alarm {alarm.id}?",
            text="It is closed under your name. Say what you found or will do.",
            scopes=(Scope.TRADE, Scope.ADMIN),
            do=do,
        )
