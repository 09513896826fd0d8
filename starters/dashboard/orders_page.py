"""The first page: the newest orders, live, with their progress; filters, and older pages.

Rule: the ledger pages and filters, so that ten thousand orders cost what ten do. Filters and the
page are in the address: it can be kept and shared. It must not know how one order is shown whole.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from nicegui import ui
from starlette.datastructures import QueryParams
from starlette.requests import Request

from activities.ledger.views import InvalidCursorError
from starters.dashboard import words
from starters.dashboard.board import Board
from starters.dashboard.frame import framed
from starters.dashboard.parts import Facts, Notice, Text, box, card, described, empty, lead
from starters.dashboard.table import Column, Content, Share, Table, Words
from starters.dashboard.who import Visitor
from starters.lookup import list_orders
from starters.statistics import OrderStatistics, order_statistics
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

PAGE_SIZE = 25
STATISTICS_FRESH_S = 2.0
_TEXT_FILTERS = (
    ("strategy_id", "Strategy", "strategy_001"),
    ("exchange", "Exchange", "binance"),
    ("symbol", "Symbol", "BTC/USDT"),
)
_TILES = ("Open", "Filled", "Cancelled", "Expired", "Denied or rejected", "Failed")
_CHOICES = [status for status in OrderStatus if status is not OrderStatus.PENDING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the address asks for."""

    strategy_id: str | None = None
    exchange: str | None = None
    symbol: str | None = None
    status: OrderStatus | None = None
    cursor: str | None = None

    @property
    def is_filtered(self) -> bool:
        """True if not every order is wanted."""
        return any((self.strategy_id, self.exchange, self.symbol, self.status))

    def address(self, cursor: str | None) -> str:
        """The same with another page."""
        given = {
            "strategy_id": self.strategy_id,
            "exchange": self.exchange,
            "symbol": self.symbol,
            "status": self.status,
            "cursor": cursor,
        }
        chosen = {name: value for name, value in given.items() if value}
        return f"/?{urlencode(chosen)}" if chosen else "/"


def wanted_of(query: QueryParams) -> Wanted:
    """What the address asks for; what it cannot mean is left out."""
    texts = {name: query.get(name, "").strip()[:128] or None for name, _, _ in _TEXT_FILTERS}
    symbol = texts.pop("symbol")
    status = query.get("status", "")
    return Wanted(
        **texts,
        symbol=symbol.replace("-", "/").upper() if symbol else None,
        status=OrderStatus(status) if status in set(OrderStatus) else None,
        cursor=query.get("cursor") or None,
    )


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/")
    async def page(request: Request) -> None:
        wanted = wanted_of(request.query_params)
        with framed(board, request, "Orders", "Orders") as shown:
            with box("div", "head"), box("div", "words"):
                Text("h1", "Orders")
            tiles = Facts(_TILES, "tiles")
            with card(classes="flush"):
                with box("div", "filter-row"):
                    _filters(wanted)
                orders = _Orders(board, shown.visitor, wanted)
            summary = _Summary(board, shown.visitor, tiles)
            await shown.follow(orders.read, "order", "fill")
            await shown.follow(summary.read, "order")


class _Summary:
    """How many orders there are of each kind."""

    def __init__(self, board: Board, visitor: Visitor, tiles: Facts) -> None:
        self._board, self._visitor, self._tiles = board, visitor, tiles

    async def read(self) -> None:
        accounts = self._visitor.accounts
        found = await self._board.answers.get(
            ("statistics", accounts),
            lambda: order_statistics(self._board.connections, accounts=accounts),
            STATISTICS_FRESH_S,
        )
        self._tiles.show(_counts(found))


def _counts(found: OrderStatistics) -> dict[str, str]:
    by = found.by_status
    counted = {
        "Open": found.open_orders,
        "Filled": by.get(OrderStatus.FILLED, 0),
        "Cancelled": by.get(OrderStatus.CANCELLED, 0),
        "Expired": by.get(OrderStatus.EXPIRED, 0),
        "Denied or rejected": by.get(OrderStatus.DENIED, 0) + by.get(OrderStatus.REJECTED, 0),
        "Failed": by.get(OrderStatus.FAILED, 0),
    }
    return {term: f"{count:,}" for term, count in counted.items()}


