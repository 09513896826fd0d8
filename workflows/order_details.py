"""An order in Markdown, for the current details in Temporal's UI. Pure.

What an operator wants first stands first: the state and why, how much traded at what price, where
the strategy is, what the newest children did, who steered it.
"""

from decimal import Decimal

from workflows.fields import plain
from workflows.markdown import as_text, number, table
from workflows.messages import OrderSnapshot
from workflows.order_views import ChildView, StopProgress

CHILDREN_IN_DETAILS = 5
_CHILD_HEADER = ("child", "status", "filled", "limit", "average", "why")


def details_of(now: OrderSnapshot) -> str:
    """The order as a person reads it; exact amounts without exponents."""
    lines = [f"**{now.status}**" + (f" ({as_text(now.reason)})" if now.reason else "")]
    if now.code is not None:
        lines.append(f"`{now.code}`" + (f" in `{now.field}`" if now.field else ""))
    if now.quantity is not None:
        lines.append(_what_traded(now, now.quantity))
    lines += _where_it_is(now)
    if now.children:
        lines.append(_children(now))
    lines += [
        f"- {action.at}: {action.kind} by {as_text(action.requested_by)} {as_text(action.detail)}"
        for action in now.actions
    ]
    return "\n\n".join(line.rstrip() for line in lines)


def _what_traded(now: OrderSnapshot, quantity: Decimal) -> str:
    at_most = "" if now.price is None else f", limit {plain(now.price)}"
    average = f" at {_price(now.average_price)}" if now.average_price is not None else ""
    return (
        f"{now.side} {now.symbol} on {now.exchange}{at_most}: "
        f"{plain(now.filled_quantity)} of {plain(quantity)} filled{average}"
    )


def _price(average: Decimal) -> str:
    return plain(Decimal(f"{average:.8f}"))


def _where_it_is(now: OrderSnapshot) -> list[str]:
    lines = []
    if now.twap is not None:
        following = "" if now.twap.next_slice_at is None else f", next at {now.twap.next_slice_at}"
        lines.append(f"slice {now.twap.slices_done} of {now.twap.slices_planned}{following}")
    if now.iceberg is not None:
        lines.append(f"tip {now.iceberg.tips_shown}, hidden {plain(now.iceberg.hidden_quantity)}")
    if now.stop is not None:
        lines.append(_stop_line(now.stop))
    return lines


def _stop_line(stop: StopProgress) -> str:
    where = "" if stop.trigger_price is None else f" at {plain(stop.trigger_price)}"
    flags = f" ({', '.join(stop.flags)})" if stop.flags else ""
    guard = "" if stop.is_protected else ", position unprotected"
    return f"trigger {stop.phase}{where}, {stop.placement}{guard}{flags}"


def _children(now: OrderSnapshot) -> str:
    """The newest first: an operator looks for what happened last."""
    shown = tuple(reversed(now.children))[:CHILDREN_IN_DETAILS]
    return table(_CHILD_HEADER, map(_child_row, shown))


def _child_row(child: ChildView) -> tuple[str, ...]:
    limit = "-" if child.price is None else number(plain(child.price))
    average = "-" if child.average_price is None else number(_price(child.average_price))
    filled = f"{plain(child.filled_quantity)} of {plain(child.quantity)}"
    return str(child.index), child.status, filled, limit, average, as_text(child.reason)
