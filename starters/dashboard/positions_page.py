"""Positions and what they are worth: all of them, and how their profit went over time.

Rule: figures are the books'; what nothing is known of is a dash, never a zero. It must not know how
positions are counted.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from starters import books
from starters.books import Position
from starters.dashboard import words
from starters.dashboard.board import Board
from starters.dashboard.charts import Chart, Point, Series
from starters.dashboard.frame import Page, framed
from starters.dashboard.parts import Facts, Text, box, card, empty
from starters.dashboard.table import Column, Content, Table, Words
from workflows.domain.exact import exact

MAX_POSITIONS = 200
MAX_SNAPSHOTS = 5_000
PLOTTED = timedelta(hours=24)
PLOT_EVERY_S = 30.0
MAX_LINES = 4
"""Strategies whose profit is drawn: more could not be told apart."""
_LOOKS = (
    ("var(--chart-1)", "solid"),
    ("var(--chart-2)", "dashed"),
    ("var(--chart-4)", "dotted"),
    ("var(--chart-3)", "solid"),
)
_ZERO = Decimal(0)


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/positions")
    async def page(request: Request) -> None:
        with framed(board, request, "Positions", "Positions") as shown:
            with box("div", "head"), box("div", "words"):
                Text("h1", "Positions and PnL")
            positions = _Positions(shown)
            await shown.follow(positions.read, "position", "fill")
            shown.follow_later(positions.read_history, quiet_s=PLOT_EVERY_S)


class _Positions:
    """The sums, the plot and the list."""

    def __init__(self, page: Page) -> None:
        self._board, self._accounts = page.board, page.visitor.accounts
        self._strategies: list[str] = []
        self._sums_of: dict[str, Facts] = {}
        self._sums = box("div", "sums")
        with card("Total PnL of the last 24 hours, by strategy") as self._plot:
            self._chart = Chart()
        with card("Positions", "flush"):
            self._table = Table("Positions", _COLUMNS, key=_key, limit=MAX_POSITIONS)
            self._empty = empty(
                "account_balance_wallet", "No positions yet", "The first fill makes one."
            )

    async def read(self) -> None:
        """The positions now."""
        found = await self._board.answers.get(
            ("positions", self._accounts),
            lambda: books.list_positions(self._board.connections, accounts=self._accounts),
        )
        assert isinstance(found, books.PositionPage)
        positions = [each for each in found.positions if isinstance(each, Position)]
        positions.sort(key=lambda each: (not each.quantity, each.strategy_id, each.symbol))
        self._strategies = _most_active(positions)
        self._table.show(positions)
        for element in (self._table.element, self._plot):
            element.set_visibility(bool(positions))
        self._empty.set_visibility(not positions)
        self._show_sums(positions)

    def _show_sums(self, positions: list[Position]) -> None:
        groups: dict[str, list[Position]] = defaultdict(list)
        for each in positions:
            groups[words.split_symbol(each.symbol)[1]].append(each)
        for asset, group in sorted(groups.items()):
            if asset not in self._sums_of:
                with self._sums:
                    self._sums_of[asset] = Facts(_terms(asset), "tiles")
            total, realised = _sum(group, "total"), _sum(group, "realised_net")
            unrealised, fees = _sum(group, "unrealised"), _sum(group, "fees_quote")
            open_ones = sum(1 for each in group if each.quantity)
            values = (words.money(total), words.money(realised), words.money(unrealised))
            told = (*values, words.amount(fees, 2), f"{open_ones}")
            self._sums_of[asset].show(dict(zip(_terms(asset), told, strict=True)))

    async def read_history(self) -> None:
        """The profit of the busiest strategies over time."""
        now = self._board.now()
        lines = [
            Series(name=name, points=await self._line(name, now), colour=colour, dash=dash)
            for name, (colour, dash) in zip(self._strategies, _LOOKS, strict=False)
        ]
        drawn = [line for line in lines if line.points]
        ends = [f"{line.name} {words.money(line.points[-1][1])}" for line in drawn]
        self._chart.show(drawn, f"Now: {', '.join(ends)}." if ends else "No snapshot taken yet.")

    async def _line(self, strategy_id: str, now: datetime) -> list[Point]:
        page = await self._board.answers.get(
            ("history", strategy_id, self._accounts),
            lambda: books.history(
                self._board.connections,
                strategy_id,
                since=now - PLOTTED,
                until=now,
                accounts=self._accounts,
                limit=MAX_SNAPSHOTS,
            ),
            PLOT_EVERY_S / 2,
        )
        return _total_over_time(page.snapshots)


def _total_over_time(snapshots: list[books.Snapshot]) -> list[Point]:
    """The sum of a strategy's positions whenever one of them was looked at."""
    newest: dict[tuple[str, str, str], Decimal] = {}
    points: dict[datetime, Decimal] = {}
    with exact():
        for each in snapshots:
            if each.total is None:
                continue
            newest[each.account, each.exchange, each.symbol] = each.total
            points[each.taken_at] = sum(newest.values(), _ZERO)
    return list(points.items())


def _most_active(positions: list[Position]) -> list[str]:
    fills: dict[str, int] = defaultdict(int)
    for each in positions:
        fills[each.strategy_id] += each.fill_count
    return sorted(fills, key=lambda name: (-fills[name], name))[:MAX_LINES]


def _terms(asset: str) -> tuple[str, ...]:
    return (
        f"Total PnL, {asset}",
        f"Realised, {asset}",
        f"Unrealised, {asset}",
        f"Fees, {asset}",
        f"Open in {asset}",
    )


def _sum(positions: list[Position], name: str) -> Decimal:
    with exact():
        return sum((getattr(each, name) or _ZERO for each in positions), _ZERO)


def _key(position: Position) -> str:
    place = (position.strategy_id, position.account, position.exchange, position.symbol)
    return "|".join(place)


def _gain(value: Decimal | None) -> Content:
    return Words(text=words.money(value), title=words.whole(value), tone=words.sign_tone(value))


def _name(position: Position) -> Content:
    return Words(
        text=f"{position.strategy_id}: {position.symbol}",
        under=f"{position.exchange}, {position.account}",
        href=f"/?strategy_id={quote(position.strategy_id)}&symbol={quote(position.symbol)}",
        title=f"Orders of {position.strategy_id} in {position.symbol}",
    )


def _held(position: Position) -> Content:
    base, _quote = words.split_symbol(position.symbol)
    side = "flat" if not position.quantity else "long" if position.quantity > 0 else "short"
    return Words(
        text=f"{words.signed(position.quantity)} {base}",
        under=side,
        title=words.whole(position.quantity),
    )


def _mark(position: Position) -> Content:
    age = f"{words.span(position.mark_age_s)} old" if position.mark_age_s is not None else "unknown"
    return Words(text=words.amount(position.mark), under=age)


_COLUMNS: list[Column[Position]] = [
    Column(name="Strategy and symbol", content=_name, classes="across unlabelled"),
    Column(name="Held", content=_held, classes="num"),
    Column(
        name="Average price",
        content=lambda each: Words(text=words.amount(each.average_price)),
        classes="num",
    ),
    Column(name="Market", content=_mark, classes="num"),
    Column(name="Unrealised", content=lambda each: _gain(each.unrealised), classes="num"),
    Column(name="Realised, net", content=lambda each: _gain(each.realised_net), classes="num"),
    Column(name="Total", content=lambda each: _gain(each.total), classes="num"),
    Column(
        name="Fees",
        content=lambda each: Words(text=words.amount(each.fees_quote, 2)),
        classes="num",
    ),
]
