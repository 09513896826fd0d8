"""Status: kill switches, what orders depend on, venues and their feeds, task queues, differences.

Rule: each part is read by itself, so that what is away does not hide what is there. It must not
know how any of it is measured.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui
from starlette.requests import Request

from activities.ledger.view_models import AccountView
from starters.breaks import BookBreak, list_breaks
from starters.dashboard import trading, words
from starters.dashboard.board import Board
from starters.dashboard.frame import Page, framed
from starters.dashboard.parts import Notice, Text, box, card, empty
from starters.dashboard.table import Column, Content, Table, Words
from starters.dashboard.words import Badge
from starters.errors import Unavailable
from starters.queues import QueueStatus, queue_status
from starters.trading_state import StateEntry
from workflows.domain.scopes import FORMS

QUEUES_FRESH_S = 4.0
SLOW_S = 5.0
"""How often what no event tells of is read."""
MAX_BREAKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One thing that orders need, and what is wrong with it."""

    name: str
    is_ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A configured account, and what the ledger knows of its feed; None: it never reported."""

    exchange: str
    account: str
    seen: AccountView | None


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/status")
    async def page(request: Request) -> None:
        with framed(board, request, "Status", "Status") as shown:
            with box("div", "head"), box("div", "words"):
                Text("h1", "Status")
            switches = _Switches(shown)
            parts = _Parts(shown)
            await shown.follow(switches.read, "trading_state")
            await shown.follow(parts.read_feeds)
            shown.follow_later(parts.read_dependencies, quiet_s=SLOW_S)
            shown.follow_later(parts.read_queues, quiet_s=SLOW_S)
            shown.follow_later(parts.read_breaks, quiet_s=SLOW_S)


class _Switches:
    """The kill switch of every scope that has one."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._shown: list[StateEntry] = []
        with card("Trading state"):
            Text(
                "p",
                f"The strictest switch of an order's scopes binds it. Scopes: {FORMS}.",
                "muted small",
            )
            self._list = box("ul", "switches", aria_label="Kill switches")

    async def read(self) -> None:
        """The switches now."""
        found = (await trading.states(self._page.board)).states
        if found == self._shown:
            return
        self._shown = found
        self._list.clear()
        with self._list:
            for entry in found:
                self._draw(entry)

    def _draw(self, entry: StateEntry) -> None:
        board, actions = self._page.board, self._page.actions
        with box("li", "head"):
            with box("div", "words"):
                with box("div", "line"):
                    Text("h3", entry.scope, "mono")
                    badge = words.trading_badge(entry.state)
                    with box("span", f"pill {badge.tone}"):
                        ui.icon(badge.icon)
                        Text("span", badge.word)
                if entry.updated_by:
                    at = words.clock(entry.updated_at, board.now())
                    Text("span", f"{entry.updated_by}, {at}: {entry.reason}", "muted small")
            with box("div", "actions"):
                offered = {
                    "halted": trading.halt,
                    "reducing": trading.reduce,
                    "active": trading.resume,
                }
                for state, make in offered.items():
                    if state != entry.state:
                        actions.button(partial(make, board, entry.scope))