class _Orders:
    """The list, and the way to older orders."""

    def __init__(self, board: Board, visitor: Visitor, wanted: Wanted) -> None:
        self._board, self._visitor, self._wanted = board, visitor, wanted
        self._now = board.now()
        self._wrong = Notice("warn", "info")
        self._table = Table(
            "Orders, newest first", _columns(self), key=lambda order: order.order_id
        )
        if wanted.is_filtered or wanted.cursor:
            self._empty = empty("filter_list_off", "No order fits", "Clear the filters above.")
        else:
            self._empty = empty(
                "inbox", "No orders yet", "The first one appears here by itself, as it happens."
            )
        with box("nav", "pages", aria_label="Pages of orders"):
            self._newer = Text("a", "Newest", "button", href=wanted.address(None))
            self._where = Text("span", "", "muted small")
            self._older = Text("a", "Older", "button")

    @property
    def now(self) -> datetime:
        """When this was read."""
        return self._now

    async def read(self) -> None:
        wanted, accounts = self._wanted, self._visitor.accounts
        self._now = self._board.now()
        try:
            orders, following = await self._board.answers.get(
                ("orders", wanted, accounts),
                lambda: list_orders(
                    self._board.connections,
                    strategy_id=wanted.strategy_id,
                    exchange=wanted.exchange,
                    symbol=wanted.symbol,
                    status=wanted.status,
                    cursor=wanted.cursor,
                    accounts=accounts,
                    limit=PAGE_SIZE,
                ),
            )
        except InvalidCursorError:
            self._wrong.show("This page of orders does not exist: here is nothing to show.")
            orders, following = [], None
        self._table.show(orders)
        self._table.element.set_visibility(bool(orders))
        self._empty.set_visibility(not orders)
        self._show_pages(following)

    def _show_pages(self, following: str | None) -> None:
        is_first = self._wanted.cursor is None
        self._where.show("Newest orders, live" if is_first else "Older orders")
        lead(self._newer, None if is_first else self._wanted.address(None))
        lead(self._older, self._wanted.address(following) if following else None)


def _columns(orders: _Orders) -> list[Column[OrderSnapshot]]:
    return [
        Column(name="Order", content=_name, classes="across unlabelled"),
        Column(name="Status", content=lambda order: words.order_badge(order.status)),
        Column(name="Side", content=lambda order: words.side_badge(order.side)),
        Column(name="Progress", content=_progress, classes="wide"),
        Column(name="Filled / quantity", content=_quantities, classes="num"),
        Column(name="Average price", content=_price, classes="num"),
        Column(name="Where", content=_where),
        Column(name="Since", content=lambda order: _since(order, orders.now), classes="num"),
    ]


def _name(order: OrderSnapshot) -> Content:
    kind = (order.order_type or "order").replace("_", " ")
    return Words(
        text=f"{kind} {order.symbol or ''}".strip(),
        under=f"{order.strategy_id or words.NONE} · {order.order_id}",
        href=f"/orders/{quote(order.order_id, safe=':')}",
        title=f"order {order.order_id}",
    )


def _progress(order: OrderSnapshot) -> Content:
    share = words.percent(order.filled_quantity, order.quantity)
    return Share(percent=share, label=f"Filled share of order {order.order_id}")


def _quantities(order: OrderSnapshot) -> Content:
    base, _quote = words.split_symbol(order.symbol)
    return Words(
        text=f"{words.amount(order.filled_quantity)} / {words.amount(order.quantity)}",
        under=base,
        title=f"{words.whole(order.filled_quantity)} / {words.whole(order.quantity)}",
    )


def _price(order: OrderSnapshot) -> Content:
    return Words(
        text=words.amount(order.average_price),
        under=f"limit {words.amount(order.price)}" if order.price else "",
        title=words.whole(order.average_price),
    )


def _where(order: OrderSnapshot) -> Content:
    return Words(text=order.exchange or words.NONE, under=order.account or words.NONE)


def _since(order: OrderSnapshot, now: datetime) -> Content:
    return Words(text=words.clock(order.created_at, now), title=order.created_at or "")


def _filters(wanted: Wanted) -> None:
    """A plain form: each filter is a part of the address."""
    with box("form", "filters", method="get", action="/", role="search", aria_label="Orders"):
        with box("label"):
            Text("span", "Status")
            with box("select", name="status"):
                described(Text("option", "all"), value="")
                for status in _CHOICES:
                    option = Text("option", words.order_badge(status).word, value=status.value)
                    if status is wanted.status:
                        described(option, selected="selected")
        for name, label, example in _TEXT_FILTERS:
            with box("label"):
                Text("span", label)
                value = getattr(wanted, name) or ""
                box("input", name=name, value=value, placeholder=example, maxlength="64")
        with box("div", "actions"):
            Text("button", "Filter", "button first", type="submit")
            if wanted.is_filtered:
                Text("a", "Clear", "button", href="/")
