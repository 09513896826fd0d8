"""Arbitrage executions, newest first, live.

Rule: as the ledger tells them; a page of them at a time. It must not know how one is shown whole.
"""

from datetime import datetime
from urllib.parse import quote, urlencode

from nicegui import ui
from starlette.requests import Request

from activities.ledger.views import InvalidCursorError
from starters.dashboard import words
from starters.dashboard.board import Board
from starters.dashboard.frame import Page, framed
from starters.dashboard.parts import Notice, Text, box, card, empty, lead
from starters.dashboard.table import Column, Content, Share, Table, Words
from starters.executions import list_executions
from starters.kinds import ARBITRAGES
from workflows.execution_messages import ArbitrageSnapshot

PAGE_SIZE = 25


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/arbitrage")
    async def page(request: Request) -> None:
        cursor = request.query_params.get("cursor") or None
        with framed(board, request, "Arbitrage", "Arbitrage") as shown:
            with box("div", "head"), box("div", "words"):
                Text("h1", "Arbitrage")
            with card(classes="flush"):
                arbitrages = _Arbitrages(shown, cursor)
            await shown.follow(arbitrages.read, "execution", "fill")


class _Arbitrages:
    """The list, and the way to older ones."""

    def __init__(self, page: Page, cursor: str | None) -> None:
        self._board, self._accounts, self._cursor = page.board, page.visitor.accounts, cursor
        self._now = page.board.now()
        self._wrong = Notice("warn", "info")
        self._table = Table(
            "Arbitrages, newest first", self._columns(), key=lambda each: each.execution_id
        )
        self._empty = empty(
            "swap_horiz", "No arbitrage yet", "The first one appears here by itself."
        )
        with box("nav", "pages", aria_label="Pages of arbitrages"):
            lead(Text("a", "Newest", "button"), "/arbitrage" if cursor else None)
            self._older = Text("a", "Older", "button")

    async def read(self) -> None:
        """This page of them, as it is now."""
        self._now = self._board.now()
        try:
            found, following = await self._board.answers.get(
                ("arbitrages", self._cursor, self._accounts),
                lambda: list_executions(
                    self._board.connections,
                    ARBITRAGES,
                    accounts=self._accounts,
                    cursor=self._cursor,
                    limit=PAGE_SIZE,
                ),
            )
        except InvalidCursorError:
            self._wrong.show("This page of arbitrages does not exist.")
            found, following = [], None
        self._table.show(found)
        self._table.element.set_visibility(bool(found))
        self._empty.set_visibility(not found)
        onward = f"/arbitrage?{urlencode({'cursor': following})}" if following else None
        lead(self._older, onward)

    def _columns(self) -> list[Column[ArbitrageSnapshot]]:
        return [
            Column(name="Arbitrage", content=_name, classes="across unlabelled"),
            Column(name="Status", content=lambda each: words.execution_badge(each.status)),
            Column(name="Matched", content=_matched, classes="wide"),
            Column(name="Matched / planned", content=_amounts, classes="num"),
            Column(name="Residual", content=_residual, classes="num"),
            Column(name="Profit", content=_profit, classes="num"),
            Column(name="Since", content=lambda each: _since(each, self._now), classes="num"),
        ]


def _name(each: ArbitrageSnapshot) -> Content:
    return Words(
        text=f"{each.symbol or 'arbitrage'}: buy {each.buy_exchange}, sell {each.sell_exchange}",
        under=f"{each.strategy_id or words.NONE} · {each.execution_id}",
        href=f"/arbitrage/{quote(each.execution_id, safe=':')}",
        title=f"Arbitrage {each.execution_id}",
    )


def _matched(each: ArbitrageSnapshot) -> Content:
    share = words.percent(each.matched_quantity, each.amount)
    return Share(percent=share, label=f"Matched share of arbitrage {each.execution_id}")


def _amounts(each: ArbitrageSnapshot) -> Content:
    base, _quote = words.split_symbol(each.symbol)
    text = f"{words.amount(each.matched_quantity)} / {words.amount(each.amount)}"
    return Words(text=text, under=base or words.NONE)


def _residual(each: ArbitrageSnapshot) -> Content:
    naked = f"{words.amount(each.naked_seconds, 1)} s naked"
    return Words(text=words.signed(each.residual_quantity), under=naked)


def _profit(each: ArbitrageSnapshot) -> Content:
    expected = words.money(each.expected_profit)
    return Words(
        text=words.money(each.actual_profit),
        under=f"expected {expected}",
        tone=words.sign_tone(each.actual_profit),
        title=words.whole(each.actual_profit),
    )


def _since(each: ArbitrageSnapshot, now: datetime) -> Content:
    return Words(text=words.clock(each.started_at, now), title=each.started_at or "")
