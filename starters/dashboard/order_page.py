"""One order's page: how far it is against its plan, what its fills cost, who said what, what to do.

Rule: it is shown as the look-up tells it, for the accounts that the visitor sees; an order of
another account is not there. It must not know how the list of orders is made.
"""

from decimal import Decimal

from nicegui import ui
from starlette.requests import Request

from starters import lookup
from starters.dashboard import order_story as story_of
from starters.dashboard import words
from starters.dashboard.board import Board
from starters.dashboard.charts import Chart
from starters.dashboard.frame import Page, framed
from starters.dashboard.order_actions import OrderActions
from starters.dashboard.order_costs import Costs
from starters.dashboard.order_verdicts import Verdicts
from starters.dashboard.parts import Bar, Facts, Notice, Pill, Text, box, card, empty, link
from starters.dashboard.table import Column, Table, Words
from starters.errors import OrderNotFound
from workflows import names
from workflows.messages import OrderSnapshot
from workflows.order_views import ChildView

_FACTS = (
    "Filled",
    "Remaining",
    "Average price",
    "Limit price",
    "Arrival price",
    "Fees",
    "Accepted",
    "Last change",
    "Strategy",
    "Exchange, account",
)
_PLAN = ("Slices sent", "Next slice", "Ends", "Late slices")


def register(board: Board) -> None:
    """Serve it."""

    @ui.page("/orders/{order_id}")
    async def page(request: Request, order_id: str) -> None:
        with framed(board, request, f"Order {order_id}", "Orders") as shown:
            link("← All orders", "/", "small")
            try:
                order = await lookup.find_order(
                    board.connections, order_id, accounts=shown.visitor.accounts
                )
            except OrderNotFound:
                hint = f"Nothing here has the id {order_id}."
                empty("search_off", "No such order", hint, heading="h1")
                return
            elements = _Order(shown, order)
            await shown.follow(elements.read, order_id)
            shown.follow_later(elements.costs.read, order_id)


class _Order:
    """The elements of the page, and how they are filled."""

    def __init__(self, page: Page, order: OrderSnapshot) -> None:
        self._board, self._accounts = page.board, page.visitor.accounts
        self._order_id, self._order = order.order_id, order
        self._head(page)
        with card("Progress"):
            base, quote = words.split_symbol(order.symbol)
            self._bar = Bar(0, f"Filled share of the order, in {base}", is_large=True)
            self._facts = Facts([*_FACTS, *_PLAN] if order.twap else _FACTS)
        with box("div", "cards"):
            with card(f"Executed against plan, {base}"):
                self._quantities = Chart(from_zero=True)
            with card(f"Fills against the market, {quote}"):
                self._prices = Chart()
        with card("Children: orders at the exchange", "flush bounded tall"):
            self._children = Table(
                "Children, newest first", _CHILDREN, key=lambda child: child.client_order_id
            )
            self._no_child = empty("hourglass_empty", "Nothing was sent yet")
        with box("div", "cards"):
            with card("Costs (TCA)"):
                self.costs = Costs(page.board, order, self._accounts)
            self._verdicts = Verdicts(page.board)

    def _head(self, page: Page) -> None:
        order = self._order
        with box("div", "head"):
            with box("div", "words"):
                kind = (order.order_type or "order").replace("_", " ")
                side = order.side.value if order.side else ""
                title = f"{side.capitalize()} {words.amount(order.quantity)} {order.symbol}"
                Text("h1", f"{title.strip()}, {kind}")
                with box("div", "line"):
                    self._status = Pill(words.order_badge(order.status))
                    Text("span", order.order_id, "mono")
            with box("div", "actions"):
                self._actions = OrderActions(page, order)
                workflow_id = names.owner_of(order.order_id)
                address = page.board.temporal_address(workflow_id)
                link("History in Temporal", address, "button", is_outside=True)
                if workflow_id != order.order_id:
                    link("Its execution", f"/arbitrage/{workflow_id}", "button")
        self._reason = Notice("info", "info")

    async def read(self) -> None:
        """Read the order and all that belongs to it, and show it."""
        connections = self._board.connections
        order = await self._board.answers.get(
            ("order", self._order_id, self._accounts),
            lambda: lookup.find_order(connections, self._order_id, accounts=self._accounts),
        )
        self.costs.tell(order)
        self._status.show(words.order_badge(order.status))
        told = " ".join(part for part in (order.code, order.reason) if part)
        self._reason.show(told)
        self._actions.show(order)
        self._children.show(order.children[::-1])
        self._children.element.set_visibility(bool(order.children))
        self._no_child.set_visibility(not order.children)
        story = await self._board.answers.get(
            ("story", self._order_id), lambda: story_of.read_story(connections, self._order_id)
        )
        if story is not None:
            self._show_story(order, story)

    def _show_story(self, order: OrderSnapshot, story: story_of.Story) -> None:
        self._bar.show(words.percent(order.filled_quantity, order.quantity))
        self._show_facts(order, story.facts.order.arrival_price)
        self._quantities.show(
            story_of.quantity_lines(order, story), story_of.quantity_words(order, story)
        )
        self._prices.show(story_of.price_lines(order, story), story_of.price_words(order, story))
        self._verdicts.show(order, story)

    def _show_facts(self, order: OrderSnapshot, arrival: Decimal | None) -> None:
        base, quote = words.split_symbol(order.symbol)
        now = self._board.now()
        exact = {
            "Filled": words.whole(order.filled_quantity),
            "Average price": words.whole(order.average_price),
        }
        self._facts.show(
            {
                "Filled": words.of_unit(order.filled_quantity, base),
                "Remaining": words.of_unit(order.remaining_quantity, base),
                "Average price": words.of_unit(order.average_price, quote),
                "Limit price": words.amount(order.price),
                "Arrival price": words.amount(arrival),
                "Fees": words.listed(order.fees),
                "Accepted": words.clock(order.created_at, now),
                "Last change": words.clock(order.updated_at, now),
                "Strategy": order.strategy_id or words.NONE,
                "Exchange, account": f"{order.exchange}, {order.account}",
            },
            exact,
        )
        if (twap := order.twap) is not None:
            self._facts.show(
                {
                    "Slices sent": f"{twap.slices_sent} of {twap.slices_planned}",
                    "Next slice": words.clock(twap.next_slice_at, now),
                    "Ends": words.clock(twap.ends_at, now),
                    "Late slices": str(twap.slices_late),
                }
            )


def _price(child: ChildView) -> Words:
    return Words(
        text=words.amount(child.average_price),
        under=f"limit {words.amount(child.price)}" if child.price else "at the market",
        title=words.whole(child.average_price),
    )


def _filled(child: ChildView) -> Words:
    filled, quantity = child.filled_quantity, child.quantity
    return Words(
        text=f"{words.amount(filled)} / {words.amount(quantity)}",
        title=f"{words.whole(filled)} / {words.whole(quantity)}",
    )


_CHILDREN: list[Column[ChildView]] = [
    Column(name="Child", content=lambda child: Words(text=f"{child.index}")),
    Column(name="Status", content=lambda child: words.child_badge(child.status.value)),
    Column(name="Type", content=lambda child: Words(text=child.child_type.replace("_", " "))),
    Column(name="Filled / quantity", content=_filled, classes="num"),
    Column(name="Average price", content=_price, classes="num"),
    Column(
        name="Id here, id at the exchange",
        content=lambda child: Words(
            text=child.client_order_id, under=child.venue_order_id or words.NONE, tone="mono"
        ),
        classes="long",
    ),
    Column(
        name="Note", content=lambda child: Words(text=child.reason or words.NONE), classes="long"
    ),
]
