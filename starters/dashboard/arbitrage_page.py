"""One arbitrage's page: both legs on one time line, what matched, what was left, what it earned.

Rule: it is shown as the look-up tells it, for the accounts that the visitor sees. It must not know
how the list of arbitrages is made.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from activities.ledger.view_models import FillView
from starters.connections import Connections
from starters.dashboard import words
from starters.dashboard.actions import Action
from starters.dashboard.board import Board
from starters.dashboard.charts import Chart, Point, Series
from starters.dashboard.frame import Page, framed
from starters.dashboard.parts import Facts, Notice, Pill, Text, box, card, empty, link
from starters.dashboard.table import Column, Content, Share, Table, Words
from starters.errors import ExecutionNotFound
from starters.executions import cancel_execution, find_execution
from starters.kinds import ARBITRAGES
from workflows.domain.access import Caller, Scope
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionStatus, Outcome
from workflows.domain.orders import Side
from workflows.execution_messages import ArbitrageSnapshot, CompensationView, LegOrderView
from workflows.messages import CancelRequest

_OUTCOMES = {
    Outcome.PROFIT: "It came out with a profit.",
    Outcome.LOSS_BOUNDED: "It came out with a loss within its bound.",
    Outcome.UNWOUND: "What one leg filled was reversed where it had filled.",
    Outcome.RESIDUAL_HELD: "Something is left over that somebody must look after.",
    Outcome.ABORTED: "Nothing was traded.",
}
MAX_LEGS = 20
"""Orders of one execution whose fills are drawn."""
_ZERO = Decimal(0)
_LOOKS = {
    Side.BUY: ("var(--chart-1)", "solid"),
    Side.SELL: ("var(--chart-2)", "dashed"),
}
_TERMS = (
    "Profit",
    "Expected profit",
    "Realised",
    "Residual profit",
    "Fees",
    "Matched",
    "Residual",
    "One leg alone for",
    "Compensation cost",
    "Started",
    "Completed",
    "Strategy, mode",
)


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/arbitrage/{execution_id}")
    async def page(request: Request, execution_id: str) -> None:
        with framed(board, request, f"Arbitrage {execution_id}", "Arbitrage") as shown:
            link("← All arbitrages", "/arbitrage", "small")
            try:
                found = await find_execution(
                    board.connections, ARBITRAGES, execution_id, accounts=shown.visitor.accounts
                )
            except ExecutionNotFound:
                hint = f"Nothing here has the id {execution_id}."
                empty("search_off", "No such arbitrage", hint, heading="h1")
                return
            await shown.follow(_Arbitrage(shown, found).read, execution_id)


class _Arbitrage:
    """The elements of the page, and how they are filled."""

    def __init__(self, page: Page, found: ArbitrageSnapshot) -> None:
        self._board, self._accounts = page.board, page.visitor.accounts
        self._id, self._found = found.execution_id, found
        base, self._quote = words.split_symbol(found.symbol)
        with box("div", "head"):
            with box("div", "words"):
                Text("h1", f"Arbitrage of {words.amount(found.amount)} {found.symbol}")
                with box("div", "line"):
                    self._status = Pill(words.execution_badge(found.status))
                    Text("span", found.execution_id, "mono")
            with box("div", "actions"):
                self._cancel = page.actions.button(self._to_cancel)
                address = page.board.temporal_address(found.execution_id)
                link("History in Temporal", address, "button", is_outside=True)
        self._why = Notice("info", "info")
        with card("Result"):
            self._facts = Facts(_TERMS)
        with card(f"Both legs on one time line: filled {base}"):
            self._line = Chart(from_zero=True)
        with card("Orders", "flush"):
            self._legs = Table(
                "Orders of the arbitrage", _LEGS, key=lambda leg: leg.order_id, limit=MAX_LEGS
            )
        with card("Compensation", "flush") as self._undo:
            self._steps = Table(
                "What was decided about the residual", _STEPS, key=lambda step: step.at
            )

    async def read(self) -> None:
        """Read the arbitrage and its fills, and show them."""
        connections = self._board.connections
        found = await self._board.answers.get(
            ("arbitrage", self._id, self._accounts),
            lambda: find_execution(connections, ARBITRAGES, self._id, accounts=self._accounts),
        )
        self._found = found
        self._status.show(words.execution_badge(found.status))
        told = (_OUTCOMES.get(found.outcome, "") if found.outcome else "", found.code, found.error)
        self._why.show(" ".join(part for part in told if part))
        is_open = not found.status.is_terminal and found.status is not ExecutionStatus.CANCELLING
        self._cancel.show(is_there=is_open)
        self._show_facts(found)
        self._legs.show(found.orders)
        self._undo.set_visibility(bool(found.compensation))
        self._steps.show(found.compensation)
        fills = await self._board.answers.get(
            ("legs", self._id), lambda: _fills(connections, found.orders)
        )
        lines = leg_lines(found, fills, self._board.now())
        self._line.show(lines, _line_words(found))

    def _show_facts(self, found: ArbitrageSnapshot) -> None:
        base, now = words.split_symbol(found.symbol)[0], self._board.now()

        def money(value: Decimal | None) -> str:
            return words.NONE if value is None else f"{words.money(value)} {self._quote}"

        self._facts.show(
            {
                "Profit": money(found.actual_profit),
                "Expected profit": money(found.expected_profit),
                "Realised": money(found.realised_profit),
                "Residual profit": money(found.residual_profit),
                "Fees": words.amount(found.fees_total),
                "Matched": f"{words.amount(found.matched_quantity)} {base}",
                "Residual": f"{words.signed(found.residual_quantity)} {base}",
                "One leg alone for": f"{words.amount(found.naked_seconds, 1)} s",
                "Compensation cost": money(found.compensation_cost),
                "Started": words.clock(found.started_at, now),
                "Completed": words.clock(found.completed_at, now),
                "Strategy, mode": f"{found.strategy_id}, {found.mode or words.NONE}",
            }
        )

    def _to_cancel(self) -> Action:
        board, execution_id = self._board, self._id

        async def do(_caller: Caller, reason: str) -> str:
            asked = CancelRequest(reason=reason)
            told = await cancel_execution(
                board.connections, ARBITRAGES, execution_id, asked.reason, accounts=self._accounts
            )
            return f"The arbitrage is {words.execution_badge(told.status).word}."

        return Action(
            name="arbitrage_cancel",
            about=f"execution:{execution_id}",
            label="Cancel arbitrage",
            icon="cancel",
            title=f"Cancel the arbitrage of {self._found.symbol}?",
            text="Both legs are taken back. What only one of them filled is compensated.",
            scopes=(Scope.TRADE, Scope.KILL),
            do=do,
            tone="danger",
            account=self._found.account,
        )


async def _fills(
    connections: Connections, legs: tuple[LegOrderView, ...]
) -> dict[str, list[FillView]]:
    async with connections.ledger() as ledger:
        return {leg.order_id: await ledger.fills(leg.order_id) for leg in legs[:MAX_LEGS]}


def leg_lines(
    found: ArbitrageSnapshot, fills: dict[str, list[FillView]], now: datetime
) -> list[Series]:
    """Filled quantity of each leg over the time that all of them have together."""
    begins = words.moment(found.started_at) or now
    last = max((fill.traded_at for each in fills.values() for fill in each), default=begins)
    ends = max(words.moment(found.completed_at) or now, last, begins + timedelta(seconds=1))
    lines = []
    for leg in found.orders[:MAX_LEGS]:
        colour, dash = _LOOKS[leg.side]
        is_first = leg.leg in (Side.BUY, Side.SELL)
        points = _sums(fills.get(leg.order_id, []), begins, ends)
        name = f"{leg.leg} at {leg.exchange}"
        look = {"colour": colour if is_first else "var(--chart-4)", "dash": dash}
        lines.append(Series(name=name, points=points, look="step", **look))
    return lines


def _sums(fills: list[FillView], begins: datetime, ends: datetime) -> list[Point]:
    with exact():
        sums = list(accumulate((fill.quantity for fill in fills), initial=_ZERO))
    times = [begins, *(fill.traded_at for fill in fills)]
    return [*zip(times, sums, strict=True), (ends, sums[-1])]


def _line_words(found: ArbitrageSnapshot) -> str:
    base, _quote = words.split_symbol(found.symbol)
    legs = [
        f"{leg.leg} at {leg.exchange} filled {words.amount(leg.filled_amount)} {base}"
        f" at {words.amount(leg.avg_price)}"
        for leg in found.orders[:MAX_LEGS]
    ]
    return f"{'; '.join(legs)}." if legs else "No leg was sent."


def _name(leg: LegOrderView) -> Content:
    return Words(
        text=leg.leg,
        under=leg.order_id,
        href=f"/orders/{quote(leg.order_id, safe=':')}",
        title=f"order {leg.order_id}",
    )


def _share(leg: LegOrderView) -> Content:
    share = words.percent(leg.filled_amount, leg.amount)
    return Share(percent=share, label=f"Filled share of {leg.order_id}")


def _price(leg: LegOrderView) -> Content:
    return Words(text=words.amount(leg.avg_price), under=f"limit {words.amount(leg.price)}")


def _filled(leg: LegOrderView) -> Content:
    return Words(text=f"{words.amount(leg.filled_amount)} / {words.amount(leg.amount)}")


_LEGS: list[Column[LegOrderView]] = [
    Column(name="Leg", content=_name, classes="across unlabelled"),
    Column(name="Status", content=lambda leg: words.order_badge(leg.status)),
    Column(name="Side", content=lambda leg: words.side_badge(leg.side)),
    Column(name="Exchange", content=lambda leg: Words(text=leg.exchange)),
    Column(name="Progress", content=_share, classes="wide"),
    Column(name="Filled / amount", content=_filled, classes="num"),
    Column(name="Average price", content=_price, classes="num"),
    Column(name="Fees", content=lambda leg: Words(text=words.listed(leg.fee)), classes="num"),
    Column(name="Note", content=lambda leg: Words(text=leg.reason or words.NONE), classes="long"),
]
_STEPS: list[Column[CompensationView]] = [
    Column(name="When", content=lambda step: Words(text=step.at)),
    Column(name="Decision", content=lambda step: Words(text=step.action)),
    Column(
        name="Residual", content=lambda step: Words(text=words.amount(step.residual)), classes="num"
    ),
    Column(
        name="Expected PnL",
        content=lambda step: Words(text=words.money(step.expected_pnl)),
        classes="num",
    ),
    Column(name="Why", content=lambda step: Words(text=step.reason or words.NONE), classes="long"),
]
