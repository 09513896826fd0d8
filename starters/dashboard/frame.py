"""The frame of every page: where you are, whether trading goes on, who you are; it stays current.

Rule: a page reads when it is made, and again when something changed that it shows, each time for
whoever its session is then; a read that fails leaves what is shown and says how old that is. The
work of a page ends with it. It must not know what the page shows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from starters import alarms
from starters.dashboard import trading, who
from starters.dashboard.actions import ActionButton, Actions
from starters.dashboard.board import Board
from starters.dashboard.live import QUIET_S, TICK_S, Pulse
from starters.dashboard.parts import Notice, Pill, Text, attribute, box, described
from starters.dashboard.sign_in import STYLE_URL, THEMES, theme_of
from starters.dashboard.words import trading_badge
from starters.errors import DeltaError

Read = Callable[[], Awaitable[None]]


NAVIGATION = (
    ("Orders", "/", "list_alt"),
    ("Positions", "/positions", "account_balance_wallet"),
    ("Arbitrage", "/arbitrage", "swap_horiz"),
    ("Alarms", "/alarms", "notifications"),
    ("Status", "/status", "monitor_heart"),
)
_ALARMS_COUNTED = 100
_DARK = {"auto": None, "light": False, "dark": True}
_THEME_ICONS = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}
_ALWAYS = ("trading_state", "alarm")


@dataclass(slots=True)
class _Following:
    """Something that is read again and again."""

    read: Read
    pulse: Pulse
    task: asyncio.Task[None] | None = None


class Page:
    """One open page of one visitor, in the browser that `client` is."""

    def __init__(
        self, board: Board, visitor: who.Visitor, address: str, actions: Actions, stale: Notice
    ) -> None:
        self.board, self.visitor, self.actions = board, visitor, actions
        self._address, self._stale = address, stale
        self._client = ui.context.client
        self._reads: list[_Following] = []
        self._asking: asyncio.Task[None] | None = None
        self._client.on_delete(self._end)

    async def follow(self, read: Read, *topics: str) -> None:
        """Show what `read` shows: now, and whenever one of the topics has news."""
        self._reads.append(_Following(read, Pulse(self.board.news, *topics)))
        await self._run(read)

    def follow_later(self, read: Read, *topics: str, quiet_s: float = QUIET_S) -> None:
        """The same, but the page does not wait for the first read."""
        pulse = Pulse(self.board.news, *topics, quiet_s=quiet_s, is_new=True)
        self._reads.append(_Following(read, pulse))

    async def read_all(self) -> None:
        """Read everything again, at once."""
        for each in self._reads:
            await self._run(each.read)

    def tick(self) -> None:
        """Begin to read again what is due and not being read; and see a session's end."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_again())
        for each in self._reads:
            if (each.task is None or each.task.done()) and each.pulse.is_due():
                each.task = asyncio.create_task(self._run(each.read))

    def _end(self) -> None:
        for each in self._reads:
            if each.task is not None:
                each.task.cancel()
        if self._asking is not None:
            self._asking.cancel()

    async def _ask_again(self) -> None:
        with self._client:
            try:
                await who.again(self.board.connections, self.visitor)
            except who.SignedOutError:
                self._leave()
            except DeltaError:
                return  # the next read says so

    def _leave(self) -> None:
        ui.navigate.to(f"/login?next={quote(self._address, safe='')}")

    async def _run(self, read: Read) -> None:
        with self._client:
            try:
                await who.again(self.board.connections, self.visitor)
                await read()
            except who.SignedOutError:
                self._leave()
            except DeltaError as error:
                at = self.board.now().strftime("%H:%M:%S")
                self._stale.show(f"Not up to date since {at} UTC: {error}. Trying again.")
            else:
                self._stale.show("")


@contextmanager
def framed(board: Board, request: Request, title: str, current: str) -> Iterator[Page]:
    """The frame around a page's own elements; `current` is its place in the navigation."""
    visitor = who.visitor_of_page(request)
    theme = theme_of(request)
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    ui.page_title(f"{title} · Delta Executor")
    ui.add_head_html(f'<link rel="stylesheet" href="{STYLE_URL}">')
    ui.dark_mode(_DARK[theme])
    pages: list[Page] = []

    async def read_all() -> None:
        await pages[0].read_all()

    actions = Actions(board, visitor, read_all)
    top = _Top(board, actions, current)
    with box("div", "page-body") as body:
        page = Page(board, visitor, address, actions, Notice("warn", "sync_problem"))
        pages.append(page)
        page.follow_later(top.read, *_ALWAYS)
        yield page
    _foot(visitor, theme, address)
    ui.skip_link("Skip to the content", target=body)
    ui.timer(TICK_S, page.tick)


class _Top:
    """The header: navigation, open alarms, the kill switch."""

    def __init__(self, board: Board, actions: Actions, current: str) -> None:
        self._board, self._accounts = board, actions.accounts
        self._is_active = True
        with ui.header(fixed=False, wrap=False).classes("top"):
            with box("a", "brand", href="/", aria_label="Delta Executor, orders"):
                described(Text("span", "Δ", "mark"), aria_hidden="true")
                Text("span", "Delta Executor", "name")
            with box("nav", "nav", aria_label="Pages"):
                for name, target, icon in NAVIGATION:
                    self._entry(name, target, icon, current)
            with box("div", "tools"):
                with box("div", "", role="status"):
                    self._state = Pill(trading_badge("active"))
                self._switch: ActionButton = actions.button(
                    lambda: trading.halt(board) if self._is_active else trading.resume(board)
                )

    def _entry(self, name: str, target: str, icon: str, current: str) -> None:
        with box("a", "", href=target) as entry:
            if name == current:
                described(entry, aria_current="page")
            ui.icon(icon)
            Text("span", name)
            if name == "Alarms":
                self._count = Text("span", "", "count")
                self._count.set_visibility(False)

    async def read(self) -> None:
        """What binds all of trading, and how much a human must look at."""
        states = await trading.states(self._board)
        state = trading.of_scope(states).state
        self._is_active = state != "halted"
        self._state.show(trading_badge(state))
        self._switch.show()
        question = ("open_alarms", self._accounts)
        found = await self._board.answers.get(question, self._open_alarms)
        text = f"{found}+" if found == _ALARMS_COUNTED else str(found)
        self._count.show(text)
        attribute(self._count, "title", f"{text} open alarms")
        if self._count.visible != bool(found):
            self._count.set_visibility(bool(found))

    async def _open_alarms(self) -> int:
        page = await alarms.list_alarms(
            self._board.connections, limit=_ALARMS_COUNTED, accounts=self._accounts
        )
        return len(page.alarms)


def _foot(visitor: who.Visitor, theme: str, address: str) -> None:
    onward = quote(address, safe="")
    following = list(THEMES)[(list(THEMES).index(theme) + 1) % len(THEMES)]
    scopes = ", ".join(sorted(visitor.caller.scopes))
    with box("footer", "foot"):
        Text("span", f"Signed in as {visitor.caller.name} ({scopes})")
        with box("form", "line", method="post", action="/logout"):
            Text("button", "Sign out", "link-button", type="submit")
        with box("a", "line", href=f"/theme?to={following}&next={onward}"):
            ui.icon(_THEME_ICONS[theme])
            Text("span", f"Theme: {THEMES[theme]}; change to {THEMES[following]}")
        Text("span", "All times are UTC.")
        Text("a", "API reference", href="/docs")
