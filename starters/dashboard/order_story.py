"""What the order's page tells beyond the order itself: lines over time, verdicts, in words.

Rule: pure but for one read; planned is what the schedule says, executed what was booked, and the
market is what the ledger saw of it. It must not know elements.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from activities.ledger.view_analytics import AnalyticsViews, ExecutionFacts
from activities.ledger.view_checks import CheckView, CheckViews
from starters.connections import Connections
from starters.dashboard import words
from starters.dashboard.charts import Point, Series
from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.messages import OrderSnapshot

_MARKS_AFTER = timedelta(minutes=1)
MAX_STEPS = 400
"""Of a schedule; a longer one is drawn as a straight line, which it then looks like anyway."""
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The facts of one order, and the newest verdicts on it."""

    facts: ExecutionFacts
    checks: list[CheckView]


async def read_story(connections: Connections, order_id: str) -> Story | None:
    """What the ledger knows; None until the order is in it. Raises Unavailable."""
    async with connections.reading(AnalyticsViews) as views:
        facts = await views.order(order_id, marks_for=_MARKS_AFTER)
    if facts is None:
        return None
    async with connections.reading(CheckViews) as checks:
        return Story(facts=facts, checks=await checks.of_order(order_id))


def quantity_lines(order: OrderSnapshot, story: Story) -> list[Series]:
    """Planned against executed quantity, in base units."""
    return [
        Series(
            name="Planned",
            points=planned(order, story),
            colour="var(--chart-3)",
            look="step",
            dash="dashed",
        ),
        Series(name="Executed", points=executed(story), colour="var(--chart-1)", look="step"),
    ]


def planned(order: OrderSnapshot, story: Story) -> list[Point]:
    """What should have been executed by when: a TWAP's even schedule, else all of it at once."""
    facts, quantity = story.facts.order, order.quantity or _ZERO
    begins, ends = facts.accepted_at or facts.created_at, _until(story)
    twap = order.twap
    if twap is None or twap.ends_at is None:
        return [(begins, quantity), (ends, quantity)]
    count, last = twap.slices_planned, words.moment(twap.ends_at)
    assert last is not None
    first = last - timedelta(seconds=float(twap.spacing_s) * count)
    if count > MAX_STEPS:
        return [(first, _ZERO), (last, quantity)]
    steps = [
        (first + timedelta(seconds=float(twap.spacing_s) * n), quantity * (n + 1) / count)
        for n in range(count)
    ]
    return [(first, _ZERO), *steps, (last, quantity)]


def executed(story: Story) -> list[Point]:
    """What was executed by when."""
    facts = story.facts
    begins = facts.order.accepted_at or facts.order.created_at
    with exact():
        sums = list(accumulate(fill.quantity for fill in facts.fills))
    points = [(fill.traded_at, total) for fill, total in zip(facts.fills, sums, strict=True)]
    last = sums[-1] if sums else _ZERO
    return [(begins, _ZERO), *points, (_until(story), last)]


def price_lines(order: OrderSnapshot, story: Story) -> list[Series]:
    """Fills against the market, in quote units."""
    facts, side = story.facts, order.side or Side.BUY
    market = [(mark.marked_at, mark.price) for mark in facts.marks]
    begins = facts.order.accepted_at or facts.order.created_at
    if facts.order.arrival_price is not None:
        market = [(begins, facts.order.arrival_price), *market]
    lines = [
        Series(name="Market (middle)", points=market, colour="var(--chart-3)"),
        Series(
            name="Buys" if side is Side.BUY else "Sells",
            points=[(fill.traded_at, fill.price) for fill in facts.fills],
            colour="var(--chart-1)" if side is Side.BUY else "var(--chart-2)",
            look="dots",
            symbol="triangle" if side is Side.BUY else "diamond",
        ),
    ]
    for name, price, dash in (
        ("Average", order.average_price, "dashed"),
        ("Limit", order.price, "dotted"),
    ):
        if price is not None:
            ends = [(begins, price), (_until(story), price)]
            lines.append(Series(name=name, points=ends, colour="var(--chart-4)", dash=dash))
    return lines


def quantity_words(order: OrderSnapshot, story: Story) -> str:
    """What the first chart shows."""
    base, _quote = words.split_symbol(order.symbol)
    now = _until(story)
    due = [quantity for at, quantity in planned(order, story) if at <= now]
    done = words.amount(order.filled_quantity)
    plan = words.amount(due[-1] if due else _ZERO)
    return f"{done} {base} executed in {len(story.facts.fills)} fills; planned by now: {plan}."


def price_words(order: OrderSnapshot, story: Story) -> str:
    """What the second chart shows."""
    _base, quote = words.split_symbol(order.symbol)
    arrival, average = story.facts.order.arrival_price, order.average_price
    if average is None:
        return f"Nothing filled yet; the market was at {words.amount(arrival)} {quote} on arrival."
    if arrival is None:
        return f"Filled at {words.amount(average)} {quote} on average."
    return (
        f"Filled at {words.amount(average)} {quote} on average; the market was at"
        f" {words.amount(arrival)} on arrival."
    )


def children_by_id(story: Story) -> dict[str, int]:
    """The children's numbers, by their ids at the exchange."""
    return {child.client_order_id: child.child_index for child in story.facts.children}


def _until(story: Story) -> datetime:
    order = story.facts.order
    last = story.facts.fills[-1].traded_at if story.facts.fills else order.created_at
    return max(order.finished_at or story.facts.read_at, last)