class _Parts:
    """The lists of what is healthy and what is not."""

    def __init__(self, page: Page) -> None:
        self._board, self._accounts = page.board, page.visitor.accounts
        with box("div", "cards"):
            with card("Dependencies", "flush"):
                self._dependencies = Table(
                    "Dependencies", _DEPENDENCIES, key=lambda each: each.name
                )
            with card("Venues and feeds", "flush"):
                self._feeds = Table(
                    "Venues and feeds", self._feed_columns(), key=lambda each: _place(each)
                )
        with card("Task queues", "flush"):
            self._no_queues = Notice("warn", "cloud_off")
            self._queues = Table(
                "Task queues", _QUEUES, key=lambda each: f"{each.queue} {each.kind}"
            )
        with card("Differences between our books and the venues", "flush"):
            self._breaks = Table("Differences", _BREAKS, key=_key, limit=MAX_BREAKS)
            self._no_break = empty("task_alt", "No open difference")

    async def read_feeds(self) -> None:
        """What the ledger says of each configured account."""
        async with self._board.connections.ledger() as ledger:
            rows = {(row.exchange, row.account): row for row in await ledger.readiness()}
        settings = self._board.settings
        self._feeds.show(
            [
                Feed(exchange=venue, account=account, seen=rows.get((venue, account)))
                for venue in settings.exchanges
                for account in settings.accounts(venue)
                if self._accounts is None or account in self._accounts
            ]
        )

    async def read_dependencies(self) -> None:
        """Temporal, PostgreSQL, and the events that keep pages current."""
        connections = self._board.connections

        async def temporal() -> None:
            await (await connections.orders()).check()

        async def ledger() -> None:
            async with connections.ledger() as views:
                await views.readiness()

        is_live = self._board.news.is_live
        events = "followed as they happen" if is_live else "not followed: pages read each second"
        self._dependencies.show(
            [
                await _asked("Temporal", temporal()),
                await _asked("PostgreSQL", ledger()),
                Dependency(name="Events", is_ok=is_live, detail=events),
            ]
        )

    async def read_queues(self) -> None:
        """What waits for workers."""
        try:
            found = await self._board.answers.get(
                ("queues", self._accounts),
                lambda: queue_status(
                    self._board.connections, self._board.settings, accounts=self._accounts
                ),
                QUEUES_FRESH_S,
            )
        except Unavailable as error:
            self._no_queues.show(str(error))
            return
        self._no_queues.show("")
        self._queues.show(found.queues)

    async def read_breaks(self) -> None:
        """What differs now."""
        found = await list_breaks(self._board.connections, accounts=self._accounts)
        self._breaks.show(found.breaks)
        self._breaks.element.set_visibility(bool(found.breaks))
        self._no_break.set_visibility(not found.breaks)

    def _feed_columns(self) -> Sequence[Column[Feed]]:
        return [
            Column(name="Account", content=lambda each: Words(text=_place(each))),
            Column(name="Trading", content=_ready),
            Column(name="Why", content=_why, classes="long"),
            Column(
                name="Since",
                content=lambda each: Words(
                    text=words.clock(each.seen.updated_at, self._board.now())
                    if each.seen
                    else words.NONE
                ),
                classes="num",
            ),
        ]


async def _asked(name: str, question: Awaitable[None]) -> Dependency:
    try:
        await question
    except Unavailable as error:
        return Dependency(name=name, is_ok=False, detail=str(error))
    return Dependency(name=name, is_ok=True, detail="answers")


def _key(each: BookBreak) -> str:
    return "|".join((each.observer, each.exchange, each.account, each.kind, each.object))


def _place(feed: Feed) -> str:
    return f"{feed.exchange}, {feed.account}"


def _ready(feed: Feed) -> Content:
    is_ready = feed.seen is not None and feed.seen.ready
    return words.ok_badge(is_ready, "ready", "reconciling")


def _why(feed: Feed) -> Content:
    if feed.seen is None:
        return Words(text="its feed never reported")
    return Words(
        text="the feed vouches for it" if feed.seen.ready else feed.seen.reason or "RECONCILING"
    )


def _state(each: Dependency) -> Badge:
    return words.ok_badge(each.is_ok)


def _rate(each: QueueStatus) -> Content:
    limit = words.amount(each.rate_limit_per_s) if each.rate_limit_per_s else "no limit"
    return Words(text=words.amount(each.tasks_done_per_s, 1), under=limit)


_DEPENDENCIES: list[Column[Dependency]] = [
    Column(name="Part", content=lambda each: Words(text=each.name)),
    Column(name="State", content=_state),
    Column(name="Detail", content=lambda each: Words(text=each.detail), classes="long"),
]
_QUEUES: list[Column[QueueStatus]] = [
    Column(
        name="Queue", content=lambda each: Words(text=each.queue, under=each.kind), classes="across"
    ),
    Column(
        name="Served",
        content=lambda each: words.ok_badge(
            bool(each.pollers), f"by {len(each.pollers)}", "by nobody"
        ),
    ),
    Column(name="Waiting", content=lambda each: Words(text=f"{each.backlog:,}"), classes="num"),
    Column(
        name="Oldest waits",
        content=lambda each: Words(text=words.span(each.oldest_age_s)),
        classes="num",
    ),
    Column(name="Done per second, limit", content=_rate, classes="num"),
]
_BREAKS: list[Column[BookBreak]] = [
    Column(name="What", content=lambda each: Words(text=each.kind, under=each.object)),
    Column(name="Where", content=lambda each: Words(text=f"{each.exchange}, {each.account}")),
    Column(name="Ours", content=lambda each: Words(text=words.amount(each.ours)), classes="num"),
    Column(
        name="Theirs", content=lambda each: Words(text=words.amount(each.theirs)), classes="num"
    ),
    Column(
        name="Detail", content=lambda each: Words(text=each.detail or words.NONE), classes="long"
    ),
]
